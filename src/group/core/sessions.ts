/**
 * What is known of the sessions: whose key shows what, since when, and which sessions are over.
 *
 * Messages of the watch change what is known here, since there are too many to read each key after each of them. A message can be
 * forged. So two things need an answer of the stream leader, or an ack of our own:
 *  - that a session is *over*: its key shows its end marker or a larger number (`overUpTo`). Both stay true, so it may be remembered,
 *    and an answer that is out of date only says "not yet";
 *  - the revision that a fence replaces, its content (`proven`) and since when it is in the stream (`since`). The stream has reached
 *    a revision when any answer or ack shows a later one: its record was sent before that, and the takeover wait counts from then.
 */

import { maxEpochAt } from "../../election/epochs.ts";
import { isSameHolder } from "../../election/outlook.ts";
import type { SessionBinding } from "../../election/types.ts";
import { noteOtherHolder, sameConnection, startOver } from "../../inquiry/rules.ts";
import { keyReads } from "./initial-state.ts";
import { type GroupState, NEVER, noteNumber, type SessionView, warn } from "./state.ts";
import type { GroupEntry, SessionEnd, SessionRecord } from "./types.ts";

const PAST: number = Number.NEGATIVE_INFINITY;
/** So many heartbeat intervals without a newer revision mean that a renewal was missed. */
const MISSED_HEARTBEAT = 1.5;

export function sessionView(group: GroupState, memberId: string): SessionView {
  const known = group.sessions.get(memberId);
  if (known !== undefined) return known;
  const view: SessionView = {
    memberId,
    kind: "unknown",
    revision: 0,
    record: null,
    number: 0,
    overUpTo: 0,
    receivedAt: group.now,
    since: null,
    waitMs: 0,
    proven: false,
    provenRevision: 0,
    closed: null,
    silentRevision: 0,
    inquiry: { dueAtMono: NEVER, silent: null, open: null, first: null, quietUntilMono: PAST, lives: 0 },
    reads: keyReads(),
    shownUpTo: 0,
    answered: null,
    fenceNonce: null,
    fenceAtMono: PAST,
    fenceFailures: 0,
    endReason: null,
    endedAtMono: PAST,
    endedBy: null,
    latenessSeen: 0,
    warnedOf: null,
  };
  group.sessions.set(memberId, view);
  sessionDue(group, group.now.mono);
  return view;
}

export function ownView(group: GroupState): SessionView {
  return sessionView(group, group.config.memberId);
}

/** Asks for an answer about this key. */
export function readSession(group: GroupState, view: SessionView): void {
  view.reads.due = true;
  sessionDue(group, group.now.mono);
}

/** The sessions must be looked at by then. */
export function sessionDue(group: GroupState, atMono: number): void {
  if (atMono < group.sessionsDueAtMono) group.sessionsDueAtMono = atMono;
}

// ---------------------------------------------------------------------------------------------- over

/** Is this session over? Numbers are compared by order: another number alone may belong to an earlier session. */
export function isOver(group: GroupState, memberId: string, number: number): boolean {
  const { own, config } = group;
  if (memberId === config.memberId && own.phase !== "none" && number < own.number) return true;
  return (group.sessions.get(memberId)?.overUpTo ?? 0) >= number;
}

/** Every session of the member up to this number is over, as an answer or the ack of our own fence shows. */
export function noteOver(group: GroupState, view: SessionView, number: number): void {
  if (number <= view.overUpTo) return;
  view.overUpTo = number;
  group.freed.add(view);
}

/** An answer shows this session as the present one: every earlier one is over. */
function noteShown(group: GroupState, view: SessionView, number: number): void {
  view.shownUpTo = Math.max(view.shownUpTo, number);
  noteOver(group, view, number - 1);
}

/** Is this member there, as far as is known? */
export function isLive({ config, own, sessions }: GroupState, memberId: string): boolean {
  if (memberId === config.memberId) return own.phase === "live" || own.phase === "suspended";
  return sessions.get(memberId)?.kind === "live";
}

/** Are the resources of a member that has gone kept for it? */
export function isInGrace({ config, now, sessions }: GroupState, memberId: string): boolean {
  const view = sessions.get(memberId);
  if (config.rejoinGraceMs === 0 || view?.kind !== "ended" || view.endReason === "left") return false;
  return now.mono < view.endedAtMono + config.rejoinGraceMs;
}

