/** What a `Node` runs on: a real NATS (`src/node/nats-backend.ts`) or a simulated one (`src/testing/simulation`). */
import type { SuspicionOutcome } from "../channels/sets.ts";
import type { CrashDetection, RoleName } from "../election/types.ts";
import type { BucketInfo, LeaseStore, Session } from "./ports.ts";

/**
 * Why a node that follows would not campaign for a free lease: `observer` by configuration, `withdrawn` by `withdraw()` or
 * `nats-leader leave`, `cooldown` after a step-down, `failed` after a failure of the application.
 */
export type Standby = "observer" | "withdrawn" | "cooldown" | "failed";

/** The body of the micro service's status endpoint: go-cluster's fields (up to `connected`), then ours. */
export interface NodeStatus {
  readonly nodeId: string;
  /** `PRIMARY`: this node leads, or its term is draining. */
  readonly role: "PRIMARY" | "PASSIVE";
  /** Node id of the leader; `""` if there is none. */
  readonly leader: string;
  /** Epoch of the leader's term; 0 if there is no leader. */
  readonly epoch: number;
  /** Milliseconds since `start()`. */
  readonly uptimeMs: number;
  /** Is the connection to NATS up? */
  readonly connected: boolean;
  readonly clusterId: string;
  readonly incarnation: string;
  /** The node's `role`: follower, campaigning, leader, suspended, draining or stopped. */
  readonly state: RoleName;
  /** May this node act as the leader? */
  readonly held: boolean;
  /** False for an observer, and after `withdraw()`. */
  readonly competes: boolean;
  /** Do other nodes notice a crash of this one early? `off`: by configuration. `denied`: a permission is missing. */
  readonly presence: "on" | "off" | "denied";
  readonly crashDetection: CrashDetection;
  /**
   * After how many milliseconds of silence another node may replace this one as leader. While it has the lease: as its record
   * promises; else as its next record would. 0: it promises no silence, by configuration or because its beats do not come back.
   */
  readonly silenceMs: number;
  readonly leaseTtlMs: number;
  readonly version: string;
  /** Which hook or work keeps others from running, and for how long; absent if none does. */
  readonly blocked?: string;
  /** Absent: it would campaign, or it has a term. */
  readonly standby?: Standby;
  /** When a cooldown ends, or the pause after a failure: in so many milliseconds. Absent for the others. */
  readonly standbyMs?: number;
  /** Incarnation of another process with this node id, the last one that was noticed; absent if none was. */
  readonly duplicate?: string;
  /**
   * Least time to the deadline of its lease in the last minute, in milliseconds: how close it came to losing its term. Absent if it had none in
   * that time.
   */
  readonly leastMarginMs?: number;
  /** How often a term of this node was suspended since `start()`. */
  readonly suspensions?: number;
  /** Suspicions of this node about leaders since `start()`, by their outcome. */
  readonly suspicions?: Readonly<Record<SuspicionOutcome, number>>;
  /** Round trip of the newest beat on the present connection. Absent if none has come back. */
  readonly beatRoundTripMs?: number;
  /** Name of the NATS server that its connection is on. Absent while it is not connected. */
  readonly server?: string;
  /** Is the virtual IP on this host? Only in the status of a daemon that manages one. */
  readonly vipHeld?: boolean;
}

type GoClusterField = "nodeId" | "role" | "leader" | "epoch" | "uptimeMs" | "connected";

/** What another node's status endpoint answers. A go-cluster node sends the first six fields only. */
export type PeerStatus = Pick<NodeStatus, GoClusterField> & Partial<NodeStatus>;

export interface ServiceHandlers {
  status(): NodeStatus;
  /** Rejects when this node does not lead or the handover is refused. */
  stepDown(to: string | undefined): Promise<void>;
  /** Competes or only follows from now on; resolves when a lease that was held is released. Absent: not offered as a request. */
  compete?(competes: boolean): Promise<void>;
  /** Another process has this node id. `null`: one without incarnations, such as a go-cluster node. */
  twin(incarnation: string | null): void;
}

/** The node's micro service while it runs. */
export interface ServiceHandle {
  /** `cluster_<clusterId>` */
  readonly name: string;
  /** Instance id, as `nats micro ls` shows it. */
  readonly id: string;
  /** Ends the service; the node goes on. */
  stop(): Promise<void>;
}

export interface Attachment {
  readonly session: Session;
  readonly store: LeaseStore;
  readonly bucket: BucketInfo;
  readonly presence: "on" | "off" | "denied";
  /** Starts the micro service; `null`: it is switched off, could not be started, or the backend has none. */
  serve(handlers: ServiceHandlers): Promise<ServiceHandle | null>;
  /**
   * The status of another node of the cluster that can take over, from a source that only a node that may lead has. Also that of
   * a node that says it does not compete. `null` when there is none in time. It has `duplicate` if two processes with that node
   * id answer.
   */
  statusOf(nodeId: string, timeoutMs: number): Promise<PeerStatus | null>;
  /** Closes store and session, and the connection unless it was passed in. Never rejects. */
  close(): Promise<void>;
}

/** Explained in `src/node/warning-code.ts`. */
export type BackendWarningCode = "SERVICE" | "SESSION" | "BUCKET";

export interface AttachRequest {
  readonly clusterId: string;
  readonly incarnation: string;
  readonly signal: AbortSignal;
  /** Largest epoch that an earlier incarnation of this `Node` has seen; 0: none. */
  readonly rememberedEpoch: number;
  /** What the node promises about silence (`silenceMs`) once a beat has come back on its connection; 0: nothing. */
  readonly silenceMs: number;
  /** Reports a limitation that does not keep the node from working. One sentence; each message at most once. */
  readonly warn: (code: BackendWarningCode, message: string, error?: Error) => void;
}

export interface Backend {
  /** Connects and opens the bucket, or rejects with a `ClusterError` and leaves nothing behind. */
  attach(request: AttachRequest): Promise<Attachment>;
}
