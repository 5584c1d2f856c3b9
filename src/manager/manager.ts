/**
 * One node as operators handle it: a configuration file, a daemon, and commands that other processes give to that daemon.
 * The methods are go-cluster's. Those that look never join the election; those that change something ask the daemon.
 */

import { checkConfig, type LoadedConfig } from "../config/file/load.ts";
import type { FileConfig, VipConfig } from "../config/file/types.ts";
import { defaultFileConfig, writeConfig } from "../config/file/write.ts";
import { type ResolvedOptions, resolveOptions } from "../config/resolve.ts";
import { asError, ClusterError } from "../errors.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import type { NodeEvent } from "../node/events.ts";
import type { Hooks } from "../node/hooks.ts";
import { natsBackend } from "../node/nats-backend.ts";
import { Node } from "../node/node.ts";
import type { NodeStatus } from "../runtime/backend.ts";
import { SystemClock, systemRandom } from "../runtime/system-clock.ts";
import { ClusterClient } from "./cluster-client.ts";
import { type ClusterStatus, daemonStatus, unreachableStatus, viewedStatus } from "./cluster-status.ts";
import { HistoryRecorder } from "./history-recorder.ts";
import { managedBackend } from "./managed-backend.ts";
import { type Demotion, demoteNode, type Handover, handOver, leaveCluster } from "./operations.ts";
import type { TermResource } from "./term-resource.ts";

export type { LoadedConfig, LoadOptions } from "../config/file/load.ts";
export { loadConfig } from "../config/file/load.ts";
export type { FileConfig, VipConfig } from "../config/file/types.ts";
export { defaultFileConfig, writeConfig } from "../config/file/write.ts";
export type { ClusterStatus, LeaseStatus } from "./cluster-status.ts";
export type { Demotion, Handover } from "./operations.ts";
export type { TermResource } from "./term-resource.ts";

const HISTORY_PATIENCE_MS = 500;
const DEFAULT_MAX_TERMS = 1_000;
/** go-cluster's. */
const PROMOTE_TIMEOUT_MS = 15_000;

/** What the application of a daemon is told. The hooks of a node, and the daemon's own begin and end. */
export interface ManagerHooks extends Hooks {
  /** Before the node connects. When it throws, the daemon does not start. Does not fire: for any other method. */
  onDaemonStart?(): void | Promise<void>;
  /** After everything has ended, also when the start has failed. Does not fire: when the process is killed. */
  onDaemonStop?(): void | Promise<void>;
}

export interface ManagerOptions {
  /** Takes the log; default: JSON on stderr. */
  readonly logger?: Logger | false | undefined;
  /** Makes the virtual IP of the configuration's `vip` section. Without it a configured address is refused. */
  readonly vip?: ((config: VipConfig, logger: Logger) => TermResource) | undefined;
  /** Longest wait for one answer. Default 2000. */
  readonly timeoutMs?: number | undefined;
}

interface Daemon {
  readonly node: Node;
  status: (() => NodeStatus) | null;
}

export class Manager {
  readonly #loaded: LoadedConfig;
  readonly #resolved: ResolvedOptions;
  readonly #hooks: ManagerHooks;
  readonly #options: ManagerOptions;
  #daemon: Daemon | null = null;
  #running = false;

  /** @throws ClusterError `INVALID_CONFIG`, naming everything that is wrong. */
  constructor(config: FileConfig | LoadedConfig, hooks: ManagerHooks = {}, options: ManagerOptions = {}) {
    this.#loaded = "nodeOptions" in config ? config : checkConfig(config);
    this.#resolved = resolveOptions(this.#loaded.nodeOptions);
    this.#hooks = hooks;
    this.#options = options;
  }

  /** Is a daemon of this manager running, in this process? */
  get running(): boolean {
    return this.#running;
  }

  /** The node of the running daemon, to watch its events; `null` while none runs. */
  get node(): Node | null {
    return this.#daemon?.node ?? null;
  }

  /** Writes the configuration to a file; returns where a different one that was there is kept, or `null`. */
  init(path: string): string | null {
    const { clusterId, nodeId, nats, vip, ...rest } = this.#loaded.config;
    return writeConfig({ ...defaultFileConfig(clusterId, nodeId, nats.servers, vip), nats, ...rest }, path);
  }

  /**
   * Who leads, and how this node's daemon is. Looks at the record and asks the daemon; inside the daemon's own process it
   * needs no NATS. Never rejects because NATS is away: `connected` is false then, and `error` says why.
   */
  async status(): Promise<ClusterStatus> {
    const own = this.#daemon?.status?.();
    if (own !== undefined) return daemonStatus(own);
    try {
      return await this.#withClient(async (client) => viewedStatus(client, this.#loaded.nodeId));
    } catch (error) {
      return unreachableStatus(this.#resolved.clusterId, this.#loaded.nodeId, asError(error));
    }
  }

  /**
   * Checks that the cluster can be reached, and says how it stands. A daemon that had left competes again. Rejects with
   * `ALREADY_STARTED` when this manager's own daemon runs.
   */
  async join(): Promise<ClusterStatus> {
    if (this.#running) throw this.#runs();
    return this.#withClient(async (client) => {
      const { nodeId } = this.#resolved;
      const answer = await client.statusOf(nodeId);
      if (answer?.status.competes === false) await client.setCompeting(nodeId, true, client.timeoutMs);
      return viewedStatus(client, nodeId);
    });
  }

