/** What was seen: takes answers that are believed (`trust.ts`) into the state. */
import { startOver } from "../inquiry/rules.ts";
import { abandonCampaign, type Draft, termOf, warn } from "./draft.ts";
import { takeoverWaitMs } from "./lease.ts";
import { hiddenEpochFloor, isMine, isMyWrite, namesClosedBinding, newestSequence } from "./outlook.ts";
import { contradictsView, isStale, shownRevision } from "./trust.ts";
import type { LeaseEntry, LeaseRecord, Snapshot, View } from "./types.ts";

/** Takes in the message on the key. A message that is not newer than what was seen changes nothing. */
function observe(draft: Draft, entry: LeaseEntry): void {
  if (entry.revision <= draft.lease.newestRevision) return;
  noteBucket(draft, entry.revision);
  noteRevision(draft, entry.revision);
  draft.retry.conflicts = 0;
  // What was confirmed and asked concerned another message, or one of another bucket.
  draft.holder.silentRevision = 0;
  startOver(draft.inquiry);
  settleReplaced(draft, entry);
  switch (entry.kind) {
    case "record":
      return observeRecord(draft, entry.revision, entry.record);
    case "garbage":
      return observeGarbage(draft, entry.revision, entry.reason);
    case "released":
      draft.holder.takeoverWait = null;
      if (entry.epoch < draft.lease.highestEpoch)
        warnOfLostHistory(draft, `the lease was released after epoch ${entry.epoch}`);
      noteEpoch(draft, entry.epoch, entry.revision);
      draft.lease.view = {
        kind: "vacant",
        revision: entry.revision,
        lastSequence: entry.revision,
        epochFloor: entry.epoch,
        since: draft.now,
        successor: entry.successor,
      };
      return;
    case "deleted":
      return observeVacancy(draft, entry.revision, entry.revision);
    default:
      return entry satisfies never;
  }
}

/**
 * Without a term: what another wrote replaces every write of ours that was sent before, or makes it fail. The outcome of the one in
 * flight is awaited all the same.
 */
function settleReplaced(draft: Draft, entry: LeaseEntry): void {
  const { unsettled, inFlight } = draft.writes;
  if (unsettled.length === 0 || termOf(draft) !== null || isMyWrite(draft, entry)) return;
  draft.writes.unsettled = unsettled.filter(({ nonce }) => nonce === inFlight?.nonce);
}

/** This revision is the newest, as of now. */
export function noteRevision(draft: Draft, revision: number): void {
  draft.lease.newestRevision = revision;
  draft.lease.newestAt = draft.now;
  draft.lease.refreshedAt = draft.now;
}

function observeRecord(draft: Draft, revision: number, record: LeaseRecord): void {
  const { view, highestEpoch } = draft.lease;
  // A record of ours ends no wait: it was sent after one, or it strayed into another bucket.
  if (!isMine(draft, record)) {
    const seen = view.kind === "occupied" ? view.record : null;
    const renewed = seen !== null && seen.incarnation === record.incarnation && seen.epoch === record.epoch;
    if (record.epoch < highestEpoch && !renewed)
      warnOfLostHistory(draft, `node "${record.nodeId}" leads with epoch ${record.epoch}`);
    if (record.nodeId === draft.config.nodeId) warnOfDuplicate(draft, record);
    draft.candidacy.hasFollowed = true;
    // The cooldown lets another node lead: one has. If it ends, this node must not be missing.
    draft.candidacy.cooldownUntilMono = Number.NEGATIVE_INFINITY;
    // A renewal that was under way when its sender's connection closed entitles the sender to nothing (`suspend`).
    if (namesClosedBinding(draft, record)) draft.holder.takeoverWait = null;
    else wait(draft, waitFor(draft, record));
  }
  draft.lease.view = { kind: "occupied", revision, record, epochFloor: record.epoch };
  noteEpoch(draft, record.epoch, revision);
}

function warnOfLostHistory(draft: Draft, what: string): void {
  const { highestEpoch } = draft.lease;
  warn(
    draft,
    "EPOCH_REGRESSED",
    `${what} although epoch ${highestEpoch} was seen before: the bucket has lost history`,
  );
}

