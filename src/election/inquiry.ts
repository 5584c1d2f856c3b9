/**
 * The questions about the holder: when its server is asked about its connection, and what the answers entitle to. Safe without any
 * of them: an unanswered question leaves the takeover wait as it is.
 */
import { type Draft, emit } from "./draft.ts";
import { giveWayMs, isMine, isSameHolder, watchedHolder } from "./outlook.ts";
import { beatIntervalMs, saysTheSame, silenceWaitMs } from "./silence.ts";
import { type Instant, waitedUntil } from "./time.ts";
import type {
  ConnectionId,
  ElectionState,
  HolderAnswer,
  Question,
  SessionBinding,
  SilencePromise,
} from "./types.ts";
import { sameConnection } from "./writes.ts";

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

/** Is the end of the holder's connection enough, by its promise and by what this node takes for proof? */
function closedIsEnough({ config }: ElectionState, { presence }: SessionBinding): boolean {
  return config.crashDetection === "presence" && presence !== undefined;
}

/** The holder's promise of silence, while its beats are missing. */
function brokenSilence({ inquiry }: ElectionState, session: SessionBinding): SilencePromise | null {
  return sameConnection(inquiry.silent, session) ? (session.silence ?? null) : null;
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
  if (session === null) return NEVER;
  if (inquiry.open !== null && sameConnection(inquiry.open.binding, session)) return NEVER;
  if (inquiry.due) return inquiry.dueAtMono - now.mono;
  return silentDelayMs(state, session, now);
}

/** As `questionDelayMs`, for the questions that only the missing beats cause. */
function silentDelayMs(state: ElectionState, session: SessionBinding, now: Instant): number {
  const silence = brokenSilence(state, session);
  if (silence === null) return NEVER;
  const { first, quietUntilMono } = state.inquiry;
  const confirmsAtMono = first?.counts
    ? first.receivedAt.mono + silenceWaitMs(silence.ms) + headStartMs(state, silence.ms)
    : 0;
  return Math.max(confirmsAtMono, quietUntilMono) - now.mono;
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
  const silence = brokenSilence(draft, session);
  const { first } = draft.inquiry;
  const question: Question = {
    number: draft.inquiry.lastQuestion + 1,
    binding: session,
    revision: view.revision,
    confirms:
      silence !== null &&
      first?.counts === true &&
      waitedUntil(first.receivedAt, silenceWaitMs(silence.ms), draft.now),
  };
  draft.inquiry.due = false;
  draft.inquiry.lastQuestion = question.number;
  draft.inquiry.open = question;
  emit(draft, {
    type: "ask",
    question: question.number,
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
  // The holder may have reconnected since: then the answer is about its earlier connection.
  if (session === null || !sameConnection(session, open.binding)) return;
  if (answer.kind === "closed" && closedIsEnough(draft, session)) {
    draft.holder.takeoverWait = null;
    draft.holder.closedBinding = session;
    return;
  }
  judgeSilence(draft, open, session, answer);
}

/**
 * Two answers that say the same, with F and the margin between them: nothing of the holder was counted in that time, or the
 * connection was closed before. One false "closed" proves nothing, also where the connection closes later: then the wait begins with
 * the next answer that says so.
 */
function judgeSilence(draft: Draft, question: Question, session: SessionBinding, answer: HolderAnswer): void {
  const { view } = draft.lease;
  const silence = brokenSilence(draft, session);
  const { first } = draft.inquiry;
  // A newer revision starts over: its holder may have become held again by it.
  if (silence === null || view.kind === "unknown" || view.revision !== question.revision) {
    draft.inquiry.first = null;
    return;
  }
  if (first !== null && saysTheSame(first.answer, answer)) {
    if (!first.counts) draft.inquiry.first = { answer, receivedAt: draft.now, counts: true };
    else if (question.confirms) draft.holder.silentRevision = view.revision;
    return;
  }
  const { lives } = draft.inquiry;
  const pauseMs = Math.min(
    beatIntervalMs(silence.ms) * 2 ** Math.min(lives, 10),
    draft.config.heartbeatIntervalMs,
  );
  draft.inquiry.quietUntilMono = draft.now.mono + pauseMs;
  draft.inquiry.lives = lives + 1;
  draft.inquiry.first =
    answer.kind === "none" ? null : { answer, receivedAt: draft.now, counts: answer.kind === "open" };
}

/** No beat of the connection that was watched has been heard for too long. */
export function onHolderSilent(draft: Draft, connection: ConnectionId): void {
  // A report that has waited may be about the holder that was watched before.
  if (!sameConnection(connection, watchedHolder(draft))) return;
  draft.inquiry.silent = connection;
  draft.inquiry.first = null;
  // A holder that has been heard for a while since is suspected from the start.
  if (draft.now.mono >= draft.inquiry.quietUntilMono + draft.config.heartbeatIntervalMs)
    draft.inquiry.lives = 0;
}

/** It lives: what was asked says nothing any more. */
export function onHolderHeard(draft: Draft, connection: ConnectionId): void {
  if (!sameConnection(draft.inquiry.silent, connection)) return;
  draft.inquiry.silent = null;
  draft.inquiry.first = null;
}

/**
 * Another holder is watched than before this step: its beats are listened for from now on. The same holder that is watched again
 * would not be reported as heard, because it was not reported as silent since.
 */
export function onWatchChanged(draft: Draft, before: ElectionState): void {
  const isSame =
    draft.lease.view === before.lease.view && draft.candidacy.competes === before.candidacy.competes;
  if (isSame || isSameHolder(watchedHolder(draft), watchedHolder(before))) return;
  draft.inquiry.silent = null;
  draft.inquiry.first = null;
  draft.inquiry.lives = 0;
  draft.inquiry.quietUntilMono = Number.NEGATIVE_INFINITY;
}

/** A newer revision was seen, or the connection to NATS has ended: whatever was asked starts over. */
export function startOver(draft: Draft): void {
  draft.inquiry.first = null;
}
