import { runCommand } from "../../../system/run-command.ts";
import { NatsServerError, reasonOf } from "../errors.ts";
import type { ServerExit } from "../types.ts";
import type { Launch, Runner } from "./runner.ts";
import { waitUntilStopped } from "./stopped.ts";
import { type Watchdog, watchContainer } from "./watchdog.ts";

type Testcontainers = typeof import("testcontainers");
type Engine = Awaited<ReturnType<Testcontainers["getContainerRuntimeClient"]>>;
type Container = ReturnType<Engine["container"]["getById"]>;

const CONFIG_FILE = "/nats-server.conf";
const STORE_DIR = "/data";
const PORT_TAKEN = /port is already allocated|address already in use/;

/** Options of {@link createContainerRunner}. */
export interface ContainerRunnerOptions {
  readonly image: string;
  /** A folder of this machine to mount as the store. Undefined: the container's own layer, deleted with the container. */
  readonly storeDir: string | undefined;
  readonly config: (storeDir: string) => string;
  /** The ports that the server listens on; each is mapped to the same port of the engine's host. */
  readonly ports: readonly number[];
  readonly network: { readonly name: string; readonly alias: string } | undefined;
  readonly startTimeoutMs: number;
}

/** Runs a server in a container. Signals and restarts act on the same container, which keeps its store and ports. */
export async function createContainerRunner(options: ContainerRunnerOptions): Promise<Runner> {
  const { testcontainers, engine } = await openEngine();
  const watchdog = watchContainer(options.network?.name);
  let container: Container | undefined;
  const onCreated = (id: string): Container => {
    container = engine.container.getById(id);
    watchdog.watch(id);
    return container;
  };
  return {
    storeDir: options.storeDir ?? STORE_DIR,
    launch: async (onLog) => {
      try {
        if (container === undefined) await createAndStart(testcontainers, options, onCreated);
        else await container.start();
      } catch (error) {
        throw await startError(error, options.image, container);
      }
      if (container === undefined)
        throw new NatsServerError("start_failed", "testcontainers did not create a container");
      return followContainer(engine, container, onLog);
    },
    dispose: async () => disposeContainer(container, watchdog),
  };
}

async function createAndStart(
  { GenericContainer, StartupCheckStrategy }: Testcontainers,
  options: ContainerRunnerOptions,
  onCreated: (id: string) => Container,
): Promise<void> {
  // testcontainers waits ten seconds for the mapped ports, even if the container has exited.
  let onEnd: (error: Error) => void = () => {};
  const ended = new Promise<never>((_, reject) => {
    onEnd = reject;
  });
  const started = new AbortController();
  class ObservedContainer extends GenericContainer {
    protected override async containerCreated(id: string): Promise<void> {
      const wait = { condition: "next-exit", abortSignal: started.signal } as const;
      onCreated(id)
        .wait(wait)
        .then(
          () => onEnd(new Error("the container exited during startup")),
          () => {}, // aborted, or the engine is gone: start() then fails, too
        );
    }
  }
  // The image may contain nothing but the server, so no check can run inside; the handle checks from outside.
  class NoCheck extends StartupCheckStrategy {
    async checkStartupState(): Promise<"SUCCESS"> {
      return "SUCCESS";
    }
  }
  const storeDir = options.storeDir === undefined ? [] : [{ source: options.storeDir, target: STORE_DIR }];
  const container = new ObservedContainer(options.image)
    .withCommand(["-c", CONFIG_FILE])
    .withCopyContentToContainer([{ content: options.config(STORE_DIR), target: CONFIG_FILE }])
    .withExposedPorts(...options.ports.map((port) => ({ container: port, host: port })))
    .withBindMounts(storeDir)
    .withWaitStrategy(new NoCheck())
    .withStartupTimeout(options.startTimeoutMs)
    .withAutoRemove(false)
    // With a docker command the watchdog removes the container, and the Ryuk image is not needed.
    .withAutoCleanup(!(await hasDockerCommand()));
  if (options.network !== undefined) {
    container.withNetworkMode(options.network.name).withNetworkAliases(options.network.alias);
  }
  try {
    await Promise.race([container.start(), ended]);
  } finally {
    started.abort();
  }
}

