/** What becomes due by time alone. `progress` acts on it, and the timer of the driver is its minimum. */
import type { Instant } from "../election/time.ts";
import { type Draft, notify, patchTerm, patchWorker, runningTerm } from "./draft.ts";
import { selfWaitAtMono } from "./self-wait.ts";
import type { ApplicationState, Blocked, Worker } from "./types.ts";
import { runOfEarlierTerm } from "./work.ts";

/** The next time at which something is due without an event, on the monotonic clock; infinite if nothing is. */
export function dueAtMono(state: ApplicationState): number {
  let due = state.stage === "finishing" ? state.stopDeadlineMono : Number.POSITIVE_INFINITY;
  for (const { limitMono } of state.waits) due = Math.min(due, limitMono);
  for (const { drain } of state.terms) {
    if (drain?.outcome === null) due = Math.min(due, drain.deadlineMono, state.stopDeadlineMono);
  }
  due = Math.min(due, slowAtMono(state), selfWaitAtMono(state));
  for (const worker of state.workers) due = Math.min(due, blockedAtMono(state, worker));
  return due;
}

/**
 * When the active hook call has to be reported: once because it keeps anything waiting, and once for every term whose
 * `onBecomeLeader` it, or calls before it, have kept waiting. Infinite while nothing waits.
 */
function slowAtMono(state: ApplicationState): number {
  const { active, config } = state;
  if (active === null || waitingFor(state) === 0) return Number.POSITIVE_INFINITY;
  const term = runningTerm(state);
  const starving = term !== null && term.become === "queued" && !term.starvedReported;
  const forTerm = starving ? term.beganMono : Number.POSITIVE_INFINITY;
  const forCall = active.reported ? Number.POSITIVE_INFINITY : active.sinceMono;
  return Math.min(forCall, forTerm) + config.slowAfterMs;
}

/** When the run that blocks a worker has to be reported. */
function blockedAtMono({ config }: ApplicationState, { blockedSinceMono, reported }: Worker): number {
  if (blockedSinceMono === null || reported) return Number.POSITIVE_INFINITY;
  return blockedSinceMono + config.slowAfterMs;
}

/** Hook calls and workers that cannot start before the active call has returned. The application has no code for other calls. */
function waitingFor(state: ApplicationState): number {
  const calls = state.waiting.filter(({ hook }) => state.config.hooks.has(hook)).length;
  const term = runningTerm(state);
  const workers =
    term === null || term.become === "returned" || term.become === "failed"
      ? 0
      : state.workers.filter(
          ({ ended, scope, lastEpoch }) => !ended && scope === null && lastEpoch !== term.epoch,
        ).length;
  return calls + workers;
}

/** Reports application code that has kept other application code from running for too long, once each. */
export function reportBlocked(draft: Draft): void {
  const { active } = draft;
  if (active !== null && draft.now.mono >= slowAtMono(draft)) {
    draft.active = { ...active, reported: true };
    const term = runningTerm(draft);
    if (term?.become === "queued") patchTerm(draft, term.epoch, { starvedReported: true });
    notify(draft, { type: "blocked", blocked: slowCall(draft, active, draft.now) });
  }
  if (!draft.workers.some((worker) => draft.now.mono >= blockedAtMono(draft, worker))) return;
  for (const { worker, blockedSinceMono } of draft.workers) {
    if (blockedSinceMono !== null) patchWorker(draft, worker, { reported: true });
  }
  const blocked = blockedWork(draft, draft.now);
  if (blocked !== null) notify(draft, { type: "blocked", blocked });
}

/** What has been reported and still lasts, for the node's status. */
export function blockedNow(state: ApplicationState, now: Instant): Blocked | null {
  if (state.active?.reported === true) return slowCall(state, state.active, now);
  return blockedWork(state, now);
}

function slowCall(
  state: ApplicationState,
  active: NonNullable<ApplicationState["active"]>,
  now: Instant,
): Blocked {
  return {
    code: "HOOK_SLOW",
    by: active.hook,
    epoch: active.epoch,
    forMs: now.mono - active.sinceMono,
    waiting: waitingFor(state),
  };
}

/** Work that waits for work of an earlier term to end, once that has been reported. */
function blockedWork(state: ApplicationState, now: Instant): Blocked | null {
  const waiting = state.workers.filter(({ reported }) => reported);
  const [first] = waiting;
  if (first === undefined) return null;
  return {
    code: "WORK_BLOCKED",
    by: "work",
    epoch: runOfEarlierTerm(state)?.epoch ?? null,
    forMs: now.mono - (first.blockedSinceMono ?? now.mono),
    waiting: waiting.length,
  };
}
