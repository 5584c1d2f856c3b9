/** The follower's side: when it may campaign, with which write, and what becomes of writes whose ack was lost. */
import { MIN_MARGIN_MS } from "../inquiry/durations.ts";
import { sameConnection } from "../inquiry/rules.ts";
import {
  abandonCampaign,
  backOff,
  type Draft,
  deadlineOf,
  endBackOff,
  readAtOnce,
  retryDelayMs,
  roleFrom,
  warn,
} from "./draft.ts";
import { become, isInStretch } from "./leader.ts";
import { observeOwnRelease } from "./observe.ts";
import { expectationOf, holderIsGone, isMine, nextEpoch } from "./outlook.ts";
import { isBound, isProof } from "./silence.ts";
import { type Instant, remainingMs } from "./time.ts";
import type { ElectionState, SentWrite, WriteOutcome } from "./types.ts";
import { sendRecord, sendRelease } from "./writes.ts";

/** Least time to the deadline with which a term begins: time enough for the next renewal. */
const MIN_TERM_MS: number = MIN_MARGIN_MS;

// ---------------------------------------------------------------------------------------------- campaigns

/**
 * Monotonic time from which this node may campaign; infinite while only an event can change that. This is the whole rule of who
 * may take over, and when.
 */
export function campaignAtMono(state: ElectionState): number {
  const { config, candidacy } = state;
  const { view } = state.lease;
  const { takeoverWait } = state.holder;
  if (!candidacy.competes || candidacy.stopping || view.kind === "unknown") return Number.POSITIVE_INFINITY;
  if (nextEpoch(state, view) === null) return Number.POSITIVE_INFINITY;
  const named = view.kind === "vacant" && view.successor === config.nodeId;
  const afterSuccessor =
    view.kind === "vacant" && view.successor !== undefined && !named
      ? view.since.mono + config.successorGraceMs
      : 0;
  return Math.max(
    takeoverWait === null || holderIsGone(state) ? 0 : takeoverWait.since.mono + takeoverWait.waitMs,
    afterSuccessor,
    named ? 0 : willingAtMono(state),
    state.retry.atMono,
  );
}

/** From when on this node wants to lead again after it has stepped down or its application has failed. */
function willingAtMono({ candidacy }: ElectionState): number {
  return Math.max(candidacy.cooldownUntilMono, candidacy.pauseUntilMono);
}

/** Sends the acquiring write: a compare-and-set against exactly what was seen. */
export function campaign(draft: Draft): void {
  roleFrom(draft, "follower");
  const { view } = draft.lease;
  const epoch = view.kind === "unknown" ? null : nextEpoch(draft, view);
  if (view.kind === "unknown" || epoch === null) throw new Error("bug: campaign without a view or an epoch");
  draft.role = { name: "campaigning" };
  sendRecord(draft, "acquire", {
    epoch,
    acquiredAt: draft.now.wall,
    expect: expectationOf(view),
    timeoutMs: draft.config.requestTimeoutMs,
  });
}

/** The outcome of an acquiring write. */
export function onAcquireOutcome(draft: Draft, sent: SentWrite, outcome: WriteOutcome): void {
  switch (outcome.kind) {
    case "applied":
      return onAcquired(draft, sent, outcome.revision);
    case "conflict":
      return onRefused(draft, sent);
    case "unknown":
      // It may be applied now, later or never: the node stays campaigning and reads.
      if (draft.writes.unsettled.length === 1) {
        // Only for the first: a node without permission to write would repeat it for as long as it runs.
        warn(
          draft,
          "STORE_FAILING",
          "the write to acquire the lease got no answer; reading the lease, then retrying",
          outcome.error,
        );
      }
      backOff(draft);
      return readAtOnce(draft);
    default:
      outcome satisfies never;
  }
}

/** Another node was faster, or the view was wrong. The first conflict causes a read at once, later ones back off. */
function onRefused(draft: Draft, refused: SentWrite): void {
  const { conflicts } = draft.retry;
  abandonCampaign(draft);
  // In the first campaign of nodes that start together, it may have been quicker by chance.
  draft.candidacy.outpaced = draft.candidacy.hasFollowed;
  draft.writes.unsettled = draft.writes.unsettled.filter((other) => other.nonce !== refused.nonce);
  draft.retry.conflicts = conflicts + 1;
  draft.retry.atMono = draft.now.mono + (conflicts === 0 ? 0 : retryDelayMs(draft, conflicts - 1));
  draft.reads.due = true;
  draft.lease.disputed = true;
}

function onAcquired(draft: Draft, sent: SentWrite, revision: number): void {
  draft.retry.failures = 0;
  // Something newer than our write was seen: it has already been replaced.
  const replaced = revision < draft.lease.newestRevision;
  if (!replaced && isRecent(draft, sent.sentAt) && mayAdopt(draft, sent))
    return become(draft, sent, revision);
  abandonCampaign(draft);
  draft.reads.due = true;
}

