/** What the answer to a read of one key means. */
import { onGeneration, onHistoryLost, onNoBucket } from "./bucket.ts";
import { notePlan, onOwnerShown } from "./coordinator.ts";
import { onSessionReadFailed } from "./fences.ts";
import { suspect } from "./inquiry.ts";
import { onOwnRevision } from "./knowing.ts";
import { adoptBegin, judgeSession } from "./own-session.ts";
import { enqueue } from "./queues.ts";
import { readAgain } from "./requests.ts";
import { contradictionOfOwner, noteOwnerAnswer } from "./resources.ts";
import { contradictionOf, noteReached, noteSessionAnswer, numberOf, sessionDue } from "./sessions.ts";
import { backOffMs, type GroupState, type KeyRead, type PendingRead, warn } from "./state.ts";
import { considerMove, settleOwner } from "./terms.ts";
import type { GroupEntry, KeyReadOutcome } from "./types.ts";

export function onRead(group: GroupState, request: number, outcome: KeyReadOutcome): void {
  const read = group.readsInFlight.get(request);
  group.readsInFlight.delete(request);
  if (read === undefined) return;
  const { pending, reached } = read;
  const reads = pending.kind === "plan" ? group.plan.reads : pending.view.reads;
  reads.inFlight = false;
  takeInRead(group, pending, outcome);
  // The server that answered is behind, or has lost what it had acknowledged.
  if (outcome.kind === "snapshot" && outcome.lastSequence < reached && group.reached > 0) readAgain(group);
  // Asked for again while it was in flight.
  if (pending.kind === "owner" && reads.due) enqueue(group.reads, pending.view);
}

function takeInRead(group: GroupState, pending: PendingRead, outcome: KeyReadOutcome): void {
  switch (outcome.kind) {
    case "no-bucket":
      onReadFailed(group, pending);
      return onNoBucket(group);
    case "failed":
      if (!group.storeFailing)
        warn(group, "STORE_FAILING", "a key could not be read; retrying", outcome.error);
      group.storeFailing = true;
      return onReadFailed(group, pending);
    case "snapshot":
      if (outcome.generation !== group.bucket.generation) return onGeneration(group, outcome.generation);
      group.storeFailing = false;
      noteReached(group, outcome.lastSequence);
      return onSnapshot(group, pending, outcome.entry, outcome.lastSequence);
    default:
      outcome satisfies never;
  }
}

function onReadFailed(group: GroupState, pending: PendingRead): void {
  if (pending.kind === "session") return onSessionReadFailed(group, pending.view);
  const { reads } = pending.kind === "plan" ? group.plan : pending.view;
  reads.due = true;
  reads.atMono = group.now.mono + backOffMs(group, reads.failures);
  reads.failures += 1;
}

function onSnapshot(
  group: GroupState,
  pending: PendingRead,
  entry: GroupEntry | null,
  lastSequence: number,
): void {
  if (pending.kind === "plan") {
    if ((entry?.revision ?? 0) !== group.plan.revision || !group.plan.proven) notePlan(group, entry, true);
    return;
  }
  if (pending.kind === "session") return onSessionSnapshot(group, pending, entry, lastSequence);
  const { view, sentAt } = pending;
  const contradiction = entry === null ? null : contradictionOfOwner(group, view, entry);
  if (contradiction !== null) return onHistoryLost(group, contradiction);
  doubt(group, view, entry);
  if (!noteOwnerAnswer(group, view, entry, lastSequence)) return onOlderAnswer(group, pending, lastSequence);
  view.reads.failures = 0;
  settleOwner(group, view, sentAt);
  considerMove(group, view);
  onOwnerShown(group, view);
}

/**
 * An answer that shows less than is known now. If it shows all that was known when the read was sent, a message has overtaken it: the key is
 * read again at once, at most once per newer revision. Otherwise the server that answered is behind, which counts as a failure.
 */
function onOlderAnswer(group: GroupState, pending: KeyRead, lastSequence: number): void {
  if (lastSequence < pending.known) return onReadFailed(group, pending);
  const { reads } = pending.view;
  reads.due = true;
  reads.atMono = group.now.mono;
  if (pending.kind === "session") sessionDue(group, reads.atMono);
}

/** Everything up to this sequence is known, and not what stands there: something else did, or a message was forged. */
function doubt(
  group: GroupState,
  { revision }: { readonly revision: number },
  entry: GroupEntry | null,
): void {
  if (entry !== null && entry.revision > revision && entry.revision <= group.knowing.sequence)
    readAgain(group);
}

function onSessionSnapshot(
  group: GroupState,
  pending: KeyRead & { readonly kind: "session" },
  entry: GroupEntry | null,
  lastSequence: number,
): void {
  const { view } = pending;
  const isOwn = view.memberId === group.config.memberId;
  const contradiction = entry === null ? null : contradictionOf(group, view, entry);
  if (contradiction !== null) return onHistoryLost(group, contradiction);
  if (!isOwn) doubt(group, view, entry);
  // Without a session nothing depends on it that this answer is new: a begin that relies on it is a compare-and-set on this key. That
  // the own session is over stays true.
  const isAnyAge = isOwn && (group.own.phase === "none" || showsOwnEnd(group, entry));
  const shown = isAnyAge ? Math.max(lastSequence, view.revision) : lastSequence;
  if (!noteSessionAnswer(group, view, entry, shown, lastSequence))
    return onOlderAnswer(group, pending, lastSequence);
  view.reads.failures = 0;
  if (!isOwn) return;
  judgeSession(group);
  adoptBegin(group);
  // The message of a write may have been lost with its ack.
  if (group.own.phase !== "none") onOwnRevision(group, group.own.revision);
  if (group.own.phase === "none" && group.link.inquiryDue) suspect(group, view);
  group.link.inquiryDue = false;
}

/** Is the own session over, by what stands on its key? */
function showsOwnEnd({ own, config, bucket }: GroupState, entry: GroupEntry | null): boolean {
  if (entry?.kind !== "record" || entry.record.generation !== bucket.generation) return false;
  const { record, revision } = entry;
  if (record.kind === "session")
    return record.memberId === config.memberId && numberOf(record, revision) > own.number;
  return record.kind === "session-end" && record.of === config.memberId && record.number >= own.number;
}
