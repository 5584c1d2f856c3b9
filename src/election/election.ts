/**
 * The election: (state, event, now) -> (state, effects). No I/O, no clock, no timer, no randomness.
 *
 * TERMS. W is the lease TTL (`leaseTtlMs`). S, the span, is W minus a margin of max(250 ms, 5 % of W). A node is *held* while it
 * may act as the leader. In this file held means `isHeld`: the role is `leader`, the deadline is ahead and, for a node that promises
 * silence, its stretch goes on (`silence.ts`). In a running node it means `Driver.isHeld` (`src/runtime/driver.ts`): `isHeld` and, with
 * `crashDetection: "presence"`, two more. Freshness: the event loop has checked its sockets within the last 250 ms, and the
 * connection was open (`src/runtime/freshness.ts`). A round trip: the server has answered something that was sent within the last
 * half of F, at most 1 s (`src/runtime/round-trips.ts`).
 *
 * GUARANTEED while A1 to A4 hold, whatever else the network, the servers and the nodes do:
 *  1. The periods in which two running nodes are held never overlap. While the leader names a presence in its record, this needs
 *     P, too.
 *  2. Epochs strictly increase from term to term, and stay the same within a term. That terms begin in this order needs P, too, where
 *     the record of an acquiring write names a presence.
 *  3. A term begins only on a compare-and-set that is known to be applied and whose deadline is ahead.
 *  4. Every term ends exactly once, and is not held from its deadline on; that takes no message and no timer.
 *  5. A release deletes no revision but our own.
 *
 * ASSUMED:
 *  A1. In any period, the faster clock of a holder (`time.ts`) is at most 5 % slower than the monotonic clock of any other node.
 *  A2. The server applies a compare-and-set atomically and loses no write that it has acknowledged. If it does lose some (power
 *      loss without sync), or if the bucket is deleted, a node still begins no term with an epoch up to the largest that it
 *      remembers.
 *  A3. Every writer of the key follows this protocol. A client that does not can take the lease away, but it cannot end the
 *      election: a record or a marker that no node can have written is garbage (`record-codec.ts`; for its epoch `epochs.ts`), and
 *      the next campaign replaces it by compare-and-set.
 *  A4. Where a record promises silence: the server that held a connection counts its messages in order, and does not answer
 *      falsely twice in a row about one connection that it is closed.
 *  P.  Before an acquiring write is applied because a server has confirmed that the holder's connection is closed, the holder's
 *      process has noticed the end of that connection, or its last check of the connection is 250 ms old.
 *
 * EXCEPTIONS TO P. In these cases two nodes can be held at once when the leader names a presence (README, "When something dies"). What
 * the server has answered was sent before it closed the connection, so each lasts F / 2 at most, and never more than 1 s; 1 s if the
 * leader promises no silence. With `crashDetection: "silence"` and `"lease"` no record names a presence, and there is no exception:
 *  - The server's side of the connection is reset and the client's side is not.
 *  - The connection is closed while the leader's event loop stands still for less than 250 ms: until the loop turns.
 *  - Unread data in the leader's socket precedes the end of the connection, for example when the server drops the leader as a
 *    slow consumer: until the leader has read it.
 * In these cases the term of a node that has been replaced may also begin after that of its successor: the ack of its acquiring write, or
 * an answer that shows it, was in the socket. It begins no later than they last: an ack or an answer counts for that long after what it
 * answers was sent (`isRecent` in `follower.ts`). One that comes later causes a read.
 *
 * WHY THERE ARE NEVER TWO LEADERS. The bucket holds one record, and the server applies a write only if the record is still the
 * one that the writer saw. A leader's deadline is S after it *sent* its newest renewal known to be applied. Every other node
 * waits at least W > S after it *received* that renewal, and then writes against exactly that revision. If such a write is
 * applied, the replaced revision was the leader's newest: its deadline counts from before the wait began, and has passed (see the
 * picture in `lease.ts`). A node waits less in four cases only:
 *  - The lease was its own.
 *  - The holder has released the lease, after its work had ended. A go-cluster holder releases by deleting the key.
 *  - The server that held the holder's connection has confirmed that it is closed. By P the holder is not held any more (`suspend`,
 *    freshness), and becomes held again only when a renewal on a new connection is applied, which fails if it was replaced.
 *  - That server has twice given the same answer about the connection, with F and a margin in between: nothing that the holder sent was
 *    counted in that time, or, after two answers in a row that say so, the connection was closed before. Then the stretch in which the
 *    revision was held is over, and only an applied write newer than that revision makes its holder held again (`silence.ts`).
 *
 * GARBAGE over a leader's record ends no term: the next renewal replaces it, against exactly that revision. Every other node waits W
 * after it has read the garbage, and writes against that revision, too; the server applies one of the two. A node that replaced the
 * leader before the garbage came had waited W, so that its deadline has passed, or had its connection confirmed closed or silent, so
 * that it is suspended: a suspended or draining leader loses its term to garbage. If an operator deleted the record, a node that has just
 * been started leads at once, and garbage may cover its record, too: a leader replaces garbage only if it has watched everything that
 * was stored since its own record, and that was garbage or its own. Otherwise it loses its term.
 *
 * NOT GUARANTEED: that work already handed to another system stops in time (use the epoch as a fencing token); that there is a
 * leader while no quorum of NATS can be reached; anything after an operator writes or deletes the key, except that the other nodes
 * wait W from then on if they knew the lease, or if the stream shows that it has stored something since they knew it; and in a bucket that
 * replaces another one, if they have read that one and were not held until it was gone.
 *
 * WHAT IS BELIEVED. Only an ack, or an answer of the stream leader to a read, changes what is known of the lease, its epoch and its
 * revision. A watched message can be forged by any client of the account. It causes a read, and may keep a leader from losing its term to
 * garbage (see there); nothing else. One that proved false makes the next wait for `retryDelayMs`. So a follower learns of a release one round trip after the message, and then writes.
 *
 * WHY NO EPOCH ENDS THE ELECTION. A record at revision r is believed only with an epoch up to r + 2^40 (`epochs.ts`), and a node
 * campaigns only with an epoch that the others will believe. The epoch of a next term is one more than one that was seen, or than the most
 * that an unseen one can be (`hiddenEpochFloor`), and it takes at least one revision more. So it stays within that range, whatever was
 * forged: there is always a larger epoch, and every fence has seen a smaller one. Exception: a
 * bucket that begins at revision 1 again after an epoch at the limit was believed. There the node warns with `EPOCH_EXHAUSTED`.
 *
 * THE SHAPE. An event only changes what is known (`handle`). Then one level-triggered pass (`act.ts`) sends whatever is due. A
 * lost event can delay the election, but cannot stop it: a later pass over the state sends the same.
 */
