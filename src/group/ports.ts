/** What the driver of a group needs from the outside. `src/nats/group` implements it on NATS, the simulator in virtual time. */
import type { SessionBinding, WriteOutcome } from "../election/types.ts";
import type { BucketInfo, Session } from "../runtime/ports.ts";
import type { BulkOutcome, GroupEntry, GroupKey, GroupWrite, KeyReadOutcome } from "./core/types.ts";

export interface GroupStore {
  /**
   * Checks the existing bucket, or creates one whose revisions are all above `above` if the store can do that.
   * @throws ClusterError if the bucket cannot be used, or when the signal aborts.
   */
  open(signal: AbortSignal, above: number): Promise<BucketInfo>;
  /** One compare-and-set, never retried. Never rejects. Settles within `timeoutMs`, at the latest as `unknown`. */
  write(write: GroupWrite, timeoutMs: number): PromiseLike<WriteOutcome>;
  /** Reads one key at the stream leader, never at another replica. Never rejects. Settles within `timeoutMs`. */
  read(key: GroupKey, timeoutMs: number): PromiseLike<KeyReadOutcome>;
  /**
   * Reads the last message of every key that has changed after this sequence; after 0: of every key. One consumer, never a read
   * per key. May come from a replica that is behind. Never rejects. Settles within `timeoutMs`.
   */
  readAfter(sequence: number, timeoutMs: number): PromiseLike<BulkOutcome>;
  /** Reports committed messages of all keys until closed. A hint: may miss, repeat, reorder and forge messages. */
  watch(listener: GroupStoreListener): void;
  /** Ends the watch. Idempotent. */
  close(): Promise<void>;
}

export interface GroupStoreListener {
  /** `revision` is the stream's sequence: without a gap, if nothing was missed. */
  entry(entry: GroupEntry): void;
  /** The bucket was reported deleted. */
  gone(): void;
}

/** The connection of a member, which watches many holders instead of one. */
export interface GroupSession extends Omit<Session, "watchHolder"> {
  /** Watches these sessions, and no others, for the deletion of their presence consumers and for their beats. */
  watchHolders(holders: readonly SessionBinding[]): void;
}
