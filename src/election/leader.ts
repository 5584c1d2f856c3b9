/** The leader's side: how a term begins, is renewed, is suspended, and ends. */
import { sameConnection } from "../inquiry/rules.ts";
import {
  type Draft,
  deadlineOf,
  emit,
  endBackOff,
  readAtOnce,
  roleFrom,
  setTerm,
  termOf,
  warn,
} from "./draft.ts";
import { noteRevision, observeOwnRelease } from "./observe.ts";
import { asLeader, isMine, isMyWrite } from "./outlook.ts";
import { isBound, keepsPromises, withProof } from "./silence.ts";
import { after, hasReached, type Instant, remainingMs } from "./time.ts";
import type {
  ElectionState,
  Leader,
  LeaseEntry,
  LeaseRecord,
  LossReason,
  OwnTerm,
  ResignReason,
  SentWrite,
  Snapshot,
  WriteOutcome,
} from "./types.ts";
import { coversConnection, sendRecord, sendRelease } from "./writes.ts";

/** Begins a term: one of our acquiring writes is applied and its deadline is ahead. */
export function become(draft: Draft, sent: SentWrite, revision: number): void {
  roleFrom(draft, "follower", "campaigning");
  const deadline = deadlineOf(draft, sent.sentAt);
  if (hasReached(deadline, draft.now)) throw new Error("bug: a term would begin after its deadline");
  const upToDate = coversConnection(sent.binding, draft.link.binding);
  const term: OwnTerm = {
    epoch: sent.epoch,
    acquiredAt: sent.sentAt.wall,
    revision,
    harmlessUpTo: revision,
    deadline,
    promises: sent.promises,
    stretch: sent.stretch,
    renewAtMono: upToDate ? sent.sentAt.mono + draft.config.renewIntervalMs : draft.now.mono,
  };
  draft.role = { name: "leader", term };
  noteOwnRecord(draft, sent, term.acquiredAt, revision);
  draft.lease.newestRevision = revision;
  draft.lease.disputed = false;
  draft.lease.highestEpoch = Math.max(draft.lease.highestEpoch, sent.epoch);
  draft.holder.takeoverWait = null;
  draft.writes.unsettled = [];
  draft.reads.due = false;
  draft.retry.conflicts = 0;
  draft.candidacy.outpaced = false;
  emit(draft, { type: "become-leader", epoch: term.epoch, acquiredAt: term.acquiredAt });
}

/** Our record is in the bucket as of now: what to campaign against if the term should expire. */
function noteOwnRecord(
  draft: Draft,
  { epoch, nonce }: SentWrite,
  acquiredAt: number,
  revision: number,
): void {
  const { nodeId, incarnation, leaseTtlMs } = draft.config;
  const record: LeaseRecord = { nodeId, epoch, acquiredAt, incarnation, nonce, ttlMs: leaseTtlMs };
  draft.lease.view = { kind: "occupied", revision, record, epochFloor: record.epoch };
  noteRevision(draft, Math.max(revision, draft.lease.newestRevision));
  endBackOff(draft);
}

/** Sends the renewal that is due. */
export function renew(draft: Draft): void {
  const { term } = roleFrom(draft, "leader", "suspended", "draining");
  const { epoch, acquiredAt, revision } = term;
  const timeoutMs = timeoutOf(draft, term);
  setTerm(draft, { renewAtMono: draft.now.mono + draft.config.renewIntervalMs });
  sendRecord(draft, "renew", { epoch, acquiredAt, expect: { revision }, timeoutMs });
}

/** Deletes the lease of a term whose work has ended. */
export function release(draft: Draft): void {
  const { term, successor } = roleFrom(draft, "draining");
  sendRelease(draft, {
    epoch: term.epoch,
    revision: term.revision,
    timeoutMs: timeoutOf(draft, term),
    ...(successor === undefined ? {} : { successor }),
  });
}

function timeoutOf(draft: Draft, term: OwnTerm): number {
  return Math.min(draft.config.requestTimeoutMs, remainingMs(term.deadline, draft.now));
}

/** The outcome of a renewal while its term goes on. */
export function onRenewalOutcome(draft: Draft, sent: SentWrite, outcome: WriteOutcome): void {
  const retryAtMono = draft.now.mono + draft.config.retryDelayMs;
  switch (outcome.kind) {
    case "applied":
      confirm(draft, sent, outcome.revision);
      if (draft.role.name !== "suspended" || !draft.link.connected) return;
      if (sameConnection(sent.binding, draft.link.binding) && isInStretch(draft, sent)) resume(draft);
      else setTerm(draft, { renewAtMono: draft.now.mono });
      return;
    case "conflict":
      // An earlier renewal of ours was applied although its ack was lost, or the lease is another's. The read shows which.
      draft.writes.unsettled = draft.writes.unsettled.filter((other) => other.nonce !== sent.nonce);
      readAtOnce(draft);
      setTerm(draft, { renewAtMono: retryAtMono });
      return;
    case "unknown":
      readAtOnce(draft);
      setTerm(draft, { renewAtMono: retryAtMono });
      if (draft.retry.failures === 0) {
        warn(
          draft,
          "STORE_FAILING",
          "the renewal of the lease got no answer; retrying until the deadline",
          outcome.error,
        );
      }
      draft.retry.failures += 1;
      return;
    default:
      outcome satisfies never;
  }
}

