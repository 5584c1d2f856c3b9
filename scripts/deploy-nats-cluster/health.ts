/** Health of the servers of a plan, read from their monitoring ports. */
import { parseVersion } from "../../src/nats/api/server-version.ts";
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
  /** Number of client connections; null without an answer. */
  readonly connections: number | null;
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
    connections: typeof varz["connections"] === "number" ? varz["connections"] : null,
  };
}

/** The versions of the servers that answer. */
export async function readVersions(servers: readonly PlannedServer[]): Promise<string[]> {
  const infos = await Promise.all(servers.map(({ clientPort }) => readInfo("127.0.0.1", clientPort, ASK_MS)));
  return infos.flatMap((info) => info?.version ?? []).filter((version) => parseVersion(version) !== null);
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

/** A replica of a stream or of a consumer, as its leader reports it. */
export interface Placed {
  readonly account: string;
  readonly stream: string;
  /** Null for the stream itself. */
  readonly consumer: string | null;
  readonly durable: boolean;
  /** Configured number of replicas. */
  readonly replicas: number;
  readonly leader: string | null;
  readonly others: readonly { readonly name: string; readonly current: boolean }[];
}

/** Where the streams and consumers of all accounts are, read from their leaders. */
export interface Placement {
  readonly placed: readonly Placed[];
  /** Servers without an answer. A stream whose only replica is on one of them is not in `placed`. */
  readonly silent: readonly string[];
  /** Streams that no server reports as their leader: their replicas are unknown. */
  readonly leaderless: readonly string[];
}

export async function readPlacement(servers: readonly PlannedServer[]): Promise<Placement> {
  const found: Placed[] = [];
  const silent: string[] = [];
  const seen = new Set<string>();
  for (const server of servers) {
    const jsz = await ask(server, "jsz?accounts=true&streams=true&consumers=true&config=true");
    if (jsz["account_details"] === undefined && jsz["server_id"] === undefined) silent.push(server.name);
    for (const account of arrayOf(jsz["account_details"]).map(objectOf))
      for (const detail of arrayOf(account["stream_detail"]).map(objectOf)) {
        const replicas = Number(objectOf(detail["config"])["num_replicas"] ?? 1);
        const of = { account: String(account["name"]), stream: String(detail["name"]) };
        seen.add(nameIn(of));
        const leads = (one: Json): boolean => objectOf(one["cluster"])["leader"] === server.name;
        if (leads(detail)) found.push({ ...of, consumer: null, durable: true, replicas, ...groupOf(detail) });
        for (const consumer of arrayOf(detail["consumer_detail"]).map(objectOf).filter(leads)) {
          const config = objectOf(consumer["config"]);
          found.push({
            ...of,
            consumer: String(consumer["name"]),
            durable: typeof config["durable_name"] === "string",
            replicas: Number(config["num_replicas"] ?? 0) || replicas,
            ...groupOf(consumer),
          });
        }
      }
  }
  const led = new Set(found.map(nameIn));
  return { placed: found, silent, leaderless: [...seen].filter((name) => !led.has(name)) };
}

function nameIn({ account, stream }: Pick<Placed, "account" | "stream">): string {
  return `${stream} (account ${account})`;
}

type Json = Record<string, unknown>;

function groupOf(detail: Json): Pick<Placed, "leader" | "others"> {
  const { leader, replicas } = objectOf(detail["cluster"]);
  const others = arrayOf(replicas)
    .map(objectOf)
    .map(({ name, current }) => ({ name: String(name), current: current === true }));
  return { leader: typeof leader === "string" ? leader : null, others };
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
