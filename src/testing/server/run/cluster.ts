import { join } from "node:path";
import { NatsServerError } from "../errors.ts";
import type { NatsCluster, NatsClusterOptions, NatsServer } from "../types.ts";
import { missingInCluster, readMetaLeader } from "./cluster-state.ts";
import type { ClusterParts } from "./config-text.ts";
import { createContainerNetwork } from "./container-runner.ts";
import { randomName, type ServerHandle } from "./server.ts";
import { choosePlace, type Place, prepareServer, withNewPorts } from "./start.ts";
import { poll } from "./wait.ts";

const START_TIMEOUT_MS = 30_000;
const CONTAINER_ROUTE_PORT = 6222;

/**
 * Starts a full mesh of servers at the same time. Resolves when all routes are established, every server is healthy and
 * all agree on JetStream's meta leader, so that replicated streams can be created.
 *
 * @throws {@link NatsServerError} as `startNatsServer`; if one server fails to start, the others are stopped first
 * @example
 * await using cluster = await startNatsCluster();
 * const connection = await connect({ servers: cluster.urls });
 */
export async function startNatsCluster(options: NatsClusterOptions = {}): Promise<NatsCluster> {
  const size = options.size ?? 3;
  if (!Number.isInteger(size) || size < 1 || size > 9)
    throw new RangeError(`size is ${size}, must be a whole number from 1 to 9`);
  const { name: _, config: __, storeDir: ___, ...common } = options;
  const place = await choosePlace(common);
  return withNewPorts(false, async (newPort) => {
    const name = options.name ?? randomName("cluster");
    const removeNetwork = place.backend === "testcontainers" ? await createContainerNetwork(name) : undefined;
    const cluster = new ClusterHandle(name, options.startTimeoutMs ?? START_TIMEOUT_MS, removeNetwork);
    try {
      const ports = await pickPorts(size, place.host, newPort);
      for (const index of ports.keys()) {
        cluster.servers.push(await prepareMember(options, place, name, ports, index));
      }
      await cluster.start(options.signal);
      return cluster;
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  });
}

interface MemberPorts {
  readonly port: number;
  readonly monitorPort: number;
  readonly routePort: number;
}

async function pickPorts(
  size: number,
  host: string,
  newPort: (host: string) => Promise<number>,
): Promise<MemberPorts[]> {
  const ports: MemberPorts[] = [];
  for (let index = 0; index < size; index++) {
    ports.push({
      port: await newPort(host),
      monitorPort: await newPort(host),
      routePort: await newPort(host),
    });
  }
  return ports;
}

async function prepareMember(
  options: NatsClusterOptions,
  place: Place,
  clusterName: string,
  ports: readonly MemberPorts[],
  index: number,
): Promise<ServerHandle> {
  const own = ports[index];
  if (own === undefined) throw new RangeError(`no ports for member ${index}`);
  const { config, storeDir, ...common } = options;
  const inContainer = place.backend === "testcontainers";
  const nameOf = (member: number): string => `${clusterName}-${member + 1}`;
  const cluster: ClusterParts = {
    name: clusterName,
    listenHost: inContainer ? "0.0.0.0" : place.host,
    port: inContainer ? CONTAINER_ROUTE_PORT : own.routePort,
    routes: ports.map(({ routePort }, member) =>
      inContainer ? `${nameOf(member)}:${CONTAINER_ROUTE_PORT}` : `${place.host}:${routePort}`,
    ),
  };
  const extra = typeof config === "function" ? config(index) : config;
  return prepareServer(
    {
      ...common,
      name: nameOf(index),
      port: own.port,
      monitorPort: own.monitorPort,
      startTimeoutMs: options.startTimeoutMs ?? START_TIMEOUT_MS,
      cluster,
      ...(extra === undefined ? {} : { config: extra }),
      ...(storeDir === undefined ? {} : { storeDir: join(storeDir, nameOf(index)) }),
      ...(inContainer ? { network: clusterName } : {}),
    },
    place,
  );
}

class ClusterHandle implements NatsCluster {
  readonly name: string;
  readonly servers: ServerHandle[] = [];
  readonly #timeoutMs: number;
  #removeNetwork: (() => Promise<void>) | undefined;

  constructor(name: string, timeoutMs: number, removeNetwork: (() => Promise<void>) | undefined) {
    this.name = name;
    this.#timeoutMs = timeoutMs;
    this.#removeNetwork = removeNetwork;
  }

  get urls(): string[] {
    return this.servers.map((server) => server.url);
  }

  async start(signal: AbortSignal | undefined): Promise<void> {
    const options = signal === undefined ? {} : { signal };
    const results = await Promise.allSettled(
      this.servers.map((server) => server.start({ ...options, until: "listening" })),
    );
    for (const result of results) {
      if (result.status === "rejected") throw result.reason;
    }
    await this.ready(options);
  }

  async ready(options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {}): Promise<void> {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    let missing: string | undefined;
    const ready = await poll(
      async () => {
        missing = await missingInCluster(this.servers.filter((server) => server.running));
        return missing === undefined ? true : undefined;
      },
      { timeoutMs, everyMs: 20, signal: options.signal },
    );
    if (ready) return;
    throw new NatsServerError("start_timeout", `${this.name} not ready after ${timeoutMs} ms: ${missing}`);
  }

  async metaLeader(): Promise<NatsServer | undefined> {
    const running = this.servers.filter((server) => server.running);
    const answers = await Promise.all(running.map((server) => readMetaLeader(server.monitorUrl)));
    return running.find((server, index) => answers[index] === server.name);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  async dispose(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.dispose()));
    const remove = this.#removeNetwork;
    this.#removeNetwork = undefined;
    await remove?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
