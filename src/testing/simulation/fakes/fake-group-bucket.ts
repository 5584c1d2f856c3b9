/**
 * The bucket of a group as the server stores it: keys, one revision counter, a compare-and-set per key. Always consistent; what a
 * member observes of it is decided by its store.
 */
import type { GroupEntry, GroupKey, GroupRecord, GroupWrite } from "../../../group/core/types.ts";

export type Applied = { readonly kind: "applied"; readonly revision: number } | { readonly kind: "conflict" };

/** A change of one key, in the order of the stream. */
export interface Commit {
  readonly entry: GroupEntry;
  /** What the key had before. */
  readonly before: GroupEntry | null;
}

export interface BucketWatcher {
  commit(commit: Commit): void;
  gone(): void;
  /** A message that was never committed, indistinguishable from a real one. Missing: this watcher is on the server. */
  forged?(entry: GroupEntry): void;
}

/** The content of the bucket at one moment. */
export interface BucketState {
  readonly generation: string;
  readonly lastSequence: number;
  readonly keys: ReadonlyMap<string, GroupEntry>;
}

/** The cluster has lost its quorum. */
interface Outage {
  /** Whether writes that arrive during the outage are committed at its end or lost. Real servers do both. */
  readonly commitsLate: boolean;
  readonly later: (() => void)[];
}

/** One line of the history, for a server that loses its newest messages. `null`: the key was removed without a marker. */
interface LogLine {
  readonly sequence: number;
  readonly name: string;
  readonly entry: GroupEntry | null;
}

export function keyName(key: GroupKey): string {
  switch (key.kind) {
    case "session":
      return `session.${key.memberId}`;
    case "owner":
      return `owner.${key.resource}`;
    case "coordinator":
    case "plan":
      return key.kind;
    default:
      return key satisfies never;
  }
}

export class FakeGroupBucket {
  #generations = 1;
  #sequence = 0;
  #exists = true;
  #keys = new Map<string, GroupEntry>();
  #log: LogLine[] = [];
  #outage: Outage | null = null;
  readonly #watchers = new Set<BucketWatcher>();
  /** Every entry that was ever committed, of all generations, in order. */
  readonly committed: GroupEntry[] = [];

  get exists(): boolean {
    return this.#exists;
  }

  get generation(): string {
    return `generation-${this.#generations}`;
  }

  get lastSequence(): number {
    return this.#sequence;
  }

  /** `null`: the cluster has a quorum. During an outage no request is answered. */
  get outage(): Outage | null {
    return this.#outage;
  }

  get(key: GroupKey): GroupEntry | null {
    return this.#keys.get(keyName(key)) ?? null;
  }

  /** A copy: it stays as it is. */
  state(): BucketState {
    return { generation: this.generation, lastSequence: this.#sequence, keys: new Map(this.#keys) };
  }

  loseQuorum(commitsLate: boolean): void {
    this.#outage ??= { commitsLate, later: [] };
  }

  regainQuorum(): void {
    const outage = this.#outage;
    this.#outage = null;
    for (const commit of outage?.later ?? []) commit();
  }

  /** The server compares the revision and nothing else: a write that was meant for a deleted bucket may be applied to the next. */
  write({ key, record, expect }: GroupWrite): Applied {
    if (!this.#exists || (this.get(key)?.revision ?? 0) !== expect) return { kind: "conflict" };
    const revision = this.#sequence + 1;
    this.#commit({ kind: "record", key, revision, record });
    return { kind: "applied", revision };
  }

  /** An unconditional write, as an operator makes it. */
  force(entry: (revision: number) => GroupEntry): void {
    if (this.#exists) this.#commit(entry(this.#sequence + 1));
  }

  /** Removes the message on the key without a marker: a purge by subject. */
  remove(key: GroupKey): void {
    const name = keyName(key);
    if (!this.#keys.delete(name)) return;
    this.#log.push({ sequence: this.#sequence, name, entry: null });
  }

  delete(): void {
    if (!this.#exists) return;
    this.#exists = false;
    this.#keys = new Map();
    for (const watcher of this.#watchers) watcher.gone();
  }

  /** Creates the bucket again if it was deleted. Its revisions are all above `above`. */
  recreate(above: number): void {
    if (this.#exists) return;
    this.#exists = true;
    this.#generations += 1;
    this.#sequence = above;
    this.#log = [];
  }

  /** The server loses its newest messages: power loss without sync. Their revisions are given to other messages later. */
  loseNewest(count: number): void {
    const lastSequence = Math.max(0, this.#sequence - count);
    const kept = this.#log.filter(({ sequence }) => sequence <= lastSequence);
    this.#log = kept;
    this.#sequence = Math.max(lastSequence, 0);
    this.#keys = new Map();
    for (const { name, entry } of kept) {
      if (entry === null) this.#keys.delete(name);
      else this.#keys.set(name, entry);
    }
  }

  /** Reports a message to all watchers once more. */
  repeat(entry: GroupEntry): void {
    for (const watcher of this.#watchers) watcher.forged?.(entry);
  }

  watch(watcher: BucketWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #commit(entry: GroupEntry): void {
    const name = keyName(entry.key);
    const before = this.#keys.get(name) ?? null;
    this.#sequence = entry.revision;
    this.#keys.set(name, entry);
    this.#log.push({ sequence: entry.revision, name, entry });
    this.committed.push(entry);
    for (const watcher of this.#watchers) watcher.commit({ entry, before });
  }
}

/** What kind of write or message it is, for faults that hit one kind. */
export type RecordKind = GroupRecord["kind"];
