/** The leader's side: how a term begins, lives by renewals, is suspended, and ends. */
import { hasReached, remainingMs } from "./time.ts";
import { deadlineOf, emit, readAtOnce, roleFrom, setTerm, type Turn, termOf, warn } from "./turn.ts";
import type {
  Leader,
  LeaseRecord,
  LossReason,
  ResignReason,
  SentWrite,
  Snapshot,
  Term,
  WriteOutcome,
} from "./types.ts";
import { asLeader, isMine, noteRelease } from "./view.ts";
import { sameBinding, saysAll, sendRecord, sendRelease } from "./writes.ts";

/** A term begins: one of our acquiring writes is applied and its deadline is ahead. */
export function become(turn: Turn, sent: SentWrite, revision: number): void {
  roleFrom(turn, "follower", "campaigning");
  const { config, highestEpoch, binding } = turn.state;
  const deadline = deadlineOf(turn.state, sent.sentAt);
  if (hasReached(deadline, turn.now)) throw new Error("bug: a term would begin after its deadline");
  const term: Term = {
    epoch: sent.epoch,
    acquiredAt: sent.sentAt.wall,
    revision,
    deadline,
    // A record that names another connection or presence than the present one is renewed at once.
    renewAtMono: saysAll(sent.binding, binding) ? sent.sentAt.mono + config.renewIntervalMs : turn.now.mono,
  };
  turn.state.role = { name: "leader", term };
  turn.state.view = { kind: "held", revision, record: ownRecord(turn, sent, term.acquiredAt) };
  turn.state.seenRevision = revision;
  turn.state.seenAt = turn.now;
  turn.state.heardAt = turn.now;
  turn.state.outwait = null;
  turn.state.sent = [];
  turn.state.failures = 0;
  turn.state.conflicts = 0;
  turn.state.retryAtMono = turn.now.mono;
  turn.state.mustRead = false;
  turn.state.disputed = false;
  turn.state.highestEpoch = Math.max(highestEpoch, sent.epoch);
  emit(turn, { type: "become-leader", epoch: term.epoch, acquiredAt: term.acquiredAt });
}

/** What stands in the bucket since one of our writes was applied: what to campaign against when the term has lapsed. */
function ownRecord(turn: Turn, sent: SentWrite, acquiredAt: number): LeaseRecord {
  const { nodeId, incarnation, leaseTtlMs } = turn.state.config;
  return { nodeId, epoch: sent.epoch, acquiredAt, incarnation, nonce: sent.nonce, ttlMs: leaseTtlMs };
}

/** Renews the lease, or deletes it when the work is done. Called when nothing is in flight and we are connected. */
export function keepOrRelease(turn: Turn): void {
  const role = roleFrom(turn, "leader", "suspended", "draining");
  const { term } = role;
  if (role.name === "draining" && role.drained) {
    if (turn.state.mustRead || turn.state.reading || turn.now.mono < term.renewAtMono) return;
    sendRelease(turn, {
      epoch: term.epoch,
      revision: term.revision,
      timeoutMs: Math.min(turn.state.config.requestTimeoutMs, remainingMs(term.deadline, turn.now)),
      ...(role.successor === undefined ? {} : { successor: role.successor }),
    });
    return;
  }
  if (turn.now.mono < term.renewAtMono) return;
  const { config } = turn.state;
  const timeoutMs = Math.min(config.requestTimeoutMs, remainingMs(term.deadline, turn.now));
  setTerm(turn, { renewAtMono: turn.now.mono + config.renewIntervalMs });
  const { epoch, acquiredAt, revision } = term;
  sendRecord(turn, "renew", { epoch, acquiredAt, expect: { revision }, timeoutMs });
}

/** The outcome of a renewal while its term still runs. */
export function onRenewalOutcome(turn: Turn, sent: SentWrite, outcome: WriteOutcome): void {
  const { config } = turn.state;
  switch (outcome.kind) {
    case "applied":
      confirm(turn, sent, outcome.revision);
      if (turn.state.role.name !== "suspended" || !turn.state.connected) break;
      if (sameBinding(sent.binding, turn.state.binding)) resume(turn);
      else setTerm(turn, { renewAtMono: turn.now.mono });
      break;
    case "conflict":
      // Either an earlier renewal of ours was applied unseen, or the lease is another's. The read tells.
      turn.state.sent = turn.state.sent.filter((other) => other.nonce !== sent.nonce);
      readAtOnce(turn);
      setTerm(turn, { renewAtMono: turn.now.mono + config.retryDelayMs });
      break;
    case "unknown":
      readAtOnce(turn);
      setTerm(turn, { renewAtMono: turn.now.mono + config.retryDelayMs });
      if (turn.state.failures === 0) {
        warn(turn, "STORE_FAILING", "a renewal got no answer; retrying until the deadline", outcome.error);
      }
      turn.state.failures += 1;
      break;
    default:
      outcome satisfies never;
  }
}

/** One of our records is known to be applied. The deadline counts from when it was sent, however we learned of it. */
function confirm(turn: Turn, sent: SentWrite, revision: number): void {
  const role = roleFrom(turn, "leader", "suspended", "draining");
  const { term } = role;
  const deadline = deadlineOf(turn.state, sent.sentAt);
  const { config } = turn.state;
  // Work that has stopped needs no further renewal: the lease goes now. And what changed while this one was under way
  // is said at once.
  const drained = role.name === "draining" && role.drained;
  const restMs = drained || !saysAll(sent.binding, turn.state.binding) ? 0 : config.renewIntervalMs;
  setTerm(turn, {
    revision,
    deadline,
    renewAtMono: Math.max(turn.now.mono, sent.sentAt.mono + restMs),
  });
  turn.state.view = { kind: "held", revision, record: ownRecord(turn, sent, term.acquiredAt) };
  turn.state.sent = turn.state.sent.filter((other) => other.nonce > sent.nonce);
  turn.state.seenRevision = Math.max(revision, turn.state.seenRevision);
  turn.state.seenAt = turn.now;
  turn.state.heardAt = turn.now;
  turn.state.failures = 0;
  turn.state.retryAtMono = turn.now.mono;
}

