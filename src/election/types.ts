/**
 * The vocabulary of the election: what the bucket stores, what a node's state consists of, which events change the state, and
 * which effects it asks for.
 *
 * Types only. `election.ts` turns (state, event, now) into (state, effects); the driver in `src/runtime` carries the effects
 * out and feeds their results back as events.
 */
import type {
  ConnectionId,
  CrashDetection,
  HolderAnswer,
  Inquiry,
  SessionBinding,
} from "../inquiry/types.ts";
import type { Instant } from "./time.ts";

export type {
  ConnectionId,
  CrashDetection,
  HolderAnswer,
  SessionBinding,
  SilencePromise,
} from "../inquiry/types.ts";

// ---------------------------------------------------------------------------------------------- what is stored

/** This process's own connection. */
export interface OwnConnection extends ConnectionId {
  /** `<stream>.<consumer>` of the presence consumer. Absent while there is none. */
  readonly presence?: string;
  /** Hash of the account's name. Absent until a beat has come back on this connection: without that there is no promise. */
  readonly account?: string;
}

/** The value under the key `leader`. The first three fields are go-cluster's, the others are added by this library. */
export interface LeaseRecord {
  readonly nodeId: string;
  /** Fencing token: larger than every earlier term's. From 1 to `maxEpochAt` its revision (`epochs.ts`). */
  readonly epoch: number;
  /** Unix milliseconds of the term's start. For people; no decision reads it. */
  readonly acquiredAt: number;
  /** Random per `start()`. Absent in go-cluster's records. A record belongs to this node only if this field matches. */
  readonly incarnation?: string;
  /** Counts the writes of this incarnation; identifies which of them a read found. */
  readonly nonce?: number;
  /** The holder's lease TTL. */
  readonly ttlMs?: number;
  readonly session?: SessionBinding;
}

/** The last message on the key. `revision` is its stream sequence. */
export type LeaseEntry =
  | { readonly kind: "record"; readonly revision: number; readonly record: LeaseRecord }
  /** A delete marker with our headers: the holder released its lease. */
  | {
      readonly kind: "released";
      readonly revision: number;
      readonly epoch: number;
      readonly incarnation?: string;
      readonly successor?: string;
    }
  /** A delete or purge marker without our headers: a step-down of go-cluster, or an operator. */
  | { readonly kind: "deleted"; readonly revision: number }
  /** Not a lease record. Treated as the lease of an unknown holder: replaced after the takeover wait. */
  | { readonly kind: "garbage"; readonly revision: number; readonly reason: string };

/** One consistent answer of the stream leader. */
export interface Snapshot {
  /** The stream's creation time; another value means another bucket under the same name. */
  readonly generation: string;
  /** The stream's last sequence. Survives expiry, purge and delete of the key. */
  readonly lastSequence: number;
  /** Last message on the key; `null`: none. */
  readonly entry: LeaseEntry | null;
}

/** The condition of a compare-and-set. */
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

/** A write has three outcomes. A timeout is `unknown`: the write may still be applied later. */
export type WriteOutcome =
  | { readonly kind: "applied"; readonly revision: number }
  | { readonly kind: "conflict" }
  | { readonly kind: "unknown"; readonly error: Error };

export type ReadOutcome =
  | { readonly kind: "snapshot"; readonly snapshot: Snapshot }
  /** The stream leader, or the JetStream API, reports that the bucket does not exist. */
  | { readonly kind: "no-bucket" }
  | { readonly kind: "failed"; readonly error: Error };

// ---------------------------------------------------------------------------------------------- configuration

/** Constants of one election, validated by `src/config`. All durations in milliseconds. */
export interface ElectionConfig {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly crashDetection: CrashDetection;
  /** F: how long a proven beat counts. 0: no promise of silence. */
  readonly silenceMs: number;
  /** W */
  readonly leaseTtlMs: number;
  /** Pace that others may expect of a leader: a follower reads after 1.5 intervals without a message. */
  readonly heartbeatIntervalMs: number;
  /** Pace of the leader's renewals: the heartbeat interval, or less where the bucket is replicated (`lease.ts`). */
  readonly renewIntervalMs: number;
  /** Timeout of one write or read. */
  readonly requestTimeoutMs: number;
  /** Pause before a failed write or read is retried; doubles up to one heartbeat interval. */
  readonly retryDelayMs: number;
  /** Head start of a named successor over the other candidates. */
  readonly successorGraceMs: number;
  /** How long a node does not campaign after a step-down. */
  readonly cooldownMs: number;
}

// ---------------------------------------------------------------------------------------------- state