import { noteDisconnected, noteHeard } from "../inquiry/rules.ts";
import { act } from "./act.ts";
import { setCompeting } from "./competing.ts";
import { backOff, type Draft, draftOf, readAtOnce, setTerm, stateOf, termOf, warn } from "./draft.ts";
import { endCampaign, onAcquireOutcome, onOrphanDropped, settleOrphan } from "./follower.ts";
import { onAnswered, onHolderSilent, onWatchChanged, suspect } from "./inquiry.ts";
import {
  expire,
  judgeTerm,
  lose,
  noteHarmless,
  onBeatProven,
  onConnectionEnded,
  onDrained,
  onReleaseOutcome,
  onRenewalOutcome,
  resign,
} from "./leader.ts";
import { observeRecreation, observeSnapshot } from "./observe.ts";
import { announce, giveWayMs, holderIsLate, isMyWrite, nextEpoch } from "./outlook.ts";
import { isBound, keepsPromises } from "./silence.ts";
import { hasReached, type Instant, remainingMs } from "./time.ts";
import { isNews, shownRevision } from "./trust.ts";
import type {
  ElectionConfig,
  ElectionEvent,
  ElectionState,
  LeaseEntry,
  OwnConnection,
  ReadOutcome,
  Snapshot,
  Step,
  WriteOutcome,
} from "./types.ts";
import { coversConnection } from "./writes.ts";

export interface InitialOptions {
  /** @default true */
  readonly competes?: boolean | undefined;
  /** Largest epoch that an earlier incarnation in this process has seen. @default 0 */
  readonly rememberedEpoch?: number | undefined;
}

/** The state of a node that has just been started: a follower that has read nothing. */
export function initialState(
  config: ElectionConfig,
  now: Instant,
  { competes = true, rememberedEpoch = 0 }: InitialOptions = {},
): ElectionState {
  const past = Number.NEGATIVE_INFINITY;
  return {
    config,
    role: { name: "follower" },
    announced: null,
    candidacy: {
      competes,
      stopping: false,
      cooldownUntilMono: past,
      pauseUntilMono: past,
      hasFollowed: false,
      outpaced: false,
    },
    link: { connected: false, binding: null, stretch: null, stretches: 0, lateProofs: null },
    bucket: { status: "missing", generation: null, maxAgeMs: 0, ledToEnd: false },
    lease: {
      view: { kind: "unknown" },
      newestRevision: 0,
      newestAt: now,
      refreshedAt: now,
      disputed: false,
      highestEpoch: rememberedEpoch,
      epochsAbove: 0,
    },
    holder: {
      takeoverWait: null,
      closedBinding: null,
      silentRevision: 0,
      inquiryDue: true,
      duplicate: null,
    },
    inquiry: {
      due: false,
      dueAtMono: past,
      silent: null,
      lastQuestion: 0,
      open: null,
      first: null,
      quietUntilMono: past,
      lives: 0,
    },
    reads: { inFlight: false, sentAt: now, due: true, hinted: 0, forHint: false, hintsFromMono: past },
    writes: { lastNonce: 0, inFlight: null, unsettled: [] },
    retry: { atMono: past, failures: 0, conflicts: 0 },
  };
}

