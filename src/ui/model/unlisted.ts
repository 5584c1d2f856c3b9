/**
 * Which resources of a group no member lists any more, kept up to date by what has changed (`manager/listed-resources.ts`). They are not
 * shown, and have no owner without being in need of one.
 */
import { ListHash } from "../../group/core/hash.ts";
import type { GroupResourceRow } from "../../manager/group-view.ts";
import { isSpare, isUnlisted, listedPartitions, partitionLists } from "../../manager/listed-resources.ts";
import { inBatches } from "../../manager/slices.ts";

/** Names of one step. */
const BATCH = 200;

export class Unlisted {
  #names = new Set<string>();
  #spare = new Set<string>();
  /** Hash of the resources that are not spare. */
  #others = new ListHash();
  /** Hashes of the members' lists, and the lists of partitions among them. */
  #hashes: ReadonlySet<string> = new Set();
  #lists: ReadonlyMap<string, number> = new Map();
  /** `listedPartitions()`, by which `#names` were found. */
  #partitions: number | null = null;

  get size(): number {
    return this.#names.size;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** A row is no longer what it was. */
  forget(row: GroupResourceRow): void {
    if (isSpare(row)) this.#spare.delete(row.resource);
    else this.#others.delete(row.resource);
  }

  note(row: GroupResourceRow): void {
    if (isSpare(row)) this.#spare.add(row.resource);
    else this.#others.add(row.resource);
  }

  /** The members' lists of resources have changed. */
  *takeLists(hashes: ReadonlySet<string>): Generator<void, void> {
    const known = this.#hashes;
    this.#hashes = hashes;
    if ([...hashes].some((hash) => !known.has(hash))) this.#lists = yield* partitionLists(hashes);
  }

  /**
   * Returns whether others are unlisted than before.
   *
   * @param changed - Names of the rows that have changed since.
   */
  *update(changed: Iterable<string>): Generator<void, boolean> {
    const partitions = listedPartitions(this.#hashes, this.#lists, this.#others.text);
    const names = partitions === this.#partitions ? changed : [...this.#names, ...this.#spare];
    this.#partitions = partitions;
    let isChanged = false;
    for (const batch of inBatches(names, BATCH)) {
      for (const name of batch) {
        const unlisted = this.#spare.has(name) && isUnlisted(name, partitions);
        if (unlisted === this.#names.has(name)) continue;
        isChanged = true;
        if (unlisted) this.#names.add(name);
        else this.#names.delete(name);
      }
      yield;
    }
    return isChanged;
  }
}
