/**
 * What a node knows of the key, and what follows from it: who leads, from when on it may be campaigned against, and
 * which epoch would be next.
 */
import { takeoverWaitMs } from "./lease.ts";
import { waitedUntil } from "./time.ts";
import { emit, type Turn, warn } from "./turn.ts";
import type { ElectionState, Expectation, Leader, LeaseEntry, LeaseRecord, Snapshot, View } from "./types.ts";
import { sameBinding } from "./writes.ts";

/**
 * Where a bucket that is made in place of a lost one goes on. In a cluster's first bucket no epoch is larger than the
 * revision it was first written with. So it stays in one that begins behind everything known: whoever remembers nothing
 * and finds the key empty takes a larger epoch, and what was on its way to the old bucket finds no revision of its own.
 */
export function nothingNewUpTo({ highestEpoch, seenRevision }: ElectionState): number {
  return Math.max(highestEpoch, seenRevision);
}

/** True when the record was written by this very incarnation. The node id alone proves nothing. */
export function isMine(state: ElectionState, record: LeaseRecord | null): boolean {
  return record?.incarnation === state.config.incarnation;
}

/** True when this very incarnation wrote it: a record, or the marker of a release. */
export function isMyWrite(state: ElectionState, entry: LeaseEntry): boolean {
  if (entry.kind === "record") return isMine(state, entry.record);
  return entry.kind === "released" && entry.incarnation === state.config.incarnation;
}

/**
 * A message of a bucket that was deleted may come after the next one was read, and its revision may stand there, too: for
 * something else. Whoever took the one for the other would be let through by the compare-and-set. An answer to a read says
 * which bucket it is of; so for one lease after another bucket was noticed only reads are believed.
 */
export function mayBeStray({ state, now }: Turn): boolean {
  return now.mono < state.strayUntilMono;
}

/**
 * A message that is newer by its revision and older by its epoch: a straggler of a bucket that was deleted, or a bucket
 * that lost its history. A hint of that kind is not believed; the read tells.
 */
export function isFromAnotherLife(state: ElectionState, entry: LeaseEntry): boolean {
  if (entry.kind !== "record" && entry.kind !== "released") return false;
  const epoch = entry.kind === "record" ? entry.record.epoch : entry.epoch;
  return entry.revision > state.seenRevision && epoch < state.highestEpoch;
}

/**
 * Another message than the one that was seen at this revision. No bucket has two: the one that was seen was a straggler of a
 * bucket that is gone, and what it said of the lease is no reason to take it.
 */
export function contradicts({ view }: ElectionState, entry: LeaseEntry): boolean {
  if (view.kind === "unknown" || view.revision !== entry.revision) return false;
  if (view.kind === "vacant") return entry.kind === "record" || entry.kind === "garbage";
  if (view.record === null) return entry.kind !== "garbage";
  if (entry.kind !== "record") return true;
  const { incarnation, nonce, epoch } = view.record;
  return (
    entry.record.incarnation !== incarnation || entry.record.nonce !== nonce || entry.record.epoch !== epoch
  );
}

export function asLeader(record: LeaseRecord): Leader {
  const { nodeId, epoch, acquiredAt, incarnation } = record;
  return { nodeId, epoch, acquiredAt, ...(incarnation === undefined ? {} : { incarnation }) };
}

/** Whoever leads as far as this node can tell: nobody once a lease has run out unrenewed. */
export function leaderOf(turn: Turn): Leader | null {
  const { state } = turn;
  const { view, outwait } = state;
  if ("term" in state.role) {
    return {
      nodeId: state.config.nodeId,
      epoch: state.role.term.epoch,
      incarnation: state.config.incarnation,
      acquiredAt: state.role.term.acquiredAt,
    };
  }
  if (view.kind !== "held" || view.record === null || isMine(state, view.record)) return null;
  if (outwait === null || waitedUntil(outwait.since, outwait.waitMs, turn.now)) return null;
  return asLeader(view.record);
}

/** No epoch up to this one may be used for the next term. */
export function epochFloor(view: View): number {
  switch (view.kind) {
    case "unknown":
      return 0;
    case "vacant":
      return view.epochFloor;
    case "held":
      // Within one life of the stream every epoch is at most the sequence it was written at: each term takes at
      // least one write and raises the epoch by one, or sets it to the sequence itself. So where no epoch can be
      // read, the revision is a bound for all of them.
      return view.record === null ? view.revision : view.record.epoch;
    default:
      return view satisfies never;
  }
}

