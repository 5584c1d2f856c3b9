/**
 * Which owner keys this member is to write next. A key is queued for a claim if the member wants the resource and may have it, and for a
 * release if it names the member and the member does not want it.
 */
import { rendezvousRank } from "./hash.ts";
import { takesNothing } from "./held.ts";
import { addDue, dequeue, enqueue } from "./queues.ts";
import { freeAtMono, isMine } from "./resources.ts";
import { isLive } from "./sessions.ts";
import { type GroupState, NEVER, type ResourceView } from "./state.ts";

/** A member that is not the first in the rendezvous order waits so long for each that is before it. */
const COORDINATOR_RANK_MS = 50;
const FALLBACK_RANK_MS = 100;

export function isCoordinatorKey({ key }: ResourceView): boolean {
  return key.kind === "coordinator";
}

/** May this member have the resource at all? */
export function mayOwn(group: GroupState, view: ResourceView): boolean {
  if (group.stopping !== null) return false;
  if (isCoordinatorKey(view)) return !group.draining;
  return (
    view.spec !== null && !takesNothing(group) && group.profile.weight > 0 && !group.refused.has(view.name)
  );
}

/** Monotonic milliseconds from which this member wants the resource; infinite: it does not. */
export function wantedAtMono(group: GroupState, view: ResourceView): number {
  const { config, now } = group;
  if (!mayOwn(group, view)) return NEVER;
  if (isCoordinatorKey(view)) return view.unownedSinceMono + COORDINATOR_RANK_MS * rankOf(group, view);
  // Above its cap it takes only what is planned for it: another resource is on its way out.
  if (ownedCount(group) + group.claiming >= (group.profile.maxOwned ?? NEVER) && !isPlannedHere(group, view))
    return now.mono + config.unownedGraceMs;
  if (view.target === config.memberId) return 0;
  if (view.kind === "released" && view.successor === config.memberId) return 0;
  // Its target is there and does not claim it: it is sick, or refuses. Or no member of the plan has room.
  if (view.target !== null && !isLive(group, view.target)) return NEVER;
  const atMono = view.unownedSinceMono + config.unownedGraceMs;
  return atMono > now.mono ? atMono : atMono + FALLBACK_RANK_MS * rankOf(group, view);
}

/** Resources that this member has, also those that it is giving up. */
export function ownedCount({ terms, coordinator }: GroupState): number {
  return coordinator.term === null ? terms.size : terms.size - 1;
}

export function isPlannedHere({ plan, config }: GroupState, { name }: ResourceView): boolean {
  return plan.assignment?.get(name) === config.memberId;
}

/** Is the plan, as an answer shows it, that of a later coordinator than this epoch, or of another one with the same epoch? */
export function isPlanOfOther({ plan, config }: GroupState, epoch: number): boolean {
  if (!plan.proven || plan.coordinator < epoch) return false;
  return plan.coordinator > epoch || plan.writtenBy !== config.memberId;
}

/** The place of this member in the rendezvous order of the resource, among those that might claim it. */
function rankOf(group: GroupState, view: ResourceView): number {
  const others: string[] = [];
  for (const memberId of group.sessions.keys())
    if (memberId !== view.target && isLive(group, memberId) && isTaking(group, memberId))
      others.push(memberId);
  return rendezvousRank(view.name, group.config.memberId, others);
}

function isTaking({ sessions }: GroupState, memberId: string): boolean {
  const record = sessions.get(memberId)?.record;
  return record === null || record === undefined || (record.weight > 0 && !record.draining);
}

/** Decides what to do with a key on which no term of ours runs. Called whenever something about it has changed. */
export function consider(group: GroupState, view: ResourceView): void {
  const { own, now } = group;
  dequeue(group.claims, view);
  dequeue(group.releases, view);
  if (own.phase === "none" || own.phase === "leaving" || !group.knowing.complete) return;
  if (view.write !== null || view.reads.due || view.reads.inFlight) return;
  if (view.term !== null) {
    if (view.term.phase === "drained" || view.term.phase === "releasing") releaseSoon(group, view);
    return;
  }
  if (view.adopt !== 0) return;
  const wantedMono = wantedAtMono(group, view);
  if (wantedMono > now.mono && isMine(group, view)) {
    if (group.stopping === null) releaseSoon(group, view);
    return;
  }
  if (wantedMono === NEVER) return;
  const atMono = Math.max(wantedMono, freeAtMono(group, view), group.quietUntilMono, view.retryAtMono);
  if (atMono <= now.mono) enqueue(group.claims, view);
  else if (atMono < NEVER) addDue(group.due, atMono, view);
}

function releaseSoon(group: GroupState, view: ResourceView): void {
  if (view.retryAtMono <= group.now.mono) enqueue(group.releases, view);
  else addDue(group.due, view.retryAtMono, view);
}

/** A session has begun: whatever is wanted and free. */
export function considerAll(group: GroupState): void {
  consider(group, group.coordinator);
  for (const view of group.resources.values()) consider(group, view);
}
