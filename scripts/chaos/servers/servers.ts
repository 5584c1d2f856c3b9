/**
 * The servers of a world: one, or three whose routes go through proxies. Each node has a user of its own that can be
 * revoked; one more user has no permissions for the election.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { permissionsFor } from "../../../src/nats/permissions.ts";
import { freePort, returnPort } from "../../../src/testing/server/run/ports.ts";
import { type NatsServer, startNatsCluster, startNatsServer } from "../../../src/testing.ts";
import { Route } from "../../shared/tcp-route.ts";
import { reload, ServerHome } from "./server-home.ts";

/** A user with the permissions of a node of another cluster. */
export const STRANGER = { user: "stranger", pass: "stranger" } as const;

const HOST = "127.0.0.1";
const CLUSTER_NAME = "chaos";
const SIZE = 3;
const READY_MS = 15_000;
/** Several worlds start at once. */
const START_TIMEOUT_MS = 60_000;

/** User name and password of a node. */
export function userOf(nodeId: string): string {
  return `node-${nodeId}`;
}

export interface Servers {
  readonly all: readonly NatsServer[];
  readonly urls: string[];
  /** From each server to each other server: `routes[from][to]`. Empty for a single server. */
  readonly routes: readonly (readonly (Route | null)[])[];
  /** In the order of `all`. */
  readonly homes: readonly ServerHome[];
  /** Disconnects the users of these nodes and refuses them; allows the users of all other nodes. */
  revoke(nodeIds: readonly string[]): Promise<void>;
  /** Waits until a cluster is complete again, at most `READY_MS`; an incomplete cluster is no failure. */
  whole(): Promise<void>;
  dispose(): Promise<void>;
}

/** Connections without a user get the user `all`, the operator. */
function usersExcept(nodeIds: readonly string[], revoked: readonly string[]): string[] {
  const { publish, subscribe } = permissionsFor({ clusterId: "another" });
  const nodes = nodeIds.filter((id) => !revoked.includes(id)).map(userOf);
  return [
    ...["all", ...nodes].map((name) => `  { user: ${name}, password: ${name} }`),
    `  { user: ${STRANGER.user}, password: ${STRANGER.pass}, permissions: {`,
    `    publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)} } }`,
  ];
}

function commonText(home: ServerHome | undefined): string {
  return [
    "no_auth_user: all",
    // Makes a slow consumer with less data than the default of 64 MB needs.
    "max_pending: 8MB",
    'lame_duck_grace_period: "500ms"',
    'lame_duck_duration: "30s"',
    home?.include ?? "",
  ].join("\n");
}

export interface ServersOptions {
  readonly count: 1 | 3;
  readonly nodeIds: readonly string[];
  /** Whether each server has a small disk of its own. */
  readonly smallDisks: boolean;
}

export async function startServers(options: ServersOptions): Promise<Servers> {
  const { count, nodeIds, smallDisks } = options;
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-chaos-servers-"));
  const name = `${CLUSTER_NAME}-${folder.slice(-6)}`;
  const users = usersExcept(nodeIds, []);
  const homes: ServerHome[] = [];
  const release = (): void => {
    for (const { disk } of homes) disk?.unmount();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let index = 1; index <= count; index++)
      homes.push(new ServerHome(folder, `${name}-${index}`, smallDisks, { users, jetstream: true }));
    const started = count === 1 ? await startSingle(name, homes) : await startTrio(name, folder, homes);
    return {
      ...started,
      homes,
      async revoke(revoked) {
        for (const home of homes) home.set({ users: usersExcept(nodeIds, revoked) });
        await Promise.all(started.all.map(reload));
      },
      async dispose() {
        await started.dispose();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

type Started = Omit<Servers, "homes" | "revoke">;

async function startSingle(name: string, homes: readonly ServerHome[]): Promise<Started> {
  const [home] = homes;
  const server = await startNatsServer({
    name: `${name}-1`,
    ...(home === undefined ? {} : { storeDir: home.storeDir }),
    config: commonText(home),
    startTimeoutMs: START_TIMEOUT_MS,
  });
  return {
    all: [server],
    urls: [server.url],
    routes: [],
    whole: async () => {},
    dispose: () => server.dispose(),
  };
}

async function startTrio(name: string, folder: string, homes: readonly ServerHome[]): Promise<Started> {
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
    const config = (index: number): string =>
      clusterText(ports[index] ?? 0, routes[index] ?? [], homes[index]);
    const cluster = await startNatsCluster({
      name,
      size: SIZE,
      storeDir: folder,
      config,
      startTimeoutMs: START_TIMEOUT_MS,
    });
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
 * Replaces the generated `cluster` block. The addresses that servers advertise to each other and to clients would bypass
 * the proxies, so nothing is advertised to clients, and an unreachable port to servers.
 */
function clusterText(port: number, routes: readonly (Route | null)[], home: ServerHome | undefined): string {
  const urls = routes.flatMap((route) => (route === null ? [] : [`nats-route://${HOST}:${route.port}`]));
  return [
    "cluster {",
    `  name: ${CLUSTER_NAME}`,
    `  listen: "${HOST}:${port}"`,
    '  advertise: "127.0.0.1:9"',
    "  no_advertise: true",
    `  routes: ${JSON.stringify(urls)}`,
    "}",
    commonText(home),
  ].join("\n");
}
