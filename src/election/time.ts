/**
 * Time as the election sees it: values handed in, never read.
 *
 * Two clocks, because each side must err on its own safe side:
 *  - a leader's lease ends when the *faster* of its two clocks says so (`hasReached`);
 *  - a follower's wait ends when its monotonic clock says so (`waitedUntil`), because that one never runs
 *    ahead of real time: it stands still while the machine is suspended.
 */

/** One reading of a node's clocks, all in milliseconds. Only differences of one node's own readings mean anything. */
export interface Instant {
  /** Monotonic: never jumps; may stand still while the machine is suspended. */
  readonly mono: number;
  /** Monotonic and counts suspended time (Linux CLOCK_BOOTTIME). Equals `mono` where no such clock exists. */
  readonly boot: number;
  /** Unix time. For humans and logs only; no decision reads it. */
  readonly wall: number;
}

/** A later point on both clocks. `wall` moves along so that a deadline can be printed. */
export function after(instant: Instant, ms: number): Instant {
  return { mono: instant.mono + ms, boot: instant.boot + ms, wall: instant.wall + ms };
}

/** True when either clock has reached the deadline: the test of a leader for its own lease. */
export function hasReached(deadline: Instant, now: Instant): boolean {
  return now.mono >= deadline.mono || now.boot >= deadline.boot;
}

/** Milliseconds left until the nearer of the two clocks reaches the deadline; 0 when it is past. */
export function remainingMs(deadline: Instant, now: Instant): number {
  return Math.max(0, Math.min(deadline.mono - now.mono, deadline.boot - now.boot));
}

/** True when at least `ms` of monotonic time have passed since `since`: the test of a follower that waits. */
export function waitedUntil(since: Instant, ms: number, now: Instant): boolean {
  return now.mono - since.mono >= ms;
}
