/**
 * Application code that waits for its own end: it awaits `stop()` or `drain()`, and the drain waits for it
 * (`src/application/self-wait.ts` has the reasons). A call that is certain to be awaited by such code is answered at once. Any other one
 * waits, and is answered only when everything that the drain still waits for has made such a call, and `selfWaitMs` has passed since.
 */
import { type Draft, settle } from "./draft.ts";
import type { GroupApplicationState, Wait } from "./types.ts";

/** When the next call of code that may wait for itself is answered; infinite if none is. */
export function selfWaitAtMono({ waits, config }: GroupApplicationState): number {
  let due = Number.POSITIVE_INFINITY;
  for (const { selfSinceMono } of waits) {
    if (selfSinceMono !== null) due = Math.min(due, selfSinceMono + config.selfWaitMs);
  }
  return due;
}

export function answerSelfWaits(draft: Draft): void {
  const { state, now } = draft;
  const waiting = new Set(state.waits.flatMap(({ inside }) => inside));
  if (waiting.size === 0) return;
  for (const wait of state.waits) {
    if (wait.inside.length === 0 || !waitsOnlyForWaiters(state, wait, waiting)) {
      wait.selfSinceMono = null;
      continue;
    }
    wait.selfSinceMono ??= now.mono;
    if (now.mono >= wait.selfSinceMono + state.config.selfWaitMs) settle(draft, wait.wait, { kind: "begun" });
  }
}

/** Is everything that this wait waits for code that may itself wait, this caller's among it? */
function waitsOnlyForWaiters(
  state: GroupApplicationState,
  wait: Wait,
  waiting: ReadonlySet<number>,
): boolean {
  let own = false;
  for (const code of holders(state, wait)) {
    if (!waiting.has(code)) return false;
    own ||= wait.inside.includes(code);
  }
  return own;
}

/** Numbers of the calls and runs that the wait waits for. */
function* holders(state: GroupApplicationState, { for: what }: Wait): Generator<number> {
  if (what.kind === "stop" && state.active !== null && state.stage === "finishing") yield state.active.call;
  for (const slot of state.slots.values()) {
    if (slot.active !== null) yield slot.active.call;
    for (const { run } of slot.runs) yield run;
  }
}
