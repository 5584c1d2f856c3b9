/** What a `Node` runs on: a real NATS (`src/node/nats-backend.ts`) or a simulated world (`src/testing/simulation`). */
import type { BucketInfo, LeaseStore, Session } from "./ports.ts";

/** go-cluster's body of the status endpoint, and what we add. */
export interface NodeStatus {
  readonly nodeId: string;
  readonly role: "PRIMARY" | "PASSIVE";
  /** Node id of the leader, "" when there is none. */
  readonly leader: string;
  readonly epoch: number;
  readonly uptimeMs: number;
  readonly connected: boolean;
  readonly clusterId: string;
  readonly incarnation: string;
  /** follower, campaigning, leader, suspended, draining, stopped */
  readonly state: string;
  /** True while this node may act as the leader. */
  readonly held: boolean;
  /** False for an observer, and after `setCompeting(false)`. */
  readonly competes: boolean;
  /** Is this node's death noticed by others? `off`: by configuration. `denied`: it could not be set up. */
  readonly presence: "on" | "off" | "denied";
  readonly leaseTtlMs: number;
  readonly version: string;
  /** Is the virtual IP on this host? Only a manager's daemon says so. */
  readonly vipHeld?: boolean;
}

type GoClusterField = "nodeId" | "role" | "leader" | "epoch" | "uptimeMs" | "connected";

/** What another node's status endpoint answers. A go-cluster node sends the first six fields only. */
export type PeerStatus = Pick<NodeStatus, GoClusterField> & Partial<NodeStatus>;

export interface ServiceHandlers {
  status(): NodeStatus;
  /** Rejects when this node does not lead or the handover is refused. */
  stepDown(to: string | undefined): Promise<void>;
  /** Compete or only follow from now on; resolves when a lease is given up. Absent: nobody may ask for that. */
  compete?(competes: boolean): Promise<void>;
}

/** The node's micro service while it runs. */
export interface ServiceHandle {
  /** `cluster_<clusterId>` */
  readonly name: string;
  /** The instance id other tools show. */
  readonly id: string;
  stop(): Promise<void>;
}

export interface Attachment {
  readonly session: Session;
  readonly store: LeaseStore;
  readonly bucket: BucketInfo;
  readonly presence: "on" | "off" | "denied";
  /** Makes the node visible to others; `null` where the backend has no service. */
  serve(handlers: ServiceHandlers): Promise<ServiceHandle | null>;
  /** Asks another node of the cluster for its status; `null` when it does not answer in time. */
  statusOf(nodeId: string, timeoutMs: number): Promise<PeerStatus | null>;
  /** Lets go of everything. Closes the connection if it was made here. Never rejects. */
  close(): Promise<void>;
}

export interface AttachRequest {
  readonly clusterId: string;
  readonly incarnation: string;
  readonly signal: AbortSignal;
  /** Largest epoch an earlier incarnation in this process has seen; 0: none. */
  readonly rememberedEpoch: number;
  /** Something is not as good as it could be: said once, in one sentence. */
  readonly warn: (code: string, message: string, error?: Error) => void;
}

export interface Backend {
  /** Connects and opens the bucket, or rejects with a `ClusterError` and leaves nothing behind. */
  attach(request: AttachRequest): Promise<Attachment>;
}
