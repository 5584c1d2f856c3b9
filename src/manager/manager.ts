/**
 * One node as operators handle it: a configuration file, a daemon, and commands that other processes send to that daemon.
 * The methods are go-cluster's. None except `runDaemon` joins the election; `promote`, `demote`, `join` and `leave` send
 * requests to the daemons.
 */

import { checkConfig, type LoadedConfig } from "../config/file/load.ts";
import type { FileConfig, VipConfig } from "../config/file/types.ts";
import { defaultFileConfig, writeConfig } from "../config/file/write.ts";
import { type ResolvedOptions, resolveOptions } from "../config/resolve.ts";
import { asError, ClusterError } from "../errors.ts";
import type { Mount } from "../http/options.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import { checkHooks, type Hooks, nodeHooks } from "../node/hooks.ts";
import type { Node } from "../node/node.ts";
import { checkOptions, limitOf } from "../runtime/waiting.ts";
import { type ClientOptions, ClusterClient } from "./cluster-client.ts";
import {
  type ClusterStatus,
  daemonStatus,
  unreachableStatus,
  viewedStatus,
  viewOf,
} from "./cluster-status.ts";
import { Daemon } from "./daemon.ts";
import {
  type Demotion,
  demoteNode,
  type HandoverResult,
  handOver,
  joinCluster,
  leaveCluster,
} from "./operations.ts";
import type { ProcessDoor } from "./process-door.ts";
import type { TermResource } from "./term-resource.ts";

const DEFAULT_TIMEOUT_MS = 2_000;
/** go-cluster's value. */
const PROMOTE_TIMEOUT_MS = 15_000;

/** The hooks of a node, and two for the daemon. */
export interface ManagerHooks extends Hooks {
  /**
   * Fires before the node connects. If it throws, the daemon does not start. Does not fire if the daemon cannot run at all: its configuration
   * or a token is invalid, its HTTP server cannot listen, or this host cannot hold the virtual IP. Does not fire for methods other than
   * `runDaemon`.
   */
  onDaemonStart?(): void | Promise<void>;
  /**
   * Fires after the daemon has stopped, also if `onDaemonStart` has thrown or the node could not connect. Does not fire if `onDaemonStart`
   * was not called, or if the process is killed.
   */
  onDaemonStop?(): void | Promise<void>;
}

export interface ManagerOptions {
  /**
   * Destination of the log; `false` disables it.
   * @default JSON lines on stderr
   */
  readonly logger?: Logger | false | undefined;
  /**
   * Creates the virtual IP from the configuration's `vip` section. Without it, `runDaemon` rejects a configuration with
   * `vip.address`.
   */
  readonly vip?: ((config: VipConfig, logger: Logger) => TermResource) | undefined;
  /**
   * What the HTTP server of the configuration answers besides its own routes, by path: `{ "/ui/": page }`.
   *
   * @default nothing
   */
  readonly mounts?: Readonly<Record<string, Mount>> | undefined;
  /**
   * Time limit for each answer, in milliseconds.
   * @default 2000
   */
  readonly timeoutMs?: number | undefined;
}

interface RunLimits {
  readonly signal: AbortSignal;
  /** Wait for NATS instead of failing. */
  readonly waits: boolean;
}

/**
 * @example
 * ```ts
 * const manager = new Manager(loadConfig({ path: "a.json", env: process.env }), {
 *   onBecomeLeader: (term) => console.log(`leading, epoch ${term.epoch}`),
 * });
 * await manager.runDaemon({ signal });
 * ```
 */
export class Manager {
  readonly #loaded: LoadedConfig;
  readonly #resolved: ResolvedOptions;
  readonly #hooks: ManagerHooks;
  readonly #options: ManagerOptions;
  #daemon: Daemon | null = null;
  #running = false;

  /** @throws ClusterError `INVALID_CONFIG`, which lists every problem. */
  constructor(config: FileConfig | LoadedConfig, hooks: ManagerHooks = {}, options: ManagerOptions = {}) {
    this.#loaded = "nodeOptions" in config ? config : checkConfig(config);
    this.#resolved = resolveOptions(this.#loaded.nodeOptions);
    checkHooks(hooks, ["onDaemonStart", "onDaemonStop"]);
    this.#hooks = hooks;
    this.#options = options;
  }

  /** True while `runDaemon` of this manager runs. */
  get running(): boolean {
    return this.#running;
  }

  /** The node of the running daemon, for its events; `null` while no daemon runs. */
  get node(): Node | null {
    return this.#daemon?.node ?? null;
  }

  /**
   * Writes the configuration to a file.
   * @returns the path of the backup of a file with different content, or `null` if there was none.
   */
  init(path: string): string | null {
    const { clusterId, nodeId, nats, vip, ...rest } = this.#loaded.config;
    return writeConfig({ ...defaultFileConfig(clusterId, nodeId, nats.servers, vip), nats, ...rest }, path);
  }

  /**
   * The leader of the cluster and the state of this node's daemon. In the daemon's own process it does not use NATS;
   * elsewhere it reads the record and asks the daemon, each independently of the other. Does not reject if NATS or JetStream
   * is unreachable: `error` then has the reason, and `leaderKnown` and `daemon` say what is unknown.
   */
  async status(): Promise<ClusterStatus> {
    const own = this.#daemon?.status();
    if (own !== undefined) return daemonStatus(own);
    try {
      return await this.#withClient(async (client) => (await viewOf(client, this.#loaded.nodeId)).status);
    } catch (error) {
      return unreachableStatus(this.#resolved.clusterId, this.#loaded.nodeId, asError(error));
    }
  }

  /**
   * Checks that the cluster is reachable, and makes a daemon that had left compete again. Does not start a daemon.
   * @throws ClusterError `ALREADY_STARTED` if the daemon of this manager runs; `NO_CONNECTION`, also if the node's daemon is connected
   * and does not answer; `INVALID_CONFIG` if two processes have this node id; `BUCKET_MISSING` if the cluster id has neither a bucket nor
   * a daemon of this node.
   */
  async join(): Promise<ClusterStatus> {
    if (this.#running) throw this.#alreadyRunning();
    return this.#withClient(async (client) => {
      const { nodeId } = this.#resolved;
      await joinCluster(client, nodeId);
      return viewedStatus(client, nodeId);
    });
  }

