/** Giving everything up on request, and leaving for good. */
import type { Caller, StopReason } from "../../application/types.ts";
import { type Draft, emit, notify } from "./draft.ts";
import type { Settlement } from "./types.ts";
import { addWait, settle } from "./waits.ts";

export interface Request {
  readonly wait: number;
  readonly caller: Caller;
  readonly timeoutMs: number;
}

/** Owns nothing from now on, and gives up everything; or takes part again. */
export function setDraining(draft: Draft, { wait, caller, timeoutMs }: Request, drains: boolean): void {
  emit(draft, { type: "set-draining", drains });
  if (drains) {
    if (caller.awaited) answer(draft, wait, { kind: "begun" });
    else addWait(draft, wait, { kind: "drained" }, timeoutMs, caller.inside);
    return;
  }
  answer(draft, wait, { kind: "nothing" });
  for (const one of draft.state.waits.ofMember)
    if (one.for.kind === "drained") settle(draft, one.wait, { kind: "rejoined" });
}

function answer(draft: Draft, wait: number, settlement: Settlement): void {
  emit(draft, { type: "settle", wait, settlement });
}

/** `stop()`. The limit of the caller shortens the wait for the application, never the stop itself. */
export function requestStop(
  draft: Draft,
  { wait, caller, timeoutMs, restarting }: Request & { readonly restarting: boolean },
): void {
  addWait(draft, wait, { kind: "stop" }, Number.POSITIVE_INFINITY, caller.inside);
  beginStop(draft, "requested", restarting);
  limitStop(draft, draft.now.mono + timeoutMs);
  if (caller.awaited) settle(draft, wait, { kind: "begun" });
}

/** Begins to leave. The time limit for the application is set once, however often the stop is requested. */
export function beginStop(draft: Draft, reason: StopReason, restarting = false): void {
  const { state } = draft;
  if (state.stage !== "running") return;
  state.stage = "stopping";
  state.stopReason = reason;
  limitStop(draft, draft.now.mono + state.config.drainTimeoutMs);
  emit(draft, { type: "stop-core", restarting });
}

export function limitStop({ state }: Draft, deadlineMono: number): void {
  state.stopDeadlineMono = Math.min(state.stopDeadlineMono, deadlineMono);
}

/** At the deadline of the stop, nothing is waited for any longer. */
export function touchAtDeadline({ state, now, touched }: Draft): void {
  if (state.stage !== "stopping" || state.isPastDeadline || now.mono < state.stopDeadlineMono) return;
  state.isPastDeadline = true;
  for (const slot of state.slots.values()) touched.add(slot);
}

/** Once the session has ended: closes everything when the application has returned, or its time is up. */
export function finishStop(draft: Draft): void {
  const { state, now } = draft;
  if (state.stage !== "finishing") return;
  const idle = state.slots.size === 0 && state.active === null && state.waiting.length === 0;
  if (!idle && now.mono < state.stopDeadlineMono) return;
  state.stage = "closing";
  state.waiting = [];
  emit(draft, { type: "close" });
}

/** Everything is closed. */
export function onClosed(draft: Draft): void {
  const { state } = draft;
  if (state.stage !== "closing") throw new Error(`bug: closed in stage "${state.stage}"`);
  state.stage = "stopped";
  notify(draft, { type: "stopped", reason: state.stopReason ?? "requested" });
}
