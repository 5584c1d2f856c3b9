/**
 * Which resources the members of a group no longer list. The bucket keeps a key of each resource that ever existed, and a session names its
 * list by a hash only. Such a resource has no owner and is in no plan. It is left out if the hashes show that no list has it: a row too many
 * is better than a missing one.
 */
import { MAX_RESOURCES } from "../config/group.ts";
import { ListHash } from "../group/core/hash.ts";
import { inBatches } from "./slices.ts";

/** Names of one step: less than a millisecond. */
const BATCH = 200;

interface Row {
  readonly resource: string;
  readonly state: string;
  readonly target: string | null;
}

/** Whether no list may have it: it has no owner, and no member is to own it. */
export function isSpare({ state, target }: Row): boolean {
  return state === "unowned" && target === null;
}

/** The names of the rows that no member lists, in steps. */
export function* unlistedSteps(
  rows: readonly Row[],
  hashes: ReadonlySet<string>,
): Generator<void, ReadonlySet<string>> {
  const unlisted = new Set<string>();
  const others = new ListHash();
  for (const batch of inBatches(rows, BATCH)) {
    for (const row of batch) {
      if (isSpare(row)) unlisted.add(row.resource);
      else others.add(row.resource);
    }
    yield;
  }
  if (unlisted.size === 0) return unlisted;
  const partitions = listedPartitions(hashes, yield* partitionLists(hashes), others.text);
  for (const batch of inBatches([...unlisted], BATCH)) {
    for (const name of batch) if (!isUnlisted(name, partitions)) unlisted.delete(name);
    yield;
  }
  return unlisted;
}

/** Of the hashes, those of a group that was given a number, which lists "0" to the one before it; with this number. In steps. */
export function* partitionLists(hashes: Iterable<string>): Generator<void, ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const hash of hashes) {
    const count = Number(hash.split("-")[0]);
    if (Number.isInteger(count) && count >= 1 && count <= MAX_RESOURCES) counts.set(hash, count);
  }
  const longest = Math.max(0, ...counts.values());
  const found = new Map<string, number>();
  const list = new ListHash();
  for (let count = 1; count <= longest; count += 1) {
    list.add(String(count - 1));
    if (counts.get(list.text) === count) found.set(list.text, count);
    if (count % BATCH === 0) yield;
  }
  return found;
}

/**
 * The largest number of partitions that a member lists; 0: all list names. `null`: the hashes do not show which resources are listed.
 *
 * @param hashes - `listHash` of each member that is alive.
 * @param lists - The lists of partitions among them.
 * @param others - Hash of the resources that are not spare.
 */
export function listedPartitions(
  hashes: ReadonlySet<string>,
  lists: ReadonlyMap<string, number>,
  others: string,
): number | null {
  if (hashes.size === 0) return null;
  let most = 0;
  for (const hash of hashes) {
    const count = lists.get(hash);
    if (count !== undefined) most = Math.max(most, count);
    else if (hash !== others) return null;
  }
  return most;
}

/**
 * @param name - Of a spare resource.
 * @param partitions - `listedPartitions()`.
 */
export function isUnlisted(name: string, partitions: number | null): boolean {
  if (partitions === null) return false;
  const number = Number(name);
  return !(Number.isInteger(number) && number >= 0 && number < partitions && String(number) === name);
}
