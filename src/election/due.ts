/**
 * What is due, and when. `act.ts` sends whatever has a delay of 0 or less here, and the driver's timer is the smallest delay. A
 * delay is infinite while only an event can make the action due.
 */
import { termOf } from "./draft.ts";
import { campaignAtMono, orphanAtMono } from "./follower.ts";
import { questionDelayMs } from "./inquiry.ts";
import { holderIsGone, missedHeartbeatAtMono } from "./outlook.ts";
import { isBound } from "./silence.ts";
import { type Instant, remainingMs } from "./time.ts";
import type { ElectionState } from "./types.ts";

const NEVER: number = Number.POSITIVE_INFINITY;

/** Milliseconds until the state wants a `tick`; `null`: only an event can change anything. */
export function wakeDelayMs(state: ElectionState, now: Instant): number | null {
  if (state.role.name === "stopped") return null;
  const delayMs = Math.min(
    deadlineDelayMs(state, now),
    stretchDelayMs(state, now),
    questionDelayMs(state, now),
    announcementDelayMs(state, now),
    openDelayMs(state, now),
    readDelayMs(state, now),
    hintDelayMs(state, now),
    missedHeartbeatDelayMs(state, now),
    nextWrite(state, now)?.delayMs ?? NEVER,
  );
  return delayMs === NEVER ? null : Math.max(0, delayMs);
}

/** The end of the running term (`expire`). */
function deadlineDelayMs(state: ElectionState, now: Instant): number {
  const term = termOf(state);
  return term === null ? NEVER : remainingMs(term.deadline, now);
}

/** The end of the stretch in which a leader is held (`expire`). */
function stretchDelayMs(state: ElectionState, now: Instant): number {
  const { stretch } = state.link;
  if (stretch === null || state.role.name !== "leader" || !isBound(state)) return NEVER;
  return remainingMs(stretch.deadline, now);
}

/** The announced leader counts as gone when its lease has expired (`announce`). */
function announcementDelayMs(state: ElectionState, now: Instant): number {
  const { takeoverWait } = state.holder;
  if (takeoverWait === null || state.announced === null || termOf(state) !== null) return NEVER;
  return takeoverWait.since.mono + takeoverWait.waitMs - now.mono;
}

/** Opening the bucket. */
export function openDelayMs({ link, bucket, retry }: ElectionState, now: Instant): number {
  return link.connected && bucket.status === "missing" ? retry.atMono - now.mono : NEVER;
}

/** A read that was asked for. */
export function readDelayMs(state: ElectionState, now: Instant): number {
  const { reads, retry } = state;
  return isReady(state) && reads.due && !reads.inFlight ? retry.atMono - now.mono : NEVER;
}

/** A read because a watched message is new. It waits for no back-off: the message shows that the bucket is alive. */
export function hintDelayMs(state: ElectionState, now: Instant): number {
  const { reads } = state;
  return isReady(state) && reads.hinted > 0 && !reads.inFlight ? reads.hintsFromMono - now.mono : NEVER;
}

/** A read because a heartbeat was missed, and nothing is under way that would show more. */
export function missedHeartbeatDelayMs(state: ElectionState, now: Instant): number {
  const { reads, writes } = state;
  if (!isReady(state) || reads.inFlight || reads.due || writes.inFlight !== null) return NEVER;
  if (termOf(state) !== null) return NEVER;
  return Math.max(missedHeartbeatAtMono(state, state.lease.refreshedAt), state.retry.atMono) - now.mono;
}

export interface NextWrite {
  readonly kind: "renew" | "release" | "drop-orphan" | "campaign";
  readonly delayMs: number;
}

/** The next write; `null`: only an event can make one due. */
export function nextWrite(state: ElectionState, now: Instant): NextWrite | null {
  const { role, reads, writes } = state;
  if (!isReady(state) || writes.inFlight !== null) return null;
  const term = termOf(state);
  if (term !== null) {
    const delayMs = term.renewAtMono - now.mono;
    if (role.name !== "draining" || !role.drained) return { kind: "renew", delayMs };
    return reads.due || reads.inFlight ? null : { kind: "release", delayMs };
  }
  if (role.name !== "follower" || reads.due || awaitsRead(state)) return null;
  const orphanMs = orphanAtMono(state, now) - now.mono;
  if (orphanMs < NEVER) return { kind: "drop-orphan", delayMs: orphanMs };
  return { kind: "campaign", delayMs: campaignAtMono(state) - now.mono };
}

/**
 * Does a campaign wait for the read that is under way? Not where the holder is confirmed gone: there the
 * compare-and-set finds out sooner, unless it already did and was refused, or a hint says that it would be.
 */
function awaitsRead(state: ElectionState): boolean {
  const { reads, lease } = state;
  return reads.inFlight && (reads.forHint || lease.disputed || !holderIsGone(state));
}

function isReady({ link, bucket }: ElectionState): boolean {
  return link.connected && bucket.status === "open";
}
