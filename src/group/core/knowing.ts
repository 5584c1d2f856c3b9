/**
 * How this member learns what is in the bucket: one bulk read at the start, then the messages of the watch. The sequences of the stream
 * have no gaps, and a write that is refused takes none. So a message ahead of a gap, or the revision in an ack of our own that the
 * messages do not reach, shows that something was missed; another bulk read from there reads only what has changed. Never one
 * read per key.
 *
 * A message ahead of a gap waits until the gap is closed. So a forged one with a large revision changes nothing: no bulk read ever
 * reaches it.
 */

import { notePlan } from "./coordinator.ts";
import { onSessionReadFailed, suspectAll } from "./fences.ts";
import { suspect } from "./inquiry.ts";
import { adoptBegin, endAsFenced, endSession, judgeSession } from "./own-session.ts";
import { clearQueue, enqueue } from "./queues.ts";
import { isReady } from "./requests.ts";
import { noteOwnerAnswer, noteOwnerMessage, ownerView } from "./resources.ts";
import {
  noteReached,
  noteSessionAnswer,
  noteSessionMessage,
  ownView,
  readSession,
  sessionDue,
  sessionView,
} from "./sessions.ts";
import {
  backOffMs,
  emit,
  type GroupState,
  type KeyRead,
  NEVER,
  type PendingRead,
  type ResourceView,
  type SessionView,
  warn,
} from "./state.ts";
import { consider, considerAll, considerMove, doubtOwner, readOwner, settleOwner } from "./terms.ts";
import type { BulkOutcome, GroupEntry, KeyReadOutcome } from "./types.ts";

/** Messages may arrive out of order for so long, when the stream gets another leader. */
const GAP_MS = 20;
/** So many bulk reads that do not reach a message show that it was forged. */
const MAX_MISSES = 3;
/** More messages ahead of a gap are not kept: the bulk read has them. */
const MAX_AHEAD = 20_000;

// ---------------------------------------------------------------------------------------------- messages

export function onWatched(group: GroupState, entry: GroupEntry): void {
  const { bucket, knowing } = group;
  if (bucket.status !== "open") return;
  // A stray of another bucket with this name: it takes no sequence in this one.
  if (entry.kind === "record" && entry.record.generation !== bucket.generation) return;
  const { revision, key } = entry;
  if (key.kind === "session" && key.memberId === group.config.memberId) onOwnMessage(group, entry);
  if (revision <= knowing.sequence) return onOldMessage(group, entry);
  if (knowing.complete && revision === knowing.sequence + 1) {
    knowing.sequence = revision;
    takeIn(group, entry);
    return advance(group);
  }
  if (knowing.ahead.size < MAX_AHEAD) knowing.ahead.set(revision, { entry, misses: 0 });
  bulkReadBy(group, group.now.mono + GAP_MS, revision);
}

/** Takes in the messages that waited for a gap to close. */
function advance(group: GroupState): void {
  const { knowing } = group;
  for (;;) {
    const next = knowing.ahead.get(knowing.sequence + 1);
    if (next === undefined) return;
    knowing.sequence += 1;
    knowing.ahead.delete(knowing.sequence);
    if (next.entry !== null) takeIn(group, next.entry);
  }
}

/** A message about something that should be known. If it is not, one of the two was forged: an answer decides. */
function onOldMessage(group: GroupState, entry: GroupEntry): void {
  const { knowing, now, config } = group;
  if (now.mono < knowing.hintsFromMono) return;
  const { key, revision } = entry;
  if (key.kind === "plan") {
    if (revision > group.plan.revision) group.plan.reads.due = true;
    return;
  }
  const view = key.kind === "session" ? sessionView(group, key.memberId) : ownerView(group, key);
  if (revision <= view.revision) return;
  knowing.hintsFromMono = now.mono + config.retryDelayMs;
  if ("memberId" in view) readSession(group, view);
  else readOwner(group, view);
}

