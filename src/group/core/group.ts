/**
 * The core of a group: (state, event, now) -> effects. No I/O, no clock, no timer, no randomness. Unlike the election's, its state is
 * changed in place: a member may have 10 000 resources, and a copy for each event would cost more than the event. The state belongs to the
 * core; others read it through `outlook.ts`.
 *
 * TERMS. A member has one *session*: its lease, which it renews once per heartbeat, however many resources it has. A *claim* makes a
 * member the owner of a resource: it names the member and the session, and is never renewed. A *term* is one period in which a member owns
 * one resource; its *epoch* is the fencing token. The session is *held* while its deadline is ahead, its connection has not ended if the
 * record names a presence, and its stretch goes on if the record promises silence, exactly as a leader's term in `src/election`. A
 * resource is held while its term runs under the present session, that session is held, and the term does not drain (`isHeld`). The driver
 * adds freshness and a round trip to that, as the election's driver does. A session is *over* when its key shows its end marker or
 * a larger number. A *fence* is an end marker that another member has written.
 *
 * GUARANTEED while A1 to A4 of the election hold for the keys of the group (`src/election/election.ts`), and P where a record names a
 * presence, whatever else the network, the servers and the members do (forged messages: with the exception below):
 *  1. The periods in which two members are held for one resource never overlap. The work of a term that drains in good order ends
 *     before another member is held, unless its session is over.
 *  2. The epochs of one resource strictly increase from term to term.
 *  3. A term begins only on a claim that is known to be applied, under the session that is present and held at that moment.
 *  4. Every term ends exactly once, with `released` or `lose`, and no resource is held from the deadline of the session on; that takes
 *     no message and no timer.
 *  5. A release replaces no claim but one of its own session, and a fence no revision but the one that its evidence is about.
 *  6. While NATS can be reached by a majority of its servers: every resource on the list of a member that can take it gets an owner.
 *
 * EXCEPTIONS TO P are those of the election, for all resources of a member at once. Nor does a term begin later than they last: with a
 * presence it begins only on an answer to a request that was sent less than F / 2 ago, at most 1 s; 1 s without a promise of silence. What
 * has waited longer in the socket causes a read: others may have found the connection closed since, and begun a term with a larger epoch.
 *
 * WHY THERE ARE NEVER TWO OWNERS. The server applies a claim only if the key is still what the claimant saw: absent, released, owned by
 * the claimant's own session, or owned by a session that is over. A release is sent after the work has ended. So it remains to be shown that
 * a member whose session is over is not held.
 *  - It wrote the end marker itself: it did so after all of its work had ended, and ended the session before.
 *  - The key shows a larger number: a later incarnation, or it itself, began by compare-and-set against an end marker, against its own
 *    record after its own session had ended, or as a fence would.
 *  - Another member fenced it, by compare-and-set against exactly the revision r that was waited out for W, or for which the server has
 *    confirmed that the connection is closed or silent. If that is applied, r was the newest renewal, from whose send the deadline
 *    counts. W counts from when the stream was known to have reached r (an answer or an ack that shows r or a later sequence), which is
 *    after r was sent, so the deadline has passed; the rest is the election's proof. No later renewal can be applied: it expects r.
 * That a session is over is the one thing that a claim's compare-and-set does not check, since it concerns another key. So it is believed
 * from the ack of one's own fence or an answer, never from a message. It stays true, so an answer that is out of date can
 * only show "not yet". A *different* number is no evidence, since an answer older than the claim shows one, too; a *larger* number is.
 * What no member has written may cover a claim. It is replaced W after it was seen, and by then the owner is not held: its deadline counts
 * from the send of the newest renewal up to which it knows every message. If it does not know of this one, that was stored after that send.
 * If it does, and no answer shows the claim, the term ends at the deadline of the moment in which the message arrived. While no term runs
 * and no claim is open, every renewal counts: it was sent before any claim that a later term begins on, so before what covers that.
 *
 * WHY EPOCHS INCREASE. The epoch is the revision of the claim, and no revision is used twice, whatever is released, purged or
 * restarted. Where the servers have lost history, revisions come again: so every record carries the largest number that its writer
 * knew (`above`), and an epoch is above that.
 *
 * LATE WRITES. A write whose answer was lost may be applied at any later time. Nothing is adopted at a revision that such a write of this
 * member still expects, since it would replace what was adopted: of the claims of a key only the newest is adopted, and a begin only if no
 * later begin expects its revision. A claim belongs to the session that it was sent under: applied under a later one, it begins no term.
 * A claim that was applied and runs no term is an *orphan*: claimed again, with a larger epoch, or released. A release that was sent
 * ends its term, whatever becomes of it.
 *
 * WHAT IS BELIEVED. Messages of the watch are taken in, because there are too many to read the key after each. So a forged message can cost
 * a refused write or a read, or end this member's own session, which is safe. A message ahead of a gap is not taken in
 * before the gap is closed by a bulk read, so that none with an invented revision hides what is real. An own write shows, by the revision
 * at which it is applied, that messages which came before it was sent were forged (`forged.ts`). The coordinator believes answers about the
 * plan only. Owner keys are compared by their claims, and sessions are replaced only after an answer has shown what stands there.
 *
 * EXCEPTION: A FORGED MESSAGE IN PLACE OF A LOST ONE. Two members can be held for one resource if the message at some revision of its key is
 * lost, or has yet to come, and a forged one with this very revision is taken in. It can show a claim that stands there as released: a claim that relies on it
 * replaces the live one, whose owner is held until it gets the message or an answer. Or it can hide, from the owner, garbage that others
 * replace after W, also where the message of the garbage comes, but before the outcome of the claim is known: it causes only a read then.
 * Where forged numbers have raised the epochs above the revisions, those of the two terms may be equal.
 * Only a program can do so that may publish on the subjects of the messages, or on the inbox of a member; permissions
 * have to exclude that (docs/security.md).
 *
 * THE PLAN is a hint for balance. Every member computes from it, and from who is there, which resources it is to have (`targets.ts`). Where
 * two members differ, the compare-and-set decides. So neither a death nor a lost coordinator stops anything.
 *
 * NOT GUARANTEED: that work already handed to another system stops in time (use the epoch as a fencing token); anything about a key
 * that an operator purges, except that a member that knew its claim still counts it until that session is over; that what was
 * owned in a bucket that was deleted is known to a process that has just started (one that knew it claims nothing for W).
 *
 * THE SHAPE. An event only changes what is known (`handle`). Then one level-triggered pass (`act.ts`) sends whatever is due: a lost event
 * can delay, and cannot stop. No event costs O(resources), except the begin and the end of a session, a change of the plan, of the members or of the
 * list, a bulk read, and the proof that messages were forged.
 */

