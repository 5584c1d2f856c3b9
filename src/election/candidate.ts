/** The follower's side: when it may campaign, with which write, and what becomes of writes whose ack never came. */

import { become } from "./term.ts";
import { hasReached, waitedUntil } from "./time.ts";
import { backOff, deadlineOf, emit, readAtOnce, roleFrom, type Turn, warn } from "./turn.ts";
import type { ElectionState, LeaseRecord, SentWrite, WriteOutcome } from "./types.ts";
import { epochFloor, expectationOf, isMine, noteRelease } from "./view.ts";
import { sameBinding, sendRecord, sendRelease } from "./writes.ts";

/**
 * Monotonic time from which this node may campaign, as far as the key and its own promises go; `null` while it can't
 * be said. This is the whole rule of who may take over and when.
 */
export function campaignAtMono(state: ElectionState): number | null {
  const { config, view, outwait } = state;
  if (!config.competes || state.stopping || view.kind === "unknown") return null;
  const named = view.kind === "vacant" && view.successor === config.nodeId;
  const afterOthers =
    view.kind === "vacant" && view.successor !== undefined && !named
      ? view.since.mono + config.successorGraceMs
      : 0;
  return Math.max(
    outwait === null ? 0 : outwait.since.mono + outwait.waitMs,
    afterOthers,
    named ? 0 : state.cooldownUntilMono,
    state.retryAtMono,
  );
}

/** Sends the acquiring write: a compare-and-set against exactly what was seen. */
export function campaign(turn: Turn): void {
  roleFrom(turn, "follower");
  const { state } = turn;
  if (state.view.kind === "unknown") throw new Error("bug: campaign without a view");
  turn.state.role = { name: "campaigning" };
  sendRecord(turn, "acquire", {
    epoch: Math.max(epochFloor(state.view), state.highestEpoch) + 1,
    acquiredAt: turn.now.wall,
    expect: expectationOf(state.view),
    timeoutMs: state.config.requestTimeoutMs,
  });
}

/** The outcome of an acquiring write. */
export function onAcquireOutcome(turn: Turn, sent: SentWrite, outcome: WriteOutcome): void {
  switch (outcome.kind) {
    case "applied":
      onAcquired(turn, sent, outcome.revision);
      break;
    case "conflict":
      // Somebody was faster, or the view was wrong. The first time the truth is read at once, then with back-off.
      onRefused(turn, sent);
      break;
    case "unknown":
      // It may be applied now, later or never: stay campaigning and read back.
      if (turn.state.sent.length === 1) {
        // The first of its kind: a node that may not write would say it for ever, one that is silent never leads unexplained.
        warn(turn, "STORE_FAILING", "a write to take the lease got no answer; trying again", outcome.error);
      }
      backOff(turn);
      readAtOnce(turn);
      break;
    default:
      outcome satisfies never;
  }
}

function onRefused(turn: Turn, refused: SentWrite): void {
  const { config, conflicts, sent } = turn.state;
  const delay =
    conflicts === 0
      ? 0
      : Math.min(config.retryDelayMs * 2 ** Math.min(conflicts - 1, 10), config.heartbeatIntervalMs);
  turn.state.role = { name: "follower" };
  turn.state.sent = sent.filter((other) => other.nonce !== refused.nonce);
  turn.state.conflicts = conflicts + 1;
  turn.state.retryAtMono = turn.now.mono + delay;
  turn.state.mustRead = true;
  turn.state.disputed = true;
}

function onAcquired(turn: Turn, sent: SentWrite, revision: number): void {
  turn.state.failures = 0;
  // Something newer than our write was seen: it is replaced already.
  const replaced = revision < turn.state.seenRevision;
  if (!replaced && mayAdopt(turn, sent)) become(turn, sent, revision);
  else {
    turn.state.role = { name: "follower" };
    turn.state.mustRead = true;
  }
}

/** A write of ours turned out to be applied: is it worth leading on? */
function mayAdopt(turn: Turn, sent: SentWrite): boolean {
  const { state } = turn;
  if (
    state.stopping ||
    !state.config.competes ||
    !state.connected ||
    // Somebody leads with a larger epoch: in this bucket, or in the next one, where the write is not.
    sent.epoch < state.highestEpoch ||
    hasReached(deadlineOf(state, sent.sentAt), turn.now)
  )
    return false;
  // Followers may already be checking on the connection the record names; one that is gone must not lead.
  return state.config.crashDetection === "lease" || sameBinding(sent.binding, state.binding);
}

