/** The timeline of one node: what it was, from when to when. Pure. */
import { LIMITS } from "./limits.ts";
import type { LaneSpan, LaneState } from "./types.ts";

/** The lane with this state from `at` on. The same lane if the state is the same. */
export function extended(lane: readonly LaneSpan[], state: LaneState, at: number): readonly LaneSpan[] {
  const last = lane.at(-1);
  if (last?.[0] === state) return lane;
  const before = lane.slice(0, -1);
  // A state that lasted no time was a guess that has been corrected.
  if (last !== undefined && at > last[1]) before.push([last[0], last[1], at]);
  const previous = before.at(-1);
  if (previous !== undefined && previous[0] === state && previous[2] === at) {
    return [...before.slice(0, -1), [state, previous[1], null]];
  }
  const from = last === undefined ? at : Math.max(at, last[1]);
  return trimmed([...before, [state, from, null]], at);
}

/** The lane with a term that ended before anything was seen of the node. The time between the two stays empty. */
export function withPastTerm(
  lane: readonly LaneSpan[],
  from: number,
  until: number,
  now: number,
): readonly LaneSpan[] {
  const first = lane[0];
  if (until <= from || until < now - LIMITS.timelineMs) return lane;
  if (first !== undefined && first[1] < until) return lane;
  return trimmed([["leading", from, until], ...lane], now);
}

/** Without what is too old to be shown, and with at most `LIMITS.spansPerLane` spans. */
function trimmed(lane: readonly LaneSpan[], now: number): readonly LaneSpan[] {
  const since = now - LIMITS.timelineMs;
  return lane.filter(([, , until]) => until === null || until >= since).slice(-LIMITS.spansPerLane);
}

/** When the present state began; `null`: the lane is empty. */
export function sinceOf(lane: readonly LaneSpan[]): number | null {
  return lane.at(-1)?.[1] ?? null;
}
