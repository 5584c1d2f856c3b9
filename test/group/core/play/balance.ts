/** A stand-in for `src/group/plan`: obviously right, not optimal. */
import type {
  Assignment,
  Balance,
  BalanceInput,
  PlanMember,
  StoredPlan,
} from "../../../../src/group/core/balance.ts";

function load(assignment: Map<string, string>, { memberId, weight }: PlanMember): number {
  let count = 0;
  for (const owner of assignment.values()) if (owner === memberId) count += 1;
  return (count + 1) / weight;
}

function count(assignment: Map<string, string>, memberId: string): number {
  return [...assignment.values()].filter((owner) => owner === memberId).length;
}

function takers(input: BalanceInput, assignment: Map<string, string>, resource: string): PlanMember[] {
  return input.members
    .filter(
      ({ memberId, weight, maxOwned, refused }) =>
        weight > 0 &&
        !refused.includes(resource) &&
        count(assignment, memberId) < (maxOwned ?? Number.POSITIVE_INFINITY),
    )
    .sort(
      (one, other) =>
        load(assignment, one) - load(assignment, other) || (one.memberId < other.memberId ? -1 : 1),
    );
}

export function place(input: BalanceInput): Assignment {
  const known = new Set(input.members.map(({ memberId }) => memberId));
  const assignment = new Map<string, string>();
  for (const { name } of input.resources) {
    const owner = input.owners.get(name);
    if (owner !== undefined && known.has(owner)) assignment.set(name, owner);
  }
  for (const { name } of input.resources) {
    const to = assignment.has(name) ? undefined : takers(input, assignment, name)[0];
    if (to !== undefined) assignment.set(name, to.memberId);
  }
  return assignment;
}

export function plan(input: BalanceInput): Assignment {
  const assignment = new Map(place(input));
  for (;;) {
    let moved = false;
    for (const { name } of input.resources) {
      const owner = input.members.find(({ memberId }) => memberId === assignment.get(name));
      const to = takers(input, assignment, name)[0];
      if (owner === undefined || to === undefined || to === owner) continue;
      if (load(assignment, to) < load(assignment, owner) - 1 / owner.weight + 1e-9 - 1e-6) {
        assignment.set(name, to.memberId);
        moved = true;
        break;
      }
    }
    if (!moved) return assignment;
  }
}

function encode(stored: StoredPlan): Uint8Array | null {
  const bytes = new TextEncoder().encode(JSON.stringify([stored.members, [...stored.assignment]]));
  return bytes.length > 20_000 ? null : bytes;
}

function decode(bytes: Uint8Array): StoredPlan | null {
  try {
    const [members, pairs] = JSON.parse(new TextDecoder().decode(bytes));
    return { members, assignment: new Map(pairs) };
  } catch {
    return null;
  }
}

export const balance: Balance = { plan, place, encode, decode };
