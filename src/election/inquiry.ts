/**
 * The questions about the holder: when its server is asked about its connection, and what the answers entitle to, by the rules of
 * `src/inquiry/rules.ts`. Safe without any of them: an unanswered question leaves the takeover wait as it is.
 */
import { beatIntervalMs } from "../inquiry/durations.ts";
import {
  closedIsEnough,
  isAsking,
  judgeSilence,
  noteOtherHolder,
  noteSilent,
  openQuestion,
  sameConnection,
  silentDelayMs,
} from "../inquiry/rules.ts";
import { type Draft, emit } from "./draft.ts";
import { giveWayMs, isMine, isSameHolder, watchedHolder } from "./outlook.ts";
import { type Instant, waitedUntil } from "./time.ts";
import type { ConnectionId, ElectionState, HolderAnswer, SessionBinding } from "./types.ts";

const NEVER: number = Number.POSITIVE_INFINITY;

/** The connection of the holder that this node would have to wait for, if it can be asked about. */
function askable(state: ElectionState, now: Instant): SessionBinding | null {
  const { config, role, candidacy, link, lease, holder } = state;
  if (!link.connected || !candidacy.competes || candidacy.stopping) return null;
  if (config.crashDetection === "lease") return null;
  if (role.name !== "follower" && role.name !== "campaigning") return null;
  const { view } = lease;
  if (view.kind !== "occupied" || view.record === null || isMine(state, view.record)) return null;
  const { session } = view.record;
  if (session === undefined || view.revision === holder.silentRevision) return null;
  if (session.presence === undefined && session.silence === undefined) return null;
  const { takeoverWait } = holder;
  if (takeoverWait === null || waitedUntil(takeoverWait.since, takeoverWait.waitMs, now)) return null;
  return session;
}

/**
 * A suspicion: the holder's server is asked now, or after the nodes to which this one gives way. Where a question is open, once more
 * after it: it may have been answered before.
 */
export function suspect(draft: Draft): void {
  if (askable(draft, draft.now) === null) return;
  if (!draft.inquiry.due) draft.inquiry.dueAtMono = draft.now.mono + giveWayMs(draft);
  draft.inquiry.due = true;
}

/** Milliseconds until the next question is due. */
export function questionDelayMs(state: ElectionState, now: Instant): number {
  const { inquiry } = state;
  if (!inquiry.due && inquiry.silent === null) return NEVER;
  const session = askable(state, now);
  if (session === null || isAsking(inquiry, session)) return NEVER;
  if (inquiry.due) return inquiry.dueAtMono - now.mono;
  return silentDelayMs(inquiry, session, now, (silenceMs) => headStartMs(state, silenceMs));
}

/**
 * Up to half a beat interval more for the second question, different for each node: mostly one follower is the first to write, and
 * the others need no write that fails.
 */
function headStartMs({ config, lease }: ElectionState, silenceMs: number): number {
  const { view } = lease;
  let hash = view.kind === "unknown" ? 0 : view.revision | 0;
  for (let at = 0; at < config.incarnation.length; at += 1)
    hash = Math.imul(hash ^ config.incarnation.charCodeAt(at), 0x01000193);
  return ((hash >>> 16) / 0x1_0000) * (beatIntervalMs(silenceMs) / 2);
}

/** Sends the question that is due. */
export function ask(draft: Draft): void {
  const session = askable(draft, draft.now);
  const { view } = draft.lease;
  if (session === null || view.kind === "unknown") throw new Error("bug: a question about no holder");
  draft.inquiry.due = false;
  draft.inquiry.lastQuestion += 1;
  const number = draft.inquiry.lastQuestion;
  openQuestion(draft, draft.inquiry, { number, binding: session, revision: view.revision });
  emit(draft, {
    type: "ask",
    question: number,
    binding: session,
    timeoutMs: draft.config.requestTimeoutMs,
    closedIsEnough: closedIsEnough(draft, session),
  });
}

/** The holder's server has answered, or has not. */
export function onAnswered(draft: Draft, number: number, answer: HolderAnswer): void {
  const { open } = draft.inquiry;
  if (open?.number !== number) return;
  draft.inquiry.open = null;
  const session = askable(draft, draft.now);
  const { view } = draft.lease;
  // The holder may have reconnected since: then the answer is about its earlier connection.
  if (session === null || view.kind === "unknown" || !sameConnection(session, open.binding)) return;
  if (answer.kind === "closed" && closedIsEnough(draft, session)) {
    draft.holder.takeoverWait = null;
    draft.holder.closedBinding = session;
    return;
  }
  const { revision } = view;
  if (judgeSilence(draft, draft.inquiry, { question: open, answer }, { session, revision }))
    draft.holder.silentRevision = revision;
}

/** No beat of the connection that was watched has been heard for too long. */
export function onHolderSilent(draft: Draft, connection: ConnectionId): void {
  // A report that has waited may be about the holder that was watched before.
  if (sameConnection(connection, watchedHolder(draft))) noteSilent(draft, draft.inquiry, connection);
}

/**
 * Another holder is watched than before this step: its beats are listened for from now on. The same holder that is watched again
 * would not be reported as heard, because it was not reported as silent since.
 */
export function onWatchChanged(draft: Draft, before: ElectionState): void {
  const isSame =
    draft.lease.view === before.lease.view && draft.candidacy.competes === before.candidacy.competes;
  if (!isSame && !isSameHolder(watchedHolder(draft), watchedHolder(before))) noteOtherHolder(draft.inquiry);
}
