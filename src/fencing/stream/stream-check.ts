/** Which streams can carry a fence, and on which servers. */
import { ClusterError } from "../../errors.ts";
import { asObject, type JsonObject } from "../../nats/api/js-api.ts";
import { isAtLeast, serverVersion } from "../../nats/api/server-version.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { covers, guardSubject, laneSubject } from "./names.ts";

/** `Nats-Expected-Last-Subject-Sequence-Subject`. Older servers compare the written subject instead. */
export const FENCING_SINCE = "2.11.0";
/** Atomic batches: `Nats-Batch-Id`. */
export const BATCHES_SINCE = "2.12.0";

/** How long the other servers of a cluster have to say their version. One that does not answer is not held against us. */
const PEER_PATIENCE_MS = 500;

interface ServerSaid {
  readonly name: string;
  readonly version: string;
}

/** Rejects with `SERVER_TOO_OLD`, naming the server, its version and the one needed. */
export function requireFencing(what: string, server: string, version: string): void {
  if (isAtLeast(version, FENCING_SINCE)) return;
  throw new ClusterError(
    "SERVER_TOO_OLD",
    `${what} needs nats-server ${FENCING_SINCE} or later, and ${server} is ${version}: it can't make one write depend on the fence`,
  );
}

/**
 * The server we are on, and in a cluster those that hold the stream: any of them may be the one that stores. An older
 * one would not accept stale writes, it would refuse all of them (a fence's sequence is never 0, nor the last sequence
 * of another subject), so this is about a clear error at the start, not about safety.
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

/** Every server answers this request to any account, and says who it is. */
async function askServers(
  monitor: ConnectionMonitor,
  wanted: ReadonlySet<string>,
): Promise<readonly ServerSaid[]> {
  const found = new Map<string, ServerSaid>();
  try {
    const answers = await monitor.connection.requestMany(
      "$SYS.REQ.ACCOUNT.PING.CONNZ",
      JSON.stringify({ limit: 1 }),
      {
        strategy: "count",
        maxMessages: Math.max(wanted.size, 16),
        maxWait: PEER_PATIENCE_MS,
      },
    );
    for await (const answer of answers) {
      const server = asObject(asObject(answer.json())?.["server"]);
      const { name, ver } = server ?? {};
      if (typeof name === "string" && typeof ver === "string") found.set(name, { name, version: ver });
      if ([...wanted].every((peer) => found.has(peer))) break;
    }
  } catch {
    // Not allowed to ask, or nobody answered: the writes themselves fail closed.
  }
  return [...found.values()];
}

/** Why a fence would not hold on this stream, one sentence each; empty when it does. */
export function fenceProblems(config: JsonObject, fence: string): string[] {
  const found: string[] = [];
  const subjects = Array.isArray(config["subjects"]) ? (config["subjects"] as unknown[]) : [];
  for (const subject of [laneSubject(fence, 0), guardSubject(fence)]) {
    if (subjects.some((filter) => typeof filter === "string" && covers(filter, subject))) continue;
    found.push(`its subjects ${JSON.stringify(subjects)} don't include ${fence}.>`);
    break;
  }
  const retention = config["retention"];
  if (retention !== undefined && retention !== "limits") {
    found.push(`retention is "${String(retention)}", so the fence can be consumed; it must be "limits"`);
  }
  for (const flag of ["sealed", "no_ack"]) {
    if (config[flag] === true) found.push(`it is ${flag}, so no write can be confirmed`);
  }
  for (const origin of ["mirror", "sources"]) {
    if (config[origin] !== undefined && config[origin] !== null)
      found.push(`it has ${origin}: those writes pass no fence`);
  }
  if (config["subject_transform"] !== undefined) found.push("it has a subject_transform");
  if (config["persist_mode"] === "async")
    found.push("persist_mode is async: a fence that was confirmed can be lost");
  return [...found, ...lossProblems(config)];
}

/** A fence that is dropped is forgotten: a deposed leader could put its own in the empty place. */
function lossProblems(config: JsonObject): string[] {
  const found: string[] = [];
  const limited = numberOf(config, "max_msgs") > 0 || numberOf(config, "max_bytes") > 0;
  if (limited && config["discard"] !== "new") {
    found.push("max_msgs or max_bytes with discard old can drop the fence; use discard new");
  }
  if (numberOf(config, "max_age") > 0 && config["allow_msg_ttl"] !== true) {
    found.push(
      "max_age would drop the fence; set allow_msg_ttl, then the fence is written to be kept for ever",
    );
  }
  if (config["discard_new_per_subject"] === true && numberOf(config, "max_msgs_per_subject") > 0) {
    found.push("discard_new_per_subject would refuse to move the fence");
  }
  return found;
}

/** Why atomic batches don't work, or `null`. */
export function batchProblem(
  version: string,
  config: JsonObject,
): { readonly code: "SERVER_TOO_OLD" | "STREAM_INCOMPATIBLE"; readonly why: string } | null {
  if (!isAtLeast(version, BATCHES_SINCE)) {
    const why = `batches and expectLast need nats-server ${BATCHES_SINCE} or later, this is ${version}`;
    return { code: "SERVER_TOO_OLD", why };
  }
  if (config["allow_atomic"] === true) return null;
  const why = "batches and expectLast need allow_atomic; it can be switched on for an existing stream";
  return { code: "STREAM_INCOMPATIBLE", why };
}

export function numberOf(config: JsonObject, field: string): number {
  const value = config[field];
  return typeof value === "number" ? value : 0;
}
