/** One run of a simulated process, from its start to its crash or exit: the environment of its program. */
import { ClusterError } from "../../errors.ts";
import type { GroupEnvironment } from "../../group/group.ts";
import type { NodeEnvironment } from "../../node/node.ts";
import type {
  Attachment,
  AttachRequest,
  Backend,
  NodeStatus,
  ServiceHandlers,
} from "../../runtime/backend.ts";
import type { FakeBucket } from "./fakes/fake-bucket.ts";
import type { FakeConnections } from "./fakes/fake-connections.ts";
import { FakeSession } from "./fakes/fake-session.ts";
import { FakeStore } from "./fakes/fake-store.ts";
import type { GroupNetwork } from "./fakes/group-network.ts";
import { type GroupProcess, groupEnvironmentOf, type SimulatedGroups } from "./simulated-groups.ts";
import { SimulationError } from "./simulation-error.ts";
import { VirtualClock } from "./time/virtual-clock.ts";
import type { VirtualTime } from "./time/virtual-time.ts";

const CONNECT_TIMEOUT_MS = 2_000;
const CALL_TIMEOUT_MS = 1_000;

/** Replaces the system's clock, timers and network for a simulated program. */
export interface ProcessContext {
  /** Name of the process. */
  readonly name: string;
  /** Third argument of `new Node(options, hooks, environment)`. The option `servers` is required but not used. */
  readonly environment: NodeEnvironment;
  /** Third argument of `new Group(options, hooks, groupEnvironment)`. The option `servers` is required but not used. */
  readonly groupEnvironment: GroupEnvironment;
  /** Aborts on SIGTERM: the program should stop its node or member and return. */
  readonly terminated: AbortSignal;
  /**
   * `setTimeout` of `node:timers/promises` on the clock of this process, with the same signature. Rejects with an `AbortError`
   * when the signal aborts. Do not use real timers: no real time passes in a simulation.
   */
  readonly sleep: <T = void>(
    delayMs?: number,
    value?: T,
    options?: { readonly signal?: AbortSignal | undefined },
  ) => Promise<T>;
  /** Wall clock of this process: Unix milliseconds. */
  readonly now: () => number;
  /**
   * A request to a resource that several processes share, for example a database. `serve` runs there after the latency, even
   * if this process has ended by then. Its result or error returns after the latency. Rejects with `no_answer` after
   * `timeoutMs` (default 1000); `serve` may have run, may still run, or may never run.
   */
  readonly call: <T>(serve: () => T | Promise<T>, options?: { readonly timeoutMs?: number }) => Promise<T>;
  /** Adds a line to the cluster's trace. */
  readonly log: (text: string) => void;
}

/** State that all processes share. */
export interface SharedWorld {
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly connections: FakeConnections;
  /** Every node that runs. */
  readonly members: Map<ServiceHandlers, ProcessRun>;
  readonly groups: SimulatedGroups;
  clusterId: string | null;
  /** The server refuses connections until then. */
  downUntil: number;
}

/** What outlasts a run of a process. */
export interface ProcessHost {
  readonly name: string;
  /** Between the process and NATS. */
  readonly network: GroupNetwork;
  /** Additional delay of calls of the process. */
  callDelayMs: number;
  readonly clockRate: number;
}

export class ProcessRun {
  readonly host: ProcessHost;
  readonly clock: VirtualClock;
  readonly sessions: Set<FakeSession> = new Set();
  readonly context: ProcessContext;
  readonly #world: SharedWorld;
  readonly #terminated = new AbortController();
  readonly #groupProcess: GroupProcess;
  #incarnations = 0;
  #nodeIds = 0;
  alive = true;