/** What must still be so for a takeover to be applied: exactly what was seen. */
export function expectationOf(view: Exclude<View, { kind: "unknown" }>): Expectation {
  return view.revision === 0 && view.kind === "vacant"
    ? { emptyAtSequence: view.lastSequence }
    : { revision: view.revision };
}

/**
 * Takes in one message of the key, from a read or the watch. Messages not newer than what was seen change nothing.
 * Returns whether it was news.
 */
export function observe(turn: Turn, entry: LeaseEntry): boolean {
  if (entry.revision <= turn.state.seenRevision) return false;
  turn.state.seenRevision = entry.revision;
  turn.state.seenAt = turn.now;
  turn.state.heardAt = turn.now;
  turn.state.conflicts = 0;
  switch (entry.kind) {
    case "record":
      observeRecord(turn, entry.revision, entry.record);
      break;
    case "garbage":
      warn(
        turn,
        "GARBAGE_RECORD",
        `revision ${entry.revision} is not a lease record (${entry.reason}); waiting it out`,
      );
      holdBack(turn, garbageWaitMs(turn.state));
      turn.state.view = { kind: "held", revision: entry.revision, record: null };
      break;
    case "released":
      turn.state.outwait = null;
      turn.state.highestEpoch = Math.max(turn.state.highestEpoch, entry.epoch);
      turn.state.view = {
        kind: "vacant",
        revision: entry.revision,
        lastSequence: entry.revision,
        epochFloor: entry.epoch,
        since: turn.now,
        successor: entry.successor,
      };
      break;
    case "deleted":
      observeVacancy(turn, entry.revision, entry.revision);
      break;
    default:
      entry satisfies never;
  }
  return true;
}

/** Whoever held the lease before garbage was written over it may still believe, for as long as its own TTL lets it. */
function garbageWaitMs({ config, bucketMaxAgeMs, outwait }: ElectionState): number {
  return Math.max(takeoverWaitMs(config.leaseTtlMs, undefined, bucketMaxAgeMs), outwait?.waitMs ?? 0);
}

function observeRecord(turn: Turn, revision: number, record: LeaseRecord): void {
  const { config, highestEpoch, view } = turn.state;
  // A record of ours does not end a wait: it was sent after one, or it strayed into another bucket.
  if (!isMine(turn.state, record)) {
    const seen = view.kind === "held" ? view.record : null;
    const renewed = seen !== null && seen.incarnation === record.incarnation && seen.epoch === record.epoch;
    if (record.epoch < highestEpoch && !renewed) {
      warn(
        turn,
        "EPOCH_REGRESSED",
        `"${record.nodeId}" leads with epoch ${record.epoch}, but ${highestEpoch} was seen before: the bucket lost its history`,
      );
    }
    if (record.nodeId === config.nodeId) noteDuplicate(turn, record);
    // A renewal that was still on its way when its sender's connection ended entitles it to nothing: see `suspend`.
    if (isGone(turn.state, record)) turn.state.outwait = null;
    else holdBack(turn, takeoverWaitMs(config.leaseTtlMs, record.ttlMs, turn.state.bucketMaxAgeMs));
  }
  turn.state.view = { kind: "held", revision, record };
  turn.state.highestEpoch = Math.max(highestEpoch, record.epoch);
}

/** Does it name, with the promise that goes with a presence, a connection that is known to be gone? */
function isGone({ gone }: ElectionState, { session }: LeaseRecord): boolean {
  return gone !== null && session?.presence !== undefined && sameBinding(session, gone);
}

/** Is the holder's end confirmed, as far as its last record goes? */
export function holderIsGone(state: ElectionState): boolean {
  const { view } = state;
  return view.kind === "held" && view.record !== null && isGone(state, view.record);
}

/** A record of my node id may be left over from my own past life; one that is renewed is somebody alive. */
function noteDuplicate(turn: Turn, record: LeaseRecord): void {
  const { view, duplicate, config } = turn.state;
  const seenBefore = view.kind === "held" && view.record?.incarnation === record.incarnation;
  if (!seenBefore || record.incarnation === undefined || duplicate === record.incarnation) return;
  turn.state.duplicate = record.incarnation;
  warn(
    turn,
    "DUPLICATE_NODE_ID",
    `two processes run as node "${config.nodeId}": incarnation ${record.incarnation} leads, this one is ${config.incarnation}; give each its own nodeId`,
  );
}

