/**
 * Own terms: how a claim is sent, when a term begins, how it is given up.
 *
 * A claim is a compare-and-set on the owner key, sent while the session is held, no other write of this key is in flight, and the key is
 * absent, released, an orphan of ours, or owned by a session that is over. A term begins when the ack, or a read, shows that this claim
 * was applied, its session is still the present one, and is held at that moment. Otherwise the key is an *orphan*: it names the present
 * session and no term runs. An orphan is claimed again, with a larger epoch, or released.
 *
 * A release is sent after the work has ended. Once it is sent the term is over, whatever comes of it.
 */
import { isProof } from "../../election/silence.ts";
import type { Instant } from "../../election/time.ts";
import type { WriteOutcome } from "../../election/types.ts";
import type { DrainReason, TermLossReason } from "./events.ts";
import { isBound, isDoubted, isSessionHeld, takesNothing } from "./held.ts";
import { noteAnswered } from "./pace.ts";
import { clearQueue, dequeue, enqueue, takeFirst } from "./queues.ts";
import { sendWrite } from "./requests.ts";
import { freeAtMono, isMine, isUnowned, noteAck, noteClaim, noteRelease, showClaim } from "./resources.ts";
import { isLive } from "./sessions.ts";
import {
  backOffMs,
  emit,
  type GroupState,
  NEVER,
  type PendingWrite,
  type ResourceView,
  type Term,
  warn,
} from "./state.ts";
import {
  consider,
  isCoordinatorKey,
  isPlannedHere,
  isPlanOfOther,
  mayOwn,
  ownedCount,
  wantedAtMono,
} from "./wanted.ts";

type OwnerWrite = Extract<PendingWrite, { kind: "claim" | "release" }>;

/** The outcome of the newest claim is known, or does not matter any more. */
function forgetClaim(group: GroupState, view: ResourceView): void {
  if (view.adopt !== 0 && !isCoordinatorKey(view)) group.claiming -= 1;
  view.adopt = 0;
}

function isAboveCap(group: GroupState): boolean {
  return ownedCount(group) - group.leavingTerms > (group.profile.maxOwned ?? NEVER);
}

// ---------------------------------------------------------------------------------------------- claims

/** Sends a claim that is due. Returns whether one was sent. */
export function sendClaim(group: GroupState, view: ResourceView): boolean {
  dequeue(group.claims, view);
  if (view.term !== null || view.write !== null || view.adopt !== 0) return false;
  const wantedMono = wantedAtMono(group, view);
  if (Math.max(wantedMono, freeAtMono(group, view), group.quietUntilMono) > group.now.mono) {
    consider(group, view);
    return false;
  }
  const { own, now, above } = group;
  const session = own.number;
  view.write = sendWrite(group, {
    key: view.key,
    record: (authorship) => ({ ...authorship, kind: "claim", session }),
    expect: view.revision,
    pending: {
      kind: "claim",
      view,
      session,
      expect: view.revision,
      above,
      epoch: 0,
      successor: null,
      sentAt: now,
    },
  });
  view.adopt = view.write;
  view.adoptSession = session;
  if (!isCoordinatorKey(view)) group.claiming += 1;
  return true;
}

export function onClaimWritten(
  group: GroupState,
  nonce: number,
  write: OwnerWrite,
  outcome: WriteOutcome,
): void {
  const { view } = write;
  view.write = null;
  noteAnswered(group, group.now.mono - write.sentAt.mono, outcome.kind !== "unknown");
  switch (outcome.kind) {
    case "applied":
      return onClaimed(group, nonce, write, outcome.revision);
    case "conflict":
      forgetClaim(group, view);
      noteConflict(group, view);
      // A message may have shown already what is there now.
      if (view.revision > write.expect) return consider(group, view);
      return readOwner(group, view);
    case "unknown":
      warnOfStore(group, outcome.error);
      return readOwner(group, view);
    default:
      outcome satisfies never;
  }
}

/** A conflict that the next read does not explain comes from a read that is out of date: the next write waits. */
function noteConflict(group: GroupState, view: ResourceView): void {
  view.retryAtMono = group.now.mono + (view.conflicts === 0 ? 0 : backOffMs(group, view.conflicts - 1));
  view.conflicts += 1;
}