/** The last known content of the key. */
export type View =
  /** Never read. */
  | { readonly kind: "unknown" }
  /** A lease record, or garbage in its place (`record: null`). */
  | {
      readonly kind: "occupied";
      readonly revision: number;
      readonly record: LeaseRecord | null;
      /** No epoch up to this one may be used again. */
      readonly epochFloor: number;
    }
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
      /** Node id of the named successor. */
      readonly successor: string | undefined;
    };

/**
 * No takeover before `waitMs` have passed since `since`, when the lease of another holder was received; not even if its record
 * has vanished. Lifted when the holder released the lease or when its connection is confirmed closed. Does not protect the revision whose
 * holder is confirmed silent (`HolderKnowledge.silentRevision`).
 */
export interface TakeoverWait {
  readonly since: Instant;
  readonly waitMs: number;
  /** It was started because the stream of an empty key had grown. */
  readonly afterGrowth: boolean;
}

/** A lease record that was sent and is not settled: in flight, or its ack was lost and it may still be applied. */
export interface SentWrite {
  readonly nonce: number;
  readonly epoch: number;
  /** Read before the write was handed to the client. A deadline counts from here and from nothing else. */
  readonly sentAt: Instant;
  /** The connection that the record names. */
  readonly binding: OwnConnection | null;
  /** The record names a promise of silence. */
  readonly promises: boolean;
  /** The stretch that ran when it was sent; 0: none did. */
  readonly stretch: number;
}

/** This node's term as the election keeps it; the application gets the `Term` of `src/node/term.ts`. */
export interface OwnTerm {
  readonly epoch: number;
  readonly acquiredAt: number;
  /** Last revision known to be ours, or garbage over it. */
  readonly revision: number;
  /** Every message after `revision` up to this one was watched, and was garbage or our own write. Older than `revision`: none was. */
  readonly harmlessUpTo: number;
  /** The send time of the newest write known to be applied, plus S. */
  readonly deadline: Instant;
  /** The record at `revision` names a promise of silence. */
  readonly promises: boolean;
  /** The stretch that ran when the write at `revision` was sent; 0: none did. */
  readonly stretch: number;
  /** Monotonic milliseconds from which the next renewal, or after a drain the release, is due. */
  readonly renewAtMono: number;
}

export type LossReason =
  /** Stepped down, by call or request. */
  | "released"
  /** The deadline passed without a confirmed renewal. */
  | "expired"
  /** Another record replaced ours, or garbage under which another node may have led. */
  | "superseded"
  /** The key or the bucket was deleted by another party. */
  | "deleted"
  /** `onBecomeLeader` or leader work threw. */
  | "hook-failed"
  /** `stop()`. */
  | "stopped";

export type ResignReason = "released" | "hook-failed" | "stopped";

