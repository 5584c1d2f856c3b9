/** What a node concludes from its state: whose the lease is, who leads, what the next term needs, what must be listened to. */
import { beatIntervalMs } from "../inquiry/durations.ts";
import { sameConnection } from "../inquiry/rules.ts";
import { type Draft, emit, termOf } from "./draft.ts";
import { maxEpochAt } from "./epochs.ts";
import { type Instant, waitedUntil } from "./time.ts";
import type {
  ElectionState,
  Expectation,
  Leader,
  LeaseEntry,
  LeaseRecord,
  SessionBinding,
  View,
} from "./types.ts";

/** So many heartbeat intervals without a newer revision mean that a heartbeat was missed. */
const MISSED_HEARTBEAT = 1.5;

/** How long a node that was outpaced lets the others go first. On one machine a takeover takes about as long. */
const GIVE_WAY_MS = 5;

/** True when this incarnation wrote the record. The node id alone proves nothing: an earlier incarnation has the same. */
export function isMine({ config }: ElectionState, record: LeaseRecord | null): boolean {
  return record?.incarnation === config.incarnation;
}

/** True when this incarnation wrote the message: a record, or the marker of a release. */
export function isMyWrite(state: ElectionState, entry: LeaseEntry): boolean {
  if (entry.kind === "record") return isMine(state, entry.record);
  return entry.kind === "released" && entry.incarnation === state.config.incarnation;
}

// ---------------------------------------------------------------------------------------------- the holder

/** Does the record name, with a presence, the connection that is confirmed closed? */
export function namesClosedBinding({ holder }: ElectionState, { session }: LeaseRecord): boolean {
  const { closedBinding } = holder;
  return closedBinding !== null && session?.presence !== undefined && sameConnection(session, closedBinding);
}

/** Is the connection that the holder's last record names confirmed closed, or its silence confirmed for this very record? */
export function holderIsGone(state: ElectionState): boolean {
  const { view } = state.lease;
  if (view.kind !== "occupied" || view.record === null) return false;
  return view.revision === state.holder.silentRevision || namesClosedBinding(state, view.record);
}

/** From when on the holder, if there is one, has missed a heartbeat. */
export function missedHeartbeatAtMono({ config }: ElectionState, lastHeard: Instant): number {
  return lastHeard.mono + MISSED_HEARTBEAT * config.heartbeatIntervalMs;
}

/** Has the holder missed a heartbeat, as far as the newest revision shows? */
export function holderIsLate({ lease, config }: ElectionState, now: Instant): boolean {
  return waitedUntil(lease.newestAt, MISSED_HEARTBEAT * config.heartbeatIntervalMs, now);
}

/**
 * How long this node lets the others go first when the holder may be gone. All followers learn of it at the same moment, and one write
 * is applied: the work of the others would only delay it, on a server or a machine that they share.
 */
export function giveWayMs({ candidacy }: ElectionState): number {
  return candidacy.outpaced ? GIVE_WAY_MS : 0;
}

// ---------------------------------------------------------------------------------------------- the leader

export function asLeader({ nodeId, epoch, acquiredAt, incarnation }: LeaseRecord): Leader {
  return { nodeId, epoch, acquiredAt, ...(incarnation === undefined ? {} : { incarnation }) };
}

/** The present leader as last seen by this node; `null` once a lease has expired without a renewal. */
function leaderOf(state: ElectionState, now: Instant): Leader | null {
  const { config, role } = state;
  if ("term" in role) {
    const { epoch, acquiredAt } = role.term;
    return { nodeId: config.nodeId, epoch, incarnation: config.incarnation, acquiredAt };
  }
  const { view } = state.lease;
  const { takeoverWait } = state.holder;
  if (view.kind !== "occupied" || view.record === null || isMine(state, view.record)) return null;
  if (holderIsGone(state) || takeoverWait === null) return null;
  if (waitedUntil(takeoverWait.since, takeoverWait.waitMs, now)) return null;
  return asLeader(view.record);
}

/** Reports a leader other than the one that was last reported. */
export function announce(draft: Draft): void {
  const before = draft.announced;
  const leader = leaderOf(draft, draft.now);
  if (
    before?.nodeId === leader?.nodeId &&
    before?.epoch === leader?.epoch &&
    before?.incarnation === leader?.incarnation
  ) {
    return;
  }
  draft.announced = leader;
  emit(draft, { type: "leader-change", leader });
}

// ---------------------------------------------------------------------------------------------- the next term

