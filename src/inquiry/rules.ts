/**
 * The rules by which a suspected holder is questioned, for the election and for the sessions of a group alike: when missing beats make a
 * question due, and what one answer or two equal ones entitle to. `src/election/silence.ts` proves that they never lead to two holders.
 *
 * Each core decides for itself which holder may be asked about, when a suspicion is asked about, and what follows from a
 * confirmation.
 */
import { beatIntervalMs, silenceWaitMs } from "./durations.ts";
import type {
  ConnectionId,
  CrashDetection,
  HolderAnswer,
  Inquiry,
  Question,
  Reading,
  SessionBinding,
  SilencePromise,
} from "./types.ts";

/** The node or member that asks. */
interface Asker {
  readonly config: { readonly crashDetection: CrashDetection; readonly heartbeatIntervalMs: number };
  readonly now: Reading;
}

/** The same connection, whatever else is known of it. */
export function sameConnection(a: ConnectionId | null, b: ConnectionId | null): boolean {
  return a?.serverId === b?.serverId && a?.clientId === b?.clientId;
}

/** Is the end of the holder's connection enough, by its promise and by what the asker takes for proof? */
export function closedIsEnough({ config }: Asker, { presence }: SessionBinding): boolean {
  return config.crashDetection === "presence" && presence !== undefined;
}

/** The holder's promise of silence, while its beats are missing. */
function brokenSilence({ silent }: Readonly<Inquiry>, session: SessionBinding): SilencePromise | null {
  return sameConnection(silent, session) ? (session.silence ?? null) : null;
}

/** Is a question about this connection open? Another one waits for its end. */
export function isAsking({ open }: Readonly<Inquiry>, session: SessionBinding): boolean {
  return open !== null && sameConnection(open.binding, session);
}

/**
 * Milliseconds until a question is due that only the missing beats cause.
 * @param headStartMs how much longer than F and the margin this asker waits before the second question, given F
 */
export function silentDelayMs(
  inquiry: Readonly<Inquiry>,
  session: SessionBinding,
  now: Reading,
  headStartMs: (silenceMs: number) => number,
): number {
  const silence = brokenSilence(inquiry, session);
  if (silence === null) return Number.POSITIVE_INFINITY;
  const { first, quietUntilMono } = inquiry;
  const confirmsAtMono = first?.counts
    ? first.receivedAt.mono + silenceWaitMs(silence.ms) + headStartMs(silence.ms)
    : 0;
  return Math.max(confirmsAtMono, quietUntilMono) - now.mono;
}

/** Opens a question that is sent now. */
export function openQuestion(
  asker: Asker,
  inquiry: Inquiry,
  { number, binding, revision }: Omit<Question, "confirms">,
): void {
  const { now } = asker;
  const { first } = inquiry;
  const silence = brokenSilence(inquiry, binding);
  const confirms =
    silence !== null &&
    first?.counts === true &&
    now.mono - first.receivedAt.mono >= silenceWaitMs(silence.ms);
  inquiry.open = { number, binding, revision, confirms };
}

/** Do two answers show that nothing was counted between them? */
function saysTheSame(one: HolderAnswer, other: HolderAnswer): boolean {
  if (one.kind === "open") return other.kind === "open" && one.inMsgs === other.inMsgs;
  return one.kind === "closed" && other.kind === "closed";
}

/**
 * Takes in the answer to a question about a holder whose beats are missing. True: the silence of the holder is confirmed for its present
 * revision, and for no other.
 *
 * Two answers that say the same, with F and the margin between them: nothing of the holder was counted in that time, or the
 * connection was closed before. One false "closed" proves nothing, also where the connection closes later: then the wait begins with
 * the next answer that says so.
 */
export function judgeSilence(
  { config, now }: Asker,
  inquiry: Inquiry,
  { question, answer }: { readonly question: Question; readonly answer: HolderAnswer },
  { session, revision }: { readonly session: SessionBinding; readonly revision: number },
): boolean {
  const silence = brokenSilence(inquiry, session);
  // A newer revision starts over: its holder may have become held again by it.
  if (silence === null || revision !== question.revision) {
    inquiry.first = null;
    return false;
  }
  const { first, lives } = inquiry;
  if (first !== null && saysTheSame(first.answer, answer)) {
    if (first.counts) return question.confirms;
    inquiry.first = { answer, receivedAt: now, counts: true };
    return false;
  }
  const pauseMs = beatIntervalMs(silence.ms) * 2 ** Math.min(lives, 10);
  inquiry.quietUntilMono = now.mono + Math.min(pauseMs, config.heartbeatIntervalMs);
  inquiry.lives = lives + 1;
  inquiry.first = answer.kind === "none" ? null : { answer, receivedAt: now, counts: answer.kind === "open" };
  return false;
}

/** No beat of the holder's connection has been heard for too long. */
export function noteSilent({ config, now }: Asker, inquiry: Inquiry, connection: ConnectionId): void {
  inquiry.silent = connection;
  inquiry.first = null;
  // A holder that has been heard for a while since is suspected from the start.
  if (now.mono >= inquiry.quietUntilMono + config.heartbeatIntervalMs) inquiry.lives = 0;
}

/** It lives: what was asked says nothing any more. */
export function noteHeard(inquiry: Inquiry, connection: ConnectionId): void {
  if (!sameConnection(inquiry.silent, connection)) return;
  inquiry.silent = null;
  inquiry.first = null;
}

/** Another holder is watched from now on: what was heard and asked concerned the one before. */
export function noteOtherHolder(inquiry: Inquiry): void {
  inquiry.silent = null;
  inquiry.first = null;
  inquiry.lives = 0;
  inquiry.quietUntilMono = Number.NEGATIVE_INFINITY;
}

/** A newer revision was seen: whatever was asked concerned the one before. */
export function startOver(inquiry: Inquiry): void {
  inquiry.first = null;
}

/** The connection to NATS has ended: whatever was asked and heard starts over. */
export function noteDisconnected(inquiry: Inquiry): void {
  inquiry.open = null;
  inquiry.silent = null;
  inquiry.first = null;
}
