/**
 * The lease of this member: how a session begins, is renewed, is suspended, and ends. One renewal per heartbeat, however many resources.
 * The arithmetic is that of the election (`src/election/{lease,silence,time}.ts`); unlike a term of the election, a session that has
 * ended never comes back: the next one has a new number.
 */

import { leaseSpanMs } from "../../election/lease.ts";
import { isTooSlow, withProof } from "../../election/silence.ts";
import { after, hasReached, type Instant, remainingMs } from "../../election/time.ts";
import type { OwnConnection, SessionBinding, WriteOutcome } from "../../election/types.ts";
import { coversConnection } from "../../election/writes.ts";
import { MIN_MARGIN_MS } from "../../inquiry/durations.ts";
import { sameConnection } from "../../inquiry/rules.ts";
import type { SessionLossReason } from "./events.ts";
import { isBound, isKeptWhileRestarting, isSessionHeld, keepsPromises, takesNothing } from "./held.ts";
import { isReady, sendWrite } from "./requests.ts";
import { beginDelayMs, noteNumberShown, ownView, readSession } from "./sessions.ts";
import { backOffMs, emit, type GroupState, NEVER, noteNumber, type SentSession, warn } from "./state.ts";
import { endDoubted, endTerms } from "./terms.ts";
import type { Authorship, SessionRecord } from "./types.ts";
import { considerAll } from "./wanted.ts";

/** Unsettled writes remembered at once. */
const MAX_UNSETTLED = 16;

// ---------------------------------------------------------------------------------------------- the next write

/** Ends what has passed by the clock. Comes first in every step: before an event that arrived late is believed. */
export function expire(group: GroupState): void {
  const { own, link, now } = group;
  if (link.stretch !== null && hasReached(link.stretch.deadline, now)) link.stretch = null;
  if (own.phase === "none") return;
  if (hasReached(own.deadline, now)) return endSession(group, "expired");
  endDoubted(group);
  if (own.phase !== "live" || keepsPromises(group)) return;
  suspend(group);
  own.writeAtMono = now.mono;
}

/** Milliseconds until the next write on the own key; infinite while only an event can make one due. */
export function ownWriteDelayMs(group: GroupState): number {
  const { own, now } = group;
  if (!isReady(group) || own.inFlight !== null) return NEVER;
  if (own.phase !== "none") return own.writeAtMono - now.mono;
  const { reads } = ownView(group);
  if (group.stopping !== null || reads.due || reads.inFlight) return NEVER;
  return Math.max(own.writeAtMono - now.mono, beginDelayMs(group));
}

export function sendOwnWrite(group: GroupState): void {
  const { own, now } = group;
  const { phase } = own;
  if (phase === "none") return begin(group);
  if (phase === "leaving") return sendEnd(group, own.number, own.revision, remainingMs(own.deadline, now));
  renew(group);
}

function begin(group: GroupState): void {
  const view = ownView(group);
  group.own.expectedByBegin = Math.max(group.own.expectedByBegin, view.revision);
  sendRecord(group, null, view.revision, group.config.requestTimeoutMs);
}

function renew(group: GroupState): void {
  const { own, now, config } = group;
  own.writeAtMono = now.mono + config.renewIntervalMs;
  sendRecord(
    group,
    own.number,
    own.revision,
    Math.min(config.requestTimeoutMs, remainingMs(own.deadline, now)),
  );
}

function sendRecord(group: GroupState, number: number | null, expect: number, timeoutMs: number): void {
  const { own, link, now, above } = group;
  const { binding } = link;
  const session = binding === null ? undefined : promised(group, binding);
  const promises = session?.silence !== undefined;
  if (promises) beginStretch(group);
  else warnOfDroppedPromise(group);
  const nonce = sendWrite(group, {
    key: { kind: "session", memberId: group.config.memberId },
    record: (authorship) => sessionRecord(group, authorship, number, session),
    expect,
    pending: { kind: "session", expect },
    timeoutMs,
  });
  own.inFlight = { nonce, kind: number === null ? "begin" : "renew" };
  const stretch = link.stretch?.number ?? 0;
  const sent = { nonce, number, above, sentAt: now, binding, promises, stretch, version: own.version };
  own.unsettled = [...withRoom(own.unsettled), sent];
}

function sessionRecord(
  group: GroupState,
  authorship: Authorship,
  number: number | null,
  session: SessionBinding | undefined,
): SessionRecord {
  const { profile, config } = group;
  return {
    ...authorship,
    kind: "session",
    number,
    ttlMs: config.leaseTtlMs,
    ...(session === undefined ? {} : { session }),
    weight: profile.weight,
    ...(profile.zone === undefined ? {} : { zone: profile.zone }),
    ...(profile.maxOwned === undefined ? {} : { maxOwned: profile.maxOwned }),
    // The others would place its resources again.
    draining: takesNothing(group) && !isKeptWhileRestarting(group),
    refused: [...group.refused.keys()],
    listHash: group.listHash,
  };
}

