/**
 * Forged messages, found out by own writes. A write takes the next sequence of the stream. So one that is sent after the messages up to some
 * revision were taken in is applied at a later one. If it is applied at one of their revisions, they were forged from there on, or the
 * servers have lost them. A message of another that comes while the write is in flight was forged if the write is applied at its revision.
 * The ack shows that, with no read. Answers do not: a server that leads no more answers for some seconds, and is behind.
 */
import { bulkReadBy } from "./requests.ts";
import { forgetOwnerMessage } from "./resources.ts";
import { forgetSessionMessage } from "./sessions.ts";
import { type GroupState, isUnproven, type ResourceView, type SentWrite, type SessionView } from "./state.ts";
import { endRefuted } from "./terms.ts";

/** An own write was applied at this revision. */
export function refuteMessages(group: GroupState, nonce: number, sent: SentWrite, revision: number): void {
  for (const view of group.doubted) endRefuted(group, view, nonce, revision);
  const { foreign } = group.knowing;
  if (revision > sent.known && !foreign.has(revision)) return;
  forgetMessages(group, revision);
  // Other writes in flight would show the same.
  foreign.clear();
  for (const write of group.writes.values()) write.known = 0;
}

/** Forgets the messages from this revision on, as far as no answer has shown them. They may have hidden others: everything is read again. */
function forgetMessages(group: GroupState, from: number): void {
  const { knowing, plan, config, now } = group;
  knowing.complete = false;
  knowing.sequence = from - 1;
  knowing.request = null;
  knowing.gapsFromMono = now.mono + config.retryDelayMs;
  bulkReadBy(group, knowing.gapsFromMono, from);
  for (const view of group.sessions.values())
    if (view.memberId !== config.memberId && isShownByMessage(view, from)) forgetSessionMessage(group, view);
  for (const view of [...group.resources.values(), group.coordinator])
    if (isShownByMessage(view, from)) forgetOwnerMessage(group, view);
  if (!plan.proven && plan.revision >= from) {
    plan.revision = 0;
    plan.reads.due = true;
  }
}

function isShownByMessage(view: ResourceView | SessionView, from: number): boolean {
  return view.revision >= from && isUnproven(view);
}
