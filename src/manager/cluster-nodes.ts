/** Lists the nodes of a cluster: discovers them through `$SRV` and requests the status of each. Writes nothing. */

import { asObject, type JsonObject, parseObject } from "../nats/api/js-api.ts";
import { requestMany } from "../nats/api/request-many.ts";
import { isId, isVersion } from "../nats/identity.ts";
import { serviceName } from "../nats/names.ts";
import { readStatus } from "../nats/service/status-codec.ts";
import type { PeerStatus, Standby } from "../runtime/backend.ts";
import type { ClusterClient, Situation } from "./cluster-client.ts";
import { commandError } from "./command-error.ts";
import { type LeaseHealth, leaseHealthOf } from "./lease-health.ts";

/** After this time without an answer, all nodes count as having answered, if no more are expected. */
const STALL_MS = 250;
/** More answers are not read. */
const MAX_NODES = 1_000;

/** One process of the cluster, or a leader that does not answer. */
export interface NodeRow extends LeaseHealth {
  readonly nodeId: string;
  /** Id of the service instance, one per process. `null`: the node does not answer. */
  readonly instance: string | null;
  readonly leads: boolean;
  readonly role: "PRIMARY" | "PASSIVE" | "UNKNOWN";
  /** Role in the election (`follower`, `leader`, ...); `null` for a go-cluster node. */
  readonly state: string | null;
  readonly epoch: number;
  readonly uptimeMs: number | null;
  readonly presence: string | null;
  /** `null` for a node of an earlier version. */
  readonly crashDetection: string | null;
  /** Silence after which it may be replaced as leader; 0: it promises none. `null` for a node of an earlier version. */
  readonly silenceMs: number | null;
  readonly competes: boolean | null;
  /** Why it would not campaign for a free lease; `null`: it would, it leads, or it does not report it. */
  readonly standby: Standby | null;
  /** How long the cooldown or the pause lasts; `null` for the others. */
  readonly standbyMs: number | null;
  /** `null` for a go-cluster node. */
  readonly leaseTtlMs: number | null;
  /** Which hook or work of it keeps others from running; `null`: none does. */
  readonly blocked: string | null;
  readonly version: string | null;
  readonly roundTripMs: number | null;
}

interface Instance {
  readonly id: string;
  readonly nodeId: string;
  readonly version: string;
}

/**
 * Sorted by node id.
 * @param situation `null`: the lease could not be read. No row is then marked as the leader.
 * @param expected While fewer answer, the others have until the client's `timeoutMs`.
 */
export async function listNodes(
  client: ClusterClient,
  situation: Situation | null,
  expected = 0,
): Promise<NodeRow[]> {
  const instances = await discover(client, expected);
  const rows = await Promise.all(
    instances.map((instance) => {
      const shared = instances.filter(({ nodeId }) => nodeId === instance.nodeId).length > 1;
      return rowOf(client, instance, shared, situation);
    }),
  );
  return withLeader(rows, situation).sort((a, b) =>
    a.nodeId === b.nodeId ? 0 : a.nodeId < b.nodeId ? -1 : 1,
  );
}

/** A leader that no row shows is a process without a status: one of the silent rows, or one that was not found. */
function withLeader(rows: readonly NodeRow[], situation: Situation | null): NodeRow[] {
  const record = situation?.record ?? null;
  if (record === null || situation?.leader == null || rows.some(({ leads }) => leads)) return [...rows];
  const found = rows.find(({ nodeId, role }) => nodeId === record.nodeId && role === "UNKNOWN");
  const leader = { ...(found ?? silent(record.nodeId)), leads: true, epoch: record.epoch };
  return [...rows.filter((row) => row !== found), leader];
}

function silent(nodeId: string): NodeRow {
  return {
    nodeId,
    instance: null,
    leads: false,
    role: "UNKNOWN",
    state: null,
    epoch: 0,
    uptimeMs: null,
    presence: null,
    crashDetection: null,
    silenceMs: null,
    competes: null,
    standby: null,
    standbyMs: null,
    leaseTtlMs: null,
    blocked: null,
    version: null,
    roundTripMs: null,
    ...leaseHealthOf(null),
  };
}

