/**
 * Resources of one zone with one owner, refused by the same members, are interchangeable for the planner. It works on these classes,
 * whose number does not grow with the number of resources: at most (zones + 1) x (members + 1), and those of refused resources.
 */
import { NONE, type Problem } from "./problem.ts";

export interface ResourceClass {
  /** Number of the preferred zone; `NONE` without one, or if the zone has no member: no placement can be better than another then. */
  readonly zone: number;
  /** Number of the owner, or `NONE`. */
  readonly owner: number;
  /** Numbers of the members that refuse them, ascending. */
  readonly refusedBy: readonly number[];
  /** Numbers of the resources, ascending. */
  readonly resources: readonly number[];
}

const NOT_REFUSED: readonly number[] = [];

/** The classes of the resources without a new owner, ordered by their first resource. */
export function classesOf(problem: Problem, newOwnerOf: Int32Array): readonly ResourceClass[] {
  const { resources, ownerOf, refusedBy, zones, members } = problem;
  const classes = new Map<number | string, { readonly resources: number[] } & ResourceClass>();
  for (let resource = 0; resource < resources.length; resource += 1) {
    if (newOwnerOf[resource] !== NONE) continue;
    const owner = ownerOf[resource] as number;
    const name = resources[resource]?.zone;
    const zone = (name === undefined ? undefined : zones.get(name)) ?? NONE;
    const refusing = refusedBy.get(resource) ?? NOT_REFUSED;
    const number = (zone + 1) * (members.length + 1) + owner + 1;
    const key = refusing.length === 0 ? number : `${number} ${refusing.join()}`;
    const known = classes.get(key);
    if (known === undefined) classes.set(key, { zone, owner, refusedBy: refusing, resources: [resource] });
    else known.resources.push(resource);
  }
  return [...classes.values()];
}
