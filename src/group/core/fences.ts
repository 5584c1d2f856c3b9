/**
 * What is due about the sessions of others: reads of their keys, questions, and fences. A fence is the end marker of a dead session,
 * written by compare-and-set against exactly the revision that was waited out, or confirmed closed or silent: never against one that
 * was read after the evidence. A lost ack does no harm: the key is read, and the same fence sent again.
 */
import type { WriteOutcome } from "../../election/types.ts";
import { ask, headStartMs, questionDelayMs, suspect } from "./inquiry.ts";
import { isReady, sendRead, sendWrite } from "./requests.ts";
import {
  missedHeartbeatMs,
  namesClosed,
  noteOver,
  readSession,
  replaceableAtMono,
  sessionDue,
} from "./sessions.ts";
import { backOffMs, type GroupState, NEVER, type SessionView } from "./state.ts";
import { readOwner } from "./terms.ts";
import type { SessionEndReason } from "./types.ts";

/** Sends what is due about every session, and notes when to look again. O(members), and only when something is due. */
export function attendSessions(group: GroupState): void {
  const { now } = group;
  if (group.sessionsDueAtMono > now.mono) return;
  let nextMono = NEVER;
  for (const view of group.sessions.values()) nextMono = Math.min(nextMono, attend(group, view));
  group.sessionsDueAtMono = nextMono;
}

/** Returns the monotonic milliseconds at which the session must be looked at again. */
function attend(group: GroupState, view: SessionView): number {
  const { now, config } = group;
  if (!isReady(group)) return NEVER;
  const nowMono = now.mono;
  const isOwn = view.memberId === config.memberId;
  if (view.kind === "unknown" && !view.reads.inFlight && (isOwn || group.knowing.complete))
    view.reads.due = true;
  const isOther = !isOwn || group.own.phase === "none";
  let nextMono = NEVER;
  if (isOther) nextMono = attendLateness(group, view);
  if (view.reads.due && !view.reads.inFlight) {
    if (view.reads.atMono <= nowMono) sendSessionRead(group, view);
    else nextMono = Math.min(nextMono, view.reads.atMono);
  }
  if (!isOther) return nextMono;
  const questionMs = questionDelayMs(group, view);
  if (questionMs <= 0) ask(group, view);
  else nextMono = Math.min(nextMono, nowMono + questionMs);
  return Math.min(nextMono, isOwn ? NEVER : attendFence(group, view), graceEndMono(group, view));
}

function sendSessionRead(group: GroupState, view: SessionView): void {
  const { memberId, reads, revision } = view;
  sendRead(group, { kind: "session", memberId }, reads, { kind: "session", view, known: revision });
}

/** A renewal that is late: the key is read, and its connection asked about, since the message of its end may be lost. */
function attendLateness(group: GroupState, view: SessionView): number {
  if (view.kind !== "live") return NEVER;
  const lateAtMono = view.receivedAt.mono + missedHeartbeatMs(group);
  if (view.latenessSeen === view.revision) return NEVER;
  if (lateAtMono > group.now.mono) return lateAtMono;
  view.latenessSeen = view.revision;
  view.reads.due = true;
  suspect(group, view);
  return NEVER;
}

/** Once the grace of a member that has gone is over, its resources have other targets. */
function graceEndMono(group: GroupState, view: SessionView): number {
  const { config, now } = group;
  if (config.rejoinGraceMs === 0 || view.kind !== "ended" || view.endReason === "left") return NEVER;
  const endMono = view.endedAtMono + config.rejoinGraceMs;
  if (endMono > now.mono) return endMono;
  if (endMono > Number.NEGATIVE_INFINITY) group.targetsDue = true;
  view.endedAtMono = Number.NEGATIVE_INFINITY;
  return NEVER;
}

function attendFence(group: GroupState, view: SessionView): number {
  const number = fencedNumber(view);
  if (view.kind === "vacant") readOneClaim(group, view);
  if (number <= view.overUpTo || view.fenceNonce !== null || view.reads.due || view.reads.inFlight)
    return NEVER;
  const atMono = fenceAtMono(group, view);
  if (atMono > group.now.mono) return atMono;
  fence(group, view, number);
  return NEVER;
}