function onClaimed(group: GroupState, nonce: number, write: OwnerWrite, revision: number): void {
  const { view, session, above, sentAt } = write;
  const isAdoptable = view.adopt === nonce && revision >= view.revision && mayBegin(group, view, session);
  const begins = isAdoptable && isRecent(group, sentAt);
  // An ack that has waited settles nothing: a read does.
  if (begins || !isAdoptable) forgetClaim(group, view);
  noteAck(view, revision);
  group.storeFailing = false;
  if (revision < view.revision) return readOwner(group, view);
  const { memberId, incarnation } = group.config;
  noteClaim(group, view, { memberId, session, incarnation, nonce, above, revision });
  view.conflicts = 0;
  if (begins) beginTerm(group, view);
  else if (isAdoptable) return readOwner(group, view);
  consider(group, view);
}

/** May a term begin on an answer that has come now, to what was sent then? With a presence, one that has waited in the socket does not suffice. */
function isRecent(group: GroupState, sentAt: Instant): boolean {
  const { crashDetection, silenceMs } = group.config;
  if (crashDetection !== "presence") return true;
  return isProof(sentAt, isBound(group) ? silenceMs : 0, group.now);
}

/** May a term begin on a claim of this session, once it is known to be applied? If the session is the present one and is held now. */
function mayBegin(group: GroupState, view: ResourceView, session: number): boolean {
  return session === group.own.number && isSessionHeld(group, group.now) && mayOwn(group, view);
}

/** Begins a term on the claim that the view shows. */
function beginTerm(group: GroupState, view: ResourceView): void {
  const { now } = group;
  const { epoch, revision, nonce } = view;
  view.term = {
    epoch,
    revision,
    nonce,
    phase: "held",
    reason: "moved",
    doubtedUntil: null,
    contradicted: null,
  };
  group.terms.add(view);
  group.working += 1;
  if (isCoordinatorKey(view)) {
    group.planDue = true;
    group.changedAtMono = Math.max(group.changedAtMono, now.mono);
    emit(group, { type: "coordinating", epoch });
    return;
  }
  emit(group, { type: "own", resource: view.name, epoch });
  if (!isAboveCap(group)) return considerMove(group, view);
  // What is planned for it has come, and something else has to go.
  for (const other of group.terms) considerMove(group, other);
}

export function readOwner(group: GroupState, view: ResourceView): void {
  view.reads.due = true;
  dequeue(group.claims, view);
  dequeue(group.releases, view);
  enqueue(group.reads, view);
}

/** After an answer about the key was taken in that was asked for then: what it means for our claim or our term. */
export function settleOwner(group: GroupState, view: ResourceView, askedAt: Instant): void {
  const { term } = view;
  if (term !== null) {
    if (view.kind === "claimed" && view.revision === term.revision) {
      endDoubt(group, view, term);
      // The claim stands, and the plan is that of another term: the servers have lost the claim of that one. The next term is above both.
      if (isCoordinatorKey(view) && isPlanOfOther(group, term.epoch)) return dropCoordinator(group, view);
      return consider(group, view);
    }
    if (term.phase === "releasing") return endReleased(group, view, term, null);
    return lose(group, view, term);
  }
  if (view.write === null && view.adopt !== 0) {
    const isApplied = view.nonce === view.adopt && view.incarnation === group.config.incarnation;
    const begins = isApplied && isMine(group, view) && mayBegin(group, view, view.adoptSession);
    if (begins && !isRecent(group, askedAt)) return readOwner(group, view);
    forgetClaim(group, view);
    if (begins) beginTerm(group, view);
  }
  consider(group, view);
}

/**
 * A message at this revision shows something newer on a key of ours. It may be forged, and the server that answers may be behind. Others
 * replace garbage W after they have seen it: no renewal that was stored after it makes the term longer. A term whose work has ended need
 * not end by then.
 */