async function followContainer(
  engine: Engine,
  container: Container,
  onLog: (chunk: string) => void,
): Promise<Launch> {
  const { State: state } = await container.inspect();
  const log = await engine.container.logs(container, { since: Date.parse(state.StartedAt) / 1000 });
  const ended = new Promise<void>((resolve) => log.once("close", resolve));
  log.on("data", (chunk: unknown) => onLog(String(chunk)));
  let alive = true;
  const exited = ended.then(async (): Promise<ServerExit> => {
    const code = await exitCodeOf(container);
    alive = false;
    return { code, signal: null };
  });
  return {
    pid: undefined, // the engine may run in a virtual machine, whose pids are not those of this host
    exited,
    signal: async (signal) => {
      if (!alive) return;
      try {
        await container.kill({ signal });
        // With a remote engine this pid is unrelated: the wait is short and only reads.
        if (signal === "SIGSTOP") await waitUntilStopped(state.Pid);
      } catch (error) {
        if (!/is not running|no such container/i.test(reasonOf(error))) throw error;
      }
    },
  };
}

/** Resolves when the engine has also released the container's ports. */
async function exitCodeOf(container: Container): Promise<number | null> {
  try {
    const result: unknown = await container.wait();
    const code =
      typeof result === "object" && result !== null && "StatusCode" in result ? result.StatusCode : null;
    return typeof code === "number" ? code : null;
  } catch {
    return null; // the container was removed from outside
  }
}

async function disposeContainer(container: Container | undefined, watchdog: Watchdog): Promise<void> {
  try {
    await container?.remove({ force: true, v: true });
  } catch (error) {
    if (!/no such container|already in progress/i.test(reasonOf(error))) throw error;
  }
  watchdog.dismiss();
}

async function startError(
  cause: unknown,
  image: string,
  container: Container | undefined,
): Promise<NatsServerError> {
  const reason = reasonOf(cause);
  if (PORT_TAKEN.test(reason)) return new NatsServerError("port_in_use", reason, { cause });
  if (container === undefined) {
    return new NatsServerError("backend_unavailable", `cannot create a container of ${image}: ${reason}`, {
      cause,
    });
  }
  const log = await container.logs({ stdout: true, stderr: true, tail: 10 }).then(String, reasonOf);
  return new NatsServerError("start_failed", `${reason}; the container's log ends with\n${log}`, { cause });
}

/** The host name of the engine's mapped ports; 127.0.0.1 for a local engine. */
export async function containerHost(): Promise<string> {
  const { engine } = await openEngine();
  const { host } = engine.info.containerRuntime;
  return host === "localhost" ? "127.0.0.1" : host;
}

/** Makes a network of that name; call the result to remove it again, after its containers. */
export async function createContainerNetwork(name: string): Promise<() => Promise<void>> {
  const { engine } = await openEngine();
  const network = await engine.container.dockerode.createNetwork({ Name: name });
  return async () => {
    await network.remove();
  };
}

async function openEngine(): Promise<{ readonly testcontainers: Testcontainers; readonly engine: Engine }> {
  let testcontainers: Testcontainers;
  try {
    testcontainers = await import("testcontainers");
  } catch (cause) {
    const message =
      'backend "testcontainers" needs the package testcontainers: npm install --save-dev testcontainers';
    throw new NatsServerError("backend_unavailable", message, { cause });
  }
  try {
    return { testcontainers, engine: await testcontainers.getContainerRuntimeClient() };
  } catch (cause) {
    const message = `backend "testcontainers" found no container engine: ${reasonOf(cause)}`;
    throw new NatsServerError("backend_unavailable", message, { cause });
  }
}

let dockerCommand: Promise<boolean> | undefined;

function hasDockerCommand(): Promise<boolean> {
  dockerCommand ??= runCommand("docker", ["--version"], { timeoutMs: 5000 }).then(
    () => true,
    () => false,
  );
  return dockerCommand;
}
