/**
 * How many claims and releases are in flight at once. All members that claim share 16: more of them hardly raise the throughput of one
 * server, and make every other client of the server wait (measured, see docs/benchmarks.md). To a server that is far away 16 are too few, since
 * most of them are under way: so the window grows to what the fastest answer needs, while answers stay as fast as that, and falls back when
 * they do not. Renewals and fences do not count.
 */
import type { GroupState } from "./state.ts";

/** Answers within this multiple of the fastest are fast. */
const FAST = 2;
/** The window grows to at most this multiple of its share. */
const GROWTH = 4;
/** Claims per millisecond of all members, as many as a server takes. The fastest answer times this has to be in flight. */
const PER_MS = 8;
/** The fastest answer is forgotten by so much with every answer. */
const FORGET = 1.001;

function claimers({ pace }: GroupState): number {
  return Math.max(1, pace.members);
}

/** The share of this member. */
function share(group: GroupState): number {
  return Math.max(1, Math.floor(group.config.window / claimers(group)));
}

/** What the window grows to. */
function most(group: GroupState): number {
  const least = share(group);
  const needed = (PER_MS * group.pace.bestMs) / claimers(group);
  return Math.min(Math.max(least, needed), least * GROWTH);
}

/** May another claim or release be sent? */
export function hasRoom(group: GroupState): boolean {
  const { pace } = group;
  const window = Math.min(Math.max(pace.window, share(group)), most(group));
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
  pace.window = isFast ? Math.min(window + 1 / window, most(group)) : Math.max(least, window * 0.8);
}