/**
 * May a term begin on an ack or an answer that has come now, to what was sent then? With a presence one that has waited in the socket does not suffice:
 * others may have found the connection closed since, and lead. A read, or another one, decides then.
 */
function isRecent(draft: Draft, sentAt: Instant): boolean {
  const { crashDetection, silenceMs } = draft.config;
  if (crashDetection !== "presence") return true;
  return isProof(sentAt, isBound(draft) ? silenceMs : 0, draft.now);
}

/** A write of ours turned out to be applied: may a term begin on it? */
function mayAdopt(draft: Draft, sent: SentWrite): boolean {
  const { competes, stopping } = draft.candidacy;
  if (
    stopping ||
    !competes ||
    !draft.link.connected ||
    // Another node leads with a larger epoch: in this bucket, or in the next one, where the write is not.
    sent.epoch < draft.lease.highestEpoch ||
    // A term that ends as it begins would only interrupt the application.
    remainingMs(deadlineOf(draft, sent.sentAt), draft.now) < MIN_TERM_MS
  )
    return false;
  // Followers may already be asking about the connection that the record names: no term begins on one that has ended, or after the
  // stretch in which the record was sent.
  if (draft.config.crashDetection === "lease") return true;
  return sameConnection(sent.binding, draft.link.binding) && isInStretch(draft, sent);
}

// ---------------------------------------------------------------------------------------------- lost acks

/**
 * After a read, without a term: begins a term if the lease is held by a write of ours whose ack was lost, an orphan; ends the
 * campaign otherwise.
 */
export function settleOrphan(draft: Draft): void {
  const { view } = draft.lease;
  if (view.kind === "occupied" && isMine(draft, view.record)) {
    const nonce = view.record?.nonce;
    const sent = draft.writes.unsettled.find((write) => write.nonce === nonce);
    const cooledDown = draft.now.mono >= willingAtMono(draft);
    if (sent !== undefined && mayAdopt(draft, sent) && cooledDown) {
      endBackOff(draft);
      if (isRecent(draft, draft.reads.sentAt)) return become(draft, sent, view.revision);
      draft.reads.due = true;
      return;
    }
  }
  endCampaign(draft);
}

/** Ends a campaign whose ack was lost and whose write, as far as a read shows, has not made this node the leader. */
export function endCampaign(draft: Draft): void {
  if (draft.role.name !== "campaigning" || draft.writes.inFlight !== null) return;
  const { view } = draft.lease;
  const newest = draft.writes.unsettled.at(-1);
  // Applied but too late: it is overwritten at once. Not applied yet, or the record is that of an earlier term of ours: the
  // write gets a moment before another is sent.
  const applied =
    view.kind === "occupied" && isMine(draft, view.record) && view.record?.nonce === newest?.nonce;
  abandonCampaign(draft);
  draft.retry.atMono = draft.now.mono + (applied ? 0 : draft.config.retryDelayMs);
}

/**
 * Monotonic time from which an orphan that this node will not lead on is deleted, so that others need not wait for it; infinite
 * where there is none.
 */
export function orphanAtMono(state: ElectionState, now: Instant): number {
  const { competes, stopping } = state.candidacy;
  const { view } = state.lease;
  const unwanted = stopping || !competes || now.mono < willingAtMono(state);
  if (!unwanted || view.kind !== "occupied" || !isMine(state, view.record)) return Number.POSITIVE_INFINITY;
  return state.retry.atMono;
}

/** Deletes the orphan. */
export function dropOrphan(draft: Draft): void {
  roleFrom(draft, "follower");
  const { view } = draft.lease;
  if (view.kind !== "occupied" || view.record === null) throw new Error("bug: no orphan to drop");
  // The record may vanish at any time from now on, and others may take over as soon as it has: no term may begin on it.
  draft.writes.unsettled = [];
  sendRelease(draft, {
    epoch: view.record.epoch,
    revision: view.revision,
    timeoutMs: draft.config.requestTimeoutMs,
  });
}

/**
 * The outcome of an orphan's deletion, or of a release whose term has ended without it. Where the view shows anything but a record of ours,
 * the bucket may have been replaced since the release was sent, and its revision may now be that of another node's lease.
 */
export function onOrphanDropped(draft: Draft, outcome: WriteOutcome): void {
  const { view } = draft.lease;
  const isApplied = outcome.kind === "applied";
  if (isApplied && view.kind === "occupied" && isMine(draft, view.record))
    return observeOwnRelease(draft, outcome.revision, undefined);
  draft.reads.due = true;
  if (!isApplied) backOff(draft);
}
