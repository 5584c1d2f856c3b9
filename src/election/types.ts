/**
 * The vocabulary of the election: what is in the bucket, what a node knows, what can happen to it, what it asks for.
 *
 * Nothing here does anything. `election.ts` turns (state, event, now) into (state, effects); the driver in
 * `src/runtime` carries effects out and feeds their results back as events.
 */
import type { Instant } from "./time.ts";

// ---------------------------------------------------------------------------------------------- what is stored

/** One NATS connection of one process, as a lease record names it, so that others can ask whether it is still there. */
export interface SessionBinding {
  /** Id of the NATS server the connection is on. */
  readonly serverId: string;
  /** The connection's id on that server (`cid`). */
  readonly clientId: number;
  /**
   * `<stream>.<consumer>` of the session's presence consumer, the tail of the advisory that announces its deletion.
   * Absent when the holder does not promise to suspend itself on disconnect; such a holder may only be outwaited.
   */
  readonly presence?: string;
}

/** The value under the key `leader`. The first three fields are go-cluster's, the rest are ours. */
export interface LeaseRecord {
  readonly nodeId: string;
  /** Fencing token: larger than every earlier term's. A positive safe integer. */
  readonly epoch: number;
  /** Unix milliseconds of the term's start. For humans. */
  readonly acquiredAt: number;
  /** Random per `start()`. Absent in go-cluster's records. A record is mine only if this is mine. */
  readonly incarnation?: string;
  /** Counts the writes of this incarnation; tells which of my writes a read found. */
  readonly nonce?: number;
  /** The holder's lease TTL. */
  readonly ttlMs?: number;
  readonly session?: SessionBinding;
}

/** What the last message on the key is. `revision` is its stream sequence. */
export type LeaseEntry =
  | { readonly kind: "record"; readonly revision: number; readonly record: LeaseRecord }
  /** A delete marker that carries our headers: the holder itself let go. */
  | {
      readonly kind: "released";
      readonly revision: number;
      readonly epoch: number;
      readonly incarnation?: string;
      readonly successor?: string;
    }
  /** A delete or purge marker without our headers: go-cluster's step-down, or an operator. */
  | { readonly kind: "deleted"; readonly revision: number }
  /** Not a lease record. Treated as a holder that nobody knows: outwaited, then replaced. */
  | { readonly kind: "garbage"; readonly revision: number; readonly reason: string };

/** One consistent answer of the stream leader. */
export interface Snapshot {
  /** The stream's creation time; another value means another bucket under the same name. */
  readonly generation: string;
  /** The stream's last sequence. Survives expiry, purge and delete of the key. */
  readonly lastSequence: number;
  /** Last message on the key, `null` when there is none. */
  readonly entry: LeaseEntry | null;
}

/** What must still be true in the bucket for a write to be applied. */
export type Expectation =
  /** The key's last message is this revision. */
  | { readonly revision: number }
  /** The key has no message *and* the whole stream ends at this sequence. */
  | { readonly emptyAtSequence: number };

export type LeaseWrite =
  | { readonly kind: "put"; readonly record: LeaseRecord; readonly expect: Expectation }
  | {
      readonly kind: "release";
      readonly epoch: number;
      readonly incarnation: string;
      readonly successor?: string;
      readonly expect: Expectation;
    };

/** A write has three outcomes. A timeout is `unknown`: it may still be applied later. */
export type WriteOutcome =
  | { readonly kind: "applied"; readonly revision: number }
  | { readonly kind: "conflict" }
  | { readonly kind: "unknown"; readonly error: Error };

export type ReadOutcome =
  | { readonly kind: "snapshot"; readonly snapshot: Snapshot }
  /** The stream leader, or the JetStream API, says that there is no such bucket. */
  | { readonly kind: "no-bucket" }
  | { readonly kind: "failed"; readonly error: Error };

// ---------------------------------------------------------------------------------------------- configuration

/** `lease`: a dead leader is outwaited. `presence`: its death is noticed; in exchange a disconnected leader suspends. */
export type CrashDetection = "presence" | "lease";

/** Constants of one election. Validated by `config.ts` before they get here. All durations in milliseconds. */
export interface ElectionConfig {
  readonly nodeId: string;
  readonly incarnation: string;
  /** False: it follows and never campaigns. The only field that changes, by `compete`. */
  readonly competes: boolean;
  readonly crashDetection: CrashDetection;
  /** W */
  readonly leaseTtlMs: number;
  /** What others may expect: followers that hear nothing for 1.5 of them read. */
  readonly heartbeatIntervalMs: number;
  /** How often the leader renews: every heartbeat, or more often where the bucket is replicated (`lease.ts`). */
  readonly renewIntervalMs: number;
  /** Longest wait for the outcome of one write or read. */
  readonly requestTimeoutMs: number;
  /** Pause before a failed write or read is tried again. */
  readonly retryDelayMs: number;
  /** How long candidates that were not named wait for a named successor. */
  readonly successorGraceMs: number;
  /** How long a node that stepped down does not campaign. */
  readonly cooldownMs: number;
}