/** After a read: settles a campaign whose ack was lost, and an acquire that was applied after it was given up. */
export function settleOrphan(turn: Turn): void {
  const { state } = turn;
  const { view } = state;
  if (view.kind === "held" && isMine(state, view.record)) {
    const nonce = view.record?.nonce;
    const sent = state.sent.find((write) => write.nonce === nonce);
    if (sent !== undefined && mayAdopt(turn, sent) && turn.now.mono >= state.cooldownUntilMono) {
      turn.state.failures = 0;
      turn.state.retryAtMono = turn.now.mono;
      become(turn, sent, view.revision);
      return;
    }
  }
  endCampaign(turn);
}

/** A campaign whose ack was lost has not made us leader, as far as can be seen. */
export function endCampaign(turn: Turn): void {
  const { role, inFlight, view, config } = turn.state;
  if (role.name !== "campaigning" || inFlight !== null) return;
  // Applied but too late: overwrite it at once. Nothing there yet, or still the record of an earlier term of ours: give
  // the write a moment before sending another.
  const applied = view.kind === "held" && isMine(turn.state, view.record) && isNewest(turn, view.record);
  const delay = applied ? 0 : config.retryDelayMs;
  turn.state.role = { name: "follower" };
  turn.state.retryAtMono = turn.now.mono + delay;
}

function isNewest({ state }: Turn, record: LeaseRecord | null): boolean {
  return record?.nonce === state.sent.at(-1)?.nonce;
}

/** A lease of ours that nobody leads on and that we will not lead on either is deleted, so that others needn't wait. */
export function orphanToDrop(turn: Turn): boolean {
  const { view, cooldownUntilMono, stopping, config, retryAtMono } = turn.state;
  if (view.kind !== "held" || !isMine(turn.state, view.record)) return false;
  const unwanted = stopping || !config.competes || turn.now.mono < cooldownUntilMono;
  return unwanted && turn.now.mono >= retryAtMono;
}

export function dropOrphan(turn: Turn): void {
  const { view, config } = turn.state;
  if (view.kind !== "held" || view.record === null) throw new Error("bug: no orphan to drop");
  // From now on the record may vanish at any time, and the delete says that nobody leads on it: no term may begin on it.
  turn.state.sent = [];
  sendRelease(turn, {
    epoch: view.record.epoch,
    revision: view.revision,
    timeoutMs: config.requestTimeoutMs,
  });
}

export function onOrphanDropped(turn: Turn, outcome: WriteOutcome): void {
  if (outcome.kind === "applied") noteRelease(turn, outcome.revision, undefined);
  else {
    turn.state.mustRead = true;
    backOff(turn);
  }
}

/** Death of the holder's connection, by the word of the server that held it: no need to wait any longer. */
export function onDeathConfirmed(turn: Turn, serverId: string, clientId: number): void {
  const { view } = turn.state;
  if (view.kind !== "held" || view.record?.session?.presence === undefined || isMine(turn.state, view.record))
    return;
  const { session } = view.record;
  // The holder may have come back on another connection since: then this word is about the past.
  if (session.serverId !== serverId || session.clientId !== clientId) return;
  turn.state.outwait = null;
  turn.state.gone = session;
}

/** Asks whether the present holder is still there, if it made the promise that allows to ask. */
export function askForHolder(turn: Turn): void {
  const { state } = turn;
  const { view, outwait } = state;
  if (!state.connected || !state.config.competes || state.stopping) return;
  if (state.config.crashDetection === "lease") return;
  if (state.role.name !== "follower" && state.role.name !== "campaigning") return;
  if (view.kind !== "held" || view.record?.session?.presence === undefined || isMine(state, view.record))
    return;
  if (outwait === null || waitedUntil(outwait.since, outwait.waitMs, turn.now)) return;
  emit(turn, {
    type: "confirm-death",
    binding: view.record.session,
    timeoutMs: state.config.requestTimeoutMs,
  });
}
