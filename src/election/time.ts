/**
 * Time in the election: values that are passed in, never read from a clock.
 *
 * Each side uses the clock on which an error is safe:
 *  - a leader's lease ends when the *faster* of its two clocks reaches the deadline (`hasReached`);
 *  - a follower's wait ends by its monotonic clock (`waitedUntil`), which never runs ahead of real time: it stops while the
 *    machine is suspended.
 */

/** One reading of a node's clocks, in milliseconds. Only differences between readings of the same node have a meaning. */
export interface Instant {
  /** Monotonic: never jumps; may stop while the machine is suspended. */
  readonly mono: number;
  /** Monotonic, counting suspended time (Linux CLOCK_BOOTTIME). Equals `mono` where there is no such clock. */
  readonly boot: number;
  /** Unix time, for people and logs; no decision reads it. */
  readonly wall: number;
}

/** A later instant on every clock. `wall` is moved, too, so that a deadline can be printed. */
export function after(instant: Instant, ms: number): Instant {
  return { mono: instant.mono + ms, boot: instant.boot + ms, wall: instant.wall + ms };
}

/** Has either clock reached the deadline? The test of a leader for its own lease. */
export function hasReached(deadline: Instant, now: Instant): boolean {
  return now.mono >= deadline.mono || now.boot >= deadline.boot;
}

/** Milliseconds until the first of the two clocks reaches the deadline; 0 when it has passed. */
export function remainingMs(deadline: Instant, now: Instant): number {
  return Math.max(0, Math.min(deadline.mono - now.mono, deadline.boot - now.boot));
}

/** Have at least `ms` of monotonic time passed since `since`? The test of a follower that waits. */
export function waitedUntil(since: Instant, ms: number, now: Instant): boolean {
  return now.mono - since.mono >= ms;
}
