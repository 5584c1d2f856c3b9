/**
 * What is known of the owner keys. Messages of the watch are taken in: a claim that relies on a forged one is refused, because it is a
 * compare-and-set on that very key; then the key is read. What a claim's compare-and-set does not check, whether the owner's session is
 * over, is known from answers only (`sessions.ts`).
 */
import { maxEpochAt } from "../../election/epochs.ts";
import { resourceView } from "./initial-state.ts";
import { addDue } from "./queues.ts";
import { isOver, readSession, sessionDue, sessionView, whatElse } from "./sessions.ts";
import {
  type GroupState,
  NEVER,
  noteNumber,
  type ResourceView,
  type SessionView,
  type Term,
  warn,
} from "./state.ts";
import type { Claim, GroupEntry, GroupKey, Release } from "./types.ts";

export function ownerView(group: GroupState, key: GroupKey): ResourceView {
  if (key.kind !== "owner") return group.coordinator;
  const known = group.resources.get(key.resource);
  if (known !== undefined) return known;
  const view = resourceView(key, key.resource, group.now);
  group.resources.set(key.resource, view);
  return view;
}

/** A message of the watch. It changes nothing unless it is newer. Returns whether it was. */
export function noteOwnerMessage(group: GroupState, view: ResourceView, entry: GroupEntry): boolean {
  if (entry.revision <= view.revision) return false;
  replace(group, view, entry);
  return true;
}

/** The newest revision that anything has shown on the key. */
export function shownRevision({ revision, term }: ResourceView): number {
  return Math.max(revision, term?.contradicted?.last ?? 0);
}

/** An answer that bears witness to revision `shown`. Returns whether it is believed. */
export function noteOwnerAnswer(
  group: GroupState,
  view: ResourceView,
  entry: GroupEntry | null,
  shown: number,
): boolean {
  if (shown < shownRevision(view)) return false;
  if (entry !== null) {
    view.provenRevision = Math.max(view.provenRevision, entry.revision);
    const { revision, unownedSinceMono, conflicts } = view;
    // What a message has shown at this revision may be forged in any part.
    replace(group, view, entry);
    if (entry.revision === revision) {
      view.unownedSinceMono = unownedSinceMono;
      view.conflicts = conflicts;
    }
    if (view.kind === "claimed" && view.owner !== null) {
      const holder = sessionView(group, view.owner);
      holder.shownUpTo = Math.max(holder.shownUpTo, view.session);
      sessionDue(group, group.now.mono);
    }
  } else if (view.revision !== 0) noteAbsence(group, view);
  return true;
}

/** The message on this key was forged, or may have been. Where a term runs, its claim is known. */
export function forgetOwnerMessage(group: GroupState, view: ResourceView): void {
  if (view.term !== null) return showClaim(group, view, view.term);
  noteAbsence(group, view);
}

function noteAbsence(group: GroupState, view: ResourceView): void {
  view.kind = "absent";
  view.revision = 0;
  view.successor = null;
  view.unownedSinceMono = group.now.mono;
}

export function showClaim(group: GroupState, view: ResourceView, term: Term): void {
  const { memberId, incarnation } = group.config;
  const { revision, nonce, epoch } = term;
  noteClaim(group, view, {
    memberId,
    session: group.own.number,
    incarnation,
    nonce,
    above: epoch - 1,
    revision,
  });
}

/** As `contradictionOf` of a session: no revision is used twice. */
export function contradictionOfOwner(
  group: GroupState,
  view: ResourceView,
  entry: GroupEntry,
): string | null {
  const isOther =
    entry.revision === view.term?.revision
      ? isOtherThanClaim(group, view.term, entry)
      : entry.revision === view.provenRevision && isOtherMessage(group, view, entry);
  return isOther
    ? `revision ${entry.revision} of ${ownedName(view.key)} is another message than before`
    : null;
}

/** Is it another record than the claim of the term? What messages have shown on its key since does not matter. */
function isOtherThanClaim(group: GroupState, { nonce }: Term, entry: GroupEntry): boolean {
  if (entry.kind !== "record") return false;
  const record = believed(group, entry.record, entry.revision);
  if (record === null) return false;
  return record.kind !== "claim" || record.incarnation !== group.config.incarnation || record.nonce !== nonce;
}

/** Is it another message than the one that is known at its revision? */
export function isOtherMessage(group: GroupState, view: ResourceView, entry: GroupEntry): boolean {
  if (entry.revision !== view.revision) return false;
  const record = entry.kind === "record" ? believed(group, entry.record, entry.revision) : null;
  if (record === null) return view.kind !== "blocked";
  if (record.kind === "release") return view.kind !== "released" || view.epoch !== record.epoch;
  return view.kind !== "claimed" || view.incarnation !== record.incarnation || view.nonce !== record.nonce;
}

function replace(group: GroupState, view: ResourceView, entry: GroupEntry): void {
  const isNews = view.kind !== "blocked" || view.revision !== entry.revision;
  view.revision = entry.revision;
  view.conflicts = 0;
  view.successor = null;
  view.unownedSinceMono = group.now.mono;
  const record = entry.kind === "record" ? believed(group, entry.record, entry.revision) : null;
  if (record?.kind === "claim") {
    const { memberId, session, incarnation, nonce, above } = record;
    noteClaim(group, view, { memberId, session, incarnation, nonce, above, revision: entry.revision });
  } else if (record?.kind === "release") {
    noteNumber(group, record.above);
    noteRelease(group, view, record.epoch, record.successor ?? null);
  } else {
    // Its owner, if there is one, sees the same message and ends its term.
    view.kind = "blocked";
    view.blockedUntilMono = group.now.mono + group.config.leaseTtlMs;
    addDue(group.due, view.blockedUntilMono, view);
    if (isNews) warnOfGarbage(group, view, entry);
  }
}

