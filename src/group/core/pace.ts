/**
 * How many claims and releases are in flight at once. All members that claim share 16: more of them hardly raise the throughput of one
 * server, and make every other client of the server wait (measured, one loaded server: 16 in flight 5.2 k/s and a stranger's p99 14 ms;
 * 256: 7.0 k/s and 76 ms). The window grows while answers stay as fast as the fastest, and falls back when they do not. Renewals and
 * fences do not count.
 */
import type { GroupState } from "./state.ts";

/** Answers within this multiple of the fastest are fast. */
const FAST = 2;
/** The window grows to at most this multiple of its share. */
const GROWTH = 4;
/** The fastest answer is forgotten by so much with every answer. */
const FORGET = 1.001;

/** The share of this member. */
function share({ config, pace }: GroupState): number {
  return Math.max(1, Math.floor(config.window / Math.max(1, pace.members)));
}

/** May another claim or release be sent? */
export function hasRoom(group: GroupState): boolean {
  const { pace } = group;
  const least = share(group);
  const window = Math.min(Math.max(pace.window, least), least * GROWTH);
  return pace.inFlight < Math.floor(window);
}

/** A claim or a release was answered after so long, or not at all. */
export function noteAnswered(group: GroupState, afterMs: number, isAnswer: boolean): void {
  const { pace } = group;
  const least = share(group);
  pace.inFlight -= 1;
  pace.bestMs = Math.min(pace.bestMs * FORGET, Math.max(afterMs, 0.1));
  const isFast = isAnswer && afterMs <= FAST * pace.bestMs;
  const window = Math.max(pace.window, least);
  pace.window = isFast ? Math.min(window + 1 / window, least * GROWTH) : Math.max(least, window * 0.8);
}