  /**
   * The daemon gives up leadership if it has it, and does not compete any more until `join()` or its restart. Resolves to
   * false when there is none: then nothing competes in this node's name. Rejects with `NO_CONNECTION` when the lease
   * names this node and nobody answers.
   */
  async leave(): Promise<boolean> {
    const node = this.#daemon?.node;
    if (node !== undefined) {
      await node.setCompeting(false);
      return true;
    }
    return this.#withClient((client) => leaveCluster(client, this.#resolved.nodeId, this.#patienceMs));
  }

  /**
   * This node's daemon leads, by a handover of whoever leads now. Resolves when it does. Rejects with `NO_CONNECTION` when
   * the daemon or the leader does not answer, `HANDOVER_REFUSED`, or `TIMEOUT` (15000 ms unless told otherwise).
   */
  promote(limits: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<Handover> {
    const { timeoutMs = PROMOTE_TIMEOUT_MS, signal } = limits;
    return this.#withClient((client) => handOver(client, this.#resolved.nodeId, timeoutMs, signal), signal);
  }

  /** This node's daemon steps down, if it leads. */
  demote(): Promise<Demotion> {
    return this.#withClient((client) => demoteNode(client, this.#resolved.nodeId, this.#patienceMs));
  }

  /**
   * Runs the daemon until `signal` aborts; then it hands over and this resolves. Rejects when it can't start, with
   * `ALREADY_STARTED` when it runs already.
   */
  async runDaemon(limits: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#running) throw this.#runs();
    this.#running = true;
    try {
      await this.#hooks.onDaemonStart?.();
      await this.#run(limits.signal ?? new AbortController().signal);
    } finally {
      this.#running = false;
      await this.#hooks.onDaemonStop?.();
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const logger = createLogger({ logger: this.#options.logger });
    const vip = this.#vip(logger);
    await vip?.check();
    const daemon = this.#makeDaemon(vip, logger);
    const { node } = daemon;
    const recorder = this.#recorder(logger);
    const ending = new AbortController();
    const recording = recorder?.follow(node.events({ signal: ending.signal }));
    const stopped = untilStopped(node.events({ signal: ending.signal }));
    this.#daemon = daemon;
    // Nothing else keeps the process alive while NATS is away.
    const alive = setInterval(() => {}, 1 << 30);
    try {
      await node.start({ signal });
      await Promise.race([stopped, aborted(signal)]);
    } catch (error) {
      // Asked to end while it was still starting: there is nothing to hand over.
      if (!(signal.aborted && error instanceof ClusterError && error.code === "ABORTED")) throw error;
    } finally {
      await node[Symbol.asyncDispose]();
      this.#daemon = null;
      await vip?.close();
      ending.abort();
      await recording;
      await recorder?.close(HISTORY_PATIENCE_MS);
      clearInterval(alive);
    }
  }

  #makeDaemon(vip: TermResource | null, logger: Logger): Daemon {
    const backend = managedBackend(natsBackend(this.#resolved), {
      vipHeld: () => vip?.held,
      compete: (competes) => node.setCompeting(competes),
      ready: (status) => {
        daemon.status = status;
      },
    });
    const environment = { backend, clock: new SystemClock(), random: systemRandom };
    const options = { ...this.#loaded.nodeOptions, logger };
    const node: Node = new Node(options, vip === null ? this.#hooks : vip.hooks(this.#hooks), environment);
    const daemon: Daemon = { node, status: null };
    return daemon;
  }

  #vip(logger: Logger): TermResource | null {
    const { vip } = this.#loaded;
    if (vip === null) return null;
    if (this.#options.vip === undefined) {
      throw new ClusterError(
        "INVALID_CONFIG",
        "vip.address is given, and this program manages no virtual IP",
      );
    }
    return this.#options.vip(vip, logger);
  }

  #recorder(logger: Logger): HistoryRecorder | null {
    const { enabled = true, maxTerms = DEFAULT_MAX_TERMS } = this.#loaded.config.history ?? {};
    if (!enabled || this.#resolved.observer) return null;
    return new HistoryRecorder({
      node: this.#resolved,
      maxTerms,
      onFailed: (err) =>
        logger.warn({ event: "history", err }, "past terms are not recorded; the election is not concerned"),
    });
  }

  /** A step-down answers when the work has ended. */
  get #patienceMs(): number {
    return this.#resolved.drainTimeoutMs + (this.#options.timeoutMs ?? 2_000);
  }

  async #withClient<T>(run: (client: ClusterClient) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { timeoutMs } = this.#options;
    const client = await ClusterClient.connect(this.#loaded.nodeOptions, { timeoutMs, signal });
    try {
      return await run(client);
    } finally {
      await client.close();
    }
  }

  #runs(): ClusterError {
    return new ClusterError("ALREADY_STARTED", `the daemon of node "${this.#resolved.nodeId}" is running`);
  }
}

async function untilStopped(events: AsyncIterable<NodeEvent>): Promise<void> {
  for await (const event of events) if (event.type === "stopped") return;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
