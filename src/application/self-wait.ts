/**
 * Application code that waits for its own end: it awaits `stop()`, `stepDown()` or `withdraw()`, and the drain waits for it.
 *
 * A call that is certain to be awaited by such code is answered at once (`leaving.ts`). Often that is not certain: the call comes
 * from a timer or an emitter, or from a runtime that does not show which code awaits it. It may as well be made by a handler that
 * nothing awaits and that ends the process when it is answered, so it must not be answered early without need. It waits, like a
 * call from outside. Only when everything that the drain still waits for has made such a call, and `selfWaitMs` has passed since, is it
 * answered: if the code does wait for itself, nothing else could let it go on, and the drain would end at its time limit.
 */
import { type Draft, settle } from "./draft.ts";
import { begun } from "./leaving.ts";
import { hookHoldsDrain } from "./terms.ts";
import type { ApplicationState, Wait } from "./types.ts";

/** When the next call of code that may wait for itself is answered; infinite if none is. */
export function selfWaitAtMono(state: ApplicationState): number {
  const { selfWaitSinceMono } = state;
  if (selfWaitSinceMono === null) return Number.POSITIVE_INFINITY;
  const holders = drainHolders(state);
  const own = state.waits.filter(({ inside }) => inside.some((code) => holders.includes(code)));
  return Math.min(...own.map((wait) => answerAtMono(state, selfWaitSinceMono, wait)));
}

/** Every call gets the whole time: another one of the same code may have been made long before it. */
function answerAtMono({ config }: ApplicationState, sinceMono: number, { beganMono }: Wait): number {
  return Math.max(sinceMono, beganMono) + config.selfWaitMs;
}

export function answerSelfWaits(draft: Draft): void {
  const holders = drainHolders(draft);
  const mayWait = (code: number): boolean => draft.waits.some(({ inside }) => inside.includes(code));
  if (holders.length === 0 || !holders.every(mayWait)) {
    draft.selfWaitSinceMono = null;
    return;
  }
  const sinceMono = draft.selfWaitSinceMono ?? draft.now.mono;
  draft.selfWaitSinceMono = sinceMono;
  for (const wait of draft.waits) {
    const isOwn = wait.inside.some((code) => holders.includes(code));
    if (isOwn && draft.now.mono >= answerAtMono(draft, sinceMono, wait))
      settle(draft, wait.wait, begun(draft));
  }
}

/** Numbers of the calls and runs that a drain, or the stop after it, waits for. */
function drainHolders(state: ApplicationState): readonly number[] {
  const { stage, terms, active, workers } = state;
  const runs = workers.flatMap(({ run }) => (run === null ? [] : [run]));
  const call = active === null ? [] : [active.call];
  if (stage === "finishing") return [...call, ...runs.map(({ run }) => run)];
  const term = terms.find(({ drain }) => drain?.outcome === null);
  if (term === undefined) return [];
  return [
    ...(hookHoldsDrain(state, term) ? call : []),
    ...runs.filter(({ epoch }) => epoch === term.epoch).map(({ run }) => run),
  ];
}