/** No epoch up to this one may be used for the next term. */
export function epochFloor(view: View): number {
  return view.kind === "unknown" ? 0 : view.epochFloor;
}

/** The newest sequence of the stream that the view shows. */
export function newestSequence(view: Exclude<View, { kind: "unknown" }>): number {
  return view.kind === "vacant" ? Math.max(view.revision, view.lastSequence) : view.revision;
}

/**
 * The largest epoch that a message up to this sequence may have had, which has been replaced or removed: a bound where no epoch can be read.
 * Each term takes at least one write, and raises the epoch by one or sets it to a sequence. So in the first bucket of a cluster, and
 * in one that was created above it, no epoch exceeds the sequence it was written at: nodes without memory rely on it. In one whose
 * revisions have begun at 1 again, epochs lie above their sequences by as much as the largest epoch of the bucket before, at most. So does the
 * next one: it is one more than an epoch of an earlier message, or than this bound. A node knows the difference if it remembers that epoch.
 * What it has read in this bucket is not enough: another one may have found that garbage hid what was read, and have gone up to the bound.
 * No epoch lies above the limit (`epochs.ts`), whatever is remembered of forged ones: so one is always left for the next term.
 */
export function hiddenEpochFloor({ lease }: ElectionState, sequence: number): number {
  const { view, highestEpoch, epochsAbove } = lease;
  // A bucket that has lost messages may have fewer sequences than it had.
  const lost = view.kind === "unknown" ? 0 : Math.max(epochFloor(view), highestEpoch) - newestSequence(view);
  return Math.min(sequence + Math.max(epochsAbove, lost), maxEpochAt(sequence));
}

/**
 * The epoch of the next term if it replaces what was seen: above everything that was seen; `null` where no epoch is left that the
 * other nodes would accept (`epochs.ts`). The write takes a revision above every one that was seen.
 */
export function nextEpoch({ lease }: ElectionState, view: Exclude<View, { kind: "unknown" }>): number | null {
  const epoch = Math.max(epochFloor(view), lease.highestEpoch) + 1;
  return epoch <= maxEpochAt(newestSequence(view) + 1) ? epoch : null;
}

/** The condition of a takeover: the key is exactly as it was seen. */
export function expectationOf(view: Exclude<View, { kind: "unknown" }>): Expectation {
  return view.revision === 0 && view.kind === "vacant"
    ? { emptyAtSequence: view.lastSequence }
    : { revision: view.revision };
}

/**
 * A bucket created in place of a lost one has only revisions above this. In a cluster's first bucket no epoch exceeds the
 * revision it was first written at; this keeps it so in the next one. A node without memory that finds the key empty then
 * takes a larger epoch, and a write that was sent to the old bucket finds no revision to match.
 */
export function newBucketFloor({ lease }: ElectionState): number {
  return Math.max(lease.highestEpoch, lease.newestRevision);
}

// ---------------------------------------------------------------------------------------------- what to listen to

/**
 * True while this node leads, or may become leader by an outcome that is still open, on the present connection. Until then the
 * driver checks the connection (`Freshness`): with a presence, its end entitles others to lead.
 */
export function dependsOnConnection(state: ElectionState): boolean {
  return state.config.crashDetection === "presence" && mayBeHeld(state);
}

/** How often to send a beat, in milliseconds; `null`: not at all. From the send of the first write that may name the promise. */
export function beatsEveryMs(state: ElectionState): number | null {
  const { crashDetection, silenceMs } = state.config;
  if (crashDetection === "lease" || silenceMs === 0 || !mayBeHeld(state)) return null;
  return beatIntervalMs(silenceMs);
}

function mayBeHeld(state: ElectionState): boolean {
  return state.link.connected && (termOf(state) !== null || state.writes.unsettled.length > 0);
}

/** The holder whose connection is watched: for the deletion of its presence consumer, and for its beats. `null`: none. */
export function watchedHolder(state: ElectionState): SessionBinding | null {
  const { config, role } = state;
  const { view } = state.lease;
  if (!state.candidacy.competes || config.crashDetection === "lease" || role.name === "stopped") return null;
  if (view.kind !== "occupied" || view.record === null || isMine(state, view.record)) return null;
  const { session } = view.record;
  return session?.presence === undefined && session?.silence === undefined ? null : session;
}

/** The same connection with the same promises. */
export function isSameHolder(one: SessionBinding | null, other: SessionBinding | null): boolean {
  return (
    sameConnection(one, other) &&
    one?.presence === other?.presence &&
    one?.silence?.ms === other?.silence?.ms &&
    one?.silence?.account === other?.silence?.account
  );
}
