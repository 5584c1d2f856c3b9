/** Health of the servers of a plan, read from their monitoring ports. */
import {
  type Monitored,
  missingInCluster,
  readMetaLeader,
} from "../../src/testing/server/run/cluster-state.ts";
import { readInfo, readMonitor } from "../../src/testing/server/run/probe.ts";
import { hasGateways, monitorUrl, type Plan, type PlannedServer, planServers } from "./plan.ts";

/** A closed port answers at once; the timeout is for a busy machine. */
const ASK_MS = 5000;

export interface ServerHealth {
  readonly name: string;
  readonly version: string | null;
  /** The status or error of /healthz; "no answer" without an answer. */
  readonly health: string;
  /** Number of other servers of its cluster that it has routes to. */
  readonly routes: number;
  /** Number of other clusters that it has a gateway to. */
  readonly gateways: number;
  readonly metaLeader: string | null;
}

export async function readHealth(server: PlannedServer): Promise<ServerHealth> {
  const [varz, health, routez, gatewayz, metaLeader] = await Promise.all([
    ask(server, "varz"),
    readMonitor(`${monitorUrl(server)}/healthz`, ASK_MS),
    ask(server, "routez"),
    ask(server, "gatewayz"),
    readMetaLeader(monitorUrl(server)),
  ]);
  const { status, error } = objectOf(health?.body);
  return {
    name: server.name,
    version: typeof varz["version"] === "string" ? varz["version"] : null,
    health: health === undefined ? "no answer" : `${error ?? status}`,
    routes: new Set(arrayOf(routez["routes"]).map((route) => objectOf(route)["remote_id"])).size,
    gateways: Object.keys(objectOf(gatewayz["outbound_gateways"])).length,
    metaLeader: metaLeader ?? null,
  };
}

/** Why the next server must not be started yet; undefined if it may. */
export async function missingAtStart(
  server: PlannedServer,
  before: readonly PlannedServer[],
): Promise<string | undefined> {
  const info = await readInfo("127.0.0.1", server.clientPort, ASK_MS);
  if (info === undefined) return `${server.name} does not listen on ${server.clientPort} yet`;
  if (info.server_name !== server.name) return `port ${server.clientPort} belongs to ${info.server_name}`;
  // The full health check needs a meta leader, which needs the other servers.
  const jetstream = await readMonitor(`${monitorUrl(server)}/healthz?js-enabled-only=true`, ASK_MS);
  if (jetstream?.status !== 200)
    return `${server.name} /healthz: ${JSON.stringify(jetstream?.body ?? "no answer")}`;
  const near = before.filter(({ cluster }) => cluster === server.cluster);
  const { routes } = await readHealth(server);
  return routes < near.length ? `${server.name} has routes to ${routes} of ${near.length} others` : undefined;
}

/** What is missing from the plan: health, routes, gateways, or one meta leader with all others current. */
export async function missingInPlan(plan: Plan): Promise<string | undefined> {
  const servers = planServers(plan);
  for (const cluster of clustersOf(servers)) {
    const members = servers.filter((server) => server.cluster === cluster).map(monitored);
    const missing = await missingInCluster(members, servers.length);
    if (missing !== undefined) return missing;
  }
  if (hasGateways(plan)) {
    const missing = await Promise.all(servers.map((server) => missingGateway(servers, server)));
    const first = missing.find((text) => text !== undefined);
    if (first !== undefined) return first;
  }
  const leaders = new Set(await Promise.all(servers.map((server) => readMetaLeader(monitorUrl(server)))));
  return leaders.size > 1 ? `meta leaders: ${[...leaders].join(", ")}` : undefined;
}

/** Every server must have an outbound gateway to each other cluster. */
async function missingGateway(
  servers: readonly PlannedServer[],
  server: PlannedServer,
): Promise<string | undefined> {
  const { outbound_gateways: outbound } = await ask(server, "gatewayz");
  const others = clustersOf(servers).filter((cluster) => cluster !== server.cluster);
  const known = objectOf(outbound);
  const missing = others.find((cluster) => !(cluster in known));
  return missing === undefined ? undefined : `${server.name} has no gateway to ${missing}`;
}

async function ask(server: PlannedServer, what: string): Promise<Record<string, unknown>> {
  return objectOf((await readMonitor(`${monitorUrl(server)}/${what}`, ASK_MS))?.body);
}

function clustersOf(servers: readonly PlannedServer[]): string[] {
  return [...new Set(servers.map(({ cluster }) => cluster))];
}

function monitored(server: PlannedServer): Monitored {
  return { name: server.name, monitorUrl: monitorUrl(server) };
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