  constructor(world: SharedWorld, host: ProcessHost, runNumber: number, log: (text: string) => void) {
    this.#world = world;
    this.host = host;
    this.clock = new VirtualClock(world.time, { rate: host.clockRate });
    const { clock } = this;
    const backend: Backend = { attach: (request) => this.#attach(request) };
    const random = { id: () => `${host.name}-${runNumber}-${++this.#incarnations}` };
    this.#groupProcess = {
      process: host.name,
      clock,
      random,
      network: host.network,
      isRunning: () => this.running,
      open: (silenceMs, signal) => this.#open(silenceMs, signal),
      closed: (session) => void this.sessions.delete(session),
    };
    this.context = {
      name: host.name,
      environment: { backend, clock, random, nodeId: () => `${host.name}-${runNumber}-${++this.#nodeIds}` },
      groupEnvironment: groupEnvironmentOf(world.groups, this.#groupProcess),
      terminated: this.#terminated.signal,
      sleep: (delayMs, value, options) => this.#sleep(delayMs ?? 1, value as never, options?.signal),
      now: () => clock.now().wall,
      call: (serve, options) => this.#call(serve, host.callDelayMs, options?.timeoutMs ?? CALL_TIMEOUT_MS),
      log,
    };
  }

  /** Whether code of this process can run at this moment. */
  get running(): boolean {
    return this.alive && this.clock.running;
  }

  terminate(): void {
    this.clock.deliver(() => this.#terminated.abort(new Error("SIGTERM")));
  }

  /** Ends the run: no more of its code runs. With `lingerMs`, the server closes its connections only `lingerMs` later. */
  end(lingerMs = 0): void {
    if (!this.alive) return;
    this.alive = false;
    this.clock.kill();
    for (const [handlers, run] of this.#world.members) {
      if (run === this) this.#world.members.delete(handlers);
    }
    this.#world.groups.ended(this.#groupProcess);
    for (const session of this.sessions) session.kill(lingerMs);
    this.sessions.clear();
  }

  #sleep<T>(delayMs: number, value: T, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        cancel();
        reject(abortError(signal));
      };
      if (signal?.aborted === true) {
        reject(abortError(signal));
        return;
      }
      const cancel = this.clock.setTimer(delayMs, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve(value);
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  #call<T>(serve: () => T | Promise<T>, delayMs: number, timeoutMs: number): Promise<T> {
    const { time } = this.#world;
    const { latencyMs } = this.host.network;
    return new Promise((resolve, reject) => {
      const cancel = this.clock.setTimer(timeoutMs, () =>
        reject(
          new SimulationError("no_answer", `call of ${this.host.name}: no answer within ${timeoutMs} ms`),
        ),
      );
      const respond = (settle: () => void): void => {
        time.after(latencyMs, () =>
          this.clock.deliver(() => {
            cancel();
            settle();
          }),
        );
      };
      time.after(latencyMs + delayMs, () => {
        void Promise.resolve()
          .then(serve)
          .then(
            (answer) => respond(() => resolve(answer)),
            (error: unknown) => respond(() => reject(error)),
          );
      });
    });
  }

  async #attach({ clusterId, silenceMs, signal }: AttachRequest): Promise<Attachment> {
    const world = this.#world;
    const { time, bucket } = world;
    world.clusterId ??= clusterId;
    if (world.clusterId !== clusterId) {
      throw new SimulationError(
        "misused",
        `a simulation has one clusterId: "${world.clusterId}" is in use, "${clusterId}" was given`,
      );
    }
    const session = await this.#open(silenceMs, signal);
    const { clock } = this;
    const { network } = this.host;
    const store = new FakeStore(time, bucket, { network, clock, session });
    let served: ServiceHandlers | null = null;
    const close = async (): Promise<void> => {
      await store.close();
      session.kill();
      this.sessions.delete(session);
      if (served !== null) world.members.delete(served);
    };
    try {
      const info = await store.open(signal, 0);
      return {
        session,
        store,
        bucket: info,
        presence: "on",
        serve: async (handlers) => {
          served = handlers;
          world.members.set(handlers, this);
          return null;
        },
        statusOf: (nodeId, timeoutMs) => this.#statusOf(nodeId, timeoutMs),
        close,
      };
    } catch (error) {
      await close();
      throw error;
    }
  }

  async #open(silenceMs: number, signal: AbortSignal): Promise<FakeSession> {
    await this.#connect(signal);
    const { clock } = this;
    const { network } = this.host;
    const session = new FakeSession(this.#world.connections, { presence: true, silenceMs, clock, network });
    this.sessions.add(session);
    return session;
  }

  /** Opens the first connection. Rejects with `NO_CONNECTION` if the server is unreachable. */
  #connect(signal: AbortSignal): Promise<void> {
    const { time } = this.#world;
    const { network } = this.host;
    const reachable = !network.dropRequests && !network.dropResponses && time.now >= this.#world.downUntil;
    const ms = reachable ? 2 * network.latencyMs : CONNECT_TIMEOUT_MS;
    return this.#sleep(ms, undefined, signal).then(
      () => {
        if (reachable) return;
        throw new ClusterError("NO_CONNECTION", "cannot connect: the simulated server does not answer", {
          recoverable: true,
        });
      },
      (cause: unknown) => {
        throw new ClusterError("ABORTED", "connecting was aborted", { cause });
      },
    );
  }

  #statusOf(nodeId: string, timeoutMs: number): Promise<NodeStatus | null> {
    const { network } = this.host;
    if (network.dropRequests || network.dropResponses) return this.#sleep(timeoutMs, null, undefined);
    const ask = (): NodeStatus => {
      for (const [handlers, run] of this.#world.members) {
        const other = run.host.network;
        if (!run.running || other.dropRequests || other.dropResponses) continue;
        const status = handlers.status();
        if (status.nodeId === nodeId) return status;
      }
      throw new SimulationError("no_answer", `no process answers for node "${nodeId}"`);
    };
    return this.#call(ask, 0, timeoutMs).catch(() => null);
  }
}

/** The error of `node:timers/promises`. */
function abortError(signal: AbortSignal | undefined): Error {
  const error = new Error("The operation was aborted", { cause: signal?.reason });
  return Object.assign(error, { name: "AbortError", code: "ABORT_ERR" });
}