/** The ids of the nodes that answer, sorted. Each is an id as the options accept it. */
export async function nodeIdsOf(client: ClusterClient): Promise<string[]> {
  const found = await discover(client);
  return [...new Set(found.map(({ nodeId }) => nodeId))].sort();
}

/** The ids of all clusters of the account of which a node answers, sorted. */
export async function clusterIdsOf(client: ClusterClient): Promise<string[]> {
  const prefix = serviceName("");
  const names = (await askAll(client, "$SRV.PING")).map(({ name }) => name);
  const ids = names.flatMap((name) =>
    typeof name === "string" && name.startsWith(prefix) ? [name.slice(prefix.length)] : [],
  );
  return [...new Set(ids.filter((id) => isId(id)))].sort();
}

async function discover(client: ClusterClient, expected = 0): Promise<Instance[]> {
  const found: Instance[] = [];
  for (const info of await askAll(client, `$SRV.INFO.${serviceName(client.clusterId)}`, expected)) {
    const { id, version } = info;
    const nodeId = nodeIdIn(info);
    if (isId(id) && nodeId !== null) found.push({ id, nodeId, version: isVersion(version) ? version : "" });
  }
  return found;
}

async function askAll(client: ClusterClient, subject: string, expected = 0): Promise<JsonObject[]> {
  const reply = client.newReply();
  const stallMs = (answers: number): number => (answers < expected ? Number.POSITIVE_INFINITY : STALL_MS);
  const options = { timeoutMs: client.timeoutMs, stallMs, most: MAX_NODES, reply };
  try {
    const bodies = await requestMany(client.monitor.connection, subject, options);
    return bodies.map(parseObject).filter((info) => info !== null);
  } catch (thrown) {
    throw commandError(client.monitor, thrown, "list the nodes", client);
  }
}

/** From the metadata, or from the subject of the status endpoint, which go-cluster's nodes also have. */
function nodeIdIn(info: JsonObject): string | null {
  const node = asObject(info["metadata"])?.["node"];
  if (isId(node)) return node;
  const endpoints = Array.isArray(info["endpoints"]) ? (info["endpoints"] as unknown[]) : [];
  for (const endpoint of endpoints) {
    const subject = asObject(endpoint)?.["subject"];
    const [, id] =
      typeof subject === "string" ? (/\.status\.([A-Za-z0-9_-]{1,64})$/.exec(subject) ?? []) : [];
    if (id !== undefined) return id;
  }
  return null;
}

async function rowOf(
  client: ClusterClient,
  instance: Instance,
  shared: boolean,
  situation: Situation | null,
): Promise<NodeRow> {
  const answer = await client.statusOf(instance.nodeId);
  // Processes with the same node id answer on the same subject, but each has its own statistics.
  const own = shared ? await statistics(client, instance) : null;
  const status = own ?? answer?.status;
  if (status === undefined) return { ...silent(instance.nodeId), instance: instance.id };
  const record = situation?.leader === instance.nodeId ? situation.record : null;
  return {
    nodeId: instance.nodeId,
    instance: instance.id,
    leads: record !== null && (record.incarnation === undefined || record.incarnation === status.incarnation),
    role: status.role === "PRIMARY" ? "PRIMARY" : "PASSIVE",
    state: status.state ?? null,
    epoch: status.epoch,
    uptimeMs: status.uptimeMs,
    presence: status.presence ?? null,
    crashDetection: status.crashDetection ?? null,
    silenceMs: status.silenceMs ?? null,
    competes: status.competes ?? null,
    standby: status.standby ?? null,
    standbyMs: status.standbyMs ?? null,
    leaseTtlMs: status.leaseTtlMs ?? null,
    blocked: status.blocked ?? null,
    version: status.version ?? instance.version,
    roundTripMs: answer === null ? null : Math.round(answer.roundTripMs * 100) / 100,
    ...leaseHealthOf(status),
  };
}

async function statistics(client: ClusterClient, instance: Instance): Promise<PeerStatus | null> {
  const [stats] = await askAll(client, `$SRV.STATS.${serviceName(client.clusterId)}.${instance.id}`);
  const endpoints = Array.isArray(stats?.["endpoints"]) ? (stats["endpoints"] as unknown[]) : [];
  for (const endpoint of endpoints) {
    const status = readStatus(asObject(asObject(endpoint)?.["data"]));
    if (status !== null) return status;
  }
  return null;
}
