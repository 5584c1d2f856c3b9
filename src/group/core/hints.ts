/**
 * Hints: messages that contradict what is known. Everything up to their revision is known, and not what they show. Either such a message was
 * forged, or the one that was taken in at that revision was. An answer decides.
 *
 * Forged messages must not cause a read each. The key of the first hint is read at once. Those of the next `retryDelayMs` are remembered and
 * read together when it is over: up to 16 by a read of each, more by one bulk read of everything, after which the next ones wait for W. So no
 * hint is dropped, and neither the memory nor the requests of a member grow with what is forged.
 */
import { keyName, readAgain } from "./requests.ts";
import { isOtherMessage, ownerView } from "./resources.ts";
import { isSameContent, readSession, sessionView } from "./sessions.ts";
import { type GroupState, type KeyReads, NEVER, type ResourceView, type SessionView } from "./state.ts";
import { readOwner } from "./terms.ts";
import type { GroupEntry, GroupKey } from "./types.ts";

/** Keys that are read one by one. One more is remembered to show that they are too many. */
const MAX_HINTS = 16;

/** A message about something that should be known. */
export function noteHint(group: GroupState, entry: GroupEntry): void {
  const { hints } = group.knowing;
  if (hints.size > MAX_HINTS || isKnown(group, entry)) return;
  hints.set(keyName(entry.key), entry);
}

/** Is it known what the message shows, or something newer on its key? What only a message has shown may be no newer: it may be forged. */
function isKnown(group: GroupState, entry: GroupEntry): boolean {
  const { key, revision } = entry;
  if (key.kind === "plan") return revision <= group.plan.revision && group.plan.proven;
  if (key.kind === "session") {
    const view = group.sessions.get(key.memberId);
    if (view === undefined || revision > view.revision) return false;
    if (key.memberId === group.config.memberId) return true;
    return revision === view.revision ? isSameContent(view, entry) : isCovered(view, revision);
  }
  const view = key.kind === "owner" ? group.resources.get(key.resource) : group.coordinator;
  // Of a resource that was on no list of this member.
  if (view === undefined) return true;
  return revision === view.revision ? !isOtherMessage(group, view, entry) : isCovered(view, revision);
}

/** Has an answer or an ack shown something newer? */
function isCovered({ provenRevision }: ResourceView | SessionView, revision: number): boolean {
  return revision <= provenRevision;
}

/** Milliseconds until the keys of hints are to be read. What is being read waits for that answer, which may be older than the hint. */
export function hintDelayMs(group: GroupState): number {
  const { knowing, now } = group;
  const { hints } = knowing;
  if (hints.size === 0) return NEVER;
  const isDue = hints.size > MAX_HINTS || [...hints.values()].some(({ key }) => !isBeingRead(group, key));
  return isDue ? knowing.hintsFromMono - now.mono : NEVER;
}

/** Asks for answers about what the hints are about. */
export function attendHints(group: GroupState): void {
  const { knowing, now, config } = group;
  const { hints } = knowing;
  if (hintDelayMs(group) > 0) return;
  if (hints.size > MAX_HINTS) {
    hints.clear();
    knowing.hintsFromMono = now.mono + config.leaseTtlMs;
    return readAgain(group);
  }
  for (const [name, entry] of hints) {
    if (isBeingRead(group, entry.key)) continue;
    hints.delete(name);
    // An answer may have shown it since.
    if (isKnown(group, entry)) continue;
    readKey(group, entry.key);
    knowing.hintsFromMono = now.mono + config.retryDelayMs;
  }
}

function isBeingRead(group: GroupState, key: GroupKey): boolean {
  return readsOf(group, key)?.inFlight === true;
}

function readsOf(group: GroupState, key: GroupKey): KeyReads | undefined {
  if (key.kind === "plan") return group.plan.reads;
  if (key.kind === "session") return group.sessions.get(key.memberId)?.reads;
  return (key.kind === "owner" ? group.resources.get(key.resource) : group.coordinator)?.reads;
}

/** Reads the key now: an answer that showed too little before the hint came does not put this off. */
function readKey(group: GroupState, key: GroupKey): void {
  const { mono } = group.now;
  if (key.kind === "plan") {
    group.plan.reads.due = true;
    group.plan.reads.atMono = mono;
  } else if (key.kind === "session") {
    const view = sessionView(group, key.memberId);
    view.reads.atMono = mono;
    readSession(group, view);
  } else {
    const view = ownerView(group, key);
    view.reads.atMono = mono;
    readOwner(group, view);
  }
}