// ---------------------------------------------------------------------------------------------- what is seen

/** A message of the watch. It changes nothing unless it is newer. */
export function noteSessionMessage(group: GroupState, view: SessionView, entry: GroupEntry): void {
  if (entry.revision <= view.revision) return;
  replace(group, view, entry, false);
}

/** The message on this key was forged, or may have been: any answer is newer. */
export function forgetSessionMessage(group: GroupState, view: SessionView): void {
  view.revision = 0;
  view.proven = false;
  view.since = null;
  group.unproven.delete(view);
}

/**
 * An answer of the stream leader, or of a bulk read. `shown`: the revision that it bears witness to; `upTo`: to which the stream was known to
 * have come, if that is less. Returns whether it is believed: one that shows less than is known is out of date.
 */
export function noteSessionAnswer(
  group: GroupState,
  view: SessionView,
  entry: GroupEntry | null,
  shown: number,
  upTo: number = shown,
): boolean {
  if (shown < view.revision) return false;
  const { revision, since, proven, receivedAt } = view;
  view.provenRevision = Math.max(view.provenRevision, entry?.revision ?? 0);
  const isSameMessage = (entry?.revision ?? 0) === revision && view.kind !== "unknown";
  // Another content at the same revision: the message was forged, or the servers have lost what stood there before.
  const isSame = isSameMessage && isSameContent(view, entry);
  // What a message has shown may be forged in any part that is not compared.
  if (!proven || !isSame) replace(group, view, entry, true);
  if (isSame) {
    view.receivedAt = receivedAt;
    view.since = since ?? view.since;
  }
  noteNumberShown(group, view, upTo);
  sessionDue(group, group.now.mono);
  return true;
}

/** An answer, or the ack of our own write, shows on this key what is known now. */
export function noteNumberShown({ now }: GroupState, view: SessionView, upTo: number): void {
  const { kind, number, answered } = view;
  const isShown = kind === "live" || kind === "ended";
  const sinceMono = answered?.number === number ? answered.sinceMono : now.mono;
  view.answered = isShown ? { number, upTo, sinceMono } : null;
}

/**
 * How an answer contradicts what answers and acks have shown before; `null`: it does not. If it does, the servers have lost what they had
 * acknowledged: no revision is used twice, and a session that is over never goes on.
 */
export function contradictionOf(group: GroupState, view: SessionView, entry: GroupEntry): string | null {
  const { bucket, config } = group;
  const { memberId, provenRevision, overUpTo } = view;
  if (entry.kind !== "record" || entry.record.generation !== bucket.generation) return null;
  const { revision, record } = entry;
  // An older answer may show a session that is over now.
  if (revision < provenRevision) return null;
  const isOther = memberId !== config.memberId && view.kind !== "vacant" && view.proven;
  if (isOther && revision === view.revision && !isSameContent(view, entry))
    return `revision ${revision} of the session of member "${memberId}" is another message than before`;
  if (record.kind !== "session" || record.memberId !== memberId) return null;
  const number = numberOf(record, revision);
  return number <= overUpTo
    ? `session ${number} of member "${memberId}" goes on at revision ${revision}, but it was over`
    : null;
}

/** The number of the session that this record begins or renews. */
export function numberOf({ number, above }: SessionRecord, revision: number): number {
  return number ?? Math.max(revision, above + 1);
}

/** Was it written by the same write? */
export function isSameContent({ kind, record, number }: SessionView, entry: GroupEntry | null): boolean {
  if (entry?.kind !== "record") return kind === "vacant";
  const shown = entry.record;
  if (shown.kind === "session-end") return kind === "ended" && shown.number === number;
  return (
    shown.kind === "session" && record?.incarnation === shown.incarnation && record.nonce === shown.nonce
  );
}