/** Forgets the oldest of too many; one that promises silence binds until its outcome is known, so another is forgotten first. */
function withRoom(unsettled: SentSession[]): SentSession[] {
  if (unsettled.length < MAX_UNSETTLED) return unsettled;
  const forgotten = unsettled.find(({ promises }) => !promises) ?? unsettled[0];
  return unsettled.filter((sent) => sent !== forgotten);
}

/** What a record names of the connection is a promise: named only where it is kept. */
function promised(
  { config: { crashDetection, silenceMs }, link: { lateProofs } }: GroupState,
  { serverId, clientId, presence, account }: OwnConnection,
): SessionBinding {
  const canKeepSilence = crashDetection !== "lease" && silenceMs > 0 && !isTooSlow(lateProofs, silenceMs);
  const isSilenceKept = canKeepSilence && account !== undefined;
  return {
    serverId,
    clientId,
    ...(crashDetection === "presence" && presence !== undefined ? { presence } : {}),
    ...(isSilenceKept ? { silence: { ms: silenceMs, account } } : {}),
  };
}

/** The next record is the first without the promise that the one before it made, since round trips are too long for it. */
function warnOfDroppedPromise(group: GroupState): void {
  const { own, link, config } = group;
  const { silenceMs } = config;
  if (!(own.unsettled.at(-1)?.promises ?? own.promises) || !isTooSlow(link.lateProofs, silenceMs)) return;
  warn(
    group,
    "SLOW_CONNECTION",
    `round trips to the server have become too long for silenceMs ${silenceMs}: no promise of silence while that lasts, and if this member falls silent it is replaced when its lease expires; raise silenceMs, or connect to a closer server`,
  );
}

/** A write that promises silence begins a stretch where none runs, or where nothing depends on the one that does. */
function beginStretch(group: GroupState): void {
  const { link, now, config } = group;
  if (link.stretch !== null && isBound(group)) return;
  link.stretches += 1;
  link.stretch = { number: link.stretches, deadline: after(now, config.silenceMs) };
}

/** What the record says of this member has changed: the next renewal is due at once. */
export function renewSoon(group: GroupState): void {
  group.own.version += 1;
  if (group.own.phase === "live") group.own.writeAtMono = group.now.mono;
}

// ---------------------------------------------------------------------------------------------- outcomes

/** The outcome of a write on the own key. */
export function onOwnWritten(group: GroupState, nonce: number, outcome: WriteOutcome): void {
  const { own, now } = group;
  const { inFlight } = own;
  if (inFlight?.nonce !== nonce) return;
  own.inFlight = null;
  const view = ownView(group);
  const sent = own.unsettled.find((write) => write.nonce === nonce);
  if (outcome.kind === "applied") {
    own.failures = 0;
    if (inFlight.kind === "end") return onEnded(group, outcome.revision);
    if (sent !== undefined) return onApplied(group, sent, outcome.revision);
    // A write of a session that is over.
    return readSession(group, view);
  }
  // Conflict: an earlier write of ours was applied although its ack was lost, or the key is another's. Unknown: it may be applied
  // now, later or never. A read shows.
  view.reads.atMono = now.mono;
  readSession(group, view);
  own.writeAtMono = now.mono + backOffMs(group, own.failures);
  if (outcome.kind === "conflict") own.unsettled = own.unsettled.filter((write) => write !== sent);
  else if (own.failures === 0)
    warn(group, "STORE_FAILING", "a write of the session got no answer; retrying", outcome.error);
  own.failures += 1;
}

function onApplied(group: GroupState, sent: SentSession, revision: number): void {
  const { own } = group;
  if (sent.number === null) {
    if (own.phase === "none" && mayAdopt(group, sent, revision)) return beginSession(group, sent, revision);
    // It stands in the bucket and no session runs on it: the next begin replaces it.
    return readSession(group, ownView(group));
  }
  if (own.phase !== "none" && own.number === sent.number) confirm(group, sent, revision);
  else readSession(group, ownView(group));
}

/**
 * A begin of ours turned out to be applied: may a session run on it? Not if a later begin of ours expects this very revision: that one
 * would replace it.
 */
function mayAdopt(group: GroupState, sent: SentSession, revision: number): boolean {
  const { own, link, config } = group;
  if (group.stopping !== null || !link.connected) return false;
  if (revision <= own.expectedByBegin || numberAt(sent, revision) <= own.ended) return false;
  if (remainingMs(deadlineOf(group, sent.sentAt), group.now) < MIN_MARGIN_MS) return false;
  if (config.crashDetection === "lease") return true;
  return sameConnection(sent.binding, link.binding) && isInStretch(group, sent);
}

