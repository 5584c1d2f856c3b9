/** The servers of a world: one, or three whose routes go through proxies. With a user who has no rights to the election. */
import { permissionsFor } from "../../src/nats/permissions.ts";
import { freePort, returnPort } from "../../src/testing/ports.ts";
import { type NatsServer, startNatsCluster, startNatsServer } from "../../src/testing.ts";
import { Route } from "./route.ts";

/** May do what a node of another cluster may. */
export const STRANGER = { user: "stranger", pass: "stranger" } as const;

const HOST = "127.0.0.1";
const CLUSTER_NAME = "chaos";
const SIZE = 3;
const READY_MS = 15_000;
/** Several worlds start at once, beside whatever else the machine does. */
const START_TIMEOUT_MS = 60_000;

export interface Servers {
  readonly all: readonly NatsServer[];
  readonly urls: string[];
  /** From each server to each other one: `routes[from][to]`. Empty for a single server. */
  readonly routes: readonly (readonly (Route | null)[])[];
  /** Waits until a cluster is complete again, but not for ever: what is missing then is the next fault's luck. */
  whole(): Promise<void>;
  dispose(): Promise<void>;
}

/** Clients without a name are the nodes and the operator. */
function usersText(): string {
  const { publish, subscribe } = permissionsFor({ clusterId: "another" });
  return [
    "authorization { users: [",
    "  { user: all, password: all }",
    `  { user: ${STRANGER.user}, password: ${STRANGER.pass}, permissions: {`,
    `    publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)} } }`,
    "] }",
    "no_auth_user: all",
    'lame_duck_grace_period: "500ms"',
    'lame_duck_duration: "30s"',
  ].join("\n");
}

export async function startServers(count: 1 | 3): Promise<Servers> {
  return count === 1 ? startSingle() : startTrio();
}

async function startSingle(): Promise<Servers> {
  const server = await startNatsServer({ config: usersText(), startTimeoutMs: START_TIMEOUT_MS });
  return {
    all: [server],
    urls: [server.url],
    routes: [],
    whole: async () => {},
    dispose: () => server.dispose(),
  };
}

async function startTrio(): Promise<Servers> {
  const ports = await Promise.all(Array.from({ length: SIZE }, () => freePort(HOST)));
  const routes = await Promise.all(
    ports.map((_, from) =>
      Promise.all(
        ports.map((port, to) => (from === to ? Promise.resolve(null) : Route.open({ host: HOST, port }))),
      ),
    ),
  );
  const closeRoutes = async (): Promise<void> => {
    await Promise.all(routes.flat().map((route) => route?.close()));
    for (const port of ports) returnPort(port);
  };
  try {
    const config = (index: number): string => clusterText(ports[index] ?? 0, routes[index] ?? []);
    const cluster = await startNatsCluster({ size: SIZE, config, startTimeoutMs: START_TIMEOUT_MS });
    return {
      all: cluster.servers,
      urls: cluster.urls,
      routes,
      whole: () => cluster.ready({ timeoutMs: READY_MS }).catch(() => {}),
      dispose: async () => {
        await cluster.dispose();
        await closeRoutes();
      },
    };
  } catch (error) {
    await closeRoutes();
    throw error;
  }
}

/**
 * Replaces the generated block. Servers tell each other where the others listen, and clients too: both would be ways
 * around the proxies. So clients are told nothing, and other servers a port that nobody can reach.
 */
function clusterText(port: number, routes: readonly (Route | null)[]): string {
  const urls = routes.flatMap((route) => (route === null ? [] : [`nats-route://${HOST}:${route.port}`]));
  return [
    "cluster {",
    `  name: ${CLUSTER_NAME}`,
    `  listen: "${HOST}:${port}"`,
    '  advertise: "127.0.0.1:9"',
    "  no_advertise: true",
    `  routes: ${JSON.stringify(urls)}`,
    "}",
    usersText(),
  ].join("\n");
}
