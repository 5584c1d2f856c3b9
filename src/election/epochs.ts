/**
 * Which epochs are possible. An epoch that is too large would end the election: no node could exceed it, and no fence would accept a
 * smaller one.
 *
 * In the first bucket of a cluster, and in one that was created above it, an honest epoch never lies above the revision of its record: each
 * term takes at least one write, and raises the epoch by one or sets it to a sequence of the stream. Only a bucket whose revisions begin at
 * 1 again, such as one that was recreated on a server before 2.10, holds epochs above them: those of the bucket before it. So a record or a
 * marker may lie `EPOCH_SLACK` above its own revision, and no more. One that lies higher is garbage at every node, whatever the node remembers.
 *
 * A node that follows the protocol cannot leave that range: the epoch of its next term is one more than one that was seen, or than the most
 * that an unseen one can be (`hiddenEpochFloor` in `outlook.ts`), and it takes at least one revision more. So a forged epoch within the range
 * costs the cluster the numbers below it, once, and the election goes on above it.
 */

/**
 * 2^40: about 10^12. A key that is written every 500 ms reaches this revision after 17 000 years, so no honest epoch is refused even
 * where revisions begin at 1 again.
 */
export const EPOCH_SLACK: number = 2 ** 40;

/** Largest epoch at any revision: half of the numbers that JSON and JavaScript hold exactly, so that adding one stays exact. */
export const MAX_EPOCH: number = 2 ** 52;

/** The largest epoch that a record or a release marker at this revision may have. */
export function maxEpochAt(revision: number): number {
  return Math.min(revision + EPOCH_SLACK, MAX_EPOCH);
}
