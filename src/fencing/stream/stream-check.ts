/** Checks that a fence holds on a stream and on the servers that hold the stream. */

import { ClusterError } from "../../errors.ts";
import { asObject, type JsonObject } from "../../nats/api/js-api.ts";
import { isAtLeast, serverVersion } from "../../nats/api/server-version.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { CONNECTIONS_PING } from "../../nats/names.ts";
import { covers } from "../../nats/subjects.ts";
import type { NoBatches, StreamFacts } from "./guarded-stream.ts";
import { guardSubject, laneSubject, rootSubject } from "./names.ts";

/** The first version with `Nats-Expected-Last-Subject-Sequence-Subject`. Older servers compare the written subject instead. */
export const FENCING_SINCE = "2.11.0";
/** The first version with atomic batches (`Nats-Batch-Id`). */
export const BATCHES_SINCE = "2.12.0";

/** Wait for the versions of the other servers. A server that does not answer is not refused. */
const PEER_PATIENCE_MS = 500;

interface PeerVersion {
  readonly name: string;
  readonly version: string;
}

/** Throws `SERVER_TOO_OLD`, with the server, its version and the required one. */
export function requireFencing(what: string, server: string, version: string): void {
  if (isAtLeast(version, FENCING_SINCE)) return;
  throw new ClusterError(
    "SERVER_TOO_OLD",
    `${what} needs nats-server ${FENCING_SINCE} or later, and ${server} is ${version}: it cannot check the fence when it stores a write; upgrade it`,
  );
}

/**
 * Checks the server of the connection and, in a cluster, the servers that hold the stream, because each of them may become the
 * stream's leader. The check gives a clear error at the start and is not needed for safety: an older server would refuse every
 * fenced write, because a fence's sequence is never 0 and never the last sequence of another subject.
 */
export async function requireFencingServers(
  monitor: ConnectionMonitor,
  what: string,
  peers: ReadonlySet<string>,
): Promise<void> {
  const { connection } = monitor;
  requireFencing(what, "the server of this connection", serverVersion(connection));
  if (peers.size <= 1) return;
  for (const { name, version } of await askServers(monitor, peers)) {
    if (peers.has(name)) requireFencing(what, `server "${name}", which holds the stream,`, version);
  }
}

/** Names of the servers that hold a stream, from its `STREAM.INFO`. Empty outside a cluster. */
export function peersOf(info: JsonObject): ReadonlySet<string> {
  const cluster = asObject(info["cluster"]);
  const replicas = Array.isArray(cluster?.["replicas"]) ? (cluster["replicas"] as unknown[]) : [];
  const names = [cluster?.["leader"], ...replicas.map((replica) => asObject(replica)?.["name"])];
  return new Set(names.filter((name) => typeof name === "string"));
}

/** Every server answers this request, for any account, with its name and version. */
async function askServers(
  monitor: ConnectionMonitor,
  wanted: ReadonlySet<string>,
): Promise<readonly PeerVersion[]> {
  const found = new Map<string, PeerVersion>();
  try {
    const answers = await monitor.connection.requestMany(CONNECTIONS_PING, JSON.stringify({ limit: 1 }), {
      strategy: "count",
      maxMessages: Math.max(wanted.size, 16),
      maxWait: PEER_PATIENCE_MS,
    });
    for await (const answer of answers) {
      const server = asObject(asObject(answer.json())?.["server"]);
      const { name, ver } = server ?? {};
      if (typeof name === "string" && typeof ver === "string") found.set(name, { name, version: ver });
      if ([...wanted].every((peer) => found.has(peer))) break;
    }
  } catch {
    // No permission to ask, or no answer: an older server refuses the writes themselves.
  }
  return [...found.values()];
}

/** The reasons why a fence would not hold on this stream; empty if it holds. */
export function fenceProblems(config: JsonObject, fence: string): string[] {
  const needed = [rootSubject(fence), laneSubject(fence, "0", 0), guardSubject(fence)];
  return [...subjectProblems(config, needed, `${fence}.>`), ...storeProblems(config)];
}

