/** One life of a simulated process, from its start to its crash or exit: what its program runs on. */

import { ClusterError } from "../../errors.ts";
import type { NodeEnvironment } from "../../node/node.ts";
import type {
  Attachment,
  AttachRequest,
  Backend,
  NodeStatus,
  ServiceHandlers,
} from "../../runtime/backend.ts";
import type { FakeBucket } from "./fakes/fake-bucket.ts";
import { type FakeConnections, FakeSession } from "./fakes/fake-session.ts";
import { FakeStore } from "./fakes/fake-store.ts";
import type { Network } from "./fakes/network.ts";
import { SimulationError } from "./simulation-error.ts";
import { VirtualClock } from "./time/virtual-clock.ts";
import type { VirtualTime } from "./time/virtual-time.ts";

const CONNECT_TIMEOUT_MS = 2_000;
const CALL_TIMEOUT_MS = 1_000;

/** What a simulated program is given instead of the system's: pass it on to whatever it is made of. */
export interface ProcessContext {
  /** Name of the process. */
  readonly name: string;
  /** Third argument of `new Node(options, hooks, environment)`. Its `servers` are not looked at, but must be there. */
  readonly environment: NodeEnvironment;
  /** Aborts when the process is told to end (SIGTERM): stop the node, return. */
  readonly terminated: AbortSignal;
  /**
   * `setTimeout` of `node:timers/promises` on this process' clock, with the same signature: rejects with an `AbortError` when
   * the signal aborts. Real timers are of no use here, no real time passes.
   */
  readonly sleep: <T = void>(
    delayMs?: number,
    value?: T,
    limits?: { readonly signal?: AbortSignal | undefined },
  ) => Promise<T>;
  /** The wall clock: Unix milliseconds. */
  readonly now: () => number;
  /**
   * A request to something that several processes share: a database, another service. `serve` runs there after the latency,
   * whatever has become of this process meanwhile; its outcome comes back after the latency. Rejects with `no_answer` after
   * `timeoutMs` (default 1000): then it may have been carried out, or will be, or not.
   */
  readonly call: <T>(serve: () => T | Promise<T>, limits?: { readonly timeoutMs?: number }) => Promise<T>;
  /** Adds a line to the cluster's story. */
  readonly tell: (text: string) => void;
}

/** What all processes share. */
export interface SharedWorld {
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly connections: FakeConnections;
  /** Of every node that runs, by node id. */
  readonly members: Map<ServiceHandlers, ProcessLife>;
  clusterId: string | null;
  /** The server takes no connections until then. */
  downUntil: number;
}

/** What stays when a process is started again. */
export interface Place {
  readonly name: string;
  /** Between the process and NATS. */
  readonly network: Network;
  /** How much later than usual a call of the process arrives. */
  callDelayMs: number;
  readonly clockRate: number;
}

export class ProcessLife {
  readonly place: Place;
  readonly clock: VirtualClock;
  readonly sessions: Set<FakeSession> = new Set();
  readonly context: ProcessContext;
  readonly #world: SharedWorld;
  readonly #terminated = new AbortController();
  #incarnations = 0;
  alive = true;

  constructor(world: SharedWorld, place: Place, birth: number, tell: (text: string) => void) {
    this.#world = world;
    this.place = place;
    this.clock = new VirtualClock(world.time, { rate: place.clockRate });
    const { clock } = this;
    const backend: Backend = { attach: (request) => this.#attach(request) };
    const random = { id: () => `${place.name}-${birth}-${++this.#incarnations}` };
    this.context = {
      name: place.name,
      environment: { backend, clock, random },
      terminated: this.#terminated.signal,
      sleep: (delayMs, value, limits) => this.#sleep(delayMs ?? 1, value as never, limits?.signal),
      now: () => clock.now().wall,
      call: (serve, limits) => this.#call(serve, place.callDelayMs, limits?.timeoutMs ?? CALL_TIMEOUT_MS),
      tell,
    };
  }

  /** Does code of this process run at this moment? */
  get running(): boolean {
    return this.alive && this.clock.running;
  }

  terminate(): void {
    this.clock.deliver(() => this.#terminated.abort(new Error("SIGTERM")));
  }

  /** Nothing happens in it any more. `lingerMs`: the server finds out only that much later. */
  end(lingerMs = 0): void {
    if (!this.alive) return;
    this.alive = false;
    this.clock.kill();
    for (const [handlers, life] of this.#world.members) {
      if (life === this) this.#world.members.delete(handlers);
    }
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
    const { latencyMs } = this.place.network;
    return new Promise((resolve, reject) => {
      const cancel = this.clock.setTimer(timeoutMs, () =>
        reject(new SimulationError("no_answer", `${this.place.name}: no answer within ${timeoutMs} ms`)),
      );
      const comeBack = (settle: () => void): void => {
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
            (answer) => comeBack(() => resolve(answer)),
            (error: unknown) => comeBack(() => reject(error)),
          );
      });
    });
  }

  async #attach({ clusterId, signal }: AttachRequest): Promise<Attachment> {
    const world = this.#world;
    const { time, bucket, connections } = world;
    world.clusterId ??= clusterId;
    if (world.clusterId !== clusterId) {
      throw new SimulationError(
        "misused",
        `one simulation, one cluster: "${world.clusterId}", not "${clusterId}"`,
      );
    }
    await this.#connect(signal);
    const { clock } = this;
    const { network } = this.place;
    const session = new FakeSession(connections, { presence: true, clock, network });
    this.sessions.add(session);
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

  /** The first connection, or `NO_CONNECTION` when the server can't be reached. */
  #connect(signal: AbortSignal): Promise<void> {
    const { time } = this.#world;
    const { network } = this.place;
    const reachable = !network.dropRequests && !network.dropResponses && time.now >= this.#world.downUntil;
    const ms = reachable ? 2 * network.latencyMs : CONNECT_TIMEOUT_MS;
    return this.#sleep(ms, undefined, signal).then(
      () => {
        if (reachable) return;
        throw new ClusterError("NO_CONNECTION", "the simulated server does not answer", {
          recoverable: true,
        });
      },
      (cause: unknown) => {
        throw new ClusterError("ABORTED", "connecting was aborted", { cause });
      },
    );
  }

  #statusOf(nodeId: string, timeoutMs: number): Promise<NodeStatus | null> {
    const { network } = this.place;
    if (network.dropRequests || network.dropResponses) return this.#sleep(timeoutMs, null, undefined);
    const ask = (): NodeStatus => {
      for (const [handlers, life] of this.#world.members) {
        const other = life.place.network;
        if (!life.running || other.dropRequests || other.dropResponses) continue;
        const status = handlers.status();
        if (status.nodeId === nodeId) return status;
      }
      throw new SimulationError("no_answer", `nobody answers for node "${nodeId}"`);
    };
    return this.#call(ask, 0, timeoutMs).catch(() => null);
  }
}

/** As `node:timers/promises` makes it. */
function abortError(signal: AbortSignal | undefined): Error {
  const error = new Error("The operation was aborted", { cause: signal?.reason });
  return Object.assign(error, { name: "AbortError", code: "ABORT_ERR" });
}