import type { Instant } from "../../election/time.ts";
import type { OwnConnection, WriteOutcome } from "../../election/types.ts";
import { coversConnection } from "../../election/writes.ts";
import { act } from "./act.ts";
import type { Resource } from "./balance.ts";
import { onBucketOpened, onHistoryLost } from "./bucket.ts";
import { onMove, onPlanWritten } from "./coordinator.ts";
import type { GroupEffect, GroupEvent, Profile } from "./events.ts";
import { onFenced, suspectAll } from "./fences.ts";
import { refuteMessages } from "./forged.ts";
import { listHash } from "./hash.ts";
import { onAnswered, onDisconnected, onHolderHeard, onHolderSilent, onPresenceLost } from "./inquiry.ts";
import { onRead } from "./key-reads.ts";
import { onChanges, onOwnRevision, onWatched } from "./knowing.ts";
import { expire, onBeatProven, onConnectionEnded, onOwnWritten, renewSoon } from "./own-session.ts";
import { clearQueue } from "./queues.ts";
import { bulkReadBy } from "./requests.ts";
import { ownerView } from "./resources.ts";
import { noteReached, ownView, readSession } from "./sessions.ts";
import { backOffMs, type GroupState, type PendingWrite, warn } from "./state.ts";
import { considerMove, onClaimWritten, onDrained, onReleaseWritten } from "./terms.ts";
import { consider } from "./wanted.ts";

