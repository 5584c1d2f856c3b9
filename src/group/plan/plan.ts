/**
 * Which member is to own which resource. Pure, and the same on every member: it depends on the sets of members, resources and refusals
 * only, not on their order, and on no clock and no randomness.
 *
 * - `plan` balances: each aim is met exactly, given those before. (1) Balance: as few resources as possible are unplaced, and every
 *   member has the floor or the ceiling of its share by weight, capped by maxOwned. (2) As many resources as possible are in their zone.
 *   (3) As many as possible stay where they are. Its result is a fixed point: planned again, nothing moves.
 * - `place` moves no owned resource. The unowned ones go where the load by weight is least, among equals to their zone. For deaths,
 *   departures and new resources, which cannot wait.
 *
 * Refusals may make the bands of (1) impossible. Then as many floors as possible are filled, and resources that no member in its band
 * takes are spread evenly above it, up to maxOwned.
 */
import { classesOf } from "./classes.ts";
import { handOut } from "./names.ts";
import { type Intake, routesOf } from "./network.ts";
import { NONE, type Problem, problemOf, takes } from "./problem.ts";
import { type Claimant, type Share, sharesOf } from "./shares.ts";
import type { Assignment, PlanInput } from "./types.ts";

/**
 * The balanced assignment with the fewest moves.
 *
 * @throws RangeError for a duplicate id or name, or a weight or maxOwned that is not a whole number in its range.
 */
export function plan(input: PlanInput): Assignment {
  const problem = problemOf(input);
  return assign(problem, new Int32Array(problem.resources.length).fill(NONE));
}

/**
 * An owner for every unowned resource. No other resource moves, even if its owner drains, has weight 0, or has more than its share or
 * its cap.
 *
 * @throws RangeError as `plan`.
 */
export function place(input: PlanInput): Assignment {
  const problem = problemOf(input);
  return assign(problem, problem.ownerOf.slice());
}

/** `newOwnerOf`: the owners that are kept; the others are assigned here. */
function assign(problem: Problem, newOwnerOf: Int32Array): Assignment {
  const intakes = intakesOf(problem, newOwnerOf);
  const classes = classesOf(problem, newOwnerOf);
  handOut(routesOf(problem, classes, intakes), classes, newOwnerOf);
  return assignmentOf(problem, newOwnerOf);
}

function intakesOf({ members, resources }: Problem, keptBy: Int32Array): readonly Intake[] {
  const kept = new Int32Array(members.length);
  for (const owner of keptBy) if (owner !== NONE) kept[owner] = (kept[owner] as number) + 1;
  const claimants = members.map((member, number): Claimant => {
    const cap = takes(member) ? (member.maxOwned ?? resources.length) : 0;
    return { weight: member.weight, kept: kept[number] as number, cap };
  });
  const shares = sharesOf(resources.length, claimants);
  return claimants.map(({ kept: own, cap }, number) => {
    const { floor, ceiling } = shares[number] as Share;
    return { floor: floor - own, ceiling: ceiling - own, most: Math.max(cap - own, 0) };
  });
}

function assignmentOf({ members, resources, ownerOf }: Problem, newOwnerOf: Int32Array): Assignment {
  const owners = new Map<string, string>();
  const unplaced: string[] = [];
  let moves = 0;
  for (const [resource, { name }] of resources.entries()) {
    const [before, after] = [ownerOf[resource] as number, newOwnerOf[resource] as number];
    if (before !== NONE && before !== after) moves += 1;
    const owner = members[after];
    if (owner === undefined) unplaced.push(name);
    else owners.set(name, owner.id);
  }
  return { owners, unplaced, moves };
}
