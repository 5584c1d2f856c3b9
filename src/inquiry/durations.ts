/** How often a holder shows that it lives, and how long an asker waits. F is the `silenceMs` of the holder's promise. */

/** A beat is proven by the next one, so with eight of them a stretch outlasts a pause of 0.75 F less a round trip. */
const BEATS = 8;
/** After this many intervals without a beat, one counts as missing: a beat may be late by a quarter of an interval. */
const MISSING = 1.25;

/** The smallest margin of any wait for the end of another's term, in milliseconds: time for its work to stop. */
export const MIN_MARGIN_MS = 250;

/** How often a holder sends a beat. */
export function beatIntervalMs(silenceMs: number): number {
  return silenceMs / BEATS;
}

/** After how long without a beat the holder is suspected. */
export function missingBeatMs(silenceMs: number): number {
  return MISSING * beatIntervalMs(silenceMs);
}

/**
 * Least time from the receipt of the first answer to the second question. A holder whose clock is 5 % slow takes F for F / 0.95; at least
 * 250 ms are for work to stop.
 */
export function silenceWaitMs(silenceMs: number): number {
  return silenceMs + Math.max(MIN_MARGIN_MS, Math.ceil(silenceMs / 19));
}
