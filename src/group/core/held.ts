/** Whether this member may act on its terms now: its session is live, its deadline ahead, and it is in a stretch if it promises silence. */
import { hasReached, type Instant, remainingMs } from "../../election/time.ts";
import { type GroupState, NEVER, type Term } from "./state.ts";

/** May this member act on its terms now? The one comparison for all resources; needs no event to turn false. */
export function isSessionHeld(group: GroupState, now: Instant): boolean {
  const { own } = group;
  if (own.phase !== "live" || hasReached(own.deadline, now)) return false;
  return remainingStretchMs(group, now) > 0;
}

/** Was the term doubted for as long as it may be held? */
export function isDoubted({ doubtedUntil }: Term, now: Instant): boolean {
  return doubtedUntil !== null && hasReached(doubtedUntil, now);
}

/** Milliseconds until the lease of the session ends; for a resource until that of its term does, which ends earlier if it is doubted. 0 without a session. */
export function remainingLeaseMs(group: GroupState, now: Instant, resource?: string): number {
  const { own, resources } = group;
  if (own.phase === "none") return 0;
  const leaseMs = remainingMs(own.deadline, now);
  const doubtedUntil = resource === undefined ? null : (resources.get(resource)?.term?.doubtedUntil ?? null);
  return doubtedUntil === null ? leaseMs : Math.min(leaseMs, remainingMs(doubtedUntil, now));
}

/** Has the lease of the session, or of one of its terms, ended? */
export function hasLeaseEnded(group: GroupState, now: Instant): boolean {
  const { own, doubted } = group;
  if (own.phase === "none") return false;
  if (hasReached(own.deadline, now)) return true;
  for (const { term } of doubted) if (term !== null && isDoubted(term, now)) return true;
  return false;
}

/** Milliseconds for which this member is still in a stretch; infinite while it need not be in one. */
export function remainingStretchMs(group: GroupState, now: Instant): number {
  if (!isBound(group)) return NEVER;
  const { stretch } = group.link;
  return stretch === null || !keepsPromises(group) ? 0 : remainingMs(stretch.deadline, now);
}

/** As in `src/election/silence.ts`: from the send of the first write that promises silence, until one without it is known to be applied. */
export function isBound({ own }: GroupState): boolean {
  if (own.phase !== "none" && own.promises) return true;
  for (const { promises } of own.unsettled) if (promises) return true;
  return false;
}

/** As in `src/election/silence.ts`: was every write that promises silence, and may stand in the bucket, sent in the present stretch? */
export function keepsPromises(group: GroupState): boolean {
  const { own, link } = group;
  if (link.stretch === null) return !isBound(group);
  const running = link.stretch.number;
  if (own.phase !== "none" && own.promises && own.stretch !== running) return false;
  for (const { promises, stretch } of own.unsettled) if (promises && stretch !== running) return false;
  return true;
}

/** Its resources stay for it while it restarts. */
export function isKeptWhileRestarting({ stopping, config }: GroupState): boolean {
  return stopping?.restarting === true && config.rejoinGraceMs > 0;
}

/** Does this member give up what it owns? */
export function takesNothing({ draining, refusesTooMany, stopping }: GroupState): boolean {
  return draining || refusesTooMany || stopping !== null;
}
