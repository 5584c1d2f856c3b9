/**
 * The questions about other members: when the server that holds a member's connection is asked about it, and what the answers entitle
 * to. One inquiry per session; the rules are those of `src/inquiry/rules.ts`.
 *
 * The first three members in the rendezvous order of a session ask at once, the others 100 ms later: by then the session has been fenced
 * and there is nothing to ask. Safe without any answer: the takeover wait stays as it is.
 */
import { waitedUntil } from "../../election/time.ts";
import type { ConnectionId, HolderAnswer, SessionBinding } from "../../election/types.ts";
import {
  closedIsEnough,
  isAsking,
  judgeSilence,
  noteDisconnected,
  noteHeard,
  noteSilent,
  openQuestion,
  sameConnection,
  silentDelayMs,
} from "../../inquiry/rules.ts";
import { rendezvousRank } from "./hash.ts";
import { isLive, sessionDue } from "./sessions.ts";
import { emit, type GroupState, NEVER, type SessionView } from "./state.ts";

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
  if (session === null || isAsking(inquiry, session)) return NEVER;
  const suspicionMs = inquiry.dueAtMono - group.now.mono;
  // Two equal answers about a revision that was not read prove nothing about what stands there.
  if (!view.proven || view.since === null) return suspicionMs;
  const silentMs = silentDelayMs(inquiry, session, group.now, () => headStartMs(group, view));
  return Math.min(suspicionMs, silentMs);
}

/** Sends the question that is due. */
export function ask(group: GroupState, view: SessionView): void {
  const session = askable(group, view);
  if (session === null) throw new Error("bug: a question about no session");
  const { inquiry } = view;
  group.lastQuestion += 1;
  const number = group.lastQuestion;
  // An answer about a revision that was not known to be in the stream when it was asked compares with none.
  const revision = view.proven && view.since !== null ? view.revision : 0;
  inquiry.dueAtMono = NEVER;
  openQuestion(group, inquiry, { number, binding: session, revision });
  group.questions.set(number, view);
  emit(group, {
    type: "ask",
    question: number,
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
  const { inquiry, revision } = view;
  if (judgeSilence(group, inquiry, { question: open, answer }, { session, revision }))
    view.silentRevision = revision;
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
    noteSilent(group, view.inquiry, connection);
    prove(view);
    sessionDue(group, group.now.mono);
  }
}

/**
 * A beat of a connection that was reported silent has been heard. An open question has found life, before its answer says so: the next one
 * has to wait. Otherwise a member whose clock is too fast, to which every beat is late, would ask after each of them.
 */
export function onHolderHeard(group: GroupState, connection: ConnectionId): void {
  for (const { inquiry } of viewsOfConnection(group, connection)) {
    const { open } = inquiry;
    if (open !== null) {
      const { binding: session, revision } = open;
      judgeSilence(group, inquiry, { question: open, answer: { kind: "none" } }, { session, revision });
    }
    noteHeard(inquiry, connection);
  }
}

/** The connection to NATS has ended. */
export function onDisconnected({ sessions }: GroupState): void {
  for (const { inquiry } of sessions.values()) noteDisconnected(inquiry);
}
