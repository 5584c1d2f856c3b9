/**
 * The second half of every step: sends whatever is due by the state, no matter which event led to it. So no event has to be the one that
 * sends something, and a lost event can only delay.
 */

import { type Instant, remainingMs } from "../../election/time.ts";
import { coordinate, planDelayMs, planReadDelayMs, readPlan } from "./coordinator.ts";
import { attendSessions } from "./fences.ts";
import { isBound, isKeptWhileRestarting, isSessionHeld } from "./held.ts";
import { attendHints, hintDelayMs } from "./hints.ts";
import { bulkDelayMs, bulkRead } from "./knowing.ts";
import { membersOf } from "./outlook.ts";
import {
  dropOrphan,
  endSession,
  leave,
  orphanDelayMs,
  ownWriteDelayMs,
  renewSoon,
  sendOwnWrite,
} from "./own-session.ts";
import { hasRoom } from "./pace.ts";
import { addDue, enqueue, nextDueMono, takeDue, takeFirst } from "./queues.ts";
import { isReady, sendRead } from "./requests.ts";
import { shownRevision } from "./resources.ts";
import { ownView } from "./sessions.ts";
import { emit, type GroupState, NEVER, type ResourceView } from "./state.ts";
import { retarget } from "./targets.ts";
import { considerFreed, sendClaim, sendMoves, sendRelease } from "./terms.ts";
import { consider } from "./wanted.ts";

/** Reads of owner keys in flight. */
const MAX_READS = 16;

export function act(group: GroupState): void {
  attendStop(group);
  if (group.stopped) return;
  if (openDelayMs(group) <= 0) openBucket(group);
  if (ownWriteDelayMs(group) <= 0) sendOwnWrite(group);
  endRefusals(group);
  if (isReady(group)) attendHints(group);
  attendSessions(group);
  considerFreed(group);
  attendDue(group);
  if (bulkDelayMs(group) <= 0) bulkRead(group);
  readPlan(group);
  retarget(group);
  if (planDelayMs(group) <= 0) coordinate(group);
  pump(group);
  announce(group);
}

/** Milliseconds until the state wants a `tick`; `null`: only an event can change anything. Pure. */
export function wakeDelayMs(group: GroupState, now: Instant): number | null {
  if (group.stopped) return null;
  const { own, link } = group;
  const elapsedMs = now.mono - group.now.mono;
  // What depends on two clocks is compared with both; the rest was computed for the time of the last event.
  const deadlineMs = own.phase === "none" ? NEVER : remainingMs(own.deadline, now);
  let doubtMs = NEVER;
  for (const { term } of group.doubted)
    if (term?.doubtedUntil != null) doubtMs = Math.min(doubtMs, remainingMs(term.doubtedUntil, now));
  const isInStretch = link.stretch !== null && own.phase === "live" && isBound(group);
  const stretchMs = isInStretch && link.stretch !== null ? remainingMs(link.stretch.deadline, now) : NEVER;
  const sinceEventMs = Math.min(
    openDelayMs(group),
    ownWriteDelayMs(group),
    orphanDelayMs(group),
    refusalDelayMs(group),
    isReady(group) ? Math.min(group.sessionsDueAtMono - group.now.mono, hintDelayMs(group)) : NEVER,
    nextDueMono(group.due) - group.now.mono,
    bulkDelayMs(group),
    planReadDelayMs(group),
    planDelayMs(group),
  );
  const delayMs = Math.min(deadlineMs, doubtMs, stretchMs, sinceEventMs - elapsedMs);
  return delayMs === NEVER ? null : Math.max(0, delayMs);
}

// ---------------------------------------------------------------------------------------------- the bucket

function openDelayMs({ link, bucket, now }: GroupState): number {
  return link.connected && bucket.status === "missing" ? bucket.retryAtMono - now.mono : NEVER;
}

/** A bucket created in place of a lost one has only revisions above everything that was known. */
function openBucket(group: GroupState): void {
  group.bucket.status = "opening";
  emit(group, { type: "open-bucket", above: Math.max(group.above, group.reached) });
}

// ---------------------------------------------------------------------------------------------- keys

function attendDue(group: GroupState): void {
  for (;;) {
    const view = takeDue(group.due, group.now.mono);
    if (view === undefined) return;
    if (view.reads.due) enqueue(group.reads, view);
    else consider(group, view);
  }
}

/** Sends claims, releases and reads, as far as the window allows. */
function pump(group: GroupState): void {
  if (!isReady(group)) return;
  while (group.readsInFlight.size < MAX_READS) {
    const view = takeFirst(group.reads);
    if (view === undefined) break;
    sendOwnerRead(group, view);
  }
  const { phase } = group.own;
  if (phase === "none" || phase === "leaving") return;
  sendMoves(group);
  const isHeldNow = isSessionHeld(group, group.now);
  // Once all work has ended, the end marker of the session releases the rest at once.
  const isLeaving = isKeptWhileRestarting(group) || (group.stopping !== null && group.working === 0);
  while (hasRoom(group)) {
    const release = isLeaving ? undefined : takeFirst(group.releases);
    if (release !== undefined) {
      if (sendRelease(group, release)) group.pace.inFlight += 1;
      continue;
    }
    const claim = isHeldNow ? takeFirst(group.claims) : undefined;
    if (claim === undefined) return;
    if (sendClaim(group, claim)) group.pace.inFlight += 1;
  }
}

function sendOwnerRead(group: GroupState, view: ResourceView): void {
  const { reads } = view;
  if (!reads.due || reads.inFlight) return;
  if (reads.atMono > group.now.mono) addDue(group.due, reads.atMono, view);
  else
    sendRead(group, view.key, reads, { kind: "owner", view, known: shownRevision(view), sentAt: group.now });
}

// ---------------------------------------------------------------------------------------------- refusals

function refusalDelayMs({ refused, now }: GroupState): number {
  let untilMono = NEVER;
  for (const atMono of refused.values()) untilMono = Math.min(untilMono, atMono);
  return untilMono - now.mono;
}

function endRefusals(group: GroupState): void {
  if (refusalDelayMs(group) > 0) return;
  for (const [name, untilMono] of group.refused) if (untilMono <= group.now.mono) group.refused.delete(name);
  renewSoon(group);
  group.membersDue = true;
  group.targetsDue = true;
}

// ---------------------------------------------------------------------------------------------- reports

function announce(group: GroupState): void {
  if (!group.membersDue || !group.knowing.complete) return;
  group.membersDue = false;
  emit(group, { type: "members", members: membersOf(group) });
}

// ---------------------------------------------------------------------------------------------- stop

/** Ends the session once all work has ended, and then this incarnation. */
function attendStop(group: GroupState): void {
  const { own, stopping, link, bucket } = group;
  if (stopping === null || group.stopped || own.inFlight !== null) return;
  const canWrite = link.connected && bucket.status === "open";
  if (own.phase === "live" || own.phase === "suspended") {
    // A release or claim in flight may be applied after the end marker: what it names is free all the same, and no term begins.
    if (group.working > 0) return;
    leave(group);
  }
  if (own.phase === "leaving") {
    if (canWrite) return;
    // Its record is left to expire.
    endSession(group, "stopped");
  }
  if (canWrite && own.unsettled.length > 0) {
    const { reads } = ownView(group);
    if (reads.due || reads.inFlight) return;
    const delayMs = orphanDelayMs(group);
    if (delayMs <= 0) return dropOrphan(group);
    if (delayMs < NEVER) return;
  }
  group.stopped = true;
  announce(group);
  emit(group, { type: "stopped" });
}
