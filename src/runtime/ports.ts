/**
 * What the driver needs from the outside world. Four small ports; `src/nats` has them on a real NATS, `src/testing/simulation` on a
 * virtual clock. A new kind of storage or transport implements these and touches nothing else.
 */
import type { Instant } from "../election/time.ts";
import type { LeaseEntry, LeaseWrite, ReadOutcome, SessionBinding, WriteOutcome } from "../election/types.ts";

export interface Clock {
  now(): Instant;
  /** Calls `fire` once after about `delayMs` of monotonic time. Returns its cancellation. Never keeps a process alive alone. */
  setTimer(delayMs: number, fire: () => void): () => void;
  /**
   * Calls `look` about every `periodMs` of monotonic time; calls that were missed are made good by one. Returns its
   * cancellation. Never keeps a process alive alone.
   */
  every(periodMs: number, look: () => void): () => void;
  /** Calls `run` once the event loop has looked at its sockets: whatever had arrived by now has been handled. */
  afterTurn(run: () => void): void;
}

export interface Random {
  /** A fresh identifier nobody else has: at least 96 random bits, `[A-Za-z0-9_-]+`. */
  id(): string;
}

/** What the store found when it was opened. */
export interface BucketInfo {
  /** The stream's creation time. */
  readonly generation: string;
  /** 0: records don't expire on the server. */
  readonly maxAgeMs: number;
  readonly replicas: number;
  /** True when committed writes are republished; false: the watch falls back to a KV consumer. */
  readonly republish: boolean;
}

export interface LeaseStore {
  /**
   * Checks the bucket that is there, or makes one whose revisions are all above `above`, where the store can. Rejects with
   * a `ClusterError` when it can't be used (what, where, what to do) or when the signal aborts. May be called again after
   * the bucket was lost.
   */
  open(signal: AbortSignal, above: number): Promise<BucketInfo>;
  /** Asks the stream leader, never a replica. Never rejects. Settles within `timeoutMs`. */
  read(timeoutMs: number): PromiseLike<ReadOutcome>;
  /** One compare-and-set. Never rejects, never retries by itself. Settles within `timeoutMs`, at the latest as `unknown`. */
  write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome>;
  /** Reports committed messages on the key until closed. A hint: may miss, repeat and reorder. */
  watch(listener: StoreListener): void;
  /** Ends the watch. Idempotent. */
  close(): Promise<void>;
}

export interface StoreListener {
  entry(entry: LeaseEntry): void;
  /** The bucket was reported deleted. */
  gone(): void;
}

export type SessionEvent =
  | { readonly type: "connected"; readonly binding: SessionBinding | null }
  | { readonly type: "rebound"; readonly binding: SessionBinding | null }
  | { readonly type: "disconnected"; readonly error: Error | null }
  /** The connection will not come back. */
  | { readonly type: "closed"; readonly error: Error | null }
  | { readonly type: "presence-lost"; readonly presence: string };

/** One NATS connection of this process. Several elections may share it. */
export interface Session {
  readonly connected: boolean;
  /** How a lease record names this connection; `null` while disconnected. */
  readonly binding: SessionBinding | null;
  /** Subscribes to what happens to the connection. Returns its cancellation. */
  listen(listener: (event: SessionEvent) => void): () => void;
  /**
   * Asks the server named in the binding whether that connection is still open. Resolves `true` only on that very
   * server's word that it is not; `false` on any doubt. Never rejects.
   */
  confirmDeath(binding: SessionBinding, timeoutMs: number): PromiseLike<boolean>;
  /** Watches for the deletion of this presence consumer instead of the one before; `null`: of none. Per election. */
  watchPresence(presence: string | null): void;
}
