/**
 * Which messages and answers are believed. A watched message is a hint: one that is not believed causes a read. An answer to a
 * read is believed unless it shows less than was already seen.
 */

import type { Instant } from "./time.ts";
import { waitedUntil } from "./time.ts";
import type { ElectionState, LeaseEntry, Snapshot } from "./types.ts";

/** May the view follow this watched message without a read? */
export function trustsHint(state: ElectionState, entry: LeaseEntry, now: Instant): boolean {
  return !(mayBeStray(state, now) || isFromAnotherHistory(state, entry) || contradictsView(state, entry));
}

/**
 * A message of a deleted bucket may arrive after the next bucket was read, and name a revision at which the next bucket holds
 * something else; a compare-and-set against that revision would be applied. Only the answer to a read identifies the bucket it
 * belongs to. So for W after a change of bucket, only reads are believed.
 */
function mayBeStray({ bucket }: ElectionState, now: Instant): boolean {
  return now.mono < bucket.watchTrustedFromMono;
}

/** Newer by revision, older by epoch: a straggler of a deleted bucket, or a bucket that has lost history. */
function isFromAnotherHistory({ lease }: ElectionState, entry: LeaseEntry): boolean {
  if (entry.kind !== "record" && entry.kind !== "released") return false;
  const epoch = entry.kind === "record" ? entry.record.epoch : entry.epoch;
  return entry.revision > lease.newestRevision && epoch < lease.highestEpoch;
}

/**
 * Another message than the one that was seen at this revision. A bucket has one message per revision, so the message that was
 * seen was a straggler of a deleted bucket.
 */
export function contradictsView({ lease }: ElectionState, entry: LeaseEntry): boolean {
  const { view } = lease;
  if (view.kind === "unknown" || view.revision !== entry.revision) return false;
  if (view.kind === "vacant") return entry.kind === "record" || entry.kind === "garbage";
  if (view.record === null) return entry.kind !== "garbage";
  if (entry.kind !== "record") return true;
  const { incarnation, nonce, epoch } = view.record;
  return (
    entry.record.incarnation !== incarnation || entry.record.nonce !== nonce || entry.record.epoch !== epoch
  );
}

/**
 * Does the answer show less than was already seen? Then it comes from a stream leader that has lost its quorum, and is not
 * believed. Exception: a conflict has disputed the view, and nothing newer was received for W. Then the bucket itself has lost
 * messages (power loss without sync, or a forged hint), and its answer is all there is.
 */
export function isStale({ config, lease, holder }: ElectionState, snapshot: Snapshot, now: Instant): boolean {
  if (shownRevision(snapshot) >= lease.newestRevision) return false;
  const waitMs = Math.max(config.leaseTtlMs, holder.takeoverWait?.waitMs ?? 0);
  return !lease.disputed || !waitedUntil(lease.newestAt, waitMs, now);
}

/** The revision that an answer bears witness to. */
export function shownRevision({ entry, lastSequence }: Snapshot): number {
  return entry === null ? lastSequence : entry.revision;
}