function replace(group: GroupState, view: SessionView, entry: GroupEntry | null, answered: boolean): void {
  const { now } = group;
  const holder = view.record?.session ?? null;
  const isNews = view.kind === "unknown" || (entry?.revision ?? 0) !== view.revision;
  view.revision = entry?.revision ?? 0;
  view.receivedAt = now;
  view.proven = answered;
  view.since = answered ? now : null;
  if (answered) group.unproven.delete(view);
  else group.unproven.add(view);
  // What was confirmed and asked concerned another message.
  view.silentRevision = 0;
  view.fenceAtMono = PAST;
  view.fenceFailures = 0;
  startOver(view.inquiry);
  const record = entry?.kind === "record" ? believed(group, view, entry.record, entry.revision) : null;
  if (record?.kind === "session") noteRecord(group, view, record, answered);
  else if (record?.kind === "session-end") noteEnd(group, view, record, answered);
  else noteVacancy(group, view, entry, isNews);
  if (!isSameHolder(holder, view.record?.session ?? null)) watchOther(group, view);
  if (!answered && view.fenceNonce === null && (view.kind === "vacant" || seemsToFree(group, view)))
    readSession(group, view);
  sessionDue(group, view.kind === "live" ? now.mono + missedHeartbeatMs(group) : now.mono);
}

/** Do claims name sessions of the member that seem to be over now? Claims of sessions that have not begun are false, and do not count. */
function seemsToFree({ byOwner }: GroupState, { memberId, kind, number, overUpTo }: SessionView): boolean {
  const seemsOverUpTo = kind === "ended" ? number : number - 1;
  if (seemsOverUpTo <= overUpTo) return false;
  for (const { session } of byOwner.get(memberId) ?? [])
    if (session > overUpTo && session <= seemsOverUpTo) return true;
  return false;
}

function watchOther(group: GroupState, { inquiry }: SessionView): void {
  group.watchVersion += 1;
  noteOtherHolder(inquiry);
}

/** A record of this key, of this bucket, with numbers that are possible. */
function believed(
  { bucket }: GroupState,
  { memberId }: SessionView,
  record: unknown,
  revision: number,
): SessionRecord | SessionEnd | null {
  const shown = record as SessionRecord | SessionEnd;
  if (shown.generation !== bucket.generation || shown.above > maxEpochAt(revision)) return null;
  if (shown.kind === "session") return shown.memberId === memberId ? shown : null;
  return shown.kind === "session-end" && shown.of === memberId ? shown : null;
}

function noteRecord(group: GroupState, view: SessionView, record: SessionRecord, answered: boolean): void {
  const before = view.kind === "live" ? view.record : null;
  const sameSession = before !== null && before.incarnation === record.incarnation;
  const { config } = group;
  const number = numberOf(record, view.revision);
  const isMine = record.incarnation === config.incarnation;
  const hasJoined = view.kind !== "live" || view.number !== number;
  view.kind = "live";
  view.record = record;
  view.number = number;
  view.waitMs = isMine ? 0 : Math.max(config.leaseTtlMs, record.ttlMs);
  noteNumber(group, Math.max(number, record.above));
  if (answered) noteShown(group, view, number);
  // It is over, as far as is known.
  else if (number <= view.overUpTo) readSession(group, view);
  if (view.memberId === config.memberId) {
    if (!isMine && sameSession) warnOfDuplicate(group, view, record);
    return;
  }
  if (hasJoined || before === null || !isSameProfile(before, record)) {
    group.membersDue = true;
    group.targetsDue = true;
    if (hasJoined || before?.weight !== record.weight || before.draining !== record.draining)
      group.changedAtMono = group.now.mono;
  }
  warnOfList(group, view, record);
}

function isSameProfile(one: SessionRecord, other: SessionRecord): boolean {
  return (
    one.weight === other.weight &&
    one.zone === other.zone &&
    one.maxOwned === other.maxOwned &&
    one.draining === other.draining &&
    one.listHash === other.listHash &&
    one.refused.length === other.refused.length &&
    one.refused.every((name, at) => name === other.refused[at])
  );
}

function warnOfDuplicate(group: GroupState, view: SessionView, { incarnation }: SessionRecord): void {
  if (view.warnedOf === incarnation) return;
  view.warnedOf = incarnation;
  warn(
    group,
    "DUPLICATE_MEMBER_ID",
    `two processes use member id "${group.config.memberId}": incarnation ${incarnation} renews its session, this process is incarnation ${group.config.incarnation} and owns nothing; give each process its own memberId`,
  );
}

