/**
 * The election: (state, event, now) -> (state, effects). No I/O, no clock, no timer, no random.
 *
 * GUARANTEED, whatever the network, the servers and the other nodes do, while the assumptions hold:
 *  1. The periods in which two nodes are held (`isHeld`) never overlap.
 *  2. Epochs strictly increase from term to term and stay the same within one.
 *  3. A term begins only with a compare-and-set that is known to be applied and whose deadline is ahead.
 *  4. Every term ends, exactly once, at the latest at its deadline; no message is needed for that.
 *  5. A release deletes nothing but our own revision.
 *
 * WHY TWO LEADERS CAN'T BE. The bucket holds one record; the server applies a write only if the record is still the
 * one its sender saw (compare-and-set). A leader's deadline counts from the moment it *sent* its newest applied
 * renewal, plus S. Everybody else counts W > S from the moment they *received* that renewal, and then writes against
 * exactly that revision. If such a write is applied, no later renewal was; so the old leader's deadline derives
 * from the revision that was replaced, was sent before it was received, and is over (see the picture in `lease.ts`).
 * Whoever waits less does so only because the holder said it had stopped (`released`), or because the server that
 * held its connection says that it is closed, which a holder with a presence promises to notice first (`suspend`).
 *
 * NOT GUARANTEED: that work already handed to some other system stops in time (use the epoch as a fencing token);
 * that anybody leads while no quorum of NATS can be reached; anything against an operator who rewrites the bucket,
 * beyond that takeovers wait W after the record vanished.
 *
 * ASSUMED: monotonic clocks of two nodes differ in rate by less than the margin (5 %); the server applies a
 * compare-and-set atomically and does not forget acked writes. If it does forget (power loss without sync), epochs stay
 * monotonic for every node that remembers a larger one.
 *
 * The shape: every event first only changes what is known (`handle`), then one level-triggered pass (`act.ts`) sends
 * whatever is due. So a lost event can delay, but never derail: the next look at the state does the same thing.
 */
import { act } from "./act.ts";
import {
  askForHolder,
  endCampaign,
  onAcquireOutcome,
  onDeathConfirmed,
  onOrphanDropped,
  settleOrphan,
} from "./candidate.ts";
import { setCompeting } from "./competing.ts";
import {
  drain,
  expire,
  judgeTerm,
  lose,
  onDrained,
  onReleaseOutcome,
  onRenewalOutcome,
  suspend,
} from "./term.ts";
import { hasReached, type Instant } from "./time.ts";
import { backOff, readAtOnce, setTerm, type Turn, termOf, turnOf, warn } from "./turn.ts";
import type {
  ElectionConfig,
  ElectionEvent,
  ElectionState,
  LeaseEntry,
  ReadOutcome,
  Step,
  WriteOutcome,
} from "./types.ts";
import {
  announce,
  contradicts,
  isFromAnotherLife,
  isMine,
  isMyWrite,
  mayBeStray,
  observe,
  observeRecreation,
  observeSnapshot,
} from "./view.ts";
import { holderIsLate } from "./wants.ts";

/** A node that has just been started: it knows nothing and is nobody. `rememberedEpoch`: of an earlier incarnation. */
export function initialState(config: ElectionConfig, now: Instant, rememberedEpoch = 0): ElectionState {
  return {
    config,
    role: { name: "follower" },
    view: { kind: "unknown" },
    outwait: null,
    gone: null,
    seenRevision: 0,
    seenAt: now,
    disputed: false,
    bucket: "missing",
    generation: null,
    bucketMaxAgeMs: 0,
    strayUntilMono: Number.NEGATIVE_INFINITY,
    connected: false,
    binding: null,
    nonce: 0,
    inFlight: null,
    sent: [],
    highestEpoch: rememberedEpoch,
    cooldownUntilMono: Number.NEGATIVE_INFINITY,
    reading: false,
    mustRead: true,
    askHolder: true,
    retryAtMono: Number.NEGATIVE_INFINITY,
    failures: 0,
    conflicts: 0,
    heardAt: now,
    announced: null,
    duplicate: null,
    stopping: false,
  };
}

/** May this node act as the leader right now? Compares clocks when it is called; needs no event to turn false. */
export function isHeld(state: ElectionState, now: Instant): boolean {
  return state.role.name === "leader" && !hasReached(state.role.term.deadline, now);
}

/** Handles one event. The only entry point. */
export function step(state: ElectionState, event: ElectionEvent, now: Instant): Step {
  if (state.role.name === "stopped") return { state, effects: [] };
  const turn = turnOf(state, now);
  expire(turn);
  handle(turn, event);
  act(turn);
  announce(turn);
  return { state: turn.state, effects: turn.effects };
}

