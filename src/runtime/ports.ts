/**
 * What the driver needs from the outside: four small ports. `src/nats` implements them on NATS, `src/testing/simulation` in
 * virtual time. Another kind of storage or transport implements these and changes nothing else.
 */
import type { ConnectedServer } from "../application/types.ts";
import type { Instant } from "../election/time.ts";
import type {
  ConnectionId,
  HolderAnswer,
  LeaseEntry,
  LeaseWrite,
  OwnConnection,
  ReadOutcome,
  SessionBinding,
  WriteOutcome,
} from "../election/types.ts";

export interface Clock {
  now(): Instant;
  /** Calls `fire` once, after about `delayMs` of monotonic time. Returns the cancellation. Does not keep the process alive. */
  setTimer(delayMs: number, fire: () => void): () => void;
  /**
   * Calls `fire` about every `periodMs` of monotonic time; one call makes up for all that were missed. Returns the cancellation.
   * Does not keep the process alive.
   */
  every(periodMs: number, fire: () => void): () => void;
  /** Calls `run` once the event loop has polled its sockets: everything that had arrived by the time of this call is handled. */
  afterTurn(run: () => void): void;
}

export interface Random {
  /** A unique identifier: at least 96 random bits, `[A-Za-z0-9_-]+`. */
  id(): string;
}

/** What opening the bucket found. */
export interface BucketInfo {
  /** The stream's creation time. */
  readonly generation: string;
  /** 0: the server does not expire records. */
  readonly maxAgeMs: number;
  readonly replicas: number;
  /** True: the stream republishes committed writes. False: the watch uses a KV consumer instead. */
  readonly republish: boolean;
}

export interface LeaseStore {
  /**
   * Checks the existing bucket, or creates one whose revisions are all above `above` if the store can do that. May be called
   * again after the bucket was lost.
   *
   * @throws ClusterError if the bucket cannot be used, or when the signal aborts.
   */
  open(signal: AbortSignal, above: number): Promise<BucketInfo>;
  /** Reads from the stream leader, never from another replica. Never rejects. Settles within `timeoutMs`. */
  read(timeoutMs: number): PromiseLike<ReadOutcome>;
  /** One compare-and-set, never retried. Never rejects. Settles within `timeoutMs`, at the latest as `unknown`. */
  write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome>;
  /** Reports committed messages on the key until closed. A hint: may miss, repeat and reorder messages. */
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
  | { readonly type: "connected"; readonly binding: OwnConnection | null }
  | { readonly type: "rebound"; readonly binding: OwnConnection | null }
  | { readonly type: "disconnected"; readonly error: Error | null }
  /** The connection will not come back. */
  | { readonly type: "closed"; readonly error: Error | null }
  | { readonly type: "presence-lost"; readonly presence: string }
  /** The server has counted a beat that was sent then, on the present connection (`beats.ts`). */
  | { readonly type: "beat-proven"; readonly sentAt: Instant }
  /** No beat of the watched holder was heard for too long (`beat-watch.ts`). Once until it is heard again. */
  | { readonly type: "holder-silent"; readonly connection: ConnectionId }
  | { readonly type: "holder-heard"; readonly connection: ConnectionId };

/** What is known about the present connection, for people and metrics. No decision reads it. */
export interface LinkFacts {
  readonly server: ConnectedServer;
  /** Round trip of the newest beat; `null`: none has come back. */
  readonly beatRoundTripMs: number | null;
}

export interface InquiryOptions {
  readonly timeoutMs: number;
  /** The caller needs no more than the certainty that the connection is closed: a question that is under way will do for that. */
  readonly closedIsEnough: boolean;
}

/** One NATS connection of this process. Several elections may share it. */
export interface Session {
  readonly connected: boolean;
  /** This connection as a lease record can name it; `null` while disconnected. */
  readonly binding: OwnConnection | null;
  /** `null` while disconnected. Absent: not known. */
  readonly linkFacts?: LinkFacts | null;
  /** Subscribes to events of the connection. Returns the cancellation. */
  listen(listener: (event: SessionEvent) => void): () => void;
  /**
   * Asks the server named in the binding about that connection, after this call. "Open" and "closed" only if that very server says
   * so, and no beat of the connection was heard while it was asked. Settles within twice `timeoutMs`. Never rejects.
   */
  inquire(binding: SessionBinding, options: InquiryOptions): PromiseLike<HolderAnswer>;
  /**
   * Resolves with the time at which a message was sent to the server, once the server has answered it over the same connection:
   * `now`, or up to 50 ms earlier, since calls may share a message. Resolves with `null`, or never, if the connection ends first.
   */
  roundTrip(now: Instant): PromiseLike<Instant | null>;
  /**
   * Watches this holder instead of the previous one: for the deletion of its presence consumer, and for its beats if it promises
   * silence. `null`: none. One per election.
   */
  watchHolder(holder: SessionBinding | null): void;
  /**
   * Sends beats at least so often from now on, the first one within milliseconds; `null`: this election needs none. Reported as `beat-proven`.
   */
  beat(everyMs: number | null): void;
}
