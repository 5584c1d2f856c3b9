/**
 * What the sources found out about a NATS cluster, a bucket and its nodes. `null` means that a field could not be read; no
 * finding follows from it. Servers are identified by name, which is unique within a NATS system.
 */
import type { NodeRow } from "../manager/cluster-nodes.ts";
import type { GroupResourceRow, GroupSummary } from "../manager/group-view.ts";
import type { JsonObject } from "../nats/api/js-api.ts";
import type { GroupPermissionRole, PermissionRole } from "../nats/permissions.ts";
import type { ClockReading } from "./clocks/clock.ts";

/** What a server was read through: its monitoring port, the system account, or a normal account. */
export type Source = "monitoring" | "system" | "account";

export interface Usage {
  readonly usedBytes: number;
  /** `null`: unlimited. */
  readonly limitBytes: number | null;
}

/** `null`: unlimited, or not read. A limit of 0 counts as used up as soon as anything is used. */
export function percentOf(usage: Usage | null): number | null {
  if (usage === null || usage.limitBytes === null) return null;
  if (usage.limitBytes === 0) return usage.usedBytes > 0 ? 100 : 0;
  return (usage.usedBytes / usage.limitBytes) * 100;
}

/** A member of a raft group, as the group's leader sees it. */
export interface Peer {
  readonly name: string;
  readonly offline: boolean;
  readonly current: boolean;
  /** Operations that it is behind. */
  readonly lag: number;
}

export interface MetaGroup {
  /** Server name; `null`: none. */
  readonly leader: string | null;
  /** Number of servers in the group, over all clusters. */
  readonly size: number;
  /** Without the server that was asked. Complete only on the leader. */
  readonly peers: readonly Peer[];
}

export interface Gateways {
  /** The other clusters that the configuration names, or that gossip announced. */
  readonly configured: readonly string[];
  /** Clusters that this server has an outbound connection to. */
  readonly connected: readonly string[];
}

/** A stream of any account, read from its leader. */
export interface ExaminedStream {
  readonly account: string;
  readonly stream: string;
  readonly peers: readonly Peer[];
  readonly consumers: readonly { readonly name: string; readonly pending: number }[];
}

/** Of all connections, since the server's start. */
export interface Traffic {
  readonly inMsgs: number;
  readonly outMsgs: number;
  readonly inBytes: number;
  readonly outBytes: number;
}

/** Open client connections, the ones with most pending bytes first. */
export interface OpenConnections {
  readonly total: number;
  /** Number that was read: at most 256. The following fields are about these. */
  readonly listed: number;
  /** Number without a message for an hour. Pings do not count as messages. */
  readonly idle: number;
  /** Sum of the bytes that wait for slow clients. */
  readonly pendingBytes: number;
  /** The client with most pending bytes; `null`: none has any. */
  readonly slowest: {
    readonly id: number;
    readonly name: string | null;
    readonly pendingBytes: number;
  } | null;
}

/**
 * Client connections that ended within the last minute by the server's clock, by reason. At most 256 are read, the latest
 * first, so each number is a lower bound if more ended.
 */
export interface ClosedConnections {
  readonly all: number;
  /** Refused: wrong credentials, no credentials in time, or expired ones. */
  readonly authentication: number;
  /** Closed by the server, because the client read too slowly. */
  readonly slow: number;
  /** Closed by the server, because the client did not answer pings. */
  readonly stale: number;
}

export interface ServerFacts {
  readonly name: string;
  /** Changes with every start. */
  readonly serverId: string | null;
  readonly sources: readonly Source[];
  /** URL of its monitoring port. */
  readonly url: string | null;
  /** Why it did not answer although it should have; the fields below are then `null`. */
  readonly error: string | null;
  readonly version: string | null;
  /** Name of its NATS cluster; `null`: none, or not read. */
  readonly cluster: string | null;
  readonly uptimeMs: number | null;
  readonly clock: ClockReading | null;
  readonly health: { readonly ok: boolean; readonly error: string } | null;
  readonly jetstream: boolean | null;
  readonly memory: Usage | null;
  readonly storage: Usage | null;
  readonly connections: number | null;
  /** Number since its start, including those that have ended. */
  readonly totalConnections: number | null;
  /** Number since its start. */
  readonly slowConsumers: number | null;
  readonly traffic: Traffic | null;
  readonly open: OpenConnections | null;
  readonly closed: ClosedConnections | null;
  /** Requests to JetStream's API that it served, and how many of them failed, since its start. */
  readonly api: { readonly requests: number; readonly errors: number } | null;
  /** Bytes that wait to be sent over routes, by the name of the other server. */
  readonly routePending: readonly { readonly to: string; readonly bytes: number }[] | null;
  /** Names of the servers to which it has a route. */
  readonly routes: readonly string[] | null;
  readonly gateways: Gateways | null;
  /** `null`: not clustered, or not read. */
  readonly meta: MetaGroup | null;
  /** The streams that it leads. */
  readonly streams: readonly ExaminedStream[] | null;
}

export interface BucketFacts {
  readonly exists: boolean;
  readonly stream: string;
  readonly replicas: number;
  readonly storage: string;
  readonly maxAgeMs: number;
  readonly republish: boolean;
  /** It republishes other subjects, for another application. */
  readonly foreignRepublish: boolean;
  readonly placement: { readonly cluster: string; readonly tags: readonly string[] } | null;
  /** Whether it has a raft group. A single server has none. */
  readonly clustered: boolean;
  /** Server name; `null`: no leader, or not clustered. */
  readonly leader: string | null;
  readonly peers: readonly Peer[];
  readonly size: Usage;
  /** The stream configuration as the server sent it. */
  readonly config: JsonObject;
}