export function doubtOwner(group: GroupState, view: ResourceView, revision: number): void {
  const { term } = view;
  if (term === null || view.write !== null) return;
  if (term.phase === "held" || term.phase === "draining") {
    term.doubtedUntil ??= group.own.deadline;
    const { first = revision, last = revision } = term.contradicted ?? {};
    term.contradicted = {
      first: Math.min(first, revision),
      last: Math.max(last, revision),
      nonce: group.lastNonce,
    };
    group.doubted.add(view);
  }
  readOwner(group, view);
}

/** An own write was applied at this revision: messages from there on that had come before it was sent were forged. */
export function endRefuted(group: GroupState, view: ResourceView, nonce: number, revision: number): void {
  const { term } = view;
  const contradicted = term?.contradicted ?? null;
  if (term === null || contradicted === null) return;
  if (nonce <= contradicted.nonce || revision > contradicted.last) return;
  showClaim(group, view, term);
  if (revision <= contradicted.first) endDoubt(group, view, term);
  else term.contradicted = { ...contradicted, last: revision - 1 };
}

function endDoubt(group: GroupState, view: ResourceView, term: Term): void {
  term.doubtedUntil = null;
  term.contradicted = null;
  group.doubted.delete(view);
}

/** Ends the terms that were doubted for as long as they may be held. */
export function endDoubted(group: GroupState): void {
  for (const view of group.doubted) {
    const { term } = view;
    if (term !== null && isDoubted(term, group.now)) lose(group, view, term);
  }
}

// ---------------------------------------------------------------------------------------------- giving up

/** Why the resource has to be given up; `null`: it is kept. */
function moveReason(group: GroupState, view: ResourceView): DrainReason | null {
  const { term, target } = view;
  if (group.stopping !== null) return "stopped";
  if (view.spec === null) return "unlisted";
  if (group.refused.has(view.name)) return "refused";
  if (takesNothing(group) || group.profile.weight === 0) return "draining";
  if (isAboveCap(group) && !isPlannedHere(group, view)) return "moved";
  // Only a plan that is newer than the claim moves: the claim may be the answer to a death, or to a release that named us.
  if (term === null || group.plan.revision <= term.revision) return null;
  return target !== null && target !== group.config.memberId && isLive(group, target) ? "moved" : null;
}

/** Gives the resource up if it has to be, at once or when it is its turn. */
export function considerMove(group: GroupState, view: ResourceView): void {
  dequeue(group.moves, view);
  if (view.term?.phase !== "held") return;
  if (isCoordinatorKey(view)) {
    if (!mayOwn(group, view)) dropCoordinator(group, view);
    return;
  }
  const reason = moveReason(group, view);
  if (reason === null) return;
  if (reason === "moved" || reason === "draining") enqueue(group.moves, view);
  else drain(group, view, view.term, reason);
}

/** The coordinator has no work that must end. Its key becomes an orphan, which is released. */
function dropCoordinator(group: GroupState, view: ResourceView): void {
  endTerm(group, view);
  emit(group, { type: "coordinating", epoch: null });
  consider(group, view);
}

/** Begins the moves whose turn it is. While the session is suspended none does: it may be over, and then its terms are lost, not moved. */
export function sendMoves(group: GroupState): void {
  if (!isSessionHeld(group, group.now)) return;
  while (group.leavingTerms < group.config.maxMoves) {
    const view = takeFirst(group.moves);
    if (view === undefined) return;
    const reason = moveReason(group, view);
    if (view.term?.phase === "held" && reason !== null) drain(group, view, view.term, reason);
  }
}

function drain(group: GroupState, view: ResourceView, term: Term, reason: DrainReason): void {
  term.phase = "draining";
  term.reason = reason;
  group.leavingTerms += 1;
  emit(group, { type: "drain", resource: view.name, epoch: term.epoch, reason });
}

/** The work has ended: the release is due. */
export function onDrained(group: GroupState, resource: string, epoch: number): void {
  const view = group.resources.get(resource);
  if (view?.term?.phase !== "draining" || view.term.epoch !== epoch) return;
  view.term.phase = "drained";
  group.working -= 1;
  endDoubt(group, view, view.term);
  consider(group, view);
}