/** The session that a fence would end. Where no record shows one, an answer has: as a record, or in a claim. */
function fencedNumber({ kind, number, shownUpTo }: SessionView): number {
  if (kind === "live") return number;
  return kind === "vacant" ? shownUpTo : 0;
}

/** May this session be replaced at once because a server has confirmed its end? */
function endReasonOf(view: SessionView): SessionEndReason {
  if (view.kind === "live" && namesClosed(view)) return "closed";
  return view.silentRevision === view.revision ? "silent" : "expired";
}

function fenceAtMono(group: GroupState, view: SessionView): number {
  const { config, now } = group;
  let atMono = replaceableAtMono(view);
  // What never was a record of ours may stand in the place of one.
  if (view.kind === "vacant" && view.since !== null)
    atMono = Math.max(atMono, view.since.mono + config.leaseTtlMs);
  if (endReasonOf(view) === "expired" && atMono <= now.mono) atMono += headStartMs(group, view);
  return Math.max(atMono, view.fenceAtMono);
}

/** A message shows a claim of a session that stands nowhere: before anything is written, an answer has to show it, too. */
function readOneClaim(group: GroupState, { memberId, shownUpTo }: SessionView): void {
  for (const view of group.byOwner.get(memberId) ?? []) {
    if (view.session <= shownUpTo) continue;
    if (!view.reads.due && !view.reads.inFlight) readOwner(group, view);
    return;
  }
}

function fence(group: GroupState, view: SessionView, number: number): void {
  const { memberId, revision } = view;
  const reason = endReasonOf(view);
  view.fenceNonce = sendWrite(group, {
    key: { kind: "session", memberId },
    record: (authorship) => ({ ...authorship, kind: "session-end", of: memberId, number, reason }),
    expect: revision,
    pending: { kind: "fence", view, expect: revision, number },
  });
}

export function onFenced(group: GroupState, view: SessionView, number: number, outcome: WriteOutcome): void {
  const { now } = group;
  view.fenceNonce = null;
  if (outcome.kind === "applied") {
    view.provenRevision = Math.max(view.provenRevision, outcome.revision);
    const isShown = view.revision === outcome.revision && view.kind === "ended" && view.number === number;
    if (view.revision <= outcome.revision && !isShown) noteOwnFence(group, view, number, outcome.revision);
    return noteOver(group, view, number);
  }
  // A conflict that the read does not explain comes from a read that is out of date.
  view.fenceAtMono = now.mono + backOffMs(group, view.fenceFailures);
  view.fenceFailures += 1;
  view.reads.atMono = now.mono;
  readSession(group, view);
}

function noteOwnFence(group: GroupState, view: SessionView, number: number, revision: number): void {
  view.endReason = endReasonOf(view);
  view.kind = "ended";
  view.record = null;
  view.revision = revision;
  view.number = number;
  view.proven = true;
  view.since = group.now;
  view.endedBy = group.config.memberId;
  view.endedAtMono = group.now.mono;
  group.unproven.delete(view);
  group.watchVersion += 1;
  group.membersDue = true;
  group.targetsDue = true;
  group.changedAtMono = group.now.mono;
  sessionDue(group, group.now.mono);
}

/** A read of the key has failed. */
export function onSessionReadFailed(group: GroupState, { reads }: SessionView): void {
  reads.due = true;
  reads.atMono = group.now.mono + backOffMs(group, reads.failures);
  reads.failures += 1;
  sessionDue(group, reads.atMono);
}

/** The connection is back: the messages of ends may have been missed. The first members in the order of each session ask. */
export function suspectAll(group: GroupState): void {
  for (const view of group.sessions.values()) {
    view.reads.atMono = group.now.mono;
    view.latenessSeen = 0;
    if (view.kind === "live" && headStartMs(group, view) === 0) suspect(group, view);
  }
}
