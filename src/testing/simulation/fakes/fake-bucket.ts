import type { Expectation, LeaseEntry, LeaseWrite, Snapshot } from "../../../election/types.ts";

export type Applied = { readonly kind: "applied"; readonly revision: number } | { readonly kind: "conflict" };

export interface BucketWatcher {
  /** `stream`: the generation that the write was meant for, `""` if it does not say so. */
  entry(entry: LeaseEntry, stream: string): void;
  gone(): void;
  /** A forged message, indistinguishable from a real one. Missing: this watcher is on the server and never sees it. */
  forged?(entry: LeaseEntry): void;
}

/** The cluster has lost its quorum. */
export interface Outage {
  /** Whether writes that arrive during the outage are committed at its end or lost. Real servers do both. */
  readonly commitsLate: boolean;
  readonly later: (() => void)[];
}

/**
 * The bucket as the server stores it: one key of interest, one revision counter, compare-and-set per key and for the whole
 * stream. Always consistent; `FakeStore` decides what nodes observe.
 */
export class FakeBucket {
  #generations = 1;
  #generation = "generation-1";
  #sequence = 0;
  #entry: LeaseEntry | null = null;
  #exists = true;
  readonly #watchers = new Set<BucketWatcher>();
  /** Every write that was applied, in order. */
  readonly log: LeaseEntry[] = [];
  maxAgeMs = 0;
  /** Whether a new bucket can start above revision 1. Servers before 2.10 cannot. */
  canBeginAbove = true;
  #createdBy: object | null = null;
  #outage: Outage | null = null;

  /** The store that recreated the bucket; `null` if an operator did or if it is the first bucket. */
  get createdBy(): object | null {
    return this.#createdBy;
  }

  get exists(): boolean {
    return this.#exists;
  }

  get generation(): string {
    return this.#generation;
  }

  /** `null`: the cluster has a quorum. During an outage no request is answered. */
  get outage(): Outage | null {
    return this.#outage;
  }

  loseQuorum(commitsLate: boolean): void {
    this.#outage ??= { commitsLate, later: [] };
  }

  regainQuorum(): void {
    const outage = this.#outage;
    this.#outage = null;
    for (const commit of outage?.later ?? []) commit();
  }

  get entry(): LeaseEntry | null {
    return this.#entry;
  }

  snapshot(): Snapshot {
    return { generation: this.generation, lastSequence: this.#sequence, entry: this.#entry };
  }

  /** `stream`: the generation that the write is meant for. Watchers learn it; it is no condition. */
  write(write: LeaseWrite, stream = ""): Applied {
    if (!this.#exists || !this.#meets(write.expect)) return { kind: "conflict" };
    const revision = this.#sequence + 1;
    if (write.kind === "put") this.#commit({ kind: "record", revision, record: write.record }, stream);
    else {
      const { epoch, incarnation, successor } = write;
      const heir = successor === undefined ? {} : { successor };
      this.#commit({ kind: "released", revision, epoch, incarnation, ...heir }, stream);
    }
    return { kind: "applied", revision };
  }

  /** An unconditional write, as an operator or a go-cluster node makes it. Returns its revision, 0 if there is no bucket. */
  force(entry: (revision: number) => LeaseEntry): number {
    if (!this.#exists) return 0;
    this.#commit(entry(this.#sequence + 1), "");
    return this.#sequence;
  }

  /** Removes the message on the key without a marker: expiry by max-age, or a purge of the stream. */
  expire(): void {
    this.#entry = null;
  }

  /** Writes another key of the bucket. */
  writeOtherKey(): void {
    if (this.#exists) this.#sequence += 1;
  }

  delete(): void {
    if (!this.#exists) return;
    this.#exists = false;
    this.#entry = null;
    for (const watcher of this.#watchers) watcher.gone();
  }

  /** Creates the bucket again if it was deleted. Its revisions are all above `above`, if `canBeginAbove`. */
  recreate(above = 0, by: object | null = null): void {
    if (this.#exists) return;
    this.#exists = true;
    this.#generations += 1;
    this.#generation = `generation-${this.#generations}`;
    this.#createdBy = by;
    this.#sequence = this.canBeginAbove ? above : 0;
    this.#entry = null;
  }

  /** The server loses its newest messages: power loss without sync. */
  rollBackTo(sequence: number, entry: LeaseEntry | null): void {
    this.#sequence = sequence;
    this.#entry = entry;
  }

  /** Reports a message to the watchers again, without its stream: it counts in every generation. */
  repeat(entry: LeaseEntry): void {
    for (const watcher of this.#watchers) watcher.entry(entry, "");
  }

  /** Reports a message that was never committed to the watchers on the network. */
  forge(entry: LeaseEntry): void {
    for (const watcher of this.#watchers) watcher.forged?.(entry);
  }

  watch(watcher: BucketWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #meets(expect: Expectation): boolean {
    if ("emptyAtSequence" in expect) return this.#entry === null && this.#sequence === expect.emptyAtSequence;
    return (this.#entry?.revision ?? 0) === expect.revision;
  }

  #commit(entry: LeaseEntry, stream: string): void {
    this.#sequence = entry.revision;
    this.#entry = entry;
    this.log.push(entry);
    for (const watcher of this.#watchers) watcher.entry(entry, stream);
  }
}