/** Sends the release of a drained term, or of an orphan. Returns whether one was sent. */
export function sendRelease(group: GroupState, view: ResourceView): boolean {
  dequeue(group.releases, view);
  const { term, target } = view;
  if (view.write !== null || (term === null && !isMine(group, view))) return false;
  if (term !== null) term.phase = "releasing";
  const successor =
    target !== null && target !== group.config.memberId && isLive(group, target) ? target : null;
  const { epoch } = term ?? view;
  const expect = term?.revision ?? view.revision;
  const { now, above, own } = group;
  forgetClaim(group, view);
  view.write = sendWrite(group, {
    key: view.key,
    record: (authorship) => ({
      ...authorship,
      kind: "release",
      epoch,
      ...(successor === null ? {} : { successor }),
    }),
    expect,
    pending: { kind: "release", view, session: own.number, expect, above, epoch, successor, sentAt: now },
  });
  return true;
}

export function onReleaseWritten(group: GroupState, write: OwnerWrite, outcome: WriteOutcome): void {
  const { view, epoch, successor } = write;
  view.write = null;
  noteAnswered(group, group.now.mono - write.sentAt.mono, outcome.kind !== "unknown");
  if (outcome.kind !== "applied") {
    if (outcome.kind === "unknown") warnOfStore(group, outcome.error);
    else noteConflict(group, view);
    return readOwner(group, view);
  }
  group.storeFailing = false;
  noteAck(view, outcome.revision);
  if (outcome.revision >= view.revision) {
    view.revision = outcome.revision;
    noteRelease(group, view, epoch, successor);
  }
  if (view.term !== null) endReleased(group, view, view.term, successor);
  else consider(group, view);
}

/** The release is settled. */
function endReleased(group: GroupState, view: ResourceView, term: Term, successor: string | null): void {
  endTerm(group, view);
  emit(group, {
    type: "released",
    resource: view.name,
    epoch: term.epoch,
    ...(successor === null ? {} : { successor }),
  });
  consider(group, view);
}

function endTerm(group: GroupState, view: ResourceView): void {
  const phase = view.term?.phase;
  if (phase !== "held") group.leavingTerms -= 1;
  if (phase === "held" || phase === "draining") group.working -= 1;
  view.term = null;
  group.terms.delete(view);
  group.doubted.delete(view);
  dequeue(group.moves, view);
}

/** Another party has replaced our claim: the term is over. */
function lose(group: GroupState, view: ResourceView, term: Term): void {
  endTerm(group, view);
  emitLoss(group, view, term.epoch, "superseded");
  consider(group, view);
}

function emitLoss(group: GroupState, view: ResourceView, epoch: number, reason: TermLossReason): void {
  if (isCoordinatorKey(view)) emit(group, { type: "coordinating", epoch: null });
  else emit(group, { type: "lose", resource: view.name, epoch, reason });
}

/** The session has ended, and every term with it. After `stop` the work of all has ended: they are released. */
export function endTerms(group: GroupState, reason: Exclude<TermLossReason, "superseded">): void {
  for (const view of group.terms) {
    const { term } = view;
    view.term = null;
    if (term === null) continue;
    if (reason === "stopped") emit(group, { type: "released", resource: view.name, epoch: term.epoch });
    else emitLoss(group, view, term.epoch, reason);
  }
  group.terms.clear();
  group.doubted.clear();
  clearQueue(group.claims);
  clearQueue(group.releases);
  clearQueue(group.moves);
  group.leavingTerms = 0;
  group.working = 0;
}

/** What the session owned is free. */
export function considerFreed(group: GroupState): void {
  for (const session of group.freed) {
    group.freed.delete(session);
    for (const view of group.byOwner.get(session.memberId) ?? []) {
      if (!isUnowned(group, view)) continue;
      view.unownedSinceMono = group.now.mono;
      consider(group, view);
    }
  }
}

function warnOfStore(group: GroupState, error: Error): void {
  if (!group.storeFailing)
    warn(group, "STORE_FAILING", "a claim or a release got no answer; reading its key", error);
  group.storeFailing = true;
}