// ---------------------------------------------------------------------------------------------- state

/** What this node knows of the key. */
export type View =
  /** Never read. */
  | { readonly kind: "unknown" }
  /** A lease record, or garbage in its place (`record: null`). */
  | { readonly kind: "held"; readonly revision: number; readonly record: LeaseRecord | null }
  /** No lease. */
  | {
      readonly kind: "vacant";
      /** Revision of the delete marker; 0 when the key has no message at all. */
      readonly revision: number;
      /** The stream's last sequence: what a write to a key without history must expect. */
      readonly lastSequence: number;
      /** No epoch up to this one may be used again. */
      readonly epochFloor: number;
      readonly since: Instant;
      /** Node id that goes first. */
      readonly successor: string | undefined;
    };

/**
 * Somebody else's lease, seen here at `since`. Until `waitMs` later nobody may be put in its place, even when the
 * record has vanished meanwhile, unless its holder let go or its death is confirmed.
 */
export interface Outwait {
  readonly since: Instant;
  readonly waitMs: number;
}

/** A lease record we sent whose fate is not settled: in flight, or its ack never came and it may still be applied. */
export interface SentWrite {
  readonly nonce: number;
  readonly epoch: number;
  /** Read before the write was handed to the client: the only thing a deadline may count from. */
  readonly sentAt: Instant;
  /** The connection it promised to be on, for the presence rule. */
  readonly binding: SessionBinding | null;
}

/** One unbroken period of leadership. */
export interface Term {
  readonly epoch: number;
  readonly acquiredAt: number;
  /** Last revision known to be ours. */
  readonly revision: number;
  /** The send time of the newest write known to be applied, plus S. */
  readonly deadline: Instant;
  /** Monotonic milliseconds at which the next renewal is due. */
  readonly renewAtMono: number;
}

export type LossReason =
  /** Stepped down, by call or request. */
  | "released"
  /** The deadline passed without a confirmed renewal. */
  | "expired"
  /** Another record stands in the bucket. */
  | "superseded"
  /** Key or bucket are gone, and not by us. */
  | "deleted"
  /** `onBecomeLeader` or leader work threw. */
  | "hook-failed"
  /** `stop()`. */
  | "stopped";

export type ResignReason = "released" | "hook-failed" | "stopped";

/** Where a node stands. Exactly one at a time. */
export type Role =
  /** Follows whoever leads, or waits for its turn. */
  | { readonly name: "follower" }
  /** An acquiring write is in flight, or was sent and its fate is unknown. Not the leader. */
  | { readonly name: "campaigning" }
  /** A write of ours is applied and its deadline is ahead. The only role in which a term is held. */
  | { readonly name: "leader"; readonly term: Term }
  /** Still our term, but it must not be acted on until a renewal sent on the present connection is applied. */
  | { readonly name: "suspended"; readonly term: Term }
  /** Work is being stopped; the lease is kept alive meanwhile, then deleted. */
  | {
      readonly name: "draining";
      readonly term: Term;
      readonly reason: ResignReason;
      readonly successor: string | undefined;
      /** The application's work has ended: the lease may go. */
      readonly drained: boolean;
    }
  /** Final for this incarnation. */
  | { readonly name: "stopped" };

export type RoleName = Role["name"];

export interface Leader {
  readonly nodeId: string;
  readonly epoch: number;
  /** Absent for a go-cluster leader. */
  readonly incarnation?: string;
  /** Unix milliseconds, as the leader wrote it. */
  readonly acquiredAt: number;
}

export interface ElectionState {
  readonly config: ElectionConfig;
  readonly role: Role;
  readonly view: View;
  readonly outwait: Outwait | null;
  /** The connection whose end was last confirmed. It does not come back: records that name it were sent before. */
  readonly gone: SessionBinding | null;
  /** Largest revision ever received in this generation, and when: repeated and older messages change nothing. */
  readonly seenRevision: number;
  readonly seenAt: Instant;
  /** A conflict contradicted the view. Lets a read show less than was seen, see `view.ts`. */
  readonly disputed: boolean;
  /** `missing`: to be opened before anything else. */
  readonly bucket: "missing" | "opening" | "open";
  /** The stream's creation time; `null` before the bucket was first opened. */
  readonly generation: string | null;
  readonly bucketMaxAgeMs: number;
  /** Monotonic milliseconds until which what is watched may be of the bucket before this one, and only asks for a read. */
  readonly strayUntilMono: number;
  readonly connected: boolean;
  readonly binding: SessionBinding | null;
  /** Largest nonce used. */
  readonly nonce: number;
  /** The one write whose outcome has not been reported yet. */
  readonly inFlight: { readonly nonce: number; readonly kind: "acquire" | "renew" | "release" } | null;
  /** Newest last, at most `MAX_SENT`. */
  readonly sent: readonly SentWrite[];
  /** Largest epoch this node has ever read or written. Never decreases, survives the bucket and `stop()`. */
  readonly highestEpoch: number;
  /** Monotonic milliseconds before which this node does not campaign, unless it is named. */
  readonly cooldownUntilMono: number;
  readonly reading: boolean;
  /** The view may be out of date: read it before acting on it. */
  readonly mustRead: boolean;
  /** After the next read, ask whether the holder is alive: its death may have been missed. */
  readonly askHolder: boolean;
  /** Monotonic milliseconds before which nothing that failed is tried again. */
  readonly retryAtMono: number;
  /** Failures in a row, for back-off. */
  readonly failures: number;
  /** Campaigns refused in a row without anything new being read in between, for back-off. */
  readonly conflicts: number;
  /** When the bucket last told us anything. */
  readonly heardAt: Instant;
  /** What the application was last told. */
  readonly announced: Leader | null;
  /** Another incarnation with our node id that was warned about. */
  readonly duplicate: string | null;
  /** `stop()` was called. */
  readonly stopping: boolean;
}