/** One of our records is known to be applied, by its ack or by a read. The deadline counts from when it was sent. */
function confirm(draft: Draft, sent: SentWrite, revision: number): void {
  const role = roleFrom(draft, "leader", "suspended", "draining");
  const deadline = deadlineOf(draft, sent.sentAt);
  // At once: the release of a lease whose work has ended, and a renewal where the record lacks the present binding.
  const drained = role.name === "draining" && role.drained;
  const upToDate = coversConnection(sent.binding, draft.link.binding);
  const restMs = drained || !upToDate ? 0 : draft.config.renewIntervalMs;
  setTerm(draft, {
    revision,
    deadline,
    promises: sent.promises,
    stretch: sent.stretch,
    renewAtMono: Math.max(draft.now.mono, sent.sentAt.mono + restMs),
  });
  noteOwnRecord(draft, sent, role.term.acquiredAt, revision);
  draft.writes.unsettled = draft.writes.unsettled.filter((other) => other.nonce > sent.nonce);
}

/** What a believed answer of the stream leader means for the running term. It shows no revision older than ours. */
export function judgeTerm(draft: Draft, snapshot: Snapshot, sameGeneration: boolean): void {
  const term = termOf(draft);
  if (term === null) return;
  if (!sameGeneration) return lose(draft, "deleted");
  const { entry } = snapshot;
  if (entry?.kind === "record" && isMine(draft, entry.record)) {
    const { nonce } = entry.record;
    const sent = draft.writes.unsettled.find((write) => write.nonce === nonce);
    if (sent !== undefined) confirm(draft, sent, entry.revision);
    else if (entry.revision !== term.revision) {
      // A write that was forgotten: in which stretch it was sent is not known.
      const promises = entry.record.session?.silence !== undefined;
      setTerm(draft, { revision: entry.revision, promises, stretch: 0 });
      if (promises && draft.role.name === "leader") suspend(draft);
    }
    // Only an applied renewal of the present connection and stretch ends a suspension, so it is sent at once; so is the release of a
    // lease whose work has ended. If the read showed no change since the write that failed, it waits for its retry: a stream
    // without quorum answers reads and refuses writes.
    const changed = entry.revision !== term.revision;
    const { role } = draft;
    const urgent = role.name === "suspended" || (role.name === "draining" && role.drained);
    if (changed && urgent) setTerm(draft, { renewAtMono: draft.now.mono });
    return;
  }
  if (entry?.kind === "record") lose(draft, "superseded", asLeader(entry.record));
  else if (entry?.kind === "garbage") onGarbage(draft, term, entry.revision);
  else lose(draft, "deleted");
}

/**
 * A program has written something that is no record over ours, by mistake or on purpose. Every other
 * node waits for W after it has read that, and then writes against exactly that revision. So does the next renewal. In this
 * role no node can have replaced this leader: its deadline is ahead, and neither its connection nor its stretch has ended since its
 * last renewal. Unless an operator had deleted our record: then a node that has just been started leads without a wait, with a larger epoch.
 * So every message between our record and the garbage must have been watched, and must be ours or garbage.
 */
function onGarbage(draft: Draft, term: OwnTerm, revision: number): void {
  if (draft.role.name !== "leader" || revision > nextHarmless(term)) return lose(draft, "superseded");
  // A renewal that was refused just now has its pause: each one may meet new garbage.
  const soonMono = draft.now.mono + draft.config.retryDelayMs;
  setTerm(draft, { revision, renewAtMono: term.renewAtMono <= soonMono ? term.renewAtMono : draft.now.mono });
}

/** The revision after the last one of which it is known that no other node wrote it. */
function nextHarmless({ revision, harmlessUpTo }: OwnTerm): number {
  return Math.max(revision, harmlessUpTo) + 1;
}

/** A watched message is a hint, and can be forged: it must never do more than let a leader replace garbage. */
export function noteHarmless(draft: Draft, entry: LeaseEntry): void {
  const term = termOf(draft);
  if (term === null || entry.revision !== nextHarmless(term)) return;
  if (entry.kind === "garbage" || isMyWrite(draft, entry)) setTerm(draft, { harmlessUpTo: entry.revision });
}

/** The connection or the stretch ended, and the record may promise it: from now on others may be replacing this leader. */
function suspend(draft: Draft): void {
  const { term } = roleFrom(draft, "leader");
  draft.role = { name: "suspended", term };
  emit(draft, { type: "suspended", epoch: term.epoch });
}

/** The connection ended, and the stretch with it. */
export function onConnectionEnded(draft: Draft): void {
  draft.link.stretch = null;
  draft.link.lateProofs = null;
  if (draft.role.name !== "leader") return;
  if (draft.config.crashDetection === "presence" || isBound(draft)) suspend(draft);
}