/** The first that is seen of a bucket. What is remembered of the one before was its largest epoch, unless revisions lie above it. */
function noteBucket({ lease }: Draft, sequence: number): void {
  if (lease.view.kind === "unknown")
    lease.epochsAbove = lease.highestEpoch > sequence ? lease.highestEpoch : 0;
}

/** This epoch was written at this revision. */
function noteEpoch({ lease }: Draft, epoch: number, revision: number): void {
  lease.highestEpoch = Math.max(lease.highestEpoch, epoch);
  lease.epochsAbove = Math.max(lease.epochsAbove, epoch - revision);
}

/** A record of our node id may be left over from an earlier incarnation; one that is renewed belongs to a running process. */
function warnOfDuplicate(draft: Draft, record: LeaseRecord): void {
  const { view } = draft.lease;
  const seenBefore = view.kind === "occupied" && view.record?.incarnation === record.incarnation;
  if (!seenBefore || record.incarnation === undefined || draft.holder.duplicate === record.incarnation)
    return;
  draft.holder.duplicate = record.incarnation;
  const { nodeId, incarnation } = draft.config;
  warn(
    draft,
    "DUPLICATE_NODE_ID",
    `two processes use node id "${nodeId}": incarnation ${record.incarnation} leads, this process is incarnation ${incarnation}; give each process its own nodeId`,
  );
}

/** The holder whose record was overwritten may still count on its own TTL. */
function observeGarbage(draft: Draft, revision: number, reason: string): void {
  const { takeoverWait } = draft.holder;
  const waitMs = Math.max(waitFor(draft, recordOf(draft.lease.view)), takeoverWait?.waitMs ?? 0);
  warn(
    draft,
    "GARBAGE_RECORD",
    termOf(draft) === null
      ? `revision ${revision} is not a lease record (${reason}); replacing it after ${waitMs} ms`
      : `revision ${revision} is not a lease record (${reason}); replacing it with the next renewal`,
  );
  wait(draft, waitMs);
  const epochFloor = hiddenEpochFloor(draft, revision);
  draft.lease.view = { kind: "occupied", revision, record: null, epochFloor };
}

/**
 * The key was deleted without a release. A go-cluster node steps down like that. Otherwise an operator or a faulty peer deleted
 * it, and the holder may still count on its lease; its last renewal was applied before the deletion, so the full wait from now
 * covers it.
 */
function observeVacancy(draft: Draft, revision: number, lastSequence: number): void {
  const { view } = draft.lease;
  const { takeoverWait } = draft.holder;
  const record = recordOf(view);
  const expired = revision === 0 && draft.bucket.maxAgeMs > 0;
  if (isReleaseOfGo(view, revision)) draft.holder.takeoverWait = null;
  else if (!expired && mayBeHeld(draft, revision, lastSequence))
    wait(draft, takeoverWait?.waitMs ?? waitFor(draft, record), isEmpty(view) && revision === 0);
  draft.lease.view = {
    kind: "vacant",
    revision,
    lastSequence,
    epochFloor: hiddenEpochFloor(draft, lastSequence),
    since: draft.now,
    successor: undefined,
  };
}

/**
 * Is this the step-down of the go-cluster node that was seen last? Before it deletes the key it writes its cooldown to another one. After
 * more messages another node may have led, unseen.
 */
function isReleaseOfGo(view: View, revision: number): boolean {
  const record = recordOf(view);
  if (record === null || record.incarnation !== undefined || view.kind === "unknown") return false;
  return revision > 0 && revision <= view.revision + 2;
}

/**
 * May a holder count on a lease that has vanished? The one that was seen may, unless it is known to have ended; and any other whose lease was
 * stored and removed unseen, which the sequence of the stream shows. An empty key whose stream grows is waited for once: other
 * keys of the bucket may be written again and again.
 */
