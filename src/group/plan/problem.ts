/**
 * The input of the planner with numbers for names: members and resources sorted, so that every member of a group computes the same
 * result from the same facts, in whatever order it learned them. Strings are compared by UTF-16 code units, never by locale.
 */
import type { PlanInput, PlanMember, PlanResource } from "./types.ts";

/** With up to 10 000 members and 10^7 resources, all products of the planner are integers that a double holds exactly. */
export const MAX_WEIGHT = 10_000;

/** Neither an owner nor a zone. */
export const NONE: number = -1;

export interface Problem {
  /** Ordered by id. A member's number is its position. */
  readonly members: readonly PlanMember[];
  /** Ordered by name. A resource's number is its position. */
  readonly resources: readonly PlanResource[];
  /** Per resource: its owner's number; `NONE` if it counts as unowned. */
  readonly ownerOf: Int32Array;
  /** Per resource that is refused: the numbers of the members that refuse it, ascending. */
  readonly refusedBy: ReadonlyMap<number, readonly number[]>;
  /** Zones that have a member: zone to number. */
  readonly zones: ReadonlyMap<string, number>;
}

/** @throws RangeError for a duplicate id or name, or a weight or maxOwned out of range: the caller has decoded them. */
export function problemOf(input: PlanInput): Problem {
  const members = sorted(input.members, ({ id }) => id, "member");
  const resources = sorted(input.resources, ({ name }) => name, "resource");
  for (const member of members) checkMember(member);
  const memberNumbers = new Map(members.map(({ id }, number) => [id, number]));
  const refusedBy = refusalsOf(input, resources, memberNumbers);
  const ownerOf = new Int32Array(resources.length);
  for (let resource = 0; resource < resources.length; resource += 1) {
    const owner = resources[resource]?.owner;
    const number = (owner === undefined ? undefined : memberNumbers.get(owner)) ?? NONE;
    ownerOf[resource] = refusedBy.get(resource)?.includes(number) === true ? NONE : number;
  }
  return { members, resources, ownerOf, refusedBy, zones: zonesOf(members) };
}

/** Whether a member may be given resources at all. */
export function takes({ weight, maxOwned, draining }: PlanMember): boolean {
  return !draining && weight > 0 && maxOwned !== 0;
}

/** Lists that come from another plan are sorted already: finding that out takes less time than sorting. */
function sorted<T>(list: readonly T[], keyOf: (item: T) => string, what: string): readonly T[] {
  const before = (a: T, b: T): boolean => keyOf(a) < keyOf(b);
  const isAscending = (items: readonly T[]): boolean =>
    items.every((item, index) => index === 0 || before(items[index - 1] as T, item));
  if (isAscending(list)) return list;
  const result = list.toSorted((a, b) => (before(a, b) ? -1 : Number(before(b, a))));
  if (isAscending(result)) return result;
  const twice = result.find((item, index) => index > 0 && !before(result[index - 1] as T, item)) as T;
  throw new RangeError(`${what} "${keyOf(twice)}" is listed twice`);
}

function checkMember({ id, weight, maxOwned = 0 }: PlanMember): void {
  if (!Number.isInteger(weight) || weight < 0 || weight > MAX_WEIGHT)
    throw new RangeError(
      `weight of member "${id}" is ${weight}: it must be a whole number from 0 to ${MAX_WEIGHT}`,
    );
  if (!Number.isSafeInteger(maxOwned) || maxOwned < 0)
    throw new RangeError(
      `maxOwned of member "${id}" is ${maxOwned}: it must be a whole number of at least 0`,
    );
}

function zonesOf(members: readonly PlanMember[]): ReadonlyMap<string, number> {
  const zones = new Map<string, number>();
  for (const { zone } of members) {
    if (zone !== undefined && !zones.has(zone)) zones.set(zone, zones.size);
  }
  return zones;
}

/** Refusals of unknown resources or by unknown members say nothing. */
function refusalsOf(
  { refusals = [] }: PlanInput,
  resources: readonly PlanResource[],
  memberNumbers: ReadonlyMap<string, number>,
): ReadonlyMap<number, readonly number[]> {
  const members = new Map<string, Set<number>>();
  for (const { resource, member } of refusals) {
    const number = memberNumbers.get(member);
    if (number === undefined) continue;
    const refusing = members.get(resource) ?? new Set();
    members.set(resource, refusing.add(number));
  }
  const refusedBy = new Map<number, readonly number[]>();
  if (members.size === 0) return refusedBy;
  for (const [resource, { name }] of resources.entries()) {
    const refusing = members.get(name);
    if (refusing !== undefined)
      refusedBy.set(
        resource,
        [...refusing].sort((a, b) => a - b),
      );
  }
  return refusedBy;
}