function handle(turn: Turn, event: ElectionEvent): void {
  switch (event.type) {
    case "tick":
      return;
    case "bucket-opened":
      return onBucketOpened(turn, event.generation, event.maxAgeMs);
    case "bucket-failed":
      turn.state.bucket = "missing";
      warn(turn, "BUCKET_UNUSABLE", "the bucket cannot be opened; trying again", event.error);
      return backOff(turn);
    case "connected":
      return onConnected(turn, event.binding);
    case "rebound":
      turn.state.binding = event.binding;
      // Followers must learn how to notice our death: say so at once instead of at the next heartbeat. A presence that
      // was lost and will be made anew is not worth a renewal.
      if (event.binding?.presence !== undefined && termOf(turn.state) !== null && turn.state.connected)
        setTerm(turn, { renewAtMono: turn.now.mono });
      return;
    case "disconnected":
      turn.state.connected = false;
      turn.state.binding = null;
      return suspend(turn);
    case "watched":
      return onWatched(turn, event.entry);
    case "read":
      return onRead(turn, event.outcome);
    case "written":
      return onWritten(turn, event.nonce, event.outcome);
    case "bucket-gone":
      readAtOnce(turn);
      return;
    case "presence-lost": {
      const { view } = turn.state;
      if (view.kind === "held" && view.record?.session?.presence === event.presence) askForHolder(turn);
      return;
    }
    case "death-confirmed":
      return onDeathConfirmed(turn, event.binding.serverId, event.binding.clientId);
    case "resign":
      if (turn.state.role.name === "leader" || turn.state.role.name === "suspended") {
        drain(turn, event.reason, event.successor);
      }
      return;
    case "compete":
      return setCompeting(turn, event.competes);
    case "drained":
      if (turn.state.role.name === "draining") onDrained(turn);
      return;
    case "stop":
      turn.state.stopping = true;
      if (turn.state.role.name === "leader" || turn.state.role.name === "suspended")
        drain(turn, "stopped", undefined);
      return;
    default:
      return event satisfies never;
  }
}

function onBucketOpened(turn: Turn, generation: string, maxAgeMs: number): void {
  const before = turn.state.generation;
  if (before !== null && before !== generation) {
    if (termOf(turn.state) !== null) lose(turn, "deleted");
    observeRecreation(turn, generation);
  }
  turn.state.bucket = "open";
  turn.state.generation = generation;
  turn.state.bucketMaxAgeMs = maxAgeMs;
  readAtOnce(turn);
}

function onConnected(turn: Turn, binding: ElectionState["binding"]): void {
  // A node that follows reads first: it has missed whatever happened meanwhile. One that leads renews first.
  const term = termOf(turn.state);
  turn.state.connected = true;
  turn.state.binding = binding;
  turn.state.askHolder = true;
  turn.state.failures = 0;
  turn.state.retryAtMono = turn.now.mono;
  turn.state.mustRead = turn.state.mustRead || term === null;
  if (term !== null) setTerm(turn, { renewAtMono: turn.now.mono });
}

function onWatched(turn: Turn, entry: LeaseEntry): void {
  const term = termOf(turn.state);
  if (term === null) {
    if (mayBeStray(turn) || isFromAnotherLife(turn.state, entry) || contradicts(turn.state, entry)) {
      readAtOnce(turn);
      return;
    }
    observe(turn, entry);
    // Only an ack or a read makes a leader: a write of ours that the watch shows is looked up.
    const mine = entry.kind === "record" && isMine(turn.state, entry.record);
    if (mine && turn.state.inFlight === null && entry.revision === turn.state.seenRevision)
      turn.state.mustRead = true;
    return;
  }
  if (entry.revision <= term.revision) return;
  if (isMyWrite(turn.state, entry)) return;
  readAtOnce(turn);
}

function onRead(turn: Turn, outcome: ReadOutcome): void {
  turn.state.reading = false;
  switch (outcome.kind) {
    case "snapshot": {
      const known = turn.state.generation;
      const believed = observeSnapshot(turn, outcome.snapshot);
      // Not believed, but not held against us either: a campaign on what was seen finds out by its conflict.
      if (!believed) {
        endCampaign(turn);
        return backOff(turn);
      }
      judgeTerm(turn, outcome.snapshot, known === null || known === outcome.snapshot.generation);
      if (termOf(turn.state) === null) settleOrphan(turn);
      turn.state.failures = 0;
      // The news of its death may be lost, like everything that is only told once.
      if (turn.state.askHolder || holderIsLate(turn.state, turn.now)) {
        turn.state.askHolder = false;
        askForHolder(turn);
      }
      return;
    }
    case "no-bucket":
      if (turn.state.bucket === "open") {
        warn(
          turn,
          "BUCKET_MISSING",
          `the bucket is gone; it will be created anew and epochs continue above ${turn.state.highestEpoch}`,
        );
      }
      turn.state.bucket = "missing";
      readAtOnce(turn);
      if (termOf(turn.state) !== null) lose(turn, "deleted");
      return;
    case "failed":
      if (turn.state.failures === 0)
        warn(turn, "STORE_FAILING", "the lease could not be read; trying again", outcome.error);
      turn.state.mustRead = true;
      return backOff(turn);
    default:
      return outcome satisfies never;
  }
}

function onWritten(turn: Turn, nonce: number, outcome: WriteOutcome): void {
  const { inFlight, role } = turn.state;
  if (inFlight?.nonce !== nonce) return;
  turn.state.inFlight = null;
  if (inFlight.kind === "release") {
    if (role.name === "draining") return onReleaseOutcome(turn, outcome);
    return onOrphanDropped(turn, outcome);
  }
  const sent = turn.state.sent.find((write) => write.nonce === nonce);
  if (sent !== undefined && inFlight.kind === "acquire" && role.name === "campaigning") {
    return onAcquireOutcome(turn, sent, outcome);
  }
  if (sent !== undefined && termOf(turn.state) !== null) return onRenewalOutcome(turn, sent, outcome);
  // A write of a term that is over, or one that a read has settled already: what came of it is in the bucket.
  if (termOf(turn.state) !== null) return;
  const answered = outcome.kind !== "unknown";
  turn.state.mustRead = true;
  if (!answered) return;
  turn.state.failures = 0;
  turn.state.retryAtMono = turn.now.mono;
}