/** At most so many resources are refused at a time. */
const MAX_REFUSED = 16;

/** Handles one event: changes the state in place, and returns what has to be done. The only entry point. */
export function step(group: GroupState, event: GroupEvent, now: Instant): readonly GroupEffect[] {
  group.effects = [];
  if (group.stopped) return group.effects;
  group.now = now;
  expire(group);
  handle(group, event);
  act(group);
  return group.effects;
}

function handle(group: GroupState, event: GroupEvent): void {
  switch (event.type) {
    case "tick":
      return;
    case "bucket-opened":
      return onBucketOpened(group, event.generation);
    case "bucket-failed":
      return onBucketFailed(group, event.error);
    case "bucket-gone":
      return readSession(group, ownView(group));
    case "watched":
      return onWatched(group, event.entry);
    case "read":
      return onRead(group, event.request, event.outcome);
    case "changes":
      return onChanges(group, event.request, event.outcome);
    case "written":
      return onWritten(group, event.nonce, event.outcome);
    case "connected":
      return onConnected(group, event.binding);
    case "rebound":
      return onRebound(group, event.binding);
    case "disconnected":
      group.link.connected = false;
      group.link.binding = null;
      onDisconnected(group);
      return onConnectionEnded(group);
    case "beat-proven":
      return onBeatProven(group, event.sentAt);
    case "presence-lost":
      return onPresenceLost(group, event.presence);
    case "holder-silent":
      return onHolderSilent(group, event.connection);
    case "holder-heard":
      return onHolderHeard(group, event.connection);
    case "answered":
      return onAnswered(group, event.question, event.answer);
    case "resources":
      return setResources(group, event.resources);
    case "profile":
      return setProfile(group, event.profile);
    case "draining":
      return setDraining(group, event.draining);
    case "drained":
      return onDrained(group, event.resource, event.epoch);
    case "refuse":
      return refuse(group, event.resource, event.forMs);
    case "move":
      return onMove(group, event.resource, event.to);
    case "stop":
      return stop(group, event.restarting);
    default:
      return event satisfies never;
  }
}

// ---------------------------------------------------------------------------------------------- the store and the connection

function onBucketFailed(group: GroupState, error: Error): void {
  const { bucket, now } = group;
  bucket.status = "missing";
  bucket.retryAtMono = now.mono + backOffMs(group, bucket.failures);
  bucket.failures += 1;
  warn(group, "BUCKET_UNUSABLE", "the bucket cannot be opened; retrying", error);
}

function onWritten(group: GroupState, nonce: number, outcome: WriteOutcome): void {
  const write = group.writes.get(nonce);
  group.writes.delete(nonce);
  // Sent to a bucket that is gone.
  if (write === undefined) return;
  const { pending, reached } = write;
  if (outcome.kind === "applied") {
    const contradiction = contradictionOfAck(group, pending, reached, outcome.revision);
    if (contradiction !== null) return onHistoryLost(group, contradiction);
  }
  if (outcome.kind === "applied") {
    noteReached(group, outcome.revision);
    refuteMessages(group, nonce, write, outcome.revision);
  }
  switch (pending.kind) {
    case "session":
      onOwnWritten(group, nonce, outcome);
      break;
    case "fence":
      onFenced(group, pending.view, pending.number, outcome);
      break;
    case "claim":
      onClaimWritten(group, nonce, pending, outcome);
      break;
    case "release":
      onReleaseWritten(group, pending, outcome);
      break;
    case "plan":
      onPlanWritten(group, pending, outcome);
      break;
    default:
      pending satisfies never;
  }
  if (outcome.kind === "applied") onOwnRevision(group, outcome.revision);
  if (group.writes.size === 0) group.knowing.foreign.clear();
}

