/**
 * The questions about other members: when the server that holds a member's connection is asked about it, and what the answers entitle
 * to. One inquiry per session; the rules are those of `src/election/inquiry.ts`.
 *
 * The first three members in the rendezvous order of a session ask at once, the others 100 ms later: by then the session has been fenced
 * and there is nothing to ask. Safe without any answer: the takeover wait stays as it is.
 */
import { beatIntervalMs, saysTheSame, silenceWaitMs } from "../../election/silence.ts";
import { waitedUntil } from "../../election/time.ts";
import type { ConnectionId, HolderAnswer, SessionBinding, SilencePromise } from "../../election/types.ts";
import { sameConnection } from "../../election/writes.ts";
import { rendezvousRank } from "./hash.ts";
import { isLive, sessionDue } from "./sessions.ts";
import { emit, type GroupState, NEVER, type OpenQuestion, type SessionView } from "./state.ts";

/** So many members confirm the end of a session at once. */
const CONFIRMERS = 3;
const OTHERS_MS = 100;

/** How much later than the first ones this member asks about a session, and fences it. */
export function headStartMs(group: GroupState, view: SessionView): number {
  const { config, sessions } = group;
  const others: string[] = [];
  for (const memberId of sessions.keys())
    if (memberId !== view.memberId && isLive(group, memberId)) others.push(memberId);
  return rendezvousRank(view.memberId, config.memberId, others) < CONFIRMERS ? 0 : OTHERS_MS;
}

/** The connection of the session, if it can be asked about. */
function askable(group: GroupState, view: SessionView): SessionBinding | null {
  const { config, link, now, stopping } = group;
  if (!link.connected || stopping !== null || config.crashDetection === "lease") return null;
  const { record } = view;
  if (view.kind !== "live" || record === null || record.incarnation === config.incarnation) return null;
  const { session } = record;
  if (session === undefined || view.revision === view.silentRevision) return null;
  if (session.presence === undefined && session.silence === undefined) return null;
  if (view.closed !== null && sameConnection(view.closed, session) && session.presence !== undefined)
    return null;
  if (view.since !== null && waitedUntil(view.since, view.waitMs, now)) return null;
  return session;
}

/** Is the end of the connection enough, by its promise and by what this member takes for proof? */
function closedIsEnough({ config }: GroupState, { presence }: SessionBinding): boolean {
  return config.crashDetection === "presence" && presence !== undefined;
}

/** The promise of silence, while the beats are missing. */
function brokenSilence({ inquiry }: SessionView, session: SessionBinding): SilencePromise | null {
  return sameConnection(inquiry.silent, session) ? (session.silence ?? null) : null;
}

/** A suspicion: the key is read, and the server of its connection is asked. */
export function suspect(group: GroupState, view: SessionView): void {
  if (askable(group, view) === null) return;
  const { inquiry } = view;
  inquiry.dueAtMono = Math.min(inquiry.dueAtMono, group.now.mono + headStartMs(group, view));
  prove(view);
  sessionDue(group, group.now.mono);
}

/** Nothing is replaced before an answer has shown what stands there. */
function prove({ proven, reads }: SessionView): void {
  if (!proven && !reads.inFlight) reads.due = true;
}

/** Milliseconds until the next question about the session is due. */
export function questionDelayMs(group: GroupState, view: SessionView): number {
  const { inquiry } = view;
  if (inquiry.dueAtMono === NEVER && inquiry.silent === null) return NEVER;
  const session = askable(group, view);
  if (session === null || (inquiry.open !== null && sameConnection(inquiry.open.binding, session)))
    return NEVER;
  // Two equal answers about a revision that was not read prove nothing about what stands there.
  const silentMs = view.proven && view.since !== null ? silentDelayMs(group, view, session) : NEVER;
  return Math.min(inquiry.dueAtMono - group.now.mono, silentMs);
}

/** As `questionDelayMs`, for the questions that only the missing beats cause. */
function silentDelayMs(group: GroupState, view: SessionView, session: SessionBinding): number {
  const silence = brokenSilence(view, session);
  if (silence === null) return NEVER;
  const { first, quietUntilMono } = view.inquiry;
  const confirmsAtMono = first?.counts
    ? first.receivedAt.mono + silenceWaitMs(silence.ms) + headStartMs(group, view)
    : 0;
  return Math.max(confirmsAtMono, quietUntilMono) - group.now.mono;
}