// ---------------------------------------------------------------------------------------------- events

export type ElectionEvent =
  /** The bucket was opened, for the first time or anew. A read follows. */
  | { readonly type: "bucket-opened"; readonly generation: string; readonly maxAgeMs: number }
  | { readonly type: "bucket-failed"; readonly error: Error }
  | { readonly type: "connected"; readonly binding: SessionBinding | null }
  /** The same connection, described anew: its presence consumer was made, remade or given up. */
  | { readonly type: "rebound"; readonly binding: SessionBinding | null }
  | { readonly type: "disconnected" }
  /** The watch saw a message. A hint: it may be old, repeated, reordered or missing. */
  | { readonly type: "watched"; readonly entry: LeaseEntry }
  | { readonly type: "read"; readonly outcome: ReadOutcome }
  | { readonly type: "written"; readonly nonce: number; readonly outcome: WriteOutcome }
  /** The bucket was reported gone; a hint, a read follows. */
  | { readonly type: "bucket-gone" }
  /** Some session's presence consumer was deleted. A suspicion. */
  | { readonly type: "presence-lost"; readonly presence: string }
  /** The server that held this connection says that it is gone. */
  | { readonly type: "death-confirmed"; readonly binding: SessionBinding }
  /** Give up the term. Ignored when there is none. */
  | { readonly type: "resign"; readonly reason: ResignReason; readonly successor?: string }
  /** Compete from now on, any cooldown forgotten; or only follow, giving up a term in the usual way. */
  | { readonly type: "compete"; readonly competes: boolean }
  /** The application's work for the draining term has ended, or its time is up. */
  | { readonly type: "drained" }
  | { readonly type: "stop" }
  /** A time the state asked for has come. Carries nothing: `now` says it all. */
  | { readonly type: "tick" };

// ---------------------------------------------------------------------------------------------- effects

export type WarningCode =
  | "DUPLICATE_NODE_ID"
  | "EPOCH_REGRESSED"
  | "BUCKET_MISSING"
  | "BUCKET_RECREATED"
  | "BUCKET_UNUSABLE"
  | "GARBAGE_RECORD"
  | "RELEASE_FAILED"
  | "STORE_FAILING";

export type Effect =
  | { readonly type: "write"; readonly nonce: number; readonly write: LeaseWrite; readonly timeoutMs: number }
  | { readonly type: "read"; readonly timeoutMs: number }
  /**
   * Check the bucket that is there, or make one in which every revision is above `above`; answered by `bucket-opened` or
   * `bucket-failed`.
   */
  | { readonly type: "open-bucket"; readonly above: number }
  /** Ask the server named in the binding whether the connection is gone; answered only if it is. */
  | { readonly type: "confirm-death"; readonly binding: SessionBinding; readonly timeoutMs: number }
  | { readonly type: "become-leader"; readonly epoch: number; readonly acquiredAt: number }
  /** The term must not be acted on for now. */
  | { readonly type: "suspend"; readonly epoch: number }
  | { readonly type: "resume"; readonly epoch: number }
  /** The term is being given up: stop the work, then send `drained`. At most one of drain and lose per term. */
  | { readonly type: "drain"; readonly epoch: number; readonly reason: ResignReason }
  /** The term is over. */
  | { readonly type: "lose"; readonly epoch: number; readonly reason: LossReason; readonly by?: Leader }
  /** A drained term's lease is out of our hands: deleted, or left to lapse. Follows every drain. */
  | { readonly type: "released"; readonly epoch: number; readonly deleted: boolean }
  | { readonly type: "leader-changed"; readonly leader: Leader | null }
  | { readonly type: "warn"; readonly code: WarningCode; readonly message: string; readonly error?: Error }
  /** Nothing of this incarnation is left in flight. */
  | { readonly type: "stopped" };

export interface Step {
  readonly state: ElectionState;
  readonly effects: readonly Effect[];
}