/** The server has counted a beat that was sent then: the stretch goes on, if it still runs. */
export function onBeatProven(draft: Draft, sentAt: Instant): void {
  const { stretch, lateProofs } = draft.link;
  draft.link.lateProofs = withProof(lateProofs, draft.config.silenceMs, sentAt, draft.now);
  if (stretch === null) return;
  const deadline = after(sentAt, draft.config.silenceMs);
  if (deadline.mono > stretch.deadline.mono) draft.link.stretch = { number: stretch.number, deadline };
}

/**
 * May a term begin or be resumed on this write, once it is known to be applied? If it names the promise, only in the stretch in which
 * it was sent: others may have confirmed the silence of every earlier one. If it does not, no other node asks about it.
 */
export function isInStretch({ link }: ElectionState, { promises, stretch }: SentWrite): boolean {
  return !promises || stretch === link.stretch?.number;
}

/** A renewal of the present connection and stretch is applied: no other node has replaced this leader. */
function resume(draft: Draft): void {
  const { term } = roleFrom(draft, "suspended");
  draft.role = { name: "leader", term };
  emit(draft, { type: "resumed", epoch: term.epoch });
}

/** Gives up the running term, unless that has already begun. */
export function resign(draft: Draft, reason: ResignReason, successor: string | undefined): void {
  const { role } = draft;
  if (role.name === "leader" || role.name === "suspended") drain(draft, reason, successor);
}

/** Begins to give up the term. The lease is renewed until the work has ended. */
export function drain(draft: Draft, reason: ResignReason, successor: string | undefined): void {
  const { term } = roleFrom(draft, "leader", "suspended");
  draft.role = { name: "draining", term, reason, successor, drained: false };
  emit(draft, { type: "drain", epoch: term.epoch, reason });
}

/** The work has ended: the lease is deleted as soon as a renewal in flight is settled. */
export function onDrained(draft: Draft): void {
  const { name, reason, successor, term } = roleFrom(draft, "draining");
  draft.role = { name, term, reason, successor, drained: true };
  setTerm(draft, { renewAtMono: draft.now.mono });
}

/** Without a connection the lease of a drained term cannot be deleted: it is left to expire, and `stop()` need not wait. */
export function endHopelessDrain(draft: Draft): void {
  const { role } = draft;
  if (role.name !== "draining" || !role.drained) return;
  if (!draft.link.connected && draft.writes.inFlight === null) endDrain(draft, false);
}

/** The outcome of the deletion of our own lease. */
export function onReleaseOutcome(draft: Draft, outcome: WriteOutcome): void {
  const { successor } = roleFrom(draft, "draining");
  switch (outcome.kind) {
    case "applied":
      observeOwnRelease(draft, outcome.revision, successor);
      return endDrain(draft, true);
    case "conflict":
    case "unknown":
      readAtOnce(draft);
      return setTerm(draft, { renewAtMono: draft.now.mono + draft.config.retryDelayMs });
    default:
      outcome satisfies never;
  }
}

/** Ends a drained term. Its lease was deleted, or is left to expire. */
function endDrain(draft: Draft, deleted: boolean): void {
  const { term, reason } = roleFrom(draft, "draining");
  if (!deleted) {
    warn(
      draft,
      "RELEASE_FAILED",
      `the lease of epoch ${term.epoch} could not be deleted; it expires within ${draft.config.leaseTtlMs} ms`,
    );
  }
  draft.role = { name: "follower" };
  draft.writes.unsettled = [];
  endBackOff(draft);
  // Messages watched during the term did not change the view; they only made a read due.
  draft.reads.due = !deleted || draft.reads.due;
  if (reason !== "stopped") draft.candidacy.cooldownUntilMono = draft.now.mono + draft.config.cooldownMs;
  emit(draft, { type: "released", epoch: term.epoch, deleted });
}

/** Ends the term: its lease is no longer ours. */
export function lose(draft: Draft, reason: LossReason, by?: Leader): void {
  const { name, term } = roleFrom(draft, "leader", "suspended", "draining");
  // `drain` was already reported. A lease that is gone from the bucket needs no deletion; one that expired is still there.
  if (name === "draining") return endDrain(draft, reason !== "expired");
  draft.role = { name: "follower" };
  // An unsettled renewal of this term must not begin another term with the same epoch.
  draft.writes.unsettled = [];
  draft.reads.due = reason === "expired" || draft.reads.due;
  emit(draft, { type: "lose-leadership", epoch: term.epoch, reason, ...(by === undefined ? {} : { by }) });
}

/**
 * Ends a term and a stretch whose deadlines have passed, in every role. Runs first in every step: before a late event is believed.
 */
export function expire(draft: Draft): void {
  const { stretch } = draft.link;
  if (stretch !== null && hasReached(stretch.deadline, draft.now)) draft.link.stretch = null;
  const term = termOf(draft);
  if (term !== null && hasReached(term.deadline, draft.now)) return lose(draft, "expired");
  if (draft.role.name !== "leader" || keepsPromises(draft)) return;
  suspend(draft);
  setTerm(draft, { renewAtMono: draft.now.mono });
}
