/**
 * What the best assignment is worth, found without flows: the level of the shares by bisection, the assignment by trying all of them
 * (those with equal counts per member are compared at once). Only for small inputs.
 */
import type { PlanInput, PlanMember } from "../../../src/group/plan/types.ts";

/** Whether owned resources may move. */
export type Mode = "plan" | "place";

/**
 * Smaller is better, compared from the first number on: unplaced resources; members with 8, 7, ... 1 or more resources above the ceiling of
 * their share; resources that are missing to the floors; resources outside their zone; resources that have lost their owner.
 */
export type Score = readonly number[];

const MOST = 8;
const NO_MEMBER = -1;

interface Member extends PlanMember {
  readonly kept: number;
  readonly most: number;
  readonly floor: number;
  readonly ceiling: number;
}

interface Resource {
  readonly name: string;
  readonly zone: string | undefined;
  readonly owner: string | undefined;
  /** Numbers of the members that may have it; `NO_MEMBER` for none. */
  readonly allowed: readonly number[];
}

interface Case {
  readonly members: readonly Member[];
  readonly resources: readonly Resource[];
}

function caseOf({ members, resources, refusals = [] }: PlanInput, mode: Mode): Case {
  const refused = (resource: string, member: string) =>
    refusals.some((pair) => pair.resource === resource && pair.member === member);
  const ownerOf = (name: string, owner: string | undefined) =>
    members.some(({ id }) => id === owner && !refused(name, id)) ? owner : undefined;
  const owned = resources.map(({ name, zone, owner }) => ({ name, zone, owner: ownerOf(name, owner) }));
  const capped = members.map((member) => {
    const takes = !member.draining && member.weight > 0;
    const kept = mode === "plan" ? 0 : owned.filter(({ owner }) => owner === member.id).length;
    return { ...member, kept, most: Math.max(kept, takes ? (member.maxOwned ?? MOST) : 0) };
  });
  const level = levelOf(resources.length, capped);
  return {
    members: capped.map((member) => {
      const share = shareAt(level, member);
      const near = Math.round(share);
      if (Math.abs(share - near) < 1e-6) return { ...member, floor: near, ceiling: near };
      return { ...member, floor: Math.floor(share), ceiling: Math.ceil(share) };
    }),
    resources: owned.map((resource) => ({
      ...resource,
      allowed: [NO_MEMBER, ...members.keys()].filter((index) => {
        const id = members[index]?.id;
        if (mode === "place" && resource.owner !== undefined) return id === resource.owner;
        return id === undefined || !refused(resource.name, id);
      }),
    })),
  };
}

type Limits = Pick<Member, "kept" | "most" | "weight">;

function shareAt(level: number, { kept, most, weight }: Limits): number {
  return Math.min(most, Math.max(kept, level * weight));
}

function levelOf(total: number, members: readonly Limits[]): number {
  let [low, high] = [0, MOST + 1];
  for (let round = 0; round < 60; round += 1) {
    const middle = (low + high) / 2;
    const sum = members.reduce((all, member) => all + shareAt(middle, member), 0);
    if (sum < total) low = middle;
    else high = middle;
  }
  return high;
}

/** The score of these counts, with the resources outside their zone and those that have lost their owner. */
function score(
  { members, resources }: Case,
  counts: readonly number[],
  outside: number,
  lost: number,
): Score {
  const placed = counts.reduce((sum, count) => sum + count, 0);
  const above = (level: number) =>
    members.filter(({ ceiling }, index) => (counts[index] as number) - ceiling >= level).length;
  const levels = Array.from({ length: MOST }, (_, index) => above(MOST - index));
  const missing = members.reduce(
    (sum, { floor }, index) => sum + Math.max(floor - (counts[index] as number), 0),
    0,
  );
  return [resources.length - placed, ...levels, missing, outside, lost];
}

function less(a: Score, b: Score): boolean {
  const index = a.findIndex((number, position) => number !== b[position]);
  return index >= 0 && (a[index] as number) < (b[index] as number);
}

const costOf = (member: Member | undefined, { zone, owner }: Resource) => ({
  outside: zone === undefined || zone === member?.zone ? 0 : 1,
  lost: owner === undefined || owner === member?.id ? 0 : 1,
});

/** The score of an assignment. Throws if it forms a pair that must not be, or exceeds a cap. */
export function scoreOf(input: PlanInput, mode: Mode, owners: ReadonlyMap<string, string>): Score {
  const all = caseOf(input, mode);
  const counts = all.members.map(() => 0);
  let [outside, lost] = [0, 0];
  for (const resource of all.resources) {
    const id = owners.get(resource.name);
    const index = all.members.findIndex((member) => member.id === id);
    const unknown = id !== undefined && index === NO_MEMBER;
    if (unknown || !resource.allowed.includes(index))
      throw new Error(`${resource.name} must not go to ${id}`);
    if (index >= 0) counts[index] = (counts[index] as number) + 1;
    const cost = costOf(all.members[index], resource);
    outside += cost.outside;
    lost += cost.lost;
  }
  for (const [index, { id, most }] of all.members.entries())
    if ((counts[index] as number) > most) throw new Error(`${id} has ${counts[index]}, more than ${most}`);
  return score(all, counts, outside, lost);
}

/** The best score of all assignments. */
export function bestScore(input: PlanInput, mode: Mode): Score {
  const all = caseOf(input, mode);
  // The best way to reach each combination of counts: 100 x resources outside their zone + resources that have lost their owner.
  let reached = new Map([[0, 0]]);
  for (const resource of all.resources) {
    const next = new Map<number, number>();
    const choices = resource.allowed.map((index) => {
      const { outside, lost } = costOf(all.members[index], resource);
      return { step: index === NO_MEMBER ? 0 : (MOST + 1) ** index, cost: 100 * outside + lost };
    });
    for (const [counts, cost] of reached) {
      for (const choice of choices) {
        const key = counts + choice.step;
        next.set(key, Math.min(next.get(key) ?? Number.POSITIVE_INFINITY, cost + choice.cost));
      }
    }
    reached = next;
  }
  let best: Score | null = null;
  for (const [key, cost] of reached) {
    const counts = all.members.map((_, index) => Math.floor(key / (MOST + 1) ** index) % (MOST + 1));
    if (all.members.some(({ most }, index) => (counts[index] as number) > most)) continue;
    const found = score(all, counts, Math.floor(cost / 100), cost % 100);
    if (best === null || less(found, best)) best = found;
  }
  if (best === null) throw new Error("no assignment");
  return best;
}
