import type { NatsServer } from "../types.ts";
import { readMonitor } from "./probe.ts";

const ASK_MS = 1000;

/** A server with a monitoring port. */
export type Monitored = Pick<NatsServer, "name" | "monitorUrl">;

/**
 * What is missing for these servers to be a complete cluster; undefined if nothing is.
 *
 * @param metaSize Size of the meta group: in a super-cluster the number of all its servers.
 */
export async function missingInCluster(
  servers: readonly Monitored[],
  metaSize: number = servers.length,
): Promise<string | undefined> {
  const found = await Promise.all(servers.map((server) => missingAt(server, servers.length, metaSize)));
  const missing = found.find((text) => text !== undefined);
  if (missing !== undefined) return missing;
  const leaders = new Set(await Promise.all(servers.map((server) => readMetaLeader(server.monitorUrl))));
  if (leaders.size > 1) return `meta leaders: ${[...leaders].join(", ")}`;
  return undefined;
}

async function missingAt(server: Monitored, size: number, metaSize: number): Promise<string | undefined> {
  const { name, monitorUrl } = server;
  const [routes, health, jsz] = await Promise.all([
    readMonitor(`${monitorUrl}/routez`, ASK_MS),
    readMonitor(`${monitorUrl}/healthz`, ASK_MS),
    readMonitor(`${monitorUrl}/jsz`, ASK_MS),
  ]);
  const peers = routedPeers(routes?.body);
  if (peers < size - 1) return `${name} has routes to ${peers} of ${size - 1} others`;
  if (health?.status !== 200) return `${name} /healthz: ${JSON.stringify(health?.body ?? "no answer")}`;
  if (metaSize === 1 || isDisabled(jsz?.body)) return undefined; // a single server, or no JetStream: no meta group
  const meta = objectAt(jsz?.body, "meta_cluster");
  const leader = meta?.["leader"];
  if (typeof leader !== "string" || leader === "") return `${name} sees no meta leader`;
  if (leader === name && !allCurrent(meta?.["replicas"], metaSize - 1))
    return `${name} is meta leader, and not all replicas are current yet`;
  return undefined;
}

/** Name of the meta leader in the view of the server at `monitorUrl`. */
export async function readMetaLeader(monitorUrl: string): Promise<string | undefined> {
  const jsz = await readMonitor(`${monitorUrl}/jsz`, ASK_MS);
  const leader = objectAt(jsz?.body, "meta_cluster")?.["leader"];
  return typeof leader === "string" && leader !== "" ? leader : undefined;
}

// From nats-server 2.10 on there are several routes to each peer (route pools).
function routedPeers(body: unknown): number {
  const routes = isObject(body) ? body["routes"] : undefined;
  if (!Array.isArray(routes)) return 0;
  return new Set(routes.map((route: unknown) => (isObject(route) ? route["remote_id"] : undefined))).size;
}

function isDisabled(body: unknown): boolean {
  return isObject(body) && body["disabled"] === true;
}

function allCurrent(replicas: unknown, expected: number): boolean {
  if (!Array.isArray(replicas)) return false;
  const current = replicas.filter(
    (peer: unknown) => isObject(peer) && peer["current"] === true && !peer["offline"],
  );
  return current.length >= expected;
}

function objectAt(body: unknown, key: string): Record<string, unknown> | undefined {
  const value = isObject(body) ? body[key] : undefined;
  return isObject(value) ? value : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
