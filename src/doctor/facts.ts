/**
 * What was seen of a NATS cluster, a bucket and its nodes. A field that is `null` could not be seen, which is neither good
 * nor bad: no finding comes of it. Server names stand for servers: within a NATS system they are unique.
 */
import type { NodeRow } from "../manager/cluster-nodes.ts";
import type { JsonObject } from "../nats/api/js-api.ts";
import type { PermissionRole } from "../nats/permissions.ts";
import type { ClockReading } from "./clocks/clock.ts";

/** How a server was seen: its monitoring port, the system account, or as any account sees it. */
export type Source = "monitoring" | "system" | "account";

export interface Usage {
  readonly usedBytes: number;
  /** `null`: there is none. */
  readonly limitBytes: number | null;
}

/** `null`: unlimited, or not seen. A limit of 0 counts as used up as soon as anything is used. */
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
  /** Operations it is behind. */
  readonly lag: number;
}

export interface MetaGroup {
  /** Name; `null`: nobody. */
  readonly leader: string | null;
  /** Servers in the group, over all clusters. */
  readonly size: number;
  /** Without the server that was asked; complete on the leader alone. */
  readonly peers: readonly Peer[];
}

export interface Gateways {
  /** Clusters that the configuration names, without the own one. */
  readonly configured: readonly string[];
  /** Clusters that this server has an outbound connection to. */
  readonly connected: readonly string[];
}

/** A stream of any account, on the server that leads it. */
export interface StreamFacts {
  readonly account: string;
  readonly stream: string;
  readonly peers: readonly Peer[];
  readonly consumers: readonly { readonly name: string; readonly pending: number }[];
}

export interface ServerFacts {
  readonly name: string;
  readonly sources: readonly Source[];
  /** Of its monitoring port. */
  readonly url: string | null;
  /** Why it could not be asked, where it should have answered; the fields below are `null` then. */
  readonly error: string | null;
  readonly version: string | null;
  /** Name of the NATS cluster. `null`: none, or not seen. */
  readonly cluster: string | null;
  readonly uptimeMs: number | null;
  readonly clock: ClockReading | null;
  readonly health: { readonly ok: boolean; readonly error: string } | null;
  readonly jetstream: boolean | null;
  readonly memory: Usage | null;
  readonly storage: Usage | null;
  readonly connections: number | null;
  /** Since its start. */
  readonly slowConsumers: number | null;
  /** Names of the servers that it has a route to. */
  readonly routes: readonly string[] | null;
  readonly gateways: Gateways | null;
  /** `null`: not clustered, or not seen. */
  readonly meta: MetaGroup | null;
  /** Those that it leads. */
  readonly streams: readonly StreamFacts[] | null;
}

export interface BucketFacts {
  readonly exists: boolean;
  readonly stream: string;
  readonly replicas: number;
  readonly storage: string;
  readonly maxAgeMs: number;
  readonly republish: boolean;
  /** It republishes something else, for somebody else. */
  readonly foreignRepublish: boolean;
  readonly placement: { readonly cluster: string; readonly tags: readonly string[] } | null;
  /** Is there a raft group? A single server has none. */
  readonly clustered: boolean;
  /** Server name; `null`: nobody leads it, or not clustered. */
  readonly leader: string | null;
  readonly peers: readonly Peer[];
  readonly size: Usage;
  /** As the server sent it. */
  readonly config: JsonObject;
}

export interface LeaseFacts {
  /** Node id; `null`: nobody leads. */
  readonly leader: string | null;
  readonly epoch: number;
  /** The node in the record, be it expired or not. */
  readonly holder: string | null;
  /** Does the holder? `null`: it could not be asked. */
  readonly answers: boolean | null;
  readonly ageMs: number;
  readonly ttlMs: number;
}

export interface NodeFacts extends NodeRow {
  /** Its offset is the wall clock's, its rate that of the clock it measures leases with. */
  readonly clock: ClockReading | null;
}

export interface TriedPermission {
  readonly direction: "publish" | "subscribe";
  /** As it goes into the user's permissions. */
  readonly subject: string;
  /** Completes "it is needed for". */
  readonly purpose: string;
  /** Without it: nothing works, or something is worse. */
  readonly vital: boolean;
  /** `null`: only doing it would tell. */
  readonly allowed: boolean | null;
}

export interface PermissionFacts {
  readonly role: PermissionRole;
  readonly tried: readonly TriedPermission[];
}

/** What could not be seen, and how to let it be seen. */
export interface Unseen {
  readonly what: string;
  readonly how: string;
}

export interface ConnectionFacts {
  /** Name of the server that we are connected to; `null`: to none. */
  readonly server: string | null;
  /** Why not. */
  readonly problem: string | null;
}

export interface Facts {
  /** `null`: none was given, only the servers are looked at. */
  readonly clusterId: string | null;
  /** Servers in each NATS cluster, when the operator says so. */
  readonly expectedServers: number | null;
  /** The lease's time to live by the configuration at hand. */
  readonly leaseTtlMs: number;
  /** As a normal account; `null`: not tried. */
  readonly connection: ConnectionFacts | null;
  /** As the system account; `null`: not tried. */
  readonly system: ConnectionFacts | null;
  readonly servers: readonly ServerFacts[];
  /** What the account has used of its limits. */
  readonly account: { readonly memory: Usage; readonly storage: Usage } | null;
  readonly bucket: BucketFacts | null;
  /** Why JetStream did not tell of the bucket, where it should have. */
  readonly bucketProblem: string | null;
  readonly lease: LeaseFacts | null;
  readonly nodes: readonly NodeFacts[] | null;
  readonly permissions: PermissionFacts | null;
  readonly unseen: readonly Unseen[];
}
