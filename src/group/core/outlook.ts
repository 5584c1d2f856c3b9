/** What can be read off the state of a member: for the driver, the application and those who watch. */

import { hasReached, type Instant } from "../../election/time.ts";
import type { CrashDetection } from "../../election/types.ts";
import { beatIntervalMs } from "../../inquiry/durations.ts";
import type { MemberView } from "./events.ts";
import { isBound, isDoubted, isSessionHeld, takesNothing } from "./held.ts";
import type { GroupState, ResourceView } from "./state.ts";
import { actualOwner, planMember } from "./targets.ts";

/** May this member act as the owner of the resource now? Compares clocks when called; needs no event to turn false. */
export function isHeld(group: GroupState, resource: string, now: Instant): boolean {
  const term = group.resources.get(resource)?.term;
  return term?.phase === "held" && !isDoubted(term, now) && isSessionHeld(group, now);
}

/** Members whose sessions are not over, as far as is known, in order of their ids. */
export function membersOf(group: GroupState): MemberView[] {
  const { config, own, sessions } = group;
  const members: MemberView[] = [];
  for (const memberId of [...sessions.keys()].sort()) {
    const member = planMember(group, memberId);
    if (member === null) continue;
    const view = sessions.get(memberId);
    if (memberId !== config.memberId && view?.record != null) {
      const { weight, incarnation, draining, listHash } = view.record;
      members.push({ ...member, weight, incarnation, session: view.number, draining, listHash });
    } else {
      const { profile, listHash } = group;
      const { incarnation } = config;
      const draining = takesNothing(group);
      members.push({
        ...member,
        weight: profile.weight,
        incarnation,
        session: own.number,
        draining,
        listHash,
      });
    }
  }
  return members;
}

export interface ResourceStatus {
  readonly resource: string;
  /** The member whose claim stands; `null` also from when its session has run out by the clock of this member. */
  readonly owner: string | null;
  readonly epoch: number;
  /** The member that is to own it. */
  readonly target: string | null;
  /** Monotonic milliseconds since which it has no owner; `null`: it has one. */
  readonly unownedSinceMono: number | null;
}

/** Every resource of the own list. */
export function resourcesOf(group: GroupState, now: Instant): ResourceStatus[] {
  const all: ResourceStatus[] = [];
  for (const view of group.resources.values()) {
    if (view.spec === null) continue;
    const { epoch, target } = view;
    const reported = reportedOwner(group, view, now);
    all.push({ resource: view.name, epoch, target, ...reported });
  }
  return all;
}

/** Number of resources of the own list without an owner. */
export function unownedCount(group: GroupState, now: Instant): number {
  let unowned = 0;
  for (const view of group.resources.values())
    if (view.spec !== null && reportedOwner(group, view, now).owner === null) unowned += 1;
  return unowned;
}

/**
 * The owner that is reported. The protocol goes by answers: to it a session is over when an answer shows that. A member that is cut off gets
 * none, and must not report owners that it has heard nothing of for longer than their leases.
 */
function reportedOwner(
  group: GroupState,
  view: ResourceView,
  now: Instant,
): Pick<ResourceStatus, "owner" | "unownedSinceMono"> {
  const owner = actualOwner(group, view);
  if (owner === null) return { owner, unownedSinceMono: view.unownedSinceMono };
  const unownedSinceMono = ranOutAtMono(group, owner, view.session, now);
  return unownedSinceMono === null ? { owner, unownedSinceMono } : { owner: null, unownedSinceMono };
}

/** Monotonic milliseconds at which this session ran out, as far as this member has heard of it; `null`: it has not. */
function ranOutAtMono(
  { config, own, sessions }: GroupState,
  memberId: string,
  number: number,
  now: Instant,
): number | null {
  if (memberId === config.memberId) {
    const { deadline, ended, phase } = own;
    if (number <= ended) return deadline.mono;
    if (phase !== "none" && number === own.number) return hasReached(deadline, now) ? deadline.mono : null;
  }
  const holder = sessions.get(memberId);
  if (holder === undefined) return null;
  // Not `since`: it is not known for a message that no answer has followed.
  const atMono = holder.receivedAt.mono + Math.max(config.leaseTtlMs, holder.waitMs);
  return now.mono >= atMono ? atMono : null;
}

/** The member that owns the resource, as in `resourcesOf`, and its epoch; `null`: none does. */
export function ownerOf(
  group: GroupState,
  resource: string,
  now: Instant,
): { readonly memberId: string; readonly epoch: number } | null {
  const view = group.resources.get(resource);
  const memberId = view === undefined ? null : reportedOwner(group, view, now).owner;
  return view === undefined || memberId === null ? null : { memberId, epoch: view.epoch };
}

/** The member that coordinates; `null`: not known, as for the owner of a resource. */
export function coordinatorOf(group: GroupState, now: Instant): string | null {
  return reportedOwner(group, group.coordinator, now).owner;
}

/**
 * True while a session runs, or may begin by an outcome that is still open, on the present connection. Until then the driver checks
 * the connection: with a presence, its end entitles others to claim.
 */
export function dependsOnConnection(group: GroupState): boolean {
  return usesPresence(group.config.crashDetection) && mayBeHeld(group);
}

function usesPresence(crashDetection: CrashDetection): boolean {
  return crashDetection === "presence";
}

/**
 * How often to send beats; `null`: none is needed. Also while nothing is promised because round trips are too long: they show when that is
 * over.
 */
export function beatsEveryMs(group: GroupState): number | null {
  const { link, config } = group;
  const isNeeded = isBound(group) || link.lateProofs !== null;
  return isNeeded && mayBeHeld(group) ? beatIntervalMs(config.silenceMs) : null;
}

function mayBeHeld({ own, link }: GroupState): boolean {
  return (
    link.connected && (own.phase !== "none" || own.inFlight?.kind === "begin" || own.unsettled.length > 0)
  );
}
