/** Derives the servers of a plan, their ports and the variables of their configuration. Pure. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DeployError } from "./errors.ts";

export const EXAMPLES: string = fileURLToPath(new URL("../../examples/", import.meta.url));

/** `single` is a single server; `two-regions` is the small super-cluster. */
export type Topology = "single" | "cluster" | "supercluster" | "two-regions";

/** Numbers of servers of the topology `cluster`: an even number survives no more losses than the one below it. */
export const SIZES = [3, 5, 7] as const;
export type Size = (typeof SIZES)[number];

/** The requested servers. Kept in the state folder, so that `status` and `down` need no further options. */
export interface Plan {
  readonly topology: Topology;
  readonly secure: boolean;
  /** Client port of the first server; all other ports are derived from it, see {@link planServers}. */
  readonly portBase: number;
  /** Number of servers of the topology `cluster`. @default 3 */
  readonly size?: Size;
  /** Users with nkeys and tokens in place of passwords; of a secured cluster of processes. */
  readonly jwt?: true;
}

export interface PlannedServer {
  readonly name: string;
  /** Name of its NATS cluster: its region, in a super-cluster. */
  readonly cluster: string;
  readonly clientPort: number;
  readonly monitorPort: number;
  readonly routePort: number;
  readonly gatewayPort: number;
}

export const DEFAULT_PORT_BASE = 4222;
const HOST = "127.0.0.1";
const ROUTE_OFFSET = 2000;
const GATEWAY_OFFSET = 3000;
const MONITOR_OFFSET = 4000;
/** Port distance between two regions; larger than the number of servers of a region. */
const REGION_STEP = 10;
const LAST_PORT_BASE = 61_000;

/** Number of servers per region. All of them form the JetStream meta group: an odd number, so that no half can tie. */
const REGIONS: Readonly<Record<Topology, readonly (readonly [cluster: string, size: number])[]>> = {
  single: [["nats-leader", 1]],
  cluster: [["nats-leader", 3]],
  supercluster: [
    ["eu", 3],
    ["us", 3],
    ["ap", 3],
  ],
  "two-regions": [
    ["eu", 3],
    ["us", 2],
  ],
};

/** The servers in the order in which they are started. */
export function planServers({ topology, portBase, size = 3 }: Plan): readonly PlannedServer[] {
  if (topology !== "cluster" && size !== 3)
    throw new DeployError(`--size ${size} is for a cluster: omit --single, --supercluster and --two-regions`);
  if (!Number.isInteger(portBase) || portBase < 1024 || portBase > LAST_PORT_BASE)
    throw new DeployError(
      `--port-base ${portBase} must be a whole number from 1024 to ${LAST_PORT_BASE}: routes listen at --port-base + ${ROUTE_OFFSET}, gateways at + ${GATEWAY_OFFSET}, monitoring at + ${MONITOR_OFFSET}`,
    );
  return REGIONS[topology].flatMap(([cluster, regionSize], region) =>
    Array.from({ length: topology === "cluster" ? size : regionSize }, (_, index): PlannedServer => {
      const clientPort = portBase + region * REGION_STEP + index;
      return {
        name: nameOf(topology, cluster, index),
        cluster,
        clientPort,
        routePort: clientPort + ROUTE_OFFSET,
        gatewayPort: clientPort + GATEWAY_OFFSET,
        monitorPort: clientPort + MONITOR_OFFSET,
      };
    }),
  );
}

function nameOf(topology: Topology, cluster: string, index: number): string {
  if (topology === "single") return "single";
  return topology === "cluster" ? `n${index + 1}` : `${cluster}-${index + 1}`;
}

export function hasGateways({ topology }: Pick<Plan, "topology">): boolean {
  return topology === "supercluster" || topology === "two-regions";
}

/** The ports that a server listens on, by purpose. */
export function portsOf(
  plan: Plan,
  server: PlannedServer,
): readonly (readonly [use: string, port: number])[] {
  return [
    ["clients", server.clientPort],
    ["monitoring", server.monitorPort],
    ...(plan.topology === "single" ? [] : ([["routes", server.routePort]] as const)),
    ...(hasGateways(plan) ? ([["gateways", server.gatewayPort]] as const) : []),
  ];
}