/** The reason why the stream does not store one of these subjects. */
export function subjectProblems(config: JsonObject, needed: readonly string[], all: string): string[] {
  const filters = filtersOf(config);
  if (needed.every((subject) => filters.some((filter) => covers(filter, subject)))) return [];
  return [`its subjects ${JSON.stringify(filters)} do not include ${all}`];
}

function filtersOf(config: JsonObject): string[] {
  const subjects = Array.isArray(config["subjects"]) ? (config["subjects"] as unknown[]) : [];
  return subjects.filter((filter) => typeof filter === "string");
}

/** The reasons why a stream could lose the message of a fence, or store others instead; empty if it cannot. */
export function storeProblems(config: JsonObject): string[] {
  const found: string[] = [];
  const retention = config["retention"];
  if (retention !== undefined && retention !== "limits") {
    found.push(
      `retention is "${String(retention)}", so that consumers can remove the fence; it must be "limits"`,
    );
  }
  for (const flag of ["sealed", "no_ack"]) {
    if (config[flag] === true) found.push(`it is ${flag}, so no write can be confirmed`);
  }
  for (const origin of ["mirror", "sources"]) {
    if (config[origin] !== undefined && config[origin] !== null)
      found.push(`it has ${origin}: writes from there bypass the fence`);
  }
  if (config["subject_transform"] !== undefined)
    found.push("it has a subject_transform, which changes the subjects that the fence compares");
  if (config["allow_msg_counter"] === true)
    found.push(
      "it has allow_msg_counter: a counter stream stores no other messages, so it cannot store the fence",
    );
  return [...found, ...lossProblems(config)];
}

/** If the stream dropped the fence, a deposed leader could take the vacant one. */
function lossProblems(config: JsonObject): string[] {
  const found: string[] = [];
  if (config["storage"] === "memory")
    found.push("its storage is memory: a restart of its servers loses the fence; use file");
  if (config["persist_mode"] === "async")
    found.push("persist_mode is async: an acknowledged fence can be lost");
  const limited = numberOf(config, "max_msgs") > 0 || numberOf(config, "max_bytes") > 0;
  if (limited && config["discard"] !== "new") {
    found.push("max_msgs or max_bytes with discard old can drop the fence; use discard new");
  }
  if (numberOf(config, "max_age") > 0 && config["allow_msg_ttl"] !== true) {
    found.push(
      "max_age would drop the fence; set allow_msg_ttl, so that the fence can be written without expiry",
    );
  }
  if (config["discard_new_per_subject"] === true && numberOf(config, "max_msgs_per_subject") > 0) {
    found.push("discard_new_per_subject with max_msgs_per_subject would prevent moving the fence");
  }
  return found;
}

/** What the configuration means for the fence. */
export function streamFacts(version: string, config: JsonObject): StreamFacts {
  return {
    subjects: filtersOf(config),
    replicated: numberOf(config, "num_replicas") > 1,
    msgTtl: config["allow_msg_ttl"] === true,
    rollup: config["allow_rollup_hdrs"] === true && config["deny_purge"] !== true,
    noBatches: batchProblem(version, config),
  };
}

/** Why atomic batches do not work on this stream; `null` if they work. */
function batchProblem(version: string, config: JsonObject): NoBatches | null {
  if (!isAtLeast(version, BATCHES_SINCE)) {
    const why = `batches and expectLast need nats-server ${BATCHES_SINCE} or later, and this server is ${version}`;
    return { code: "SERVER_TOO_OLD", why };
  }
  if (config["allow_atomic"] === true) return null;
  const why = "batches and expectLast need allow_atomic, which can be enabled on an existing stream";
  return { code: "STREAM_INCOMPATIBLE", why };
}

function numberOf(config: JsonObject, field: string): number {
  const value = config[field];
  return typeof value === "number" ? value : 0;
}
