/** The next state while one event is handled. State changes nowhere else. */
import { leaseSpanMs } from "./lease.ts";
import { after, type Instant } from "./time.ts";
import type {
  Bucket,
  Candidacy,
  Effect,
  ElectionConfig,
  ElectionState,
  ElectionWarningCode,
  HolderInquiry,
  HolderKnowledge,
  Leader,
  LeaseKnowledge,
  Link,
  OwnTerm,
  Reads,
  Retry,
  Role,
  RoleName,
  Writes,
} from "./types.ts";

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/**
 * A state that is changed in place, with the time of the event and the effects so far. Its groups are its own copies. The
 * values in the groups are replaced, never changed: the state before may contain them, too.
 */
export interface Draft {
  readonly config: ElectionConfig;
  role: Role;
  announced: Leader | null;
  readonly candidacy: Mutable<Candidacy>;
  readonly link: Mutable<Link>;
  readonly bucket: Mutable<Bucket>;
  readonly lease: Mutable<LeaseKnowledge>;
  readonly holder: Mutable<HolderKnowledge>;
  readonly inquiry: Mutable<HolderInquiry>;
  readonly reads: Mutable<Reads>;
  readonly writes: Mutable<Writes>;
  readonly retry: Mutable<Retry>;
  readonly now: Instant;
  readonly effects: Effect[];
}

/** Copies field by field: a spread takes many times as long (Node 20), and every step copies. */
export function draftOf(state: ElectionState, now: Instant): Draft {
  const { candidacy, link, bucket, lease, holder, inquiry, reads, writes, retry } = state;
  return {
    config: state.config,
    role: state.role,
    announced: state.announced,
    candidacy: {
      competes: candidacy.competes,
      stopping: candidacy.stopping,
      cooldownUntilMono: candidacy.cooldownUntilMono,
      pauseUntilMono: candidacy.pauseUntilMono,
      hasFollowed: candidacy.hasFollowed,
      outpaced: candidacy.outpaced,
    },
    link: {
      connected: link.connected,
      binding: link.binding,
      stretch: link.stretch,
      stretches: link.stretches,
      lateProofs: link.lateProofs,
    },
    bucket: {
      status: bucket.status,
      generation: bucket.generation,
      maxAgeMs: bucket.maxAgeMs,
      ledToEnd: bucket.ledToEnd,
    },
    lease: {
      view: lease.view,
      newestRevision: lease.newestRevision,
      newestAt: lease.newestAt,
      refreshedAt: lease.refreshedAt,
      disputed: lease.disputed,
      highestEpoch: lease.highestEpoch,
      epochsAbove: lease.epochsAbove,
    },
    holder: {
      takeoverWait: holder.takeoverWait,
      closedBinding: holder.closedBinding,
      silentRevision: holder.silentRevision,
      inquiryDue: holder.inquiryDue,
      duplicate: holder.duplicate,
    },
    inquiry: {
      due: inquiry.due,
      dueAtMono: inquiry.dueAtMono,
      silent: inquiry.silent,
      lastQuestion: inquiry.lastQuestion,
      open: inquiry.open,
      first: inquiry.first,
      quietUntilMono: inquiry.quietUntilMono,
      lives: inquiry.lives,
    },
    reads: {
      inFlight: reads.inFlight,
      sentAt: reads.sentAt,
      due: reads.due,
      hinted: reads.hinted,
      forHint: reads.forHint,
      hintsFromMono: reads.hintsFromMono,
    },
    writes: { lastNonce: writes.lastNonce, inFlight: writes.inFlight, unsettled: writes.unsettled },
    retry: { atMono: retry.atMono, failures: retry.failures, conflicts: retry.conflicts },
    now,
    effects: [],
  };
}

/** The finished state. The draft must not be changed any more. */
export function stateOf(draft: Draft): ElectionState {
  return {
    config: draft.config,
    role: draft.role,
    announced: draft.announced,
    candidacy: draft.candidacy,
    link: draft.link,
    bucket: draft.bucket,
    lease: draft.lease,
    holder: draft.holder,
    inquiry: draft.inquiry,
    reads: draft.reads,
    writes: draft.writes,
    retry: draft.retry,
  };
}

export function emit(draft: Draft, effect: Effect): void {
  draft.effects.push(effect);
}

export function warn(draft: Draft, code: ElectionWarningCode, message: string, error?: Error): void {
  emit(draft, { type: "warning", code, message, ...(error === undefined ? {} : { error }) });
}

/** The role, after asserting that a transition may start in it. */
export function roleFrom<N extends RoleName>(draft: Draft, ...allowed: N[]): Extract<Role, { name: N }> {
  const { role } = draft;
  if (!(allowed as RoleName[]).includes(role.name)) {
    throw new Error(`bug: transition from role "${role.name}", allowed from ${allowed.join(", ")}`);
  }
  return role as Extract<Role, { name: N }>;
}

/** The running term, in whichever role. */
export function termOf({ role }: ElectionState): OwnTerm | null {
  return role.name === "leader" || role.name === "suspended" || role.name === "draining" ? role.term : null;
}

/** Changes the running term. */
export function setTerm(
  draft: Draft,
  patch: Partial<
    Pick<OwnTerm, "revision" | "harmlessUpTo" | "deadline" | "promises" | "stretch" | "renewAtMono">
  >,
): void {
  const role = roleFrom(draft, "leader", "suspended", "draining");
  const { term: before } = role;
  const term: OwnTerm = {
    epoch: before.epoch,
    acquiredAt: before.acquiredAt,
    revision: patch.revision ?? before.revision,
    harmlessUpTo: patch.harmlessUpTo ?? before.harmlessUpTo,
    deadline: patch.deadline ?? before.deadline,
    promises: patch.promises ?? before.promises,
    stretch: patch.stretch ?? before.stretch,
    renewAtMono: patch.renewAtMono ?? before.renewAtMono,
  };
  // Field by field, as in `draftOf`: objects of one shape are read faster.
  draft.role =
    role.name === "draining"
      ? { name: role.name, term, reason: role.reason, successor: role.successor, drained: role.drained }
      : { name: role.name, term };
}

/** Ends a campaign without a term. Its write stays unsettled unless the caller settles it. */
export function abandonCampaign(draft: Draft): void {
  roleFrom(draft, "campaigning");
  draft.role = { name: "follower" };
}

/** When a lease record that was sent at `sentAt` stops entitling its sender to anything. */
export function deadlineOf({ config }: ElectionState, sentAt: Instant): Instant {
  return after(sentAt, leaseSpanMs(config.leaseTtlMs));
}

/** The view may be out of date: makes a read due now, without the rest of a back-off. */
export function readAtOnce(draft: Draft): void {
  draft.reads.due = true;
  draft.retry.atMono = draft.now.mono;
}

/** Counts a failure and schedules the retry: the delay doubles from the retry delay up to one heartbeat interval. */
export function backOff(draft: Draft): void {
  const { failures } = draft.retry;
  draft.retry.failures = failures + 1;
  draft.retry.atMono = draft.now.mono + retryDelayMs(draft, failures);
}

/** The delay after so many failures, or conflicts, in a row before this one. */
export function retryDelayMs({ config }: ElectionState, before: number): number {
  return Math.min(config.retryDelayMs * 2 ** Math.min(before, 10), config.heartbeatIntervalMs);
}

/** A request was answered: ends the back-off. */
export function endBackOff(draft: Draft): void {
  draft.retry.failures = 0;
  draft.retry.atMono = draft.now.mono;
}
