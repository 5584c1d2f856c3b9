import { NatsServerError } from "../errors.ts";
import { binaryVersion } from "../find/binary.ts";
import { findNatsServer } from "../find/find.ts";
import { PINNED_NATS_VERSION } from "../find/versions.ts";
import type { NatsBackend, NatsServer, NatsServerOptions } from "../types.ts";
import { type ClusterParts, configText } from "./config-text.ts";
import { containerHost, createContainerRunner } from "./container-runner.ts";
import { freePort, returnPort } from "./ports.ts";
import { createProcessRunner } from "./process-runner.ts";
import type { Runner } from "./runner.ts";
import { randomName, ServerHandle } from "./server.ts";

const PORT_ATTEMPTS = 5;
const START_TIMEOUT_MS = 10_000;

/**
 * Starts a nats-server with JetStream, on free ports and with a private store by default. Resolves when it is healthy.
 *
 * @throws {@link NatsServerError} `not_found`, `bad_binary`, `start_failed`, `start_timeout`, `port_in_use` (only for a port
 * given in the options), `backend_unavailable`
 * @example
 * await using server = await startNatsServer();
 * const connection = await connect({ servers: server.url });
 */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const place = await choosePlace(options);
  const fixed = options.port !== undefined || options.monitorPort !== undefined;
  return withNewPorts(fixed, async (newPort) => {
    const port = options.port ?? (await newPort(place.host));
    const monitorPort = options.monitorPort ?? (await newPort(place.host));
    const name = options.name ?? randomName("nats");
    const server = await prepareServer({ ...options, name, port, monitorPort }, place);
    try {
      await server.start(options.signal === undefined ? {} : { signal: options.signal });
      return server;
    } catch (error) {
      await server.dispose();
      throw error;
    }
  });
}

/** Where servers run; determined once, before the first server is prepared. */
export interface Place {
  readonly backend: NatsBackend;
  /** Host name for clients. */
  readonly host: string;
  /** Path of the binary, or name of the image. */
  readonly program: string;
}

/** Finds the binary or the container engine. */
export async function choosePlace(options: NatsServerOptions): Promise<Place> {
  const backend = options.backend ?? backendOf(process.env["NATS_TEST_BACKEND"]);
  if (backend === "testcontainers") {
    const program =
      options.image ?? (process.env["NATS_TEST_IMAGE"] || `nats:${options.version ?? PINNED_NATS_VERSION}`);
    return { backend, host: await containerHost(), program };
  }
  const host = options.host ?? "127.0.0.1";
  if (options.binary !== undefined) {
    await binaryVersion(options.binary, options.signal);
    return { backend, host, program: options.binary };
  }
  const { path } = await findNatsServer({
    ...(options.version === undefined ? {} : { version: options.version }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  return { backend, host, program: path };
}

function backendOf(text: string | undefined): NatsBackend {
  if (text === undefined || text === "" || text === "process") return "process";
  if (text === "testcontainers") return text;
  const message = `NATS_TEST_BACKEND is ${JSON.stringify(text)}, must be "process" or "testcontainers"`;
  throw new NatsServerError("backend_unavailable", message);
}

/**
 * Runs `start` with a source of free ports, and retries with other ports, at most five times, if another process has taken
 * one of them. With `fixed` ports there is one attempt.
 */
export async function withNewPorts<T>(
  fixed: boolean,
  start: (newPort: (host: string) => Promise<number>) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const taken: number[] = [];
    try {
      return await start(async (host) => {
        const port = await freePort(host);
        taken.push(port);
        return port;
      });
    } catch (error) {
      for (const port of taken) returnPort(port);
      const inUse = error instanceof NatsServerError && error.code === "port_in_use";
      if (!inUse || fixed || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/** A server whose name and ports are determined. */
export interface ServerPlan extends NatsServerOptions {
  readonly name: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly cluster?: ClusterParts;
  /** The network of a cluster of containers. */
  readonly network?: string;
}

/** Creates the handle of a server without starting it. */
export async function prepareServer(plan: ServerPlan, place: Place): Promise<ServerHandle> {
  const { name, port, monitorPort } = plan;
  const { backend, host, program } = place;
  const startTimeoutMs = plan.startTimeoutMs ?? START_TIMEOUT_MS;
  const inContainer = backend === "testcontainers";
  const config = (storeDir: string): string =>
    configText({
      name,
      port,
      monitorPort,
      listenHost: inContainer ? "0.0.0.0" : host,
      advertise: inContainer ? `${host}:${port}` : undefined,
      storeDir: plan.jetstream === false ? undefined : storeDir,
      cluster: plan.cluster,
      extra: plan.config,
    });
  const network = plan.network === undefined ? undefined : { name: plan.network, alias: name };
  const { storeDir } = plan;
  const runner: Runner = inContainer
    ? await createContainerRunner({
        image: program,
        storeDir,
        config,
        ports: [port, monitorPort],
        network,
        startTimeoutMs,
      })
    : await createProcessRunner({ binary: program, storeDir, config });
  return new ServerHandle({ name, host, port, monitorPort, backend, startTimeoutMs }, runner);
}
