/** Giving a term up on request, and leaving for good. */
import { type Draft, emit, notify, runningTerm, settle } from "./draft.ts";
import type { Caller, Settlement, StopReason } from "./types.ts";
import { addWait } from "./waits.ts";

export interface Request {
  readonly wait: number;
  readonly caller: Caller;
  readonly timeoutMs: number;
}

/** The term that runs, or that is being given up. */
function termToRelease(draft: Draft): number | null {
  const running = runningTerm(draft);
  if (running !== null) return running.epoch;
  return draft.terms.findLast(({ drain, released }) => drain !== null && !released)?.epoch ?? null;
}

/** Gives up the running term. A term that is being given up already is joined. */
export function stepDown(draft: Draft, request: Request, successor: string | undefined): void {
  if (runningTerm(draft) !== null) {
    emit(draft, { type: "resign", reason: "released", successor, pauseMs: 0 });
  }
  awaitRelease(draft, request);
}

/** Competes from now on, or only follows and gives up a term that runs. */
export function setCompeting(draft: Draft, request: Request, competes: boolean): void {
  emit(draft, { type: "set-competing", competes });
  if (competes) answer(draft, request.wait, { kind: "nothing" });
  else awaitRelease(draft, request);
}

function awaitRelease(draft: Draft, { wait, caller, timeoutMs }: Request): void {
  const epoch = termToRelease(draft);
  if (epoch === null) answer(draft, wait, { kind: "nothing" });
  else if (caller.awaited) answer(draft, wait, begun(draft));
  else addWait(draft, wait, { kind: "release", epoch }, timeoutMs, caller.inside);
}

function answer(draft: Draft, wait: number, settlement: Settlement): void {
  emit(draft, { type: "settle", wait, settlement });
}

/** The answer for code that has to end before there can be another one. */
export function begun(draft: Draft): Settlement {
  return { kind: "begun", epoch: termToRelease(draft), givenUp: draft.givenUp };
}

/** `stop()`. The limit of the caller shortens the wait for the application, never the stop itself. */
export function requestStop(draft: Draft, { wait, caller, timeoutMs }: Request): void {
  addWait(draft, wait, { kind: "stop" }, Number.POSITIVE_INFINITY, caller.inside);
  beginStop(draft, "requested");
  limitStop(draft, draft.now.mono + timeoutMs);
  if (caller.awaited) settle(draft, wait, begun(draft));
}

/** Begins to leave. The time limit for the application is set once, however often the stop is requested. */
export function beginStop(draft: Draft, reason: StopReason): void {
  if (draft.stage !== "running") return;
  draft.stage = "stopping";
  draft.stopReason = reason;
  limitStop(draft, draft.now.mono + draft.config.drainTimeoutMs);
  emit(draft, { type: "stop-election" });
}

export function limitStop(draft: Draft, deadlineMono: number): void {
  draft.stopDeadlineMono = Math.min(draft.stopDeadlineMono, deadlineMono);
}

/** Once the election has ended: closes everything when the application has returned, or its time is up. */
export function finishStop(draft: Draft): void {
  if (draft.stage !== "finishing") return;
  const idle =
    draft.active === null && draft.waiting.length === 0 && draft.workers.every(({ run }) => run === null);
  if (!idle && draft.now.mono < draft.stopDeadlineMono) return;
  draft.stage = "closing";
  draft.waiting = [];
  emit(draft, { type: "close" });
}

/** Everything is closed. */
export function onClosed(draft: Draft): void {
  if (draft.stage !== "closing") throw new Error(`bug: closed in stage "${draft.stage}"`);
  draft.stage = "stopped";
  notify(draft, { type: "stopped", reason: draft.stopReason ?? "requested" });
}