function takeIn(group: GroupState, entry: GroupEntry): void {
  const { key } = entry;
  switch (key.kind) {
    case "session":
      if (key.memberId !== group.config.memberId)
        noteSessionMessage(group, sessionView(group, key.memberId), entry);
      return;
    case "plan":
      if (entry.revision > group.plan.revision && group.plan.write === null) notePlan(group, entry, false);
      return;
    case "owner":
    case "coordinator": {
      const view = ownerView(group, key);
      if (noteOwnerMessage(group, view, entry)) onOwnerNews(group, view);
      return;
    }
    default:
      key satisfies never;
  }
}

function onOwnerNews(group: GroupState, view: ResourceView): void {
  if (view.term === null) consider(group, view);
  else doubtOwner(group, view);
  // Claimed by a member that is not its target: the plan has to follow.
  const isStrange = view.kind === "claimed" && view.target !== null && view.owner !== view.target;
  if (isStrange && group.coordinator.term !== null)
    group.planAtMono = Math.min(group.planAtMono, group.now.mono + group.config.settleMs);
}

/** A message about the own key. It may be forged; but to end a session is safe, and the sooner the better. */
function onOwnMessage(group: GroupState, entry: GroupEntry): void {
  const { own, config, bucket } = group;
  const view = ownView(group);
  const record = entry.kind === "record" ? entry.record : null;
  if (record?.incarnation === config.incarnation && record.kind === "session") return;
  if (entry.revision <= view.revision) return;
  if (own.phase === "none") {
    noteSessionMessage(group, view, entry);
    return readSession(group, view);
  }
  if (
    entry.revision <= own.revision ||
    (own.phase === "leaving" && record?.incarnation === config.incarnation)
  )
    return;
  const isEnd =
    record?.kind === "session-end" && record.of === config.memberId && record.number >= own.number;
  const isSuccessor = record?.kind === "session" && record.memberId === config.memberId;
  if (!isEnd && !isSuccessor) return readSession(group, view);
  if (record.generation !== bucket.generation) return;
  noteSessionMessage(group, view, entry);
  endAsFenced(group);
}

// ---------------------------------------------------------------------------------------------- bulk reads

/** Everything up to this sequence must be known by then. */
export function bulkReadBy({ knowing }: GroupState, atMono: number, sequence: number): void {
  knowing.mustKnow = Math.max(knowing.mustKnow, sequence);
  if (atMono < knowing.readAtMono) {
    knowing.readAtMono = atMono;
    knowing.dueFor = sequence;
  }
}

/** A write of ours was applied at this revision: the messages up to it have to arrive. */
export function onOwnRevision(group: GroupState, revision: number): void {
  const { knowing, now, config } = group;
  if (revision <= knowing.sequence) return;
  if (knowing.complete && revision === knowing.sequence + 1) {
    knowing.sequence = revision;
    return advance(group);
  }
  if (!knowing.ahead.has(revision)) knowing.ahead.set(revision, { entry: null, misses: 0 });
  bulkReadBy(group, now.mono + config.retryDelayMs, revision);
}

/** Milliseconds until the next bulk read. */
export function bulkDelayMs(group: GroupState): number {
  const { knowing, now } = group;
  return isReady(group) && knowing.request === null ? knowing.readAtMono - now.mono : NEVER;
}

/** Sends the bulk read that is due, unless what was missed has arrived. */
export function bulkRead(group: GroupState): void {
  const { knowing, now, config } = group;
  if (knowing.complete && knowing.sequence >= knowing.dueFor) {
    knowing.readAtMono = NEVER;
    if (knowing.sequence < knowing.mustKnow)
      bulkReadBy(group, now.mono + config.retryDelayMs, knowing.mustKnow);
    return;
  }
  knowing.readAtMono = NEVER;
  knowing.requestAfter = knowing.complete ? knowing.sequence : 0;
  group.lastRequest += 1;
  knowing.request = group.lastRequest;
  emit(group, {
    type: "read-after",
    request: group.lastRequest,
    after: knowing.requestAfter,
    timeoutMs: config.bulkTimeoutMs,
  });
}