/** How a write that was applied at this revision contradicts what was known; `null`: it does not. */
function contradictionOfAck(
  group: GroupState,
  pending: PendingWrite,
  reached: number,
  revision: number,
): string | null {
  if (revision <= reached)
    return `a write was applied at revision ${revision}, but the stream had reached ${reached}`;
  if (pending.kind === "plan") return null;
  const { provenRevision } = pending.kind === "session" ? ownView(group) : pending.view;
  const { expect } = pending;
  return expect > 0 && expect < provenRevision && provenRevision < revision
    ? `a write replaced revision ${expect} of a key that had reached ${provenRevision}`
    : null;
}

function onConnected(group: GroupState, binding: OwnConnection | null): void {
  const { link, own, bucket, knowing, now } = group;
  link.connected = true;
  link.binding = binding;
  link.inquiryDue = true;
  own.failures = 0;
  own.writeAtMono = now.mono;
  bucket.retryAtMono = now.mono;
  const view = ownView(group);
  if (own.phase === "none") readSession(group, view);
  view.reads.atMono = now.mono;
  bulkReadBy(group, now.mono, knowing.sequence + 1);
  suspectAll(group);
}

function onRebound({ link, own, now }: GroupState, binding: OwnConnection | null): void {
  const before = link.binding;
  link.binding = binding;
  // A new presence or promise is put into the record at once; a promise that cannot be kept any more is taken out of it at once.
  const isMore = !coversConnection(before, binding);
  const isPromiseLost = before?.account !== undefined && binding?.account === undefined;
  if ((isMore || isPromiseLost) && own.phase !== "none" && link.connected) own.writeAtMono = now.mono;
}

// ---------------------------------------------------------------------------------------------- the application

function setResources(group: GroupState, resources: readonly Resource[]): void {
  const listed = new Map(resources.map((spec) => [spec.name, spec]));
  for (const view of group.resources.values()) {
    const spec = listed.get(view.name) ?? null;
    if (spec === null && view.spec !== null) view.target = null;
    view.spec = spec;
  }
  for (const spec of resources) ownerView(group, { kind: "owner", resource: spec.name }).spec = spec;
  group.listed = [...listed.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  group.listVersion += 1;
  group.listHash = listHash(listed.keys());
  onOwnChange(group);
  for (const view of group.resources.values()) consider(group, view);
}

function setProfile(group: GroupState, profile: Profile): void {
  if (profile.weight !== group.profile.weight) group.changedAtMono = group.now.mono;
  group.profile = profile;
  onOwnChange(group);
}

function setDraining(group: GroupState, draining: boolean): void {
  if (group.stopping !== null) return;
  group.draining = draining;
  if (!draining) group.refusesTooMany = false;
  group.changedAtMono = group.now.mono;
  onOwnChange(group);
  consider(group, group.coordinator);
}

function refuse(group: GroupState, resource: string, forMs: number): void {
  const { refused, now } = group;
  if (!refused.has(resource) && refused.size >= MAX_REFUSED) {
    if (!group.refusesTooMany)
      warn(
        group,
        "REFUSES_TOO_MANY",
        `this member refuses more than ${MAX_REFUSED} resources; it gives up all others, too, until it is called to rejoin`,
      );
    group.refusesTooMany = true;
  } else refused.set(resource, now.mono + forMs);
  onOwnChange(group);
}

function stop(group: GroupState, restarting: boolean): void {
  if (group.stopping !== null) return;
  group.stopping = { restarting };
  clearQueue(group.claims);
  onOwnChange(group);
}

/** What this member says of itself has changed: others and the targets have to follow, and some terms may have to end. */
function onOwnChange(group: GroupState): void {
  renewSoon(group);
  group.membersDue = true;
  group.targetsDue = true;
  for (const view of group.terms) considerMove(group, view);
}