export type Role =
  /** Follows the leader, or waits until it may campaign. */
  | { readonly name: "follower" }
  /** An acquiring write is in flight, or its outcome is unknown. Not the leader. */
  | { readonly name: "campaigning" }
  /** A write of ours is applied. The only role in which a term can be held. */
  | { readonly name: "leader"; readonly term: OwnTerm }
  /** The term goes on but is not held: its connection or its stretch has ended, and no renewal sent since is known to be applied. */
  | { readonly name: "suspended"; readonly term: OwnTerm }
  /** The application stops its work; the lease is renewed until then, and deleted after. Not held. */
  | {
      readonly name: "draining";
      readonly term: OwnTerm;
      readonly reason: ResignReason;
      readonly successor: string | undefined;
      /** The work has ended: the lease may be deleted. */
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

/** Whether this node may campaign, apart from what the key allows. */
export interface Candidacy {
  /** False: it follows and never campaigns. Changed by `compete`. */
  readonly competes: boolean;
  /** `stop()` was called. */
  readonly stopping: boolean;
  /**
   * After a step-down: monotonic milliseconds before which this node campaigns only as the named successor. Ends early when
   * another node has led since.
   */
  readonly cooldownUntilMono: number;
  /** After a failure of the application: monotonic milliseconds before which this node campaigns only as the named successor. */
  readonly pauseUntilMono: number;
  /** This node has seen another one lead. */
  readonly hasFollowed: boolean;
  /** Another node was quicker to replace a leader. Until it has led, this node lets the others go first. */
  readonly outpaced: boolean;
}

/** The connection to NATS. */
export interface Link {
  readonly connected: boolean;
  /** `null` while disconnected. */
  readonly binding: OwnConnection | null;
  /** `null`: none runs. */
  readonly stretch: Stretch | null;
  /** Number of stretches so far. */
  readonly stretches: number;
  /** `null`: the newest proof of a beat came in time, or there was none on the present connection. */
  readonly lateProofs: LateProofs | null;
}

/** Proofs of beats that came too late to keep a stretch alive, one after the other. */
export interface LateProofs {
  readonly sinceMono: number;
  readonly newestMono: number;
}

/** The time for which the proven beats of the present connection count. It ends for good when its deadline has passed. */
export interface Stretch {
  /** From 1. */
  readonly number: number;
  /** The send time of the newest proven beat, or of the write that began the stretch, plus F. */
  readonly deadline: Instant;
}

export interface Bucket {
  /** `missing`: must be opened before anything else. */
  readonly status: "missing" | "opening" | "open";
  /** The stream's creation time; `null` before the bucket was first opened. */
  readonly generation: string | null;
  readonly maxAgeMs: number;
  /** This node was held when it found the bucket gone, and has not failed to open one since: no other node led in it. */
  readonly ledToEnd: boolean;
}

/** What this node has learned about the lease. */
export interface LeaseKnowledge {
  readonly view: View;
  /** Largest revision that an answer or an ack has shown in this generation. A message that is not newer changes nothing. */
  readonly newestRevision: number;
  /** When `newestRevision` was received, or last confirmed by the ack of a renewal. */
  readonly newestAt: Instant;
  /** When the view was last replaced, or confirmed by a read. */
  readonly refreshedAt: Instant;
  /** A conflict contradicted the view: after W, a read that shows less than was seen is believed (`trust.ts`). */
  readonly disputed: boolean;
  /** Largest epoch ever read from the bucket or written. Never decreases; survives the bucket and `stop()`. */
  readonly highestEpoch: number;
  /** How far an epoch of this bucket may lie above the sequence at which it was written (`hiddenEpochFloor`). */
  readonly epochsAbove: number;
}

/** What this node has learned about the other node that holds, or last held, the lease. */
export interface HolderKnowledge {
  readonly takeoverWait: TakeoverWait | null;
  /** The last connection confirmed as closed. Ids are not reused: every record that names it was sent before it closed. */
  readonly closedBinding: SessionBinding | null;
  /** This revision, and no other, may be replaced: the stretch in which its holder was held is over. 0: none. */
  readonly silentRevision: number;
  /** Ask about the holder after the next read: the suspicion that would have caused the inquiry may have been missed. */
  readonly inquiryDue: boolean;
  /** Another incarnation with our node id that was already warned about. */
  readonly duplicate: string | null;
}

/** The questions about the holder, and the suspicion that causes the next one. */
export interface HolderInquiry extends Readonly<Inquiry> {
  /** A suspicion: ask from `dueAtMono` on. */
  readonly due: boolean;
  readonly dueAtMono: number;
  readonly lastQuestion: number;
}

/** At most one read is in flight. */
export interface Reads {
  readonly inFlight: boolean;
  /** When the last one was sent. */
  readonly sentAt: Instant;
  /** The view may be out of date: read before acting on it. */
  readonly due: boolean;
  /** Largest revision that a watched message has named since the last read was sent, and that no answer has shown; 0: none. */
  readonly hinted: number;
  /** The read in flight was sent after a hint. */
  readonly forHint: boolean;
  /** Monotonic milliseconds before which a hint causes no read: the last one proved false. */
  readonly hintsFromMono: number;
}

/** At most one write is in flight. */
export interface Writes {
  readonly lastNonce: number;
  readonly inFlight: { readonly nonce: number; readonly kind: "acquire" | "renew" | "release" } | null;
  /** Oldest first, at most `MAX_UNSETTLED`. A promise among them is not forgotten. */
  readonly unsettled: readonly SentWrite[];
}

export interface Retry {
  /** Monotonic milliseconds before which nothing that failed is retried. */
  readonly atMono: number;
  /** Failures in a row, for back-off. */
  readonly failures: number;
  /** Conflicts of campaigns in a row without a new message in between, for back-off. */
  readonly conflicts: number;
}

export interface ElectionState {
  readonly config: ElectionConfig;
  readonly role: Role;
  /** The last leader reported to the application. */
  readonly announced: Leader | null;
  readonly candidacy: Candidacy;
  readonly link: Link;
  readonly bucket: Bucket;
  readonly lease: LeaseKnowledge;
  readonly holder: HolderKnowledge;
  readonly inquiry: HolderInquiry;
  readonly reads: Reads;
  readonly writes: Writes;
  readonly retry: Retry;
}

// ---------------------------------------------------------------------------------------------- events

export type ElectionEvent =
  /** The bucket was opened or recreated. Causes a read. */
  | { readonly type: "bucket-opened"; readonly generation: string; readonly maxAgeMs: number }
  | { readonly type: "bucket-failed"; readonly error: Error }
  | { readonly type: "connected"; readonly binding: OwnConnection | null }
  /** The same connection: its presence consumer was created, recreated or given up, or its first beat has come back. */
  | { readonly type: "rebound"; readonly binding: OwnConnection | null }
  | { readonly type: "disconnected" }
  /** The server has counted a beat that was sent then, on the present connection. */
  | { readonly type: "beat-proven"; readonly sentAt: Instant }
  /** The watch delivered a message. A hint: it may be old, repeated, reordered, missing or forged. At most, it causes a read. */
  | { readonly type: "watched"; readonly entry: LeaseEntry }
  | { readonly type: "read"; readonly outcome: ReadOutcome }
  | { readonly type: "written"; readonly nonce: number; readonly outcome: WriteOutcome }
  /** The bucket was reported deleted. A hint; causes a read. */
  | { readonly type: "bucket-gone" }
  /** A presence consumer was deleted. A suspicion. */
  | { readonly type: "presence-lost"; readonly presence: string }
  /** No beat of the watched connection has been heard for 1.25 beat intervals. A suspicion. */
  | { readonly type: "holder-silent"; readonly connection: ConnectionId }
  /** A beat of a connection that was reported silent was heard. */
  | { readonly type: "holder-heard"; readonly connection: ConnectionId }
  /** What the holder's server has answered. */
  | { readonly type: "answered"; readonly question: number; readonly answer: HolderAnswer }
  /** Give up the term. Ignored without one. */
  | {
      readonly type: "resign";
      readonly reason: ResignReason;
      readonly successor?: string;
      /** Least time before this node campaigns again. @default 0 */
      readonly pauseMs?: number;
    }
  /** `true`: compete from now on, without the rest of a cooldown. `false`: only follow; a term is drained. */
  | { readonly type: "compete"; readonly competes: boolean }
  /** The application's work for the draining term has ended, or its time limit has passed. */
  | { readonly type: "drained" }
  | { readonly type: "stop" }
  /** A time the state asked for has come. */
  | { readonly type: "tick" };

// ---------------------------------------------------------------------------------------------- effects

/** Explained in `src/node/warning-code.ts`. */
export type ElectionWarningCode =
  | "DUPLICATE_NODE_ID"
  | "EPOCH_EXHAUSTED"
  | "EPOCH_REGRESSED"
  | "BUCKET_MISSING"
  | "BUCKET_RECREATED"
  | "BUCKET_UNUSABLE"
  | "GARBAGE_RECORD"
  | "RELEASE_FAILED"
  | "SLOW_CONNECTION"
  | "STORE_FAILING";

/** Requests to the driver, and reports to the application. */
export type Effect =
  | { readonly type: "write"; readonly nonce: number; readonly write: LeaseWrite; readonly timeoutMs: number }
  | { readonly type: "read"; readonly timeoutMs: number }
  /**
   * Check the existing bucket, or create one in which every revision is above `above`; answered by `bucket-opened` or
   * `bucket-failed`.
   */
  | { readonly type: "open-bucket"; readonly above: number }
  /** Ask the server named in the binding about that connection; answered by `answered`. */
  | {
      readonly type: "ask";
      readonly question: number;
      readonly binding: SessionBinding;
      readonly timeoutMs: number;
      /** An answer that says "closed" entitles at once, whenever the server was asked. */
      readonly closedIsEnough: boolean;
    }
  | { readonly type: "become-leader"; readonly epoch: number; readonly acquiredAt: number }
  /** The term is not held until it is resumed. */
  | { readonly type: "suspended"; readonly epoch: number }
  | { readonly type: "resumed"; readonly epoch: number }
  /** Stop the work, then send `drained`. A term ends with `drain` or with `lose-leadership`, never with both. */
  | { readonly type: "drain"; readonly epoch: number; readonly reason: ResignReason }
  /** The term is over. */
  | {
      readonly type: "lose-leadership";
      readonly epoch: number;
      readonly reason: LossReason;
      readonly by?: Leader;
    }
  /** The lease of a drained term was deleted, or is left to expire. Follows every `drain`. */
  | { readonly type: "released"; readonly epoch: number; readonly deleted: boolean }
  | { readonly type: "leader-change"; readonly leader: Leader | null }
  | {
      readonly type: "warning";
      readonly code: ElectionWarningCode;
      readonly message: string;
      readonly error?: Error;
    }
  /** Final. Nothing of this incarnation is in flight any more, unless the connection is down. */
  | { readonly type: "stopped" };

export interface Step {
  readonly state: ElectionState;
  readonly effects: readonly Effect[];
}