function warnOfList(group: GroupState, view: SessionView, record: SessionRecord): void {
  if (record.listHash === group.listHash || view.warnedOf === record.listHash) return;
  view.warnedOf = record.listHash;
  warn(
    group,
    "LIST_DIFFERS",
    `member "${view.memberId}" has another list of resources (${record.listHash}) than this member (${group.listHash}); a resource is owned by members that have it on their lists only`,
  );
}

function noteEnd(group: GroupState, view: SessionView, end: SessionEnd, answered: boolean): void {
  const isNews = view.kind !== "ended" || view.number !== end.number;
  view.kind = "ended";
  view.record = null;
  view.number = end.number;
  view.endReason = end.reason;
  view.endedBy = end.memberId;
  noteNumber(group, Math.max(end.number, end.above));
  if (answered) noteOver(group, view, end.number);
  if (!isNews) return;
  view.endedAtMono = group.now.mono;
  noteGone(group);
}

/** The holder of what stood there may still count on its own TTL. */
function noteVacancy(group: GroupState, view: SessionView, entry: GroupEntry | null, isNews: boolean): void {
  const before = view.kind;
  view.kind = "vacant";
  view.record = null;
  if (entry !== null) {
    // What is no record of ours may have replaced one that was never seen.
    view.waitMs = Math.max(view.waitMs, group.config.leaseTtlMs);
    if (isNews)
      warn(
        group,
        "GARBAGE_RECORD",
        `revision ${entry.revision} of the session of member "${view.memberId}" is no record of it (${whatElse(entry)})`,
      );
  }
  if (before === "live") noteGone(group);
}

/** What stands where a record of this bucket is expected. */
export function whatElse(entry: GroupEntry): string {
  if (entry.kind === "garbage") return entry.reason;
  return entry.kind === "deleted" ? "a delete marker" : "of another bucket";
}

function noteGone(group: GroupState): void {
  group.membersDue = true;
  group.targetsDue = true;
  group.changedAtMono = group.now.mono;
}

/** The stream is known to have reached this sequence: what stands at a smaller one was sent before now. */
export function noteReached(group: GroupState, sequence: number): void {
  group.reached = Math.max(group.reached, sequence);
  for (const view of group.unproven) {
    if (view.revision > sequence) continue;
    view.since = group.now;
    group.unproven.delete(view);
    sessionDue(group, group.now.mono + Math.max(view.waitMs, group.config.leaseTtlMs));
  }
}

// ---------------------------------------------------------------------------------------------- evidence

/** Does the record name, with a presence, the connection that is confirmed closed? */
export function namesClosed({ closed, record }: SessionView): boolean {
  return closed !== null && record?.session?.presence !== undefined && sameConnection(record.session, closed);
}

/**
 * Monotonic milliseconds from which the newest revision may be replaced: its takeover wait is over, or its server has confirmed that its
 * connection is closed or silent. Infinite while no answer has shown what stands there.
 */
export function replaceableAtMono(view: SessionView): number {
  if (!view.proven || view.since === null) return NEVER;
  if (view.kind === "live" && (namesClosed(view) || view.silentRevision === view.revision)) return PAST;
  return view.since.mono + view.waitMs;
}

/** Milliseconds until this member may begin a session, as far as its key is concerned. */
export function beginDelayMs(group: GroupState): number {
  const view = ownView(group);
  if (!view.proven) return NEVER;
  const isOurs = view.kind === "live" && view.record?.incarnation === group.config.incarnation;
  if (view.kind === "ended" || isOurs) return PAST;
  return replaceableAtMono(view) - group.now.mono;
}

export function missedHeartbeatMs({ config }: GroupState): number {
  return MISSED_HEARTBEAT * config.heartbeatIntervalMs;
}

/** The connections whose end and whose beats have to be watched. Changes only with `watchVersion`. */
export function watchedSessions({ config, sessions }: GroupState): SessionBinding[] {
  if (config.crashDetection === "lease") return [];
  const watched: SessionBinding[] = [];
  for (const { kind, memberId, record } of sessions.values()) {
    const session = record?.session;
    if (kind !== "live" || session === undefined) continue;
    if (memberId === config.memberId && record?.incarnation === config.incarnation) continue;
    if (session.presence !== undefined || session.silence !== undefined) watched.push(session);
  }
  return watched;
}
