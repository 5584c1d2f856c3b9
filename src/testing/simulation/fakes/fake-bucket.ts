import type { Expectation, LeaseEntry, LeaseWrite, Snapshot } from "../../../election/types.ts";

export type Applied = { readonly kind: "applied"; readonly revision: number } | { readonly kind: "conflict" };

export interface BucketWatcher {
  entry(entry: LeaseEntry): void;
  gone(): void;
  /** Only for those who can't tell. */
  forged?(entry: LeaseEntry): void;
}

/** The cluster has lost its quorum. */
export interface Outage {
  /** Is what arrives meanwhile committed in the end, or forgotten? Both happen. */
  readonly commitsLate: boolean;
  readonly later: (() => void)[];
}

/**
 * The bucket as the server keeps it: one key that matters, revisions from one counter, compare-and-set per key and for the
 * whole stream. It is the truth of a simulated world; what nodes get to see of it is up to `FakeStore`.
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
  /** Can it be told where to begin? A server before 2.10 can't. */
  canBeginAbove = true;
  #madeBy: object | null = null;
  #outage: Outage | null = null;

  /** Whoever made the present bucket in place of a deleted one; `null`: an operator, or it is the first. */
  get madeBy(): object | null {
    return this.#madeBy;
  }

  get exists(): boolean {
    return this.#exists;
  }

  get generation(): string {
    return this.#generation;
  }

  /** While there is one, nobody is answered. */
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

  write(write: LeaseWrite): Applied {
    if (!this.#exists || !this.#meets(write.expect)) return { kind: "conflict" };
    const revision = this.#sequence + 1;
    if (write.kind === "put") this.#commit({ kind: "record", revision, record: write.record });
    else {
      const { epoch, incarnation, successor } = write;
      this.#commit({
        kind: "released",
        revision,
        epoch,
        incarnation,
        ...(successor === undefined ? {} : { successor }),
      });
    }
    return { kind: "applied", revision };
  }

  /**
   * A write without any expectation, as an operator or a go-cluster node makes it. Returns its revision; 0 where there is
   * no bucket to take it.
   */
  force(entry: (revision: number) => LeaseEntry): number {
    if (!this.#exists) return 0;
    this.#commit(entry(this.#sequence + 1));
    return this.#sequence;
  }

  /** The message on the key disappears without a trace: expiry by max-age, or a purge of the stream. */
  expire(): void {
    this.#entry = null;
  }

  /** Some other key of the bucket is written. */
  writeOtherKey(): void {
    if (this.#exists) this.#sequence += 1;
  }

  delete(): void {
    if (!this.#exists) return;
    this.#exists = false;
    this.#entry = null;
    for (const watcher of this.#watchers) watcher.gone();
  }

  /** Made anew, so that its revisions are all above `above`. */
  recreate(above = 0, by: object | null = null): void {
    if (this.#exists) return;
    this.#exists = true;
    this.#generations += 1;
    this.#generation = `generation-${this.#generations}`;
    this.#madeBy = by;
    this.#sequence = this.canBeginAbove ? above : 0;
    this.#entry = null;
  }

  /** The server forgets its newest messages: power loss without sync. */
  rollBackTo(sequence: number, entry: LeaseEntry | null): void {
    this.#sequence = sequence;
    this.#entry = entry;
  }

  /** A message that was reported before is reported again. */
  repeat(entry: LeaseEntry): void {
    for (const watcher of this.#watchers) watcher.entry(entry);
  }

  /** A message that nobody has committed is reported to whoever listens on the network. */
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

  #commit(entry: LeaseEntry): void {
    this.#sequence = entry.revision;
    this.#entry = entry;
    this.log.push(entry);
    for (const watcher of this.#watchers) watcher.entry(entry);
  }
}
