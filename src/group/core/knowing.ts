/**
 * How this member learns what is in the bucket: one bulk read at the start, then the messages of the watch. The sequences of the stream
 * have no gaps, and a write that is refused takes none. So a message ahead of a gap, or the revision in an ack of our own that the
 * messages do not reach, shows that something was missed; another bulk read from there reads only what has changed. Never one
 * read per key.
 *
 * A message ahead of a gap waits until the gap is closed. So a forged one with a large revision changes nothing: no bulk read ever
 * reaches it.
 */
import { onGeneration, onHistoryLost, onNoBucket } from "./bucket.ts";
import { notePlan } from "./coordinator.ts";
import { suspectAll } from "./fences.ts";
import { noteHint } from "./hints.ts";
import { endAsFenced, noteKnown } from "./own-session.ts";
import { bulkReadBy, isReady, keyName } from "./requests.ts";
import {
  contradictionOfOwner,
  isOtherMessage,
  noteOwnerAnswer,
  noteOwnerMessage,
  ownerView,
} from "./resources.ts";
import {
  contradictionOf,
  noteReached,
  noteSessionAnswer,
  noteSessionMessage,
  ownView,
  readSession,
  sessionView,
} from "./sessions.ts";
import {
  backOffMs,
  emit,
  type GroupState,
  isUnproven,
  NEVER,
  type ResourceView,
  type SessionView,
  warn,
} from "./state.ts";
import { doubtOwner } from "./terms.ts";
import type { BulkOutcome, GroupEntry } from "./types.ts";
import { consider, considerAll } from "./wanted.ts";

/** Messages may arrive out of order for so long, when the stream gets another leader. */
const GAP_MS = 20;
/** So many bulk reads that do not reach a message show that it was forged. */
const MAX_MISSES = 3;
/** More messages ahead of a gap are not kept: the bulk read has them. */
const MAX_AHEAD = 20_000;
/** More revisions of messages of others are not remembered while writes of our own are in flight. */
const MAX_FOREIGN = 20_000;

// ---------------------------------------------------------------------------------------------- messages

export function onWatched(group: GroupState, entry: GroupEntry): void {
  const { bucket, knowing } = group;
  if (bucket.status !== "open") return;
  // A stray of another bucket with this name: it takes no sequence in this one.
  if (entry.kind === "record" && entry.record.generation !== bucket.generation) return;
  const { revision, key } = entry;
  if (key.kind === "session" && key.memberId === group.config.memberId) onOwnMessage(group, entry);
  if (revision <= knowing.sequence) return onContradiction(group, entry);
  if (knowing.complete && revision === knowing.sequence + 1) {
    knowing.sequence = revision;
    takeIn(group, entry);
    return advance(group);
  }
  // At the revision of an own write stands nothing else.
  const isOwn = knowing.ahead.get(revision)?.entry === null;
  if (!isOwn && knowing.ahead.size < MAX_AHEAD) knowing.ahead.set(revision, { entry, misses: 0 });
  bulkReadBy(group, Math.max(group.now.mono + GAP_MS, knowing.gapsFromMono), revision);
}

/** Takes in the messages that waited for a gap to close. */
function advance(group: GroupState): void {
  const { knowing } = group;
  for (;;) {
    const next = knowing.ahead.get(knowing.sequence + 1);
    if (next === undefined) break;
    knowing.sequence += 1;
    knowing.ahead.delete(knowing.sequence);
    if (next.entry !== null) takeIn(group, next.entry);
  }
  // Last: a claim that one of them contradicts is doubted until the deadline of before.
  noteKnown(group);
}

/** A message about something that should be known. One that would cover the claim of a term is as good as any other. */
function onContradiction(group: GroupState, entry: GroupEntry): void {
  const { key, revision } = entry;
  const view = key.kind === "owner" ? group.resources.get(key.resource) : group.coordinator;
  const isOwnerKey = key.kind === "owner" || key.kind === "coordinator";
  if (isOwnerKey && view?.term != null && revision > view.revision) return doubtOwner(group, view, revision);
  noteHint(group, entry);
}