function mayBeHeld(draft: Draft, revision: number, lastSequence: number): boolean {
  const { view } = draft.lease;
  const { takeoverWait } = draft.holder;
  if (takeoverWait !== null && view.kind !== "vacant") return true;
  if (revision === 0 && isEmpty(view) && takeoverWait?.afterGrowth === true) return false;
  return isUnseen(view, revision > 0 ? revision - 1 : lastSequence);
}

/** Is the message with this sequence newer than what was seen? False for a node that has seen nothing. */
function isUnseen(view: View, sequence: number): boolean {
  return view.kind !== "unknown" && sequence > newestSequence(view);
}

/** Had the key no message? */
function isEmpty(view: View): boolean {
  return view.kind === "vacant" && view.revision === 0;
}

function recordOf(view: View): LeaseRecord | null {
  return view.kind === "occupied" ? view.record : null;
}

/** Our deletion of our own lease was applied. */
export function observeOwnRelease(draft: Draft, revision: number, successor: string | undefined): void {
  if (revision < draft.lease.newestRevision) return;
  noteRevision(draft, revision);
  draft.holder.takeoverWait = null;
  draft.lease.view = {
    kind: "vacant",
    revision,
    lastSequence: revision,
    epochFloor: draft.lease.highestEpoch,
    since: draft.now,
    successor,
  };
}

function waitFor({ config, bucket }: Draft, record: LeaseRecord | null): number {
  return takeoverWaitMs(config.leaseTtlMs, record?.ttlMs, bucket.maxAgeMs);
}

/** Starts the takeover wait, or starts it again. */
function wait(draft: Draft, waitMs: number, afterGrowth = false): void {
  draft.holder.takeoverWait = { since: draft.now, waitMs, afterGrowth };
}

/** Takes in an answer of the stream leader. Returns whether it was believed. */
export function observeSnapshot(draft: Draft, snapshot: Snapshot): boolean {
  if (draft.bucket.generation !== null && snapshot.generation !== draft.bucket.generation) {
    observeRecreation(draft, snapshot.generation);
  }
  if (isStale(draft, snapshot, draft.now)) return false;
  if (shownRevision(snapshot) < draft.lease.newestRevision) draft.lease.newestRevision = 0;
  draft.lease.refreshedAt = draft.now;
  draft.lease.disputed = false;
  const { view } = draft.lease;
  if (snapshot.entry !== null) {
    if (contradictsView(draft, snapshot.entry)) draft.lease.newestRevision = 0;
    observe(draft, snapshot.entry);
  } else if (view.kind !== "vacant" || view.revision !== 0 || view.lastSequence !== snapshot.lastSequence) {
    // Also after a marker: markers expire and are purged like records, and no write can expect one that is gone.
    noteBucket(draft, snapshot.lastSequence);
    noteRevision(draft, snapshot.lastSequence);
    observeVacancy(draft, 0, snapshot.lastSequence);
  }
  return true;
}

/**
 * Another bucket has the same name: its revisions start again, epochs must not. A holder that was seen may still count on its lease. So may
 * one that was not: a holder that has ended may have renewed on another connection, and others may have led since a release, or
 * since this node was held itself. Nothing in this bucket would show it.
 */
export function observeRecreation(draft: Draft, generation: string): void {
  const { generation: before } = draft.bucket;
  const ledToEnd = draft.bucket.ledToEnd || draft.role.name === "leader";
  const { takeoverWait } = draft.holder;
  const { view } = draft.lease;
  warn(
    draft,
    "BUCKET_RECREATED",
    `the bucket was deleted and recreated (created ${before}, now ${generation}); epochs continue above ${draft.lease.highestEpoch}`,
  );
  draft.bucket.generation = generation;
  startOver(draft.inquiry);
  draft.lease.newestRevision = 0;
  draft.lease.newestAt = draft.now;
  draft.lease.view = { kind: "unknown" };
  // A write that was sent to the old bucket begins no term in the new one.
  draft.writes.unsettled = [];
  if (draft.role.name === "campaigning") abandonCampaign(draft);
  if (takeoverWait !== null) wait(draft, takeoverWait.waitMs);
  if (takeoverWait === null && view.kind !== "unknown" && !ledToEnd)
    wait(draft, waitFor(draft, recordOf(view)));
}
