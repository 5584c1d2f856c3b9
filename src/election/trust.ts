/**
 * Which messages and answers are believed. A watched message is a hint and never believed: anyone who may publish to its subject can
 * forge one. It causes a read if it is new, and says whether garbage may be replaced (`leader.ts`). An answer to a read is believed unless it shows less than was already
 * seen.
 */

import type { Instant } from "./time.ts";
import { waitedUntil } from "./time.ts";
import type { ElectionState, LeaseEntry, Snapshot } from "./types.ts";

/** Is a watched message about something that no answer has shown? */
export function isNews(state: ElectionState, entry: LeaseEntry): boolean {
  return entry.revision > state.lease.newestRevision || contradictsView(state, entry);
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
 * messages (power loss without sync), and its answer is all there is.
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
