/**
 * Lease arithmetic: how long a holder may believe, how long everybody else must wait.
 *
 *      s            o = received                      s + S          o + W
 *      |------------|---------------------------------|--------------|------>  time
 *   leader sends    follower sees the write        leader stops     follower may campaign
 *   the write                                      by itself        by CAS on that very write
 *
 * s <= o always (a write is sent before it is received), so s + S < o + W with S = W - margin. The margin pays for
 * the rate difference of the two clocks, for delivery, and for the time it takes work to stop.
 */

/** Smallest margin whatever the lease, in milliseconds. */
export const MIN_MARGIN_MS = 250;

/** The part of the lease TTL kept as margin: max(250 ms, 5 %). */
export function leaseMarginMs(leaseTtlMs: number): number {
  return Math.max(MIN_MARGIN_MS, leaseTtlMs * 0.05);
}

/** S: how long after *sending* a confirmed write its sender may act as the leader. */
export function leaseSpanMs(leaseTtlMs: number): number {
  return leaseTtlMs - leaseMarginMs(leaseTtlMs);
}

/**
 * How long a follower waits after *receiving* a revision before it may campaign against it: its own TTL, the
 * holder's TTL or the bucket's max-age, whichever is longest. A record without `ttlMs` is a go-cluster record,
 * whose lifetime is the bucket's max-age.
 */
export function takeoverWaitMs(
  ownTtlMs: number,
  holderTtlMs: number | undefined,
  bucketMaxAgeMs: number,
): number {
  return Math.max(ownTtlMs, holderTtlMs ?? bucketMaxAgeMs);
}