/** May this node act as the leader now, by its lease and its stretch? Compares clocks when called; needs no event to turn false. */
export function isHeld(state: ElectionState, now: Instant): boolean {
  const { role } = state;
  if (role.name !== "leader" || hasReached(role.term.deadline, now)) return false;
  return remainingStretchMs(state, now) > 0;
}

/** Milliseconds for which this node is still in a stretch; infinite while it need not be in one. */
export function remainingStretchMs(state: ElectionState, now: Instant): number {
  if (!isBound(state)) return Number.POSITIVE_INFINITY;
  const { stretch } = state.link;
  return stretch === null || !keepsPromises(state) ? 0 : remainingMs(stretch.deadline, now);
}

/** Handles one event. The only entry point. */
export function step(state: ElectionState, event: ElectionEvent, now: Instant): Step {
  if (state.role.name === "stopped") return { state, effects: [] };
  const draft = draftOf(state, now);
  expire(draft);
  handle(draft, event);
  onWatchChanged(draft, state);
  act(draft);
  announce(draft);
  return { state: stateOf(draft), effects: draft.effects };
}

function handle(draft: Draft, event: ElectionEvent): void {
  switch (event.type) {
    case "tick":
      return;
    case "bucket-opened":
      return onBucketOpened(draft, event.generation, event.maxAgeMs);
    case "bucket-failed":
      draft.bucket.status = "missing";
      draft.bucket.ledToEnd = false;
      warn(draft, "BUCKET_UNUSABLE", "the bucket cannot be opened; retrying", event.error);
      return backOff(draft);
    case "connected":
      return onConnected(draft, event.binding);
    case "rebound":
      return onRebound(draft, event.binding);
    case "disconnected":
      return onDisconnected(draft);
    case "watched":
      return onWatched(draft, event.entry);
    case "read":
      return onRead(draft, event.outcome);
    case "written":
      return onWritten(draft, event.nonce, event.outcome);
    case "bucket-gone":
      return readAtOnce(draft);
    case "presence-lost": {
      const { view } = draft.lease;
      if (view.kind === "occupied" && view.record?.session?.presence === event.presence) suspect(draft);
      return;
    }
    case "beat-proven":
      return onBeatProven(draft, event.sentAt);
    case "holder-silent":
      return onHolderSilent(draft, event.connection);
    case "holder-heard":
      return noteHeard(draft.inquiry, event.connection);
    case "answered":
      return onAnswered(draft, event.question, event.answer);
    case "resign":
      if (event.pauseMs !== undefined) draft.candidacy.pauseUntilMono = draft.now.mono + event.pauseMs;
      return resign(draft, event.reason, event.successor);
    case "compete":
      return setCompeting(draft, event.competes);
    case "drained":
      if (draft.role.name === "draining") onDrained(draft);
      return;
    case "stop":
      draft.candidacy.stopping = true;
      return resign(draft, "stopped", undefined);
    default:
      return event satisfies never;
  }
}

function onBucketOpened(draft: Draft, generation: string, maxAgeMs: number): void {
  const before = draft.bucket.generation;
  if (before !== null && before !== generation) {
    observeRecreation(draft, generation);
    if (termOf(draft) !== null) lose(draft, "deleted");
  }
  draft.bucket.status = "open";
  draft.bucket.ledToEnd = false;
  draft.bucket.generation = generation;
  draft.bucket.maxAgeMs = maxAgeMs;
  readAtOnce(draft);
}

function onConnected(draft: Draft, binding: OwnConnection | null): void {
  draft.link.connected = true;
  draft.link.binding = binding;
  draft.holder.inquiryDue = true;
  draft.retry.failures = 0;
  draft.retry.atMono = draft.now.mono;
  // A follower reads first: it has missed what happened since. A leader renews first.
  if (termOf(draft) === null) draft.reads.due = true;
  else setTerm(draft, { renewAtMono: draft.now.mono });
}

function onRebound(draft: Draft, binding: OwnConnection | null): void {
  const before = draft.link.binding;
  draft.link.binding = binding;
  // A new presence or promise is put into the record at once: followers detect the leader's end by it. A promise that cannot be kept any
  // more is taken out of it at once: until then the leader is suspended again and again. The loss of a presence that will be recreated
  // is not worth a renewal.
  const isMore = !coversConnection(before, binding);
  const isPromiseLost = before?.account !== undefined && binding?.account === undefined;
  if ((isMore || isPromiseLost) && termOf(draft) !== null && draft.link.connected)
    setTerm(draft, { renewAtMono: draft.now.mono });
}