export function onChanges(group: GroupState, request: number, outcome: BulkOutcome): void {
  const { knowing, bucket } = group;
  if (knowing.request !== request) return;
  knowing.request = null;
  switch (outcome.kind) {
    case "entries":
      if (outcome.generation !== bucket.generation) return onGeneration(group, outcome.generation);
      return takeInBulk(group, outcome.upTo, outcome.entries);
    case "no-bucket":
      return onNoBucket(group);
    case "failed":
      if (knowing.failures === 0)
        warn(group, "STORE_FAILING", "the bucket could not be read; retrying", outcome.error);
      return repeatBulk(group);
    default:
      outcome satisfies never;
  }
}

function repeatBulk(group: GroupState): void {
  const { knowing } = group;
  bulkReadBy(
    group,
    group.now.mono + backOffMs(group, knowing.failures),
    Math.max(knowing.mustKnow, knowing.sequence + 1),
  );
  knowing.failures += 1;
}

function takeInBulk(group: GroupState, upTo: number, entries: readonly GroupEntry[]): void {
  const { knowing } = group;
  // A replica that is behind.
  if (upTo < knowing.requestAfter || upTo < Math.min(group.reached, knowing.mustKnow))
    return repeatBulk(group);
  const isFirst = !knowing.complete;
  knowing.failures = 0;
  knowing.complete = true;
  knowing.sequence = Math.max(knowing.sequence, upTo);
  noteReached(group, upTo);
  for (const entry of entries) takeInAnswer(group, entry, upTo);
  if (isFirst) completeFirst(group, upTo, entries);
  for (const [revision, ahead] of knowing.ahead) {
    ahead.misses += 1;
    if (revision <= knowing.sequence || ahead.misses >= MAX_MISSES) knowing.ahead.delete(revision);
  }
  advance(group);
  knowing.mustKnow = Math.max(0, ...knowing.ahead.keys());
  if (knowing.mustKnow > knowing.sequence)
    bulkReadBy(group, group.now.mono + group.config.retryDelayMs, knowing.mustKnow);
}

function takeInAnswer(group: GroupState, entry: GroupEntry, upTo: number): void {
  const { key } = entry;
  if (key.kind === "session") {
    const view = sessionView(group, key.memberId);
    // The own key is read at the stream leader.
    if (key.memberId !== group.config.memberId && entry.revision >= view.revision)
      noteSessionAnswer(group, view, entry, upTo);
  } else if (key.kind === "plan") {
    if (entry.revision > group.plan.revision && group.plan.write === null) notePlan(group, entry, true);
  } else {
    const view = ownerView(group, key);
    if (entry.revision > view.revision && noteOwnerAnswer(group, view, entry, upTo)) onOwnerNews(group, view);
  }
}

/** The first bulk read of this bucket: what is not in it is not there. */
function completeFirst(group: GroupState, upTo: number, entries: readonly GroupEntry[]): void {
  const shown = new Set<ResourceView | SessionView>();
  for (const { key } of entries) {
    if (key.kind === "session") shown.add(sessionView(group, key.memberId));
    else if (key.kind !== "plan") shown.add(ownerView(group, key));
  }
  for (const view of group.sessions.values()) {
    if (!shown.has(view) && view.memberId !== group.config.memberId)
      noteSessionAnswer(group, view, null, upTo);
  }
  for (const view of [...group.resources.values(), group.coordinator]) {
    if (!shown.has(view) && view.revision > 0 && noteOwnerAnswer(group, view, null, upTo))
      onOwnerNews(group, view);
  }
  group.targetsDue = true;
  group.membersDue = true;
  suspectAll(group);
  considerAll(group);
}

