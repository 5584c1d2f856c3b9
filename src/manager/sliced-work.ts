/** Runs work in slices: between two of them the event loop serves everything else, such as the renewals of a leader. */
import { setImmediate as others } from "node:timers/promises";

/** The longest slice, apart from the one step in it that is longer. */
const SLICE_MS = 4;
/** The work has at most a tenth of the event loop. */
const REST_FACTOR = 9;

export interface SlicedWork<T> {
  /** What the steps have returned; `null`: it was over before. */
  readonly value: T | null;
  /** For how long not to begin other work, in milliseconds. On a busy machine that is longer, because the work was. */
  readonly restMs: number;
}

/** Runs the steps until there is none, or `isOver()`. */
export async function runSliced<T>(
  steps: Iterator<void, T>,
  isOver: () => boolean = () => false,
): Promise<SlicedWork<T>> {
  let spentMs = 0;
  for (;;) {
    const begun = performance.now();
    while (performance.now() - begun < SLICE_MS) {
      const step = isOver() ? null : steps.next();
      if (step !== null && step.done !== true) continue;
      spentMs += performance.now() - begun;
      return { value: step === null ? null : step.value, restMs: spentMs * REST_FACTOR };
    }
    spentMs += performance.now() - begun;
    await others();
  }
}
