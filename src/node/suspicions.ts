/** The suspicions of a node about the holder of the lease, and how they end, read off the states of the election. */

import type { SuspicionEvent } from "../channels/events.ts";
import type { SuspicionCause, SuspicionOutcome } from "../channels/sets.ts";
import { isMine } from "../election/outlook.ts";
import type { Instant } from "../election/time.ts";
import type { ElectionEvent, ElectionState, LeaseRecord } from "../election/types.ts";
import { sameConnection } from "../inquiry/rules.ts";

interface Open {
  readonly holder: LeaseRecord;
  cause: SuspicionCause;
  readonly sinceMono: number;
  /** What the holder's server has answered last. */
  answer: "open" | "closed" | "none";
}

/** A suspicion that has ended. */
export type EndedSuspicion = Pick<SuspicionEvent, "of" | "cause" | "outcome" | "durationMs"> & {
  readonly sinceMono: number;
};

export class Suspicions {
  #open: Open | null = null;

  /** After each step of the election: the suspicion that it has ended, if any. */
  step(
    event: ElectionEvent,
    now: Instant,
    before: ElectionState,
    after: ElectionState,
  ): EndedSuspicion | null {
    const open = this.#open;
    if (open === null) {
      const holder = suspectedHolder(after);
      if (holder !== null)
        this.#open = { holder, cause: causeOf(event), sinceMono: now.mono, answer: "none" };
      return null;
    }
    if (open.cause === "read") open.cause = causeOf(event);
    if (event.type === "answered" && event.question === before.inquiry.open?.number)
      open.answer = event.answer.kind;
    const outcome = outcomeOf(open, event, before, after);
    if (outcome === null) return null;
    this.#open = null;
    const { holder, cause, sinceMono } = open;
    // Asked about every holder after the start and after a reconnect: that is no suspicion.
    if (cause === "read" && outcome === "alive") return null;
    return { of: holder.nodeId, cause, outcome, durationMs: now.mono - sinceMono, sinceMono };
  }
}

function causeOf(event: ElectionEvent): SuspicionCause {
  if (event.type === "presence-lost") return "presence";
  return event.type === "holder-silent" ? "silence" : "read";
}

/** The holder about which a question is due or open, or whose beats are missing, unless its end is confirmed. */
function suspectedHolder(state: ElectionState): LeaseRecord | null {
  const { inquiry, lease, holder } = state;
  if (!inquiry.due && inquiry.open === null && inquiry.silent === null) return null;
  const { view } = lease;
  if (view.kind !== "occupied" || view.record?.session === undefined) return null;
  if (isMine(state, view.record) || holder.takeoverWait === null) return null;
  return view.revision === holder.silentRevision ? null : view.record;
}

/** `null`: it goes on. */
function outcomeOf(
  open: Open,
  event: ElectionEvent,
  before: ElectionState,
  after: ElectionState,
): SuspicionOutcome | null {
  const { closedBinding, silentRevision } = after.holder;
  if (
    closedBinding !== before.holder.closedBinding &&
    sameConnection(closedBinding, open.holder.session ?? null)
  )
    return "closed";
  if (silentRevision !== before.holder.silentRevision && silentRevision !== 0) return "silent";
  const { view } = after.lease;
  const record = view.kind === "occupied" ? view.record : null;
  const isSameHolder = record !== null && record.incarnation === open.holder.incarnation;
  // Its lease has run out, and this node has replaced it without a confirmation.
  if (!isSameHolder) return record !== null && isMine(after, record) ? "unanswered" : "overtaken";
  if (suspectedHolder(after) !== null) return null;
  const hasRenewed = record.nonce !== open.holder.nonce;
  return event.type === "holder-heard" || open.answer === "open" || hasRenewed ? "alive" : "unanswered";
}
