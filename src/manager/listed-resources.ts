/**
 * Which resources the members of a group no longer list. The bucket keeps a key of each resource that ever existed, and a session names its
 * list by a hash only.
 */
import { MAX_RESOURCES } from "../config/group.ts";
import { listHash } from "../group/core/hash.ts";

interface Row {
  readonly resource: string;
  readonly state: string;
  readonly target: string | null;
}

/**
 * The names of the rows that no member lists. Empty if the hashes do not show it: a row too many is better than a missing one.
 *
 * @param hashes `listHash` of each member that is alive.
 */
export function unlistedOf(rows: readonly Row[], hashes: ReadonlySet<string>): ReadonlySet<string> {
  const spare = rows.filter(({ state, target }) => state === "unowned" && target === null);
  if (spare.length === 0 || hashes.size === 0) return new Set();
  const names = new Set(spare.map(({ resource }) => resource));
  const others = listHash(rows.map(({ resource }) => resource).filter((name) => !names.has(name)));
  for (const hash of hashes) {
    const partitions = partitionsOf(hash);
    if (partitions !== null) for (const name of partitions) names.delete(name);
    else if (hash !== others) return new Set();
  }
  return names;
}

/** The list of a group that was given a number: from "0" on. `null`: the hash is of other names. */
function partitionsOf(hash: string): readonly string[] | null {
  const count = Number(hash.split("-")[0]);
  if (!Number.isInteger(count) || count < 1 || count > MAX_RESOURCES) return null;
  const names = Array.from({ length: count }, (_, index) => String(index));
  return listHash(names) === hash ? names : null;
}