// ---------------------------------------------------------------------------------------------- reads of one key

export function onRead(group: GroupState, request: number, outcome: KeyReadOutcome): void {
  const pending = group.readsInFlight.get(request);
  group.readsInFlight.delete(request);
  if (pending === undefined) return;
  const reads = pending.kind === "plan" ? group.plan.reads : pending.view.reads;
  reads.inFlight = false;
  takeInRead(group, pending, outcome);
  // Asked for again while it was in flight.
  if (pending.kind === "owner" && reads.due) enqueue(group.reads, pending.view);
}

function takeInRead(group: GroupState, pending: PendingRead, outcome: KeyReadOutcome): void {
  switch (outcome.kind) {
    case "no-bucket":
      onReadFailed(group, pending);
      return onNoBucket(group);
    case "failed":
      if (!group.storeFailing)
        warn(group, "STORE_FAILING", "a key could not be read; retrying", outcome.error);
      group.storeFailing = true;
      return onReadFailed(group, pending);
    case "snapshot":
      if (outcome.generation !== group.bucket.generation) return onGeneration(group, outcome.generation);
      group.storeFailing = false;
      noteReached(group, outcome.lastSequence);
      return onSnapshot(group, pending, outcome.entry, outcome.lastSequence);
    default:
      outcome satisfies never;
  }
}

function onReadFailed(group: GroupState, pending: PendingRead): void {
  if (pending.kind === "session") return onSessionReadFailed(group, pending.view);
  const { reads } = pending.kind === "plan" ? group.plan : pending.view;
  reads.due = true;
  reads.atMono = group.now.mono + backOffMs(group, reads.failures);
  reads.failures += 1;
}

function onSnapshot(
  group: GroupState,
  pending: PendingRead,
  entry: GroupEntry | null,
  lastSequence: number,
): void {
  if (pending.kind === "plan") {
    if ((entry?.revision ?? 0) !== group.plan.revision || !group.plan.proven) notePlan(group, entry, true);
    return;
  }
  if (pending.kind === "session") return onSessionSnapshot(group, pending, entry, lastSequence);
  const { view } = pending;
  if (!noteOwnerAnswer(group, view, entry, lastSequence)) return onOlderAnswer(group, pending, lastSequence);
  view.reads.failures = 0;
  settleOwner(group, view);
  considerMove(group, view);
}

/**
 * An answer that shows less than is known now. If it shows all that was known when the read was sent, a message has overtaken it: the key is
 * read again at once, at most once per newer revision. Otherwise the server that answered is behind, which counts as a failure.
 */
function onOlderAnswer(group: GroupState, pending: KeyRead, lastSequence: number): void {
  if (lastSequence < pending.known) return onReadFailed(group, pending);
  const { reads } = pending.view;
  reads.due = true;
  reads.atMono = group.now.mono;
  if (pending.kind === "session") sessionDue(group, reads.atMono);
}

function onSessionSnapshot(
  group: GroupState,
  pending: KeyRead & { readonly kind: "session" },
  entry: GroupEntry | null,
  lastSequence: number,
): void {
  const { view } = pending;
  const isOwn = view.memberId === group.config.memberId;
  // Without a session nothing depends on it that this answer is new: a begin that relies on it is a compare-and-set on this key.
  const shown = isOwn && group.own.phase === "none" ? Math.max(lastSequence, view.revision) : lastSequence;
  if (!noteSessionAnswer(group, view, entry, shown)) return onOlderAnswer(group, pending, lastSequence);
  view.reads.failures = 0;
  if (!isOwn) return;
  judgeSession(group);
  adoptBegin(group);
  if (group.own.phase === "none" && group.link.inquiryDue) suspect(group, view);
  group.link.inquiryDue = false;
}

// ---------------------------------------------------------------------------------------------- the bucket