function isInStretch({ link }: GroupState, { promises, stretch }: SentSession): boolean {
  return !promises || stretch === link.stretch?.number;
}

/** The number of the session that this record begins or renews. */
function numberAt({ number, above }: SentSession, revision: number): number {
  return number ?? Math.max(revision, above + 1);
}

function deadlineOf({ config }: GroupState, sentAt: Instant): Instant {
  return after(sentAt, leaseSpanMs(config.leaseTtlMs));
}

function beginSession(group: GroupState, sent: SentSession, revision: number): void {
  const { own } = group;
  own.phase = "live";
  own.number = numberAt(sent, revision);
  own.unsettled = [];
  group.changedAtMono = group.now.mono;
  settle(group, sent, revision);
  emit(group, { type: "session-begun", number: own.number });
  group.membersDue = true;
  group.targetsDue = true;
  considerAll(group);
}

/** One of our renewals is known to be applied. The deadline counts from when it was sent. */
function confirm(group: GroupState, sent: SentSession, revision: number): void {
  const { own, link } = group;
  settle(group, sent, revision);
  if (own.phase !== "suspended" || !link.connected) return;
  // Only a renewal on the present connection and in the present stretch shows that no other member has fenced this session.
  if (sameConnection(sent.binding, link.binding) && isInStretch(group, sent)) resume(group);
  else own.writeAtMono = group.now.mono;
}

function settle(group: GroupState, sent: SentSession, revision: number): void {
  const { own, link, now, config } = group;
  own.revision = revision;
  // A session that begins owns nothing yet that could have been written over.
  if (sent.number === null) own.deadline = deadlineOf(group, sent.sentAt);
  else own.ahead.push({ revision, sentAt: sent.sentAt });
  noteKnown(group);
  own.promises = sent.promises;
  own.stretch = sent.stretch;
  own.unsettled = own.unsettled.filter(({ nonce }) => nonce > sent.nonce);
  own.failures = 0;
  const upToDate = sent.version === own.version && coversConnection(sent.binding, link.binding);
  if (own.phase !== "leaving")
    own.writeAtMono = Math.max(now.mono, sent.sentAt.mono + (upToDate ? config.renewIntervalMs : 0));
  noteNumber(group, own.number);
  noteOwnRevision(group, "live", revision);
}

/**
 * Everything up to `knowing.sequence` is known: the renewals up to there count. What was stored since the last of them may be garbage over
 * a claim of ours, which others replace W after they have seen it. The renewal was sent before, and the deadline is earlier than that.
 * While there is no claim that a term runs or could begin on, every renewal counts: later claims, and what covers them, are sent after it.
 */
export function noteKnown(group: GroupState): void {
  const { own, knowing } = group;
  const claimsNothing = group.terms.size === 0 && group.claiming === 0 && group.coordinator.adopt === 0;
  while (own.ahead[0] !== undefined && (claimsNothing || own.ahead[0].revision <= knowing.sequence)) {
    own.deadline = deadlineOf(group, own.ahead[0].sentAt);
    own.ahead.shift();
  }
}

function noteOwnRevision(group: GroupState, kind: "live" | "ended", revision: number): void {
  const view = ownView(group);
  view.kind = kind;
  view.revision = revision;
  view.provenRevision = Math.max(view.provenRevision, revision);
  view.number = group.own.number;
  view.record = null;
  view.receivedAt = group.now;
  view.since = group.now;
  view.proven = true;
  group.unproven.delete(view);
  noteNumberShown(group, view, revision);
}

/** An answer of the stream leader about the own key, while a session runs. */
export function judgeSession(group: GroupState): void {
  const { own } = group;
  const view = ownView(group);
  if (own.phase === "none") return;
  const { record } = view;
  if (view.kind === "live" && record?.incarnation === group.config.incarnation) {
    const sent = own.unsettled.find(({ nonce }) => nonce === record.nonce);
    if (sent?.number === own.number) return confirm(group, sent, view.revision);
    if (view.number === own.number) {
      if (view.revision === own.revision) return;
      // A write that was forgotten: in which stretch it was sent is not known.
      own.revision = view.revision;
      own.promises = record.session?.silence !== undefined;
      own.stretch = 0;
      if (own.promises && own.phase === "live") suspend(group);
      own.writeAtMono = group.now.mono;
      return;
    }
  }
  if (view.kind === "live" || view.kind === "ended") endAsFenced(group);
  else endSession(group, "deleted");
}