/** Sends the question that is due. */
export function ask(group: GroupState, view: SessionView): void {
  const session = askable(group, view);
  if (session === null) throw new Error("bug: a question about no session");
  const { inquiry } = view;
  const silence = brokenSilence(view, session);
  const { first } = inquiry;
  group.lastQuestion += 1;
  const question: OpenQuestion = {
    number: group.lastQuestion,
    binding: session,
    // An answer about a revision that was not known to be in the stream when it was asked compares with none.
    revision: view.proven && view.since !== null ? view.revision : 0,
    confirms:
      silence !== null &&
      first?.counts === true &&
      waitedUntil(first.receivedAt, silenceWaitMs(silence.ms), group.now),
  };
  inquiry.dueAtMono = NEVER;
  inquiry.open = question;
  group.questions.set(question.number, view);
  emit(group, {
    type: "ask",
    question: question.number,
    binding: session,
    timeoutMs: group.config.requestTimeoutMs,
    closedIsEnough: closedIsEnough(group, session),
  });
}

/** The server has answered, or has not. */
export function onAnswered(group: GroupState, number: number, answer: HolderAnswer): void {
  const view = group.questions.get(number);
  group.questions.delete(number);
  const open = view?.inquiry.open;
  if (view === undefined || open?.number !== number) return;
  view.inquiry.open = null;
  sessionDue(group, group.now.mono);
  const session = askable(group, view);
  // The member may have reconnected since: then the answer is about its earlier connection.
  if (session === null || !sameConnection(session, open.binding)) return;
  if (answer.kind === "closed" && closedIsEnough(group, session)) {
    view.closed = session;
    prove(view);
    return;
  }
  judgeSilence(group, view, open, session, answer);
}

/**
 * Two answers that say the same, with F and the margin between them: nothing of the member was counted in that time, or the
 * connection was closed before. One false "closed" proves nothing, also where the connection closes later: then the wait begins with
 * the next answer that says so.
 */
function judgeSilence(
  group: GroupState,
  view: SessionView,
  question: OpenQuestion,
  session: SessionBinding,
  answer: HolderAnswer,
): void {
  const { inquiry } = view;
  const silence = brokenSilence(view, session);
  // A newer revision starts over: its member may have become held again by it.
  if (silence === null || view.revision !== question.revision) {
    inquiry.first = null;
    return;
  }
  const { first } = inquiry;
  if (first !== null && saysTheSame(first.answer, answer)) {
    if (!first.counts) inquiry.first = { answer, receivedAt: group.now, counts: true };
    else if (question.confirms) view.silentRevision = view.revision;
    return;
  }
  const pauseMs = beatIntervalMs(silence.ms) * 2 ** Math.min(inquiry.lives, 10);
  inquiry.quietUntilMono = group.now.mono + Math.min(pauseMs, group.config.heartbeatIntervalMs);
  inquiry.lives += 1;
  inquiry.first =
    answer.kind === "none" ? null : { answer, receivedAt: group.now, counts: answer.kind === "open" };
}

/** Members may share a connection. */
function viewsOfConnection({ sessions }: GroupState, connection: ConnectionId): SessionView[] {
  return [...sessions.values()].filter(
    (view) => view.kind === "live" && sameConnection(connection, view.record?.session ?? null),
  );
}

/** A presence consumer was deleted. */
export function onPresenceLost(group: GroupState, presence: string): void {
  for (const view of group.sessions.values())
    if (view.kind === "live" && view.record?.session?.presence === presence) suspect(group, view);
}

/** No beat of the connection has been heard for too long. */
export function onHolderSilent(group: GroupState, connection: ConnectionId): void {
  for (const view of viewsOfConnection(group, connection)) {
    const { inquiry } = view;
    inquiry.silent = connection;
    inquiry.first = null;
    prove(view);
    // A member that has been heard for a while since is suspected from the start.
    if (group.now.mono >= inquiry.quietUntilMono + group.config.heartbeatIntervalMs) inquiry.lives = 0;
    sessionDue(group, group.now.mono);
  }
}

/** It lives: what was asked says nothing any more. */
export function onHolderHeard(group: GroupState, connection: ConnectionId): void {
  for (const { inquiry } of viewsOfConnection(group, connection)) {
    if (!sameConnection(inquiry.silent, connection)) continue;
    inquiry.silent = null;
    inquiry.first = null;
  }
}

/** The connection to NATS has ended: whatever was asked and heard starts over. */
export function startOver({ sessions }: GroupState): void {
  for (const { inquiry } of sessions.values()) {
    inquiry.open = null;
    inquiry.silent = null;
    inquiry.first = null;
  }
}
