/**
 * Which member is to own which resource, as every member computes it for itself: the planned member if it is there, else `place()` over
 * the members of the plan that are. So a death needs no coordinator. Without a plan: `place()` over all sessions. A hint for balance:
 * where two members differ, the compare-and-set decides.
 */
import type { BalanceInput, PlanMember, Resource } from "./balance.ts";
import { takesNothing } from "./held.ts";
import { isUnowned, ownerView } from "./resources.ts";
import { isInGrace, isLive } from "./sessions.ts";
import type { GroupState, ResourceView } from "./state.ts";
import { considerMove } from "./terms.ts";
import { consider } from "./wanted.ts";

/** A member that is there, as the plan sees it. One that gives everything up has weight 0. */
export function planMember(group: GroupState, memberId: string): PlanMember | null {
  const { config, profile, refused } = group;
  if (!isLive(group, memberId)) return null;
  if (memberId === config.memberId) {
    const weight = takesNothing(group) ? 0 : profile.weight;
    return member(memberId, weight, profile.zone, profile.maxOwned, [...refused.keys()]);
  }
  const record = group.sessions.get(memberId)?.record;
  if (record === undefined || record === null) return null;
  return member(memberId, record.draining ? 0 : record.weight, record.zone, record.maxOwned, record.refused);
}

function member(
  memberId: string,
  weight: number,
  zone: string | undefined,
  maxOwned: number | undefined,
  refused: readonly string[],
): PlanMember {
  return {
    memberId,
    weight,
    ...(zone === undefined ? {} : { zone }),
    ...(maxOwned === undefined ? {} : { maxOwned }),
    refused,
  };
}

/** Members that are there, in order of their ids. */
export function planMembers(group: GroupState): PlanMember[] {
  const members: PlanMember[] = [];
  for (const memberId of [...group.sessions.keys()].sort()) {
    const one = planMember(group, memberId);
    if (one !== null) members.push(one);
  }
  return members;
}

/** May this member keep or get the resource? */
export function isFit(member: PlanMember | undefined, resource: string): boolean {
  return member !== undefined && member.weight > 0 && !member.refused.includes(resource);
}

/** The member whose claim stands, as far as is known. */
export function actualOwner(group: GroupState, view: ResourceView): string | null {
  return view.kind === "claimed" && !isUnowned(group, view) ? view.owner : null;
}

/** Computes the targets, if anything that they depend on has changed. */
export function retarget(group: GroupState): void {
  if (!group.targetsDue) return;
  group.targetsDue = false;
  const { plan } = group;
  const all = planMembers(group);
  group.pace.members = all.filter(({ weight }) => weight > 0).length;
  const known = new Set(plan.members);
  const members = plan.assignment === null ? all : all.filter(({ memberId }) => known.has(memberId));
  const kept = [...group.sessions.keys()].filter((memberId) => isInGrace(group, memberId)).sort();
  const key = JSON.stringify([plan.revision, group.listVersion, members, kept]);
  const wholeKey = JSON.stringify([group.listVersion, all, kept]);
  if (wholeKey !== group.membersKey) {
    group.membersKey = wholeKey;
    group.rewrites = 0;
    group.planDue = true;
  }
  if (key === group.targetsKey) return;
  group.targetsKey = key;
  assign(group, members, new Set(kept));
}

function assign(group: GroupState, members: readonly PlanMember[], kept: ReadonlySet<string>): void {
  const byId = new Map(members.map((one) => [one.memberId, one]));
  const owners = new Map<string, string>();
  const open: Resource[] = [];
  let hasOrphans = false;
  for (const spec of group.listed) {
    const owner = settledOwner(group, ownerView(group, { kind: "owner", resource: spec.name }), byId, kept);
    if (owner === null) hasOrphans = true;
    else owners.set(spec.name, owner);
    if (owner === null || !kept.has(owner)) open.push(spec);
  }
  const input: BalanceInput = { members, resources: open, owners };
  const placed = hasOrphans && members.length > 0 ? group.config.balance.place(input) : null;
  for (const view of group.resources.values()) {
    if (view.spec === null) continue;
    const target = owners.get(view.name) ?? placed?.get(view.name) ?? null;
    if (target === view.target) continue;
    view.target = target;
    consider(group, view);
  }
  // Also where the target is the same: a newer plan may require a move that the plan before did not.
  for (const view of group.terms) considerMove(group, view);
}

/** The member that keeps the resource, or is planned for it and there; `null`: it has to be placed. */
function settledOwner(
  group: GroupState,
  view: ResourceView,
  byId: ReadonlyMap<string, PlanMember>,
  kept: ReadonlySet<string>,
): string | null {
  const planned = group.plan.assignment?.get(view.name);
  if (planned !== undefined && (kept.has(planned) || isFit(byId.get(planned), view.name))) return planned;
  const { owner } = view;
  if (owner !== null && view.kind === "claimed" && kept.has(owner)) return owner;
  const actual = actualOwner(group, view);
  return actual !== null && isFit(byId.get(actual), view.name) ? actual : null;
}