  /**
   * Makes the daemon release its leadership, if it has it, and stop competing until `join()` or its restart.
   * @returns false if no daemon of this node runs; nothing competes under this node id then.
   * @throws ClusterError `NO_CONNECTION` if its daemon is connected or has the lease, and does not answer; `INVALID_CONFIG` if two
   * processes have this node id; `BUCKET_MISSING` as for `join()`.
   */
  async leave(): Promise<boolean> {
    const node = this.#daemon?.node;
    if (node !== undefined) {
      await node.withdraw();
      return true;
    }
    return this.#withClient((client) => leaveCluster(client, this.#resolved.nodeId, this.#drainTimeoutMs));
  }

  /**
   * Makes this node's daemon the leader, by a handover from the present leader. Resolves when it leads.
   * @param options `timeoutMs`: time limit until it leads, default 15000.
   * @throws ClusterError `NO_CONNECTION` if the daemon or the leader does not answer; `HANDOVER_REFUSED`; `TIMEOUT`.
   */
  async promote(
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<HandoverResult> {
    limitOf(options);
    const { timeoutMs = PROMOTE_TIMEOUT_MS, signal } = options;
    return this.#withClient((client) => handOver(client, this.#resolved.nodeId, timeoutMs, signal), {
      limitMs: timeoutMs,
      signal,
    });
  }

  /**
   * Makes this node's daemon step down, if it leads. Resolves when its work has ended and its lease is released.
   * @throws ClusterError `NO_CONNECTION`; `INVALID_CONFIG` if two processes have this node id; `BUCKET_MISSING` as for `join()`.
   */
  demote(): Promise<Demotion> {
    return this.#withClient((client) => demoteNode(client, this.#resolved.nodeId, this.#drainTimeoutMs));
  }

  /**
   * Runs the daemon until `signal` aborts. Resolves after the daemon has released its leadership and stopped.
   * @param limits `waitForNats`: wait until NATS and its JetStream can be reached, instead of rejecting; default false.
   * @throws ClusterError `INVALID_CONFIG`; `ALREADY_STARTED`; `LISTEN_FAILED`, or the reason why the daemon cannot start.
   */
  async runDaemon(
    limits: { readonly signal?: AbortSignal; readonly waitForNats?: boolean } = {},
  ): Promise<void> {
    checkOptions(limits);
    if (this.#running) throw this.#alreadyRunning();
    this.#running = true;
    let hasBegun = false;
    const begin = async (): Promise<void> => {
      hasBegun = true;
      await this.#hooks.onDaemonStart?.();
    };
    try {
      const signal = limits.signal ?? new AbortController().signal;
      await this.#run(begin, { signal, waits: limits.waitForNats === true });
    } finally {
      this.#running = false;
      if (hasBegun) await this.#hooks.onDaemonStop?.();
    }
  }

  async #run(begin: () => Promise<void>, limits: RunLimits): Promise<void> {
    const door = await this.#openDoor();
    try {
      await this.#runNode(begin, limits, door);
    } finally {
      await door?.close();
    }
  }

  /** Before the node starts, so that it can be asked while NATS is out of reach. */
  async #openDoor(): Promise<ProcessDoor | null> {
    const { http } = this.#loaded;
    if (http === null) return null;
    const { logger, mounts } = this.#options;
    const { ProcessDoor } = await import("./process-door.ts");
    return ProcessDoor.open({ http, manager: this, mounts, logger });
  }

  /** Calls `begin` when everything that can be checked without NATS has been. */
  async #runNode(
    begin: () => Promise<void>,
    { signal, waits }: RunLimits,
    door: ProcessDoor | null,
  ): Promise<void> {
    const daemon = await Daemon.prepare({
      loaded: this.#loaded,
      resolved: this.#resolved,
      hooks: nodeHooks(this.#hooks),
      logger: createLogger({ logger: this.#options.logger }),
      vip: this.#options.vip,
      waits,
    });
    let endOfMetrics: (() => void) | undefined;
    try {
      await begin();
      this.#daemon = daemon;
      endOfMetrics = door?.observe(daemon.node);
      await daemon.run(signal);
    } finally {
      this.#daemon = null;
      endOfMetrics?.();
      await daemon.close();
    }
  }

  /** A request to step down is answered after the work has ended. */
  get #drainTimeoutMs(): number {
    return this.#resolved.drainTimeoutMs + (this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  }

  async #withClient<T>(
    run: (client: ClusterClient) => Promise<T>,
    limits: Pick<ClientOptions, "limitMs" | "signal"> = {},
  ): Promise<T> {
    const { timeoutMs } = this.#options;
    const client = await ClusterClient.connect(this.#loaded.nodeOptions, { timeoutMs, ...limits });
    try {
      return await run(client);
    } finally {
      await client.close();
    }
  }

  #alreadyRunning(): ClusterError {
    return new ClusterError(
      "ALREADY_STARTED",
      `the daemon of node "${this.#resolved.nodeId}" already runs in this process`,
    );
  }
}
