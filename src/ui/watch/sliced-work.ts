/** Runs work in slices: between two of them the event loop serves everything else, such as the renewals of a leader. */
import { setImmediate as others } from "node:timers/promises";

/** The longest slice, apart from the one step in it that is longer. */
const SLICE_MS = 4;
/** The work has at most a tenth of the event loop. */
const REST_FACTOR = 9;

/**
 * Runs the steps until there is none, or `isOver()`.
 *
 * @returns For how long not to begin other work, in milliseconds. On a busy machine that is longer, because the work was.
 */
export async function runSliced(steps: Iterator<void, void>, isOver: () => boolean): Promise<number> {
  let spentMs = 0;
  for (;;) {
    const begun = performance.now();
    let done = false;
    while (!done && performance.now() - begun < SLICE_MS) done = isOver() || steps.next().done === true;
    spentMs += performance.now() - begun;
    if (done) return spentMs * REST_FACTOR;
    await others();
  }
}