function onDisconnected(draft: Draft): void {
  draft.link.connected = false;
  draft.link.binding = null;
  noteDisconnected(draft.inquiry);
  onConnectionEnded(draft);
}

/** A hint: what it says about the lease is not taken in. What is new is read. */
function onWatched(draft: Draft, entry: LeaseEntry): void {
  noteHarmless(draft, entry);
  const term = termOf(draft);
  // Our own write: its ack follows, and when an ack is lost a read is due anyway.
  if (isMyWrite(draft, entry) && (term !== null || draft.writes.inFlight !== null)) return;
  if (term === null ? !isNews(draft, entry) : entry.revision <= term.revision) return;
  const isReleased = entry.kind === "released" && entry.successor !== draft.config.nodeId;
  if (isReleased && draft.reads.hinted === 0)
    draft.reads.hintsFromMono = Math.max(draft.reads.hintsFromMono, draft.now.mono + giveWayMs(draft));
  draft.reads.hinted = Math.max(draft.reads.hinted, entry.revision);
}

function onRead(draft: Draft, outcome: ReadOutcome): void {
  const { view } = draft.lease;
  const { forHint } = draft.reads;
  draft.reads.inFlight = false;
  draft.reads.forHint = false;
  takeInRead(draft, outcome);
  // The hint was false, or NATS does not answer: the next one waits, so that a flood of them is no flood of reads.
  if (forHint && draft.lease.view === view)
    draft.reads.hintsFromMono = draft.now.mono + draft.config.retryDelayMs;
}

function takeInRead(draft: Draft, outcome: ReadOutcome): void {
  switch (outcome.kind) {
    case "snapshot":
      return onSnapshot(draft, outcome.snapshot);
    case "no-bucket":
      if (draft.bucket.status === "open") {
        warn(
          draft,
          "BUCKET_MISSING",
          `the bucket does not exist any more; recreating it, epochs continue above ${draft.lease.highestEpoch}`,
        );
      }
      draft.bucket.status = "missing";
      draft.bucket.ledToEnd ||= draft.role.name === "leader";
      readAtOnce(draft);
      if (termOf(draft) !== null) lose(draft, "deleted");
      return;
    case "failed":
      if (draft.retry.failures === 0)
        warn(draft, "STORE_FAILING", "the lease could not be read; retrying", outcome.error);
      draft.reads.due = true;
      return backOff(draft);
    default:
      return outcome satisfies never;
  }
}

function onSnapshot(draft: Draft, snapshot: Snapshot): void {
  const known = draft.bucket.generation;
  const { view } = draft.lease;
  if (!observeSnapshot(draft, snapshot)) {
    // The view stays as it is: if it is wrong, a campaign on it ends with a conflict.
    endCampaign(draft);
    return backOff(draft);
  }
  if (shownRevision(snapshot) >= draft.reads.hinted) draft.reads.hinted = 0;
  if (draft.lease.view !== view) warnOfExhaustion(draft);
  judgeTerm(draft, snapshot, known === null || known === snapshot.generation);
  if (termOf(draft) === null) settleOrphan(draft);
  draft.retry.failures = 0;
  // The advisory of the holder's end may have been lost.
  if (draft.holder.inquiryDue || holderIsLate(draft, draft.now)) {
    draft.holder.inquiryDue = false;
    suspect(draft);
  }
}

function warnOfExhaustion(draft: Draft): void {
  const { view, highestEpoch } = draft.lease;
  if (view.kind === "unknown" || nextEpoch(draft, view) !== null) return;
  warn(
    draft,
    "EPOCH_EXHAUSTED",
    `no epoch is left for the next term: epoch ${highestEpoch} was seen, too far above revision ${view.revision} of this bucket; not campaigning`,
  );
}

function onWritten(draft: Draft, nonce: number, outcome: WriteOutcome): void {
  const { inFlight } = draft.writes;
  if (inFlight?.nonce !== nonce) return;
  draft.writes.inFlight = null;
  if (inFlight.kind === "release") {
    if (draft.role.name === "draining") return onReleaseOutcome(draft, outcome);
    return onOrphanDropped(draft, outcome);
  }
  const sent = draft.writes.unsettled.find((write) => write.nonce === nonce);
  if (sent !== undefined && inFlight.kind === "acquire" && draft.role.name === "campaigning") {
    return onAcquireOutcome(draft, sent, outcome);
  }
  if (termOf(draft) !== null) {
    if (sent !== undefined) onRenewalOutcome(draft, sent, outcome);
    return;
  }
  // A write of a term that is over, or one that a read has already settled: a read shows what became of it.
  draft.reads.due = true;
  if (outcome.kind === "unknown") return;
  draft.retry.failures = 0;
  draft.retry.atMono = draft.now.mono;
}