/**
 * The key is gone and its holder did not say so. A go-cluster node steps down like that; anything else is an
 * operator or a faulty peer, and the holder may still believe. Its last renewal was applied before the deletion, so
 * the full wait from now covers it.
 */
function observeVacancy(turn: Turn, revision: number, lastSequence: number): void {
  const { view, outwait, bucketMaxAgeMs } = turn.state;
  const overGoRecord = view.kind === "held" && view.record !== null && view.record.incarnation === undefined;
  const expired = revision === 0 && bucketMaxAgeMs > 0;
  if (revision > 0 && overGoRecord) turn.state.outwait = null;
  else if (outwait !== null && !expired && view.kind !== "vacant") holdBack(turn, outwait.waitMs);
  turn.state.view = {
    kind: "vacant",
    revision,
    lastSequence,
    epochFloor: lastSequence,
    since: turn.now,
    successor: undefined,
  };
}

/** Our own delete of our own lease was applied. */
export function noteRelease(turn: Turn, revision: number, successor: string | undefined): void {
  if (revision < turn.state.seenRevision) return;
  turn.state.seenRevision = revision;
  turn.state.seenAt = turn.now;
  turn.state.heardAt = turn.now;
  turn.state.outwait = null;
  turn.state.view = {
    kind: "vacant",
    revision,
    lastSequence: revision,
    epochFloor: turn.state.highestEpoch,
    since: turn.now,
    successor,
  };
}

function holdBack(turn: Turn, waitMs: number): void {
  turn.state.outwait = { since: turn.now, waitMs };
}

/**
 * Takes in an answer of the stream leader. Returns whether it may be acted on: an answer that shows less than was
 * already seen comes from a stream leader that has lost its quorum, and is ignored. Only when a conflict has
 * disputed the view and W has passed without anything newer is it believed: then the bucket itself went back
 * (power loss without sync, or a forged hint).
 */
export function observeSnapshot(turn: Turn, snapshot: Snapshot): boolean {
  if (turn.state.generation !== null && snapshot.generation !== turn.state.generation) {
    observeRecreation(turn, snapshot.generation);
  }
  const shown = snapshot.entry === null ? snapshot.lastSequence : snapshot.entry.revision;
  if (shown < turn.state.seenRevision) {
    const { disputed, seenAt, config, outwait } = turn.state;
    const waitMs = Math.max(config.leaseTtlMs, outwait?.waitMs ?? 0);
    if (!disputed || !waitedUntil(seenAt, waitMs, turn.now)) return false;
    turn.state.seenRevision = 0;
  }
  turn.state.heardAt = turn.now;
  turn.state.disputed = false;
  const { view } = turn.state;
  if (snapshot.entry !== null) {
    if (contradicts(turn.state, snapshot.entry)) turn.state.seenRevision = 0;
    observe(turn, snapshot.entry);
  } else if (view.kind !== "vacant" || view.revision !== 0 || view.lastSequence !== snapshot.lastSequence) {
    // Also where a marker was seen before: markers expire and are purged like records, and nothing can be expected of
    // one that is gone.
    turn.state.seenRevision = snapshot.lastSequence;
    turn.state.seenAt = turn.now;
    observeVacancy(turn, 0, snapshot.lastSequence);
  }
  return true;
}

/** Another bucket stands under the same name: revisions start anew, epochs must not. */
export function observeRecreation(turn: Turn, generation: string): void {
  const { outwait, generation: before, role, config } = turn.state;
  warn(
    turn,
    "BUCKET_RECREATED",
    `the bucket was deleted and created anew (was ${before}, is ${generation}); epochs continue above ${turn.state.highestEpoch}`,
  );
  turn.state.strayUntilMono = turn.now.mono + config.leaseTtlMs;
  // What was sent to the old bucket begins no term in the new one.
  turn.state.generation = generation;
  turn.state.seenRevision = 0;
  turn.state.seenAt = turn.now;
  turn.state.view = { kind: "unknown" };
  turn.state.sent = [];
  if (role.name === "campaigning") turn.state.role = { name: "follower" };
  if (outwait !== null) holdBack(turn, outwait.waitMs);
}

/** Tells the application when the leader is another one than it was last told. */
export function announce(turn: Turn): void {
  const before = turn.state.announced;
  const leader = leaderOf(turn);
  if (
    before?.nodeId === leader?.nodeId &&
    before?.epoch === leader?.epoch &&
    before?.incarnation === leader?.incarnation
  ) {
    return;
  }
  turn.state.announced = leader;
  emit(turn, { type: "leader-changed", leader });
}
