/** The status of a cluster and of one node's daemon: go-cluster's fields and additional ones. */
import { asError } from "../errors.ts";
import type { NodeStatus, PeerStatus } from "../runtime/backend.ts";
import type { ClusterClient, NodeAnswer, Situation, Unanswered } from "./cluster-client.ts";
import { type LeaseHealth, leaseHealthOf } from "./lease-health.ts";

/** `LeaseHealth`: of this node's daemon. */
export interface ClusterStatus extends LeaseHealth {
  readonly clusterId: string;
  /** `""` if no node id was given. */
  readonly nodeId: string;
  /** Role of this node. */
  readonly role: "PRIMARY" | "PASSIVE";
  /** Node id; `""` if there is no leader, or if it is unknown. */
  readonly leader: string;
  /** 0 if there is no leader, or if it is unknown. */
  readonly epoch: number;
  /** False: the lease could not be read, so the leader is unknown. */
  readonly leaderKnown: boolean;
  readonly vipHeld: boolean;
  /** Uptime of this node's daemon; 0 if none runs. */
  readonly uptimeMs: number;
  /** Whether this node's daemon is connected to NATS. */
  readonly connected: boolean;
  /** `not answering`: it is connected, and frozen or overloaded. `unknown`: NATS is unreachable, this user may not ask it, or no node id was given. */
  readonly daemon: "running" | "not answering" | "not running" | "unknown";
  /** State of the daemon: follower, campaigning, leader, suspended or draining. */
  readonly state: string | null;
  /** False after `leave`, and for an observer. */
  readonly competes: boolean | null;
  readonly presence: string | null;
  /** `null` if the daemon is of an earlier version. */
  readonly crashDetection: string | null;
  /** Silence after which the node may be replaced as leader; 0: it promises none. `null` if the daemon is of an earlier version. */
  readonly silenceMs: number | null;
  /** Which hook or leader work of the daemon keeps others from running, and for how long; `null` if none does. */
  readonly blocked: string | null;
  /** The record in the bucket; `null`: none, or it could not be read. */
  readonly lease: LeaseStatus | null;
  /** Why the lease could not be read or the daemon not be asked. */
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
  /** Whether the holder answers; `null`: this user may not ask it. */
  readonly answers: boolean | null;
  /** The holder does not answer, but another process with its node id does: the holder has ended, or is frozen. */
  readonly heldByOther: boolean;
}

/** What could be read, and why the rest could not. */
export interface View {
  readonly status: ClusterStatus;
  /** The cluster has no bucket: its id may be mistyped. */
  readonly bucketMissing: boolean;
  readonly leaseError: Error | null;
  readonly daemonError: Error | null;
}

/** For the daemon's own process. */
export function daemonStatus(status: NodeStatus): ClusterStatus {
  return {
    ...cluster(status.clusterId, status.leader, status.epoch),
    ...ofDaemon(status),
    leaderKnown: true,
    lease: null,
    error: null,
  };
}

/** For other processes. Rejects if the lease cannot be read. */
export async function viewedStatus(client: ClusterClient, nodeId: string | null): Promise<ClusterStatus> {
  const { status, leaseError } = await viewOf(client, nodeId);
  if (leaseError !== null) throw leaseError;
  return status;
}

/** For other processes. The lease and the daemon are read independently of each other: JetStream may be out while nodes answer. */
export async function viewOf(client: ClusterClient, nodeId: string | null): Promise<View> {
  const [lease, daemon] = await Promise.allSettled([
    client.situation(),
    nodeId === null ? null : client.askStatus(nodeId),
  ]);
  const situation = lease.status === "fulfilled" ? lease.value : null;
  const answer = daemon.status === "fulfilled" ? daemon.value : null;
  const leaseError = lease.status === "fulfilled" ? null : asError(lease.reason);
  const daemonError = daemon.status === "fulfilled" ? null : asError(daemon.reason);
  const status = statusOf(client.clusterId, nodeId, situation, answer);
  const error = (leaseError ?? daemonError)?.message ?? null;
  const bucketMissing = situation?.lease.exists === false;
  return { status: { ...status, error }, bucketMissing, leaseError, daemonError };
}

function statusOf(
  clusterId: string,
  nodeId: string | null,
  situation: Situation | null,
  answer: NodeAnswer | Unanswered | null,
): Omit<ClusterStatus, "error"> {
  const leader = situation?.leader ?? "";
  // Of several processes with this node id, the one that has the lease.
  const holder = situation !== null && situation.record?.nodeId === nodeId ? situation.holder : null;
  const base = baseOf(nodeId, holder ?? answer);
  return {
    ...cluster(clusterId, leader, situation?.epoch ?? 0),
    ...base,
    // The daemon may still report PRIMARY although its lease has expired or is another node's.
    role: situation !== null && leader !== nodeId ? "PASSIVE" : base.role,
    leaderKnown: situation !== null,
    lease: situation === null ? null : leaseOf(situation),
  };
}

export function unreachableStatus(clusterId: string, nodeId: string | null, error: Error): ClusterStatus {
  return { ...statusOf(clusterId, nodeId, null, null), error: error.message };
}

/** `null`: nothing is known about the daemon. */
function baseOf(nodeId: string | null, answer: NodeAnswer | Unanswered | null): Base {
  if (nodeId === null || answer === null) return noDaemon(nodeId, "unknown");
  if (typeof answer !== "string") return ofDaemon(answer.status);
  return noDaemon(nodeId, answer === "silent" ? "not answering" : "not running");
}

type Base = Omit<ClusterStatus, "clusterId" | "leader" | "epoch" | "leaderKnown" | "lease" | "error">;

function cluster(
  clusterId: string,
  leader: string,
  epoch: number,
): Pick<ClusterStatus, "clusterId" | "leader" | "epoch"> {
  return { clusterId, leader, epoch };
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
    crashDetection: status.crashDetection ?? null,
    silenceMs: status.silenceMs ?? null,
    blocked: status.blocked ?? null,
    ...leaseHealthOf(status),
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
    crashDetection: null,
    silenceMs: null,
    blocked: null,
    ...leaseHealthOf(null),
  };
}

function leaseOf({ record, lease, holder, twin, unasked }: Situation): LeaseStatus | null {
  if (record === null) return null;
  return {
    holder: record.nodeId,
    epoch: record.epoch,
    acquiredAt: isoTime(record.acquiredAt),
    ageMs: Math.round(lease.ageMs),
    ttlMs: lease.ttlMs,
    answers: unasked ? null : holder !== null,
    heldByOther: twin !== null,
  };
}

/** The largest distance from 1970 that a `Date` can express, in milliseconds. */
const MAX_TIME_MS = 8.64e15;

/** ISO 8601; `null` for a number of milliseconds that is not a time. */
export function isoTime(at: number): string | null {
  return Math.abs(at) <= MAX_TIME_MS ? new Date(at).toISOString() : null;
}