export interface ExaminedLease {
  /** Node id; `null`: no leader. */
  readonly leader: string | null;
  readonly epoch: number;
  /** The node in the record, even if the record has expired. */
  readonly holder: string | null;
  /** Why the message on the key is not a lease record; `null`: it is one, or a release, or there is none. */
  readonly garbage: string | null;
  /** Whether the holder answers; `null`: it could not be asked. */
  readonly answers: boolean | null;
  readonly ageMs: number;
  readonly ttlMs: number;
}

export interface ExaminedNode extends NodeRow {
  /** The offset of its wall clock, and the rate of the clock that measures its leases. */
  readonly clock: ClockReading | null;
}

export interface TriedPermission {
  readonly direction: "publish" | "subscribe";
  /** As in the user's permissions. */
  readonly subject: string;
  /** Completes "it is needed for". */
  readonly purpose: string;
  /** True: the role does not work without it. False: it works with restrictions. */
  readonly vital: boolean;
  /** `null`: cannot be tried without an effect. */
  readonly allowed: boolean | null;
}

export interface PermissionFacts {
  readonly role: PermissionRole | GroupPermissionRole;
  /** The command that prints all permissions that were tried. */
  readonly command: string;
  readonly tried: readonly TriedPermission[];
}

/** What could not be read, and how to make it readable. */
export interface Unseen {
  readonly what: string;
  readonly how: string;
}

export interface ConnectionFacts {
  /** Name of the connected server; `null`: none. */
  readonly server: string | null;
  /** Why there is no usable connection. */
  readonly problem: string | null;
}

/** A group, and the resources of it that have had no owner for long. */
export interface GroupCondition extends GroupSummary {
  readonly overdue: readonly Pick<GroupResourceRow, "resource" | "why">[];
}

export interface ExaminedGroup {
  readonly groupId: string;
  readonly bucket: BucketFacts | null;
  /** Why reading the bucket failed, other than by a missing permission. */
  readonly problem: string | null;
  readonly view: GroupCondition | null;
  readonly permissions: PermissionFacts | null;
}

/** The stream of a bucket that belongs to an application. */
export interface ApplicationBucket {
  readonly exists: boolean;
  readonly replicas: number;
  readonly storage: string;
  readonly size: Usage;
  readonly placement: BucketFacts["placement"];
  readonly clustered: boolean;
  readonly leader: string | null;
  readonly peers: readonly Peer[];
}

/** What an application that uses a bucket gets with its credentials. */
export interface ApplicationFacts {
  /** Name of the bucket. */
  readonly bucket: string;
  /** Name of the NATS user; `null`: not known, for example with credentials in a file. */
  readonly user: string | null;
  readonly readOnly: boolean;
  /** `null`: this user may not read it, or it could not be read. */
  readonly stream: ApplicationBucket | null;
  /** Why reading failed, other than by a missing permission. */
  readonly problem: string | null;
  readonly tried: readonly TriedPermission[];
  /** What the account may have; `null`: not readable. A limit of `null`: none. */
  readonly account: {
    readonly storage: Usage;
    readonly memory: Usage;
    readonly streams: { readonly used: number; readonly limit: number | null };
    readonly consumers: { readonly used: number; readonly limit: number | null };
  } | null;
}

export interface Facts {
  /** `null`: none was given; only the servers are examined. */
  readonly clusterId: string | null;
  /** Number of servers in each NATS cluster, if the operator passed it. */
  readonly expectedServers: number | null;
  /** Number of nodes that should compete, if the operator passed it. */
  readonly expectedNodes: number | null;
  /** Lease TTL of the given configuration. */
  readonly leaseTtlMs: number;
  /** Through a normal account; `null`: not tried. */
  readonly connection: ConnectionFacts | null;
  /** Through the system account; `null`: not tried. */
  readonly system: ConnectionFacts | null;
  readonly servers: readonly ServerFacts[];
  /** The account's use of its limits. */
  readonly account: { readonly memory: Usage; readonly storage: Usage } | null;
  readonly bucket: BucketFacts | null;
  /** Why reading the bucket failed, other than by a missing permission. */
  readonly bucketProblem: string | null;
  /** Ids of other clusters of the account. Read only if the bucket does not exist. */
  readonly otherClusters: readonly string[];
  readonly lease: ExaminedLease | null;
  readonly nodes: readonly ExaminedNode[] | null;
  readonly permissions: PermissionFacts | null;
  /** The groups that were asked for. */
  readonly groups: readonly ExaminedGroup[];
  /** The buckets of applications that were asked for. */
  readonly applications: readonly ApplicationFacts[];
  readonly unseen: readonly Unseen[];
}

/** Before anything was read. A source adds what it knows. */
export const NO_FACTS: Facts = {
  clusterId: null,
  expectedServers: null,
  expectedNodes: null,
  leaseTtlMs: 0,
  connection: null,
  system: null,
  servers: [],
  account: null,
  bucket: null,
  bucketProblem: null,
  otherClusters: [],
  lease: null,
  nodes: null,
  permissions: null,
  groups: [],
  applications: [],
  unseen: [],
};