export function onBucketOpened(group: GroupState, generation: string): void {
  const { bucket, now } = group;
  const before = bucket.generation;
  bucket.status = "open";
  bucket.failures = 0;
  if (before !== null && before !== generation) return onGeneration(group, generation);
  bucket.generation = generation;
  readEverything(group);
  sessionDue(group, now.mono);
}

function readEverything(group: GroupState): void {
  bulkReadBy(group, group.now.mono, group.knowing.sequence + 1);
  readSession(group, ownView(group));
  ownView(group).reads.atMono = group.now.mono;
}

/** Another bucket has the same name. */
export function onGeneration(group: GroupState, generation: string): void {
  const { bucket } = group;
  warn(
    group,
    "BUCKET_RECREATED",
    `the bucket was deleted and recreated (created ${bucket.generation}, now ${generation}); session numbers and epochs continue above ${group.above}`,
  );
  bucket.generation = generation;
  bucket.status = "open";
  if (group.own.phase !== "none") endSession(group, "deleted");
  forget(group);
  readEverything(group);
}

export function onNoBucket(group: GroupState): void {
  const { bucket, own, now } = group;
  if (bucket.status === "open") {
    warn(
      group,
      "BUCKET_MISSING",
      `the bucket does not exist any more; recreating it, session numbers and epochs continue above ${group.above}`,
    );
    bucket.status = "missing";
    bucket.retryAtMono = now.mono;
  }
  if (own.phase !== "none") endSession(group, "deleted");
}

/** A write was applied at a revision that the stream had already passed: the servers have lost what they had acknowledged. */
export function onHistoryLost(group: GroupState, revision: number): void {
  warn(
    group,
    "HISTORY_LOST",
    `a write was applied at revision ${revision}, but the stream had reached ${group.reached}: the servers have lost writes that they had acknowledged; nothing is claimed for ${group.config.leaseTtlMs} ms`,
  );
  if (group.own.phase !== "none") endSession(group, "deleted");
  forget(group);
  readEverything(group);
}

/**
 * Forgets what was in the bucket, and remembers the numbers. Members whose sessions were live may still be held: nothing is claimed before
 * their deadlines have passed.
 */
function forget(group: GroupState): void {
  const { knowing, now, config, own, plan } = group;
  let waitMs = 0;
  for (const view of group.sessions.values())
    if (view.kind === "live") waitMs = Math.max(waitMs, view.waitMs, config.leaseTtlMs);
  group.quietUntilMono = Math.max(group.quietUntilMono, now.mono + waitMs);
  group.sessions.clear();
  group.unproven.clear();
  group.freed.clear();
  group.byOwner.clear();
  group.questions.clear();
  group.writes.clear();
  group.readsInFlight.clear();
  clearQueue(group.reads);
  group.due.items.length = 0;
  group.reached = 0;
  group.pace.inFlight = 0;
  group.claiming = 0;
  group.watchVersion += 1;
  own.inFlight = null;
  own.unsettled = [];
  own.expectedByBegin = 0;
  plan.revision = 0;
  plan.coordinator = 0;
  plan.members = [];
  plan.assignment = null;
  plan.proven = true;
  plan.write = null;
  plan.reads.inFlight = false;
  plan.reads.due = false;
  knowing.complete = false;
  knowing.sequence = 0;
  knowing.ahead.clear();
  knowing.request = null;
  knowing.mustKnow = 0;
  group.targetsDue = true;
  group.membersDue = true;
  forgetOwners(group);
}

function forgetOwners({ resources, coordinator, now }: GroupState): void {
  for (const view of [...resources.values(), coordinator]) {
    view.kind = "absent";
    view.revision = 0;
    view.owner = null;
    view.session = 0;
    view.nonce = 0;
    view.successor = null;
    view.unownedSinceMono = now.mono;
    view.write = null;
    view.adopt = 0;
    view.reads.due = false;
    view.reads.inFlight = false;
    view.conflicts = 0;
    if (view.spec === null && view !== coordinator) resources.delete(view.name);
  }
}