function takeIn(group: GroupState, entry: GroupEntry): void {
  const { key } = entry;
  const { foreign } = group.knowing;
  if (group.writes.size > 0 && foreign.size < MAX_FOREIGN && !isAwaited(group, entry))
    foreign.add(entry.revision);
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

/** Is it what a write in flight has become? Then its ack decides what stands there. */
function isAwaited({ config, writes }: GroupState, entry: GroupEntry): boolean {
  if (entry.kind !== "record" || entry.record.incarnation !== config.incarnation) return false;
  const sent = writes.get(entry.record.nonce);
  return sent !== undefined && keyName(sent.key) === keyName(entry.key);
}

function onOwnerNews(group: GroupState, view: ResourceView): void {
  if (view.term === null) consider(group, view);
  else if (view.revision !== view.term.revision) doubtOwner(group, view, view.revision);
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
  const isEnd =
    record?.kind === "session-end" && record.of === config.memberId && record.number >= own.number;
  // Where the servers have lost history, it may stand at any revision.
  if (isEnd && own.phase !== "none" && own.phase !== "leaving" && record.generation === bucket.generation)
    return onOwnEnd(group, view, entry);
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
  const isSuccessor = record?.kind === "session" && record.memberId === config.memberId;
  if (!isEnd && !isSuccessor) return readSession(group, view);
  if (record.generation !== bucket.generation) return;
  onOwnEnd(group, view, entry);
}

function onOwnEnd(group: GroupState, view: SessionView, entry: GroupEntry): void {
  noteSessionMessage(group, view, entry);
  endAsFenced(group);
}

// ---------------------------------------------------------------------------------------------- bulk reads

/** A write of ours was applied at this revision: the messages up to it have to arrive. */
export function onOwnRevision(group: GroupState, revision: number): void {
  const { knowing, now, config } = group;
  if (revision <= knowing.sequence) return;
  if (knowing.complete && revision === knowing.sequence + 1) {
    knowing.sequence = revision;
    return advance(group);
  }
  knowing.ahead.set(revision, { entry: null, misses: 0 });
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
  if (knowing.complete && knowing.sequence >= knowing.dueFor && !knowing.doubted) {
    knowing.readAtMono = NEVER;
    if (knowing.sequence < knowing.mustKnow)
      bulkReadBy(group, now.mono + config.retryDelayMs, knowing.mustKnow);
    return;
  }
  knowing.readAtMono = NEVER;
  knowing.requestAfter = knowing.complete && !knowing.doubted ? knowing.sequence : 0;
  // What is doubted from now on may be newer than the answer.
  knowing.doubted = false;
  knowing.requestReached = group.reached;
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
  if (knowing.requestAfter === 0) knowing.doubted = true;
  knowing.gapsFromMono = group.now.mono + backOffMs(group, knowing.failures);
  bulkReadBy(group, knowing.gapsFromMono, Math.max(knowing.mustKnow, knowing.sequence + 1));
  knowing.failures += 1;
}

function takeInBulk(group: GroupState, upTo: number, entries: readonly GroupEntry[]): void {
  const { knowing } = group;
  // A replica that is behind.
  if (upTo < knowing.requestAfter || upTo < Math.min(group.reached, knowing.mustKnow))
    return repeatBulk(group);
  const contradiction = contradictionIn(group, entries, upTo);
  if (contradiction !== null) return onHistoryLost(group, contradiction);
  const isFirst = !knowing.complete;
  knowing.failures = 0;
  knowing.complete = true;
  knowing.sequence = Math.max(knowing.sequence, upTo);
  noteReached(group, upTo);
  for (const entry of entries) takeInAnswer(group, entry, upTo);
  if (knowing.requestAfter === 0) forgetMissing(group, upTo, entries);
  if (isFirst) completeFirst(group);
  for (const [revision, ahead] of knowing.ahead) {
    ahead.misses += 1;
    if (revision <= knowing.sequence || ahead.misses >= MAX_MISSES) knowing.ahead.delete(revision);
  }
  advance(group);
  knowing.mustKnow = Math.max(0, ...knowing.ahead.keys());
  if (knowing.mustKnow > knowing.sequence) {
    knowing.gapsFromMono = group.now.mono + group.config.retryDelayMs;
    bulkReadBy(group, knowing.gapsFromMono, knowing.mustKnow);
  }
}

/** How an entry contradicts what was known; `null`: none does. */
function contradictionIn(group: GroupState, entries: readonly GroupEntry[], upTo: number): string | null {
  const known = Math.min(upTo, group.knowing.requestReached);
  for (const entry of entries) {
    const { key, revision } = entry;
    if (key.kind === "plan") continue;
    const view = key.kind === "session" ? group.sessions.get(key.memberId) : ownerView(group, key);
    if (view === undefined) continue;
    const { provenRevision } = view;
    // Known before the read was sent: the key cannot show an earlier message since.
    if (revision < provenRevision && provenRevision <= known)
      return `a key that had reached revision ${provenRevision} shows ${revision} in a stream that has reached ${upTo}`;
    const contradiction =
      "memberId" in view ? contradictionOf(group, view, entry) : contradictionOfOwner(group, view, entry);
    if (contradiction !== null) return contradiction;
  }
  return null;
}

function takeInAnswer(group: GroupState, entry: GroupEntry, upTo: number): void {
  const { key } = entry;
  if (key.kind === "session") {
    const view = sessionView(group, key.memberId);
    // The own key is read at the stream leader.
    if (key.memberId !== group.config.memberId && (entry.revision >= view.revision || isUnproven(view)))
      noteSessionAnswer(group, view, entry, upTo);
  } else if (key.kind === "plan") {
    if (entry.revision > group.plan.revision && group.plan.write === null) notePlan(group, entry, true);
  } else {
    const view = ownerView(group, key);
    const isNews =
      entry.revision > view.revision ||
      (isUnproven(view) && (entry.revision < view.revision || isOtherMessage(group, view, entry)));
    if (isNews && noteOwnerAnswer(group, view, entry, upTo)) onOwnerNews(group, view);
  }
}

/** After a read of everything: what is not in it is not there. */
function forgetMissing(group: GroupState, upTo: number, entries: readonly GroupEntry[]): void {
  const { plan } = group;
  const shown = new Set<ResourceView | SessionView>();
  let planRevision = 0;
  for (const { key, revision } of entries) {
    if (key.kind === "session") shown.add(sessionView(group, key.memberId));
    else if (key.kind === "plan") planRevision = revision;
    else shown.add(ownerView(group, key));
  }
  // As only a message has shown it.
  if (!plan.proven && plan.revision <= upTo && plan.revision !== planRevision) plan.reads.due = true;
  for (const view of group.sessions.values()) {
    if (!shown.has(view) && view.memberId !== group.config.memberId)
      noteSessionAnswer(group, view, null, upTo);
  }
  for (const view of [...group.resources.values(), group.coordinator]) {
    if (!shown.has(view) && view.revision > 0 && noteOwnerAnswer(group, view, null, upTo))
      onOwnerNews(group, view);
  }
}

/** The first bulk read of this bucket. */
function completeFirst(group: GroupState): void {
  group.targetsDue = true;
  group.membersDue = true;
  suspectAll(group);
  considerAll(group);
}