/** The configuration file of every server of the plan; its variables come from {@link environmentOf}. */
export function configFile(plan: Plan): string {
  const variant = plan.secure ? "secure" : "plain";
  if (plan.jwt) return join(EXAMPLES, "nats-cluster", "secure-jwt.conf");
  if (hasGateways(plan)) return join(EXAMPLES, "supercluster", `${variant}.conf`);
  const single = plan.secure ? "single-secure" : "single";
  return join(EXAMPLES, "nats-cluster", `${plan.topology === "single" ? single : variant}.conf`);
}

/** Limits of a server, and their defaults. A variable of the environment with this name has precedence. */
export const LIMITS: Readonly<Record<string, string>> = {
  NATS_MAX_MEMORY: "1GB",
  NATS_MAX_FILE: "10GB",
  NATS_MAX_PAYLOAD: "1MB",
  NATS_MAX_CONNECTIONS: "65536",
  NATS_WRITE_DEADLINE: "10s",
};

/** Folders of one server. */
export interface ServerPlace {
  readonly storeDir: string;
  /** Holds `ca.pem`, `<name>.pem` and `<name>.key`. */
  readonly tlsDir: string;
  /** With tokens: the operator's, the public key of the system account, and the server's own folder of account tokens. */
  readonly jwt?: { readonly operatorFile: string; readonly systemAccount: string; readonly dir: string };
}

/** The variables of the configuration files, for a process. Without passwords. */
export function environmentOf(
  plan: Plan,
  server: PlannedServer,
  place: ServerPlace,
): Readonly<Record<string, string>> {
  const servers = planServers(plan);
  const near = servers.filter(({ cluster }) => cluster === server.cluster);
  return {
    ...LIMITS,
    NATS_PID_FILE: JSON.stringify(join(dirname(place.storeDir), "nats-server.pid")),
    NATS_SERVER_NAME: server.name,
    NATS_REGION_TAG: `region:${server.cluster}`,
    NATS_SERVER_TAG: `server:${server.name}`,
    NATS_CLIENT_LISTEN: `${HOST}:${server.clientPort}`,
    NATS_MONITOR_LISTEN: `${HOST}:${server.monitorPort}`,
    NATS_DOMAIN: "hub",
    // Quoted: nats-server parses the variable's text as a configuration value, and paths may contain spaces.
    NATS_STORE_DIR: JSON.stringify(place.storeDir),
    NATS_TLS_CA: JSON.stringify(join(place.tlsDir, "ca.pem")),
    NATS_TLS_CERT: JSON.stringify(join(place.tlsDir, `${server.name}.pem`)),
    NATS_TLS_KEY: JSON.stringify(join(place.tlsDir, `${server.name}.key`)),
    NATS_CLUSTER: server.cluster,
    NATS_ROUTE_LISTEN: `${HOST}:${server.routePort}`,
    NATS_ROUTES: JSON.stringify(near.map(({ routePort }) => `nats-route://${HOST}:${routePort}`)),
    NATS_GATEWAY_LISTEN: `${HOST}:${server.gatewayPort}`,
    NATS_GATEWAYS: gatewaysText(servers),
    ...(place.jwt === undefined
      ? {}
      : {
          NATS_OPERATOR: JSON.stringify(place.jwt.operatorFile),
          NATS_SYSTEM_ACCOUNT: place.jwt.systemAccount,
          NATS_JWT_DIR: JSON.stringify(place.jwt.dir),
        }),
  };
}

function gatewaysText(servers: readonly PlannedServer[]): string {
  const clusters = [...new Set(servers.map(({ cluster }) => cluster))];
  const entries = clusters.map((name) => {
    const members = servers.filter(({ cluster }) => cluster === name);
    return `{name: ${name}, urls: ${JSON.stringify(members.map((one) => `nats://${HOST}:${one.gatewayPort}`))}}`;
  });
  return `[${entries.join(", ")}]`;
}

export function clientUrl(plan: Plan, server: PlannedServer): string {
  return `${plan.secure ? "tls" : "nats"}://${HOST}:${server.clientPort}`;
}

export function monitorUrl(server: PlannedServer): string {
  return `http://${HOST}:${server.monitorPort}`;
}
