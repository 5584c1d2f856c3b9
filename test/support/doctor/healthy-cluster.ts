/** Facts about a healthy cluster, with changes. */

import type {
  BucketFacts,
  ExaminedNode,
  Facts,
  MetaGroup,
  Peer,
  ServerFacts,
} from "../../../src/doctor/facts.ts";
import { unknownServer } from "../../../src/doctor/sources/read-server.ts";
import { leaseHealthOf } from "../../../src/manager/lease-health.ts";
import { newStreamConfig } from "../../../src/nats/lease/stream-config.ts";

export const NAMES = ["n1", "n2", "n3"] as const;

export function peer(name: string, change: Partial<Peer> = {}): Peer {
  return { name, offline: false, current: true, lag: 0, ...change };
}

export function meta(change: Partial<MetaGroup> = {}): MetaGroup {
  return { leader: "n1", size: 3, peers: [peer("n2"), peer("n3")], ...change };
}

export function server(name: string, change: Partial<ServerFacts> = {}): ServerFacts {
  return {
    ...unknownServer(name, "monitoring"),
    url: `http://${name}:8222`,
    version: "2.15.1",
    cluster: "east",
    uptimeMs: 1_000,
    health: { ok: true, error: "" },
    jetstream: true,
    memory: { usedBytes: 0, limitBytes: 100 },
    storage: { usedBytes: 0, limitBytes: 100 },
    serverId: `id of ${name}`,
    connections: 3,
    totalConnections: 5,
    slowConsumers: 0,
    traffic: { inMsgs: 100, outMsgs: 200, inBytes: 1_000, outBytes: 2_000 },
    open: { total: 3, listed: 3, idle: 0, pendingBytes: 0, slowest: null },
    closed: { all: 0, authentication: 0, slow: 0, stale: 0 },
    api: { requests: 10, errors: 0 },
    routePending: NAMES.filter((other) => other !== name).map((to) => ({ to, bytes: 0 })),
    routes: NAMES.filter((other) => other !== name),
    meta: meta({ peers: NAMES.filter((other) => other !== name).map((other) => peer(other)) }),
    streams: [],
    ...change,
  };
}

export function bucket(change: Partial<BucketFacts> = {}): BucketFacts {
  return {
    exists: true,
    stream: "KV_KV_CLUSTER_billing",
    replicas: 3,
    storage: "file",
    maxAgeMs: 0,
    republish: true,
    foreignRepublish: false,
    placement: null,
    clustered: true,
    leader: "n2",
    peers: [peer("n1"), peer("n3")],
    size: { usedBytes: 400, limitBytes: null },
    config: newStreamConfig("billing", 3, 0),
    ...change,
  };
}

export function node(nodeId: string, change: Partial<ExaminedNode> = {}): ExaminedNode {
  return {
    nodeId,
    ...leaseHealthOf(null),
    instance: `instance of ${nodeId}`,
    leads: nodeId === "a",
    role: nodeId === "a" ? "PRIMARY" : "PASSIVE",
    epoch: 7,
    state: nodeId === "a" ? "leader" : "follower",
    uptimeMs: 5_000,
    presence: "on",
    crashDetection: "presence",
    silenceMs: 2_000,
    competes: true,
    standby: null,
    standbyMs: null,
    leaseTtlMs: 10_000,
    leastMarginMs: null,
    suspensions: null,
    suspicions: null,
    beatRoundTripMs: null,
    server: null,
    blocked: null,
    version: "0.1.0",
    roundTripMs: 1,
    clock: null,
    ...change,
  };
}

export function facts(change: Partial<Facts> = {}): Facts {
  return {
    clusterId: "billing",
    expectedServers: null,
    expectedNodes: null,
    leaseTtlMs: 10_000,
    connection: { server: "n1", problem: null },
    system: null,
    servers: NAMES.map((name) => server(name)),
    account: { memory: { usedBytes: 1, limitBytes: 100 }, storage: { usedBytes: 1, limitBytes: 100 } },
    bucket: bucket(),
    bucketProblem: null,
    otherClusters: [],
    lease: { leader: "a", epoch: 7, holder: "a", garbage: null, answers: true, ageMs: 300, ttlMs: 10_000 },
    nodes: [node("a"), node("b")],
    groups: [],
    applications: [],
    permissions: { role: "node", command: "nats-leader permissions node --cluster-id billing", tried: [] },
    unseen: [],
    ...change,
  };
}

/** The healthy cluster with changes to the first server. */
export function withFirst(change: Partial<ServerFacts>): Partial<Facts> {
  return { servers: [server("n1", change), server("n2"), server("n3")] };
}
