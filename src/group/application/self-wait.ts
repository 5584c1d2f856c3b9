/**
 * Application code that waits for its own end: it awaits `stop()` or `drain()`, and the drain waits for it
 * (`src/application/self-wait.ts` has the reasons). A call that is certain to be awaited by such code is answered at once. Any other one
 * waits, and is answered only when everything that the drain still waits for has made such a call, and `selfWaitMs` has passed since.
 */
import type { Draft } from "./draft.ts";
import type { GroupApplicationState, WaitFor } from "./types.ts";
import { settle } from "./waits.ts";

/** When the next call of code that may wait for itself is answered; infinite if none is. */
export function selfWaitAtMono({ waits, config }: GroupApplicationState): number {
  let due = Number.POSITIVE_INFINITY;
  for (const { selfSinceMono } of waits.ofMember) {
    if (selfSinceMono !== null) due = Math.min(due, selfSinceMono + config.selfWaitMs);
  }
  return due;
}

export function answerSelfWaits(draft: Draft): void {
  const { state, now } = draft;
  const { ofMember } = state.waits;
  const waiting = new Set([...ofMember].flatMap(({ inside }) => inside));
  if (waiting.size === 0) return;
  const held = new Map<WaitFor["kind"], ReadonlySet<number> | null>();
  for (const wait of ofMember) {
    const { kind } = wait.for;
    if (!held.has(kind)) held.set(kind, waitersOnly(state, kind, waiting));
    const codes = held.get(kind) ?? null;
    if (codes === null || !wait.inside.some((code) => codes.has(code))) {
      wait.selfSinceMono = null;
      continue;
    }
    wait.selfSinceMono ??= now.mono;
    if (now.mono >= wait.selfSinceMono + state.config.selfWaitMs) settle(draft, wait.wait, { kind: "begun" });
  }
}

/** The calls and runs that a wait of this kind waits for, if all of them may themselves wait; else `null`. */
function waitersOnly(
  state: GroupApplicationState,
  kind: WaitFor["kind"],
  waiting: ReadonlySet<number>,
): ReadonlySet<number> | null {
  const codes = new Set<number>();
  for (const code of holders(state, kind)) {
    if (!waiting.has(code)) return null;
    codes.add(code);
  }
  return codes;
}

/** Numbers of the calls and runs that a wait of this kind waits for. */
function* holders(state: GroupApplicationState, kind: WaitFor["kind"]): Generator<number> {
  if (kind === "stop" && state.active !== null && state.stage === "finishing") yield state.active.call;
  for (const slot of state.slots.values()) {
    if (slot.active !== null) yield slot.active.call;
    for (const { run } of slot.runs) yield run;
  }
}