/** A program that fills the bucket with garbage must not fill the log. */
const GARBAGE_PAUSE_MS = 1_000;

function warnOfGarbage(group: GroupState, { key, revision }: ResourceView, entry: GroupEntry): void {
  if (group.now.mono < group.garbageFromMono) return;
  group.garbageFromMono = group.now.mono + GARBAGE_PAUSE_MS;
  warn(
    group,
    "GARBAGE_RECORD",
    `revision ${revision} of ${ownedName(key)} is no record of it (${whatElse(entry)}); no member claims it for ${group.config.leaseTtlMs} ms`,
  );
}

/** What stands on this key, for people. */
function ownedName(key: GroupKey): string {
  return key.kind === "owner" ? `the owner of resource "${key.resource}"` : "the coordinator";
}

/** A record of this bucket, with numbers that are possible. */
function believed({ bucket }: GroupState, record: unknown, revision: number): Claim | Release | null {
  const shown = record as Claim | Release;
  if (shown.generation !== bucket.generation || shown.above > maxEpochAt(revision)) return null;
  if (shown.kind === "release") return shown.epoch <= maxEpochAt(revision) ? shown : null;
  return shown.kind === "claim" ? shown : null;
}

export interface SeenClaim {
  readonly memberId: string;
  readonly session: number;
  readonly incarnation: string;
  readonly nonce: number;
  readonly above: number;
  readonly revision: number;
}

/** The ack of our own write has shown this revision. */
export function noteAck(view: ResourceView, revision: number): void {
  view.provenRevision = Math.max(view.provenRevision, revision);
}

export function noteClaim(group: GroupState, view: ResourceView, claim: SeenClaim): void {
  setOwner(group, view, claim.memberId);
  view.kind = "claimed";
  view.revision = claim.revision;
  view.session = claim.session;
  view.epoch = Math.max(claim.revision, claim.above + 1);
  view.incarnation = claim.incarnation;
  view.nonce = claim.nonce;
  // It is known from now on, and read.
  sessionView(group, claim.memberId);
  noteNumber(group, view.epoch);
}

export function noteRelease(
  group: GroupState,
  view: ResourceView,
  epoch: number,
  successor: string | null,
): void {
  setOwner(group, view, null);
  view.kind = "released";
  view.epoch = epoch;
  view.successor = successor;
  view.unownedSinceMono = group.now.mono;
  noteNumber(group, epoch);
}

function setOwner({ byOwner }: GroupState, view: ResourceView, owner: string | null): void {
  if (view.owner === owner) return;
  if (view.owner !== null) byOwner.get(view.owner)?.delete(view);
  view.owner = owner;
  if (owner === null) return;
  const owned = byOwner.get(owner);
  if (owned === undefined) byOwner.set(owner, new Set([view]));
  else owned.add(view);
}

/** Does the key name the present session of this member? With no term that is an orphan. */
export function isMine({ own, config }: GroupState, { kind, owner, session }: ResourceView): boolean {
  return kind === "claimed" && owner === config.memberId && own.phase !== "none" && session === own.number;
}

/**
 * Monotonic milliseconds from which the key may be claimed by a member that wants it; infinite while its owner's session is not known
 * to be over. Where a claim has vanished or was written over, its owner still counts.
 */
export function freeAtMono(group: GroupState, view: ResourceView): number {
  const { kind, owner, session } = view;
  // Also where the last owner that is known is over: what was written over may have been the claim of another.
  if (kind === "blocked") return view.blockedUntilMono;
  if (kind === "released" || owner === null || isMine(group, view)) return 0;
  if (isOver(group, owner, session)) return 0;
  // Our own claim has vanished, and no term runs on it.
  if (kind === "absent" && owner === group.config.memberId && session === group.own.number) return 0;
  const holder = group.sessions.get(owner);
  if (holder !== undefined && seemsFalse(holder, session)) return falseUntilMono(group, view, holder);
  const seemsOver =
    holder !== undefined &&
    (holder.kind === "ended" ? session <= holder.number : holder.kind === "live" && session < holder.number);
  if (seemsOver && !holder.reads.inFlight && holder.fenceNonce === null) readSession(group, holder);
  return NEVER;
}

/**
 * Does the claim name a session that has not begun? A member claims when its session stands in the bucket, and numbers only rise, so
 * that no member has written it.
 */
function seemsFalse({ kind, number }: SessionView, session: number): boolean {
  return (kind === "live" || kind === "ended") && session > number;
}

/**
 * When a claim of a session that has not begun may be replaced, as anything else that no member writes. Only an answer about the session
 * that is not older than the claim shows that it is false; it is asked for, and looked at when W is over.
 */
function falseUntilMono(group: GroupState, view: ResourceView, holder: SessionView): number {
  const waitMs = Math.max(group.config.leaseTtlMs, holder.waitMs);
  const { answered } = holder;
  if (answered !== null && answered.upTo >= view.revision && answered.number < view.session)
    return Math.max(answered.sinceMono, view.unownedSinceMono) + waitMs;
  if (!holder.reads.inFlight) readSession(group, holder);
  return group.now.mono + waitMs;
}

/** Has the resource no owner, as far as is known? */
export function isUnowned(group: GroupState, { kind, owner, session }: ResourceView): boolean {
  return kind === "released" || owner === null || isOver(group, owner, session);
}
