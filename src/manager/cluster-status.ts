/** The status of a cluster and of one node's daemon: go-cluster's fields and additional ones. */
import type { NodeStatus, PeerStatus } from "../runtime/backend.ts";
import type { ClusterClient, NodeAnswer, Situation } from "./cluster-client.ts";

export interface ClusterStatus {
  readonly clusterId: string;
  /** `""` if no node id was given. */
  readonly nodeId: string;
  /** Role of this node. */
  readonly role: "PRIMARY" | "PASSIVE";
  /** Node id; `""` if there is no leader. */
  readonly leader: string;
  /** 0 if there is no leader. */
  readonly epoch: number;
  readonly vipHeld: boolean;
  /** Uptime of this node's daemon; 0 if none runs. */
  readonly uptimeMs: number;
  /** Whether this node's daemon is connected to NATS. */
  readonly connected: boolean;
  /** `not answering`: it is connected, and frozen or overloaded. `unknown`: NATS is unreachable, or no node id was given. */
  readonly daemon: "running" | "not answering" | "not running" | "unknown";
  /** State of the daemon: follower, campaigning, leader, suspended or draining. */
  readonly state: string | null;
  /** False after `leave`, and for an observer. */
  readonly competes: boolean | null;
  readonly presence: string | null;
  /** Which hook or leader work of the daemon keeps others from running, and for how long; `null` if none does. */
  readonly blocked: string | null;
  /** The record in the bucket; `null`: none, or it could not be read. */
  readonly lease: LeaseStatus | null;
  /** Why the cluster could not be read. */
  readonly error: string | null;
}

export interface LeaseStatus {
  readonly holder: string;
  readonly epoch: number;
  /** ISO 8601, as the holder wrote it; `null` if that is not a time. */
  readonly acquiredAt: string | null;
  /** Time since the last renewal, by the server's clock. */
  readonly ageMs: number;
  readonly ttlMs: number;
  /** Whether the holder answers. */
  readonly answers: boolean;
}

/** For the daemon's own process. */
export function daemonStatus(status: NodeStatus): ClusterStatus {
  return { ...cluster(status.clusterId, status.leader, status.epoch), ...ofDaemon(status), lease: null };
}

/** For other processes. */
export async function viewedStatus(client: ClusterClient, nodeId: string | null): Promise<ClusterStatus> {
  const situation = await client.situation();
  const base = await baseOf(client, nodeId, situation);
  const leader = situation.leader ?? "";
  return {
    ...cluster(client.clusterId, leader, situation.epoch),
    ...base,
    // The daemon may still report PRIMARY although its lease has expired or is another node's.
    role: base.role === "PRIMARY" && leader !== nodeId ? "PASSIVE" : base.role,
    lease: leaseOf(situation),
  };
}

export function unreachableStatus(clusterId: string, nodeId: string | null, error: Error): ClusterStatus {
  return {
    ...cluster(clusterId, "", 0),
    ...noDaemon(nodeId, "unknown"),
    lease: null,
    error: error.message,
  };
}

async function baseOf(
  client: ClusterClient,
  nodeId: string | null,
  { record, holder, isHolderSilent }: Situation,
): Promise<Base> {
  if (nodeId === null) return noDaemon(null, "unknown");
  const ofHolder = holder ?? (isHolderSilent ? "silent" : "absent");
  const own = record?.nodeId === nodeId ? ofHolder : await client.askStatus(nodeId);
  if (typeof own !== "string") return ofAnswer(own);
  return noDaemon(nodeId, own === "silent" ? "not answering" : "not running");
}

type Base = Omit<ClusterStatus, "clusterId" | "leader" | "epoch" | "lease">;

function cluster(
  clusterId: string,
  leader: string,
  epoch: number,
): Pick<ClusterStatus, "clusterId" | "leader" | "epoch"> {
  return { clusterId, leader, epoch };
}

function ofAnswer({ status }: NodeAnswer): Base {
  return ofDaemon(status);
}

function ofDaemon(status: PeerStatus): Base {
  return {
    nodeId: status.nodeId,
    role: status.role,
    vipHeld: status.vipHeld ?? false,
    uptimeMs: status.uptimeMs,
    connected: status.connected,
    daemon: "running",
    state: status.state ?? null,
    competes: status.competes ?? null,
    presence: status.presence ?? null,
    blocked: status.blocked ?? null,
    error: null,
  };
}

function noDaemon(nodeId: string | null, daemon: ClusterStatus["daemon"]): Base {
  return {
    nodeId: nodeId ?? "",
    role: "PASSIVE",
    vipHeld: false,
    uptimeMs: 0,
    connected: false,
    daemon,
    state: null,
    competes: null,
    presence: null,
    blocked: null,
    error: null,
  };
}

function leaseOf({ record, lease, holder }: Situation): LeaseStatus | null {
  if (record === null) return null;
  return {
    holder: record.nodeId,
    epoch: record.epoch,
    acquiredAt: isoTime(record.acquiredAt),
    ageMs: Math.round(lease.ageMs),
    ttlMs: lease.ttlMs,
    answers: holder !== null,
  };
}

/** The largest distance from 1970 that a `Date` can express, in milliseconds. */
const MAX_TIME_MS = 8.64e15;

/** ISO 8601; `null` for a number of milliseconds that is not a time. */
export function isoTime(at: number): string | null {
  return Math.abs(at) <= MAX_TIME_MS ? new Date(at).toISOString() : null;
}