/** What a believed answer of the stream leader means for a running term. None is older than our own revision. */
export function judgeTerm(turn: Turn, snapshot: Snapshot, sameGeneration: boolean): void {
  const term = termOf(turn.state);
  if (term === null) return;
  if (!sameGeneration) {
    lose(turn, "deleted");
    return;
  }
  const { entry } = snapshot;
  if (entry?.kind === "record" && isMine(turn.state, entry.record)) {
    const { nonce } = entry.record;
    const sent = turn.state.sent.find((write) => write.nonce === nonce);
    const news = entry.revision !== term.revision;
    if (sent !== undefined) confirm(turn, sent, entry.revision);
    else setTerm(turn, { revision: entry.revision });
    // Only an applied renewal that names this connection lifts a suspension, so it goes out at once. Where nothing has
    // changed since one that failed it waits its turn: without a quorum, reads may be answered while writes are refused.
    if (news && turn.state.role.name === "suspended") setTerm(turn, { renewAtMono: turn.now.mono });
    return;
  }
  if (entry?.kind === "record") lose(turn, "superseded", asLeader(entry.record));
  else if (entry?.kind === "garbage") lose(turn, "superseded");
  else lose(turn, "deleted");
}

/** The connection is gone. With presence on, others may be replacing us from now on. */
export function suspend(turn: Turn): void {
  if (turn.state.role.name !== "leader" || turn.state.config.crashDetection !== "presence") return;
  const { term } = roleFrom(turn, "leader");
  turn.state.role = { name: "suspended", term };
  emit(turn, { type: "suspend", epoch: term.epoch });
}

function resume(turn: Turn): void {
  const { term } = roleFrom(turn, "suspended");
  turn.state.role = { name: "leader", term };
  emit(turn, { type: "resume", epoch: term.epoch });
}

/** Starts to give the term up. The lease is kept alive until the work has stopped. */
export function drain(turn: Turn, reason: ResignReason, successor: string | undefined): void {
  const { term } = roleFrom(turn, "leader", "suspended");
  turn.state.role = {
    name: "draining",
    term,
    reason,
    successor,
    drained: false,
  };
  emit(turn, { type: "drain", epoch: term.epoch, reason });
}

/** The work has stopped: the lease may go as soon as an in-flight renewal has settled. */
export function onDrained(turn: Turn): void {
  const role = roleFrom(turn, "draining");
  const { name, reason, successor, term } = role;
  turn.state.role = { name, term, reason, successor, drained: true };
  setTerm(turn, { renewAtMono: turn.now.mono });
}

/** Without a connection a drained lease can't be deleted: it is left to run out, nobody waits for the network. */
export function endHopelessDrain(turn: Turn): void {
  const { role, connected, inFlight } = turn.state;
  if (role.name === "draining" && role.drained && !connected && inFlight === null) endDrain(turn, false);
}

/** The outcome of our delete of our own lease. */
export function onReleaseOutcome(turn: Turn, outcome: WriteOutcome): void {
  const role = roleFrom(turn, "draining");
  switch (outcome.kind) {
    case "applied":
      noteRelease(turn, outcome.revision, role.successor);
      endDrain(turn, true);
      break;
    case "conflict":
      readAtOnce(turn);
      break;
    case "unknown":
      readAtOnce(turn);
      setTerm(turn, { renewAtMono: turn.now.mono + turn.state.config.retryDelayMs });
      break;
    default:
      outcome satisfies never;
  }
}

/** The drained lease is out of our hands: deleted (`true`), or left to run out by itself. */
function endDrain(turn: Turn, deleted: boolean): void {
  const { term, reason } = roleFrom(turn, "draining");
  const { config } = turn.state;
  if (!deleted) {
    warn(
      turn,
      "RELEASE_FAILED",
      `the lease of epoch ${term.epoch} could not be deleted; it runs out within ${config.leaseTtlMs} ms`,
    );
  }
  turn.state.role = { name: "follower" };
  turn.state.sent = [];
  turn.state.retryAtMono = turn.now.mono;
  turn.state.failures = 0;
  // Whatever was watched during the term was only noted as a reason to read.
  turn.state.mustRead = !deleted || turn.state.mustRead;
  turn.state.cooldownUntilMono =
    reason === "stopped" ? turn.state.cooldownUntilMono : turn.now.mono + config.cooldownMs;
  emit(turn, { type: "released", epoch: term.epoch, deleted });
}

/** The term is over and the lease with it. */
export function lose(turn: Turn, reason: LossReason, by?: Leader): void {
  const role = roleFrom(turn, "leader", "suspended", "draining");
  if (role.name === "draining") {
    // The application was told when draining began. Gone is as good as deleted by us, run out is not.
    endDrain(turn, reason !== "expired");
    return;
  }
  // Forget what is unsettled: a write of this term may not begin another one with the same epoch.
  turn.state.role = { name: "follower" };
  turn.state.sent = [];
  turn.state.mustRead = reason === "expired" || turn.state.mustRead;
  emit(turn, { type: "lose", epoch: role.term.epoch, reason, ...(by === undefined ? {} : { by }) });
}

/** The deadline is checked before anything that arrived is believed. */
export function expire(turn: Turn): void {
  const term = termOf(turn.state);
  if (term !== null && hasReached(term.deadline, turn.now)) lose(turn, "expired");
}