/** Without a session, after a read: a begin of ours whose ack was lost may stand in the bucket. */
export function adoptBegin(group: GroupState): void {
  const { own } = group;
  const { kind, record, revision } = ownView(group);
  if (own.phase !== "none" || kind !== "live" || record?.incarnation !== group.config.incarnation) return;
  const sent = own.unsettled.find(({ nonce, number }) => nonce === record.nonce && number === null);
  if (sent !== undefined && mayAdopt(group, sent, revision)) beginSession(group, sent, revision);
}

// ---------------------------------------------------------------------------------------------- suspension

export function suspend(group: GroupState): void {
  group.own.phase = "suspended";
  emit(group, { type: "suspended" });
}

function resume(group: GroupState): void {
  group.own.phase = "live";
  emit(group, { type: "resumed" });
}

/** The connection ended, and the stretch with it. */
export function onConnectionEnded(group: GroupState): void {
  group.link.stretch = null;
  group.link.lateProofs = null;
  if (group.own.phase !== "live") return;
  if (group.config.crashDetection === "presence" || isBound(group)) suspend(group);
}

/** The server has counted a beat that was sent then: the stretch goes on, if it still runs. */
export function onBeatProven({ link, config, now }: GroupState, sentAt: Instant): void {
  link.lateProofs = withProof(link.lateProofs, config.silenceMs, sentAt, now);
  if (link.stretch === null) return;
  const deadline = after(sentAt, config.silenceMs);
  if (deadline.mono > link.stretch.deadline.mono) link.stretch = { number: link.stretch.number, deadline };
}

// ---------------------------------------------------------------------------------------------- the end

/** Something shows that the session is over, before it was released. A message suffices: to stop is safe. */
export function endAsFenced(group: GroupState): void {
  const { own, now, config } = group;
  const { kind, endedBy, endReason } = ownView(group);
  if (kind === "ended" && endedBy !== config.memberId && isSessionHeld(group, now)) {
    warn(
      group,
      "FENCED_EARLY",
      `member "${endedBy}" ended session ${own.number} of this member ("${endReason}") ${Math.round(remainingMs(own.deadline, now))} ms before its deadline, and its connection was never lost: the clock of one of the two is wrong, or that member does not follow the protocol`,
    );
  }
  endSession(group, "fenced");
}

/** Ends the session for good. No term is held from now on; the table is cleared. */
export function endSession(group: GroupState, reason: SessionLossReason): void {
  const { own, now } = group;
  const { number, phase } = own;
  own.phase = "none";
  own.ahead = [];
  own.ended = Math.max(own.ended, number);
  // No late ack of this session may begin another one with its number.
  own.unsettled = [];
  own.writeAtMono = now.mono;
  readSession(group, ownView(group));
  group.changedAtMono = now.mono;
  // Once it is left, all work has ended.
  const why = phase === "leaving" ? "stopped" : reason;
  emit(group, { type: "session-ended", number, reason: why });
  endTerms(group, why);
  group.membersDue = true;
  group.targetsDue = true;
}

/** All work has ended: the end marker is due. No term is held any more. */
export function leave(group: GroupState): void {
  group.own.phase = "leaving";
  group.own.writeAtMono = group.now.mono;
}

/**
 * Milliseconds until a member that stops ends the begin of its own that stands in the bucket, on which no session runs; infinite without one.
 * An end that was refused waits: the answer that has shown the begin may be out of date.
 */
export function orphanDelayMs(group: GroupState): number {
  const { own, stopping, now, config } = group;
  if (stopping === null || own.phase !== "none" || own.inFlight !== null || own.unsettled.length === 0)
    return NEVER;
  const { kind, record, reads } = ownView(group);
  if (!isReady(group) || reads.due || reads.inFlight) return NEVER;
  return kind === "live" && record?.incarnation === config.incarnation ? own.writeAtMono - now.mono : NEVER;
}

/** The begin is ended, so that others need not wait for it. */
export function dropOrphan(group: GroupState): void {
  const { number, revision } = ownView(group);
  sendEnd(group, number, revision, group.config.requestTimeoutMs);
}

function sendEnd(group: GroupState, number: number, expect: number, leftMs: number): void {
  const { own, config, stopping } = group;
  const nonce = sendWrite(group, {
    key: { kind: "session", memberId: config.memberId },
    record: (authorship) => ({
      ...authorship,
      kind: "session-end",
      of: config.memberId,
      number,
      reason: stopping?.restarting === true ? "restarting" : "left",
    }),
    expect,
    pending: { kind: "session", expect },
    timeoutMs: Math.min(config.requestTimeoutMs, leftMs),
  });
  own.inFlight = { nonce, kind: "end" };
}

/** The end marker is in the bucket: everything that this member owned is free. */
function onEnded(group: GroupState, revision: number): void {
  noteOwnRevision(group, "ended", revision);
  if (group.own.phase === "leaving") endSession(group, "stopped");
  ownView(group).reads.due = false;
}
