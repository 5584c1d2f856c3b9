/** The quiet end: every resource has one owner, and the load is what the planner makes of it. */
import type { Resource } from "../../../src/group/core/balance.ts";
import { plan } from "../../../src/group/plan/plan.ts";
import type { PlanMember } from "../../../src/group/plan/types.ts";
import type { Member } from "../world/member.ts";

/**
 * What is wrong, or `null`. All members run and have the same list, and nothing fails. `isPlanned`: the group has a plan; without one
 * every resource is owned all the same.
 */
export function balanceProblem(
  members: readonly Member[],
  resources: readonly Resource[],
  isPlanned: boolean,
): string | null {
  const owners = new Map<string, string>();
  const listed = new Set(resources.map(({ name }) => name));
  for (const member of members) {
    for (const name of new Set([...listed, ...member.application.works.keys()])) {
      if (!member.isHeld(name)) continue;
      if (!listed.has(name)) return `without faults ${member.incarnation} holds ${name}, which is on no list`;
      const other = owners.get(name);
      if (other !== undefined) return `without faults ${name} is held by ${other} and ${member.incarnation}`;
      owners.set(name, member.memberId);
    }
  }
  const planned = plan({
    members: planMembers(members),
    resources: resources.map((resource) => {
      const owner = owners.get(resource.name);
      return owner === undefined ? resource : { ...resource, owner };
    }),
  });
  for (const { name } of resources) {
    const [owner, target] = [owners.get(name), planned.owners.get(name)];
    if (owner === undefined && target !== undefined) return `without faults ${name} has no owner`;
    if (isPlanned && owner !== target)
      return `without faults ${name} is held by ${owner}, and ${target} should hold it`;
  }
  return null;
}

/** Processes with one member id are one member. */
function planMembers(members: readonly Member[]): PlanMember[] {
  const byId = new Map<string, PlanMember>();
  for (const member of members) {
    // Of two processes with one id, the one whose session is held speaks for the member.
    if (byId.has(member.memberId) && !member.isSessionHeld()) continue;
    const profile = member.profile();
    byId.set(member.memberId, { id: member.memberId, draining: false, ...profile });
  }
  return [...byId.values()];
}
