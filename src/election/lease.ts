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

/** How long a replicated stream that lost its leader takes no writes, at the most: two of NATS's election timeouts. */
const STREAM_ELECTION_MS = 9_000;
const MIN_REPLICATED_RENEWAL_MS = 500;

/**
 * How often a leader renews. When the server that leads a replicated stream is killed, nothing is written until the others
 * have elected another (measured: 3.8 to 8.1 s in 43 kills). What is left of the span then is decided by the age of the
 * last renewal: at W = 10 s, renewing every 3 s lost the term in about one of ten such kills, every 0.5 s in none.
 */
export function renewIntervalMs(leaseTtlMs: number, heartbeatIntervalMs: number, replicas: number): number {
  if (replicas < 2) return heartbeatIntervalMs;
  const spare = Math.max(MIN_REPLICATED_RENEWAL_MS, leaseSpanMs(leaseTtlMs) - STREAM_ELECTION_MS);
  return Math.min(heartbeatIntervalMs, spare);
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
