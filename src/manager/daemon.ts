/** A node with what a daemon adds: the virtual IP, the recorder of past terms, and a status for other processes. */

import { DEFAULT_HISTORY_TERMS } from "../config/file/history.ts";
import type { LoadedConfig } from "../config/file/load.ts";
import type { VipConfig } from "../config/file/types.ts";
import type { ResolvedOptions } from "../config/resolve.ts";
import { ClusterError } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import type { Logger } from "../log/logger.ts";
import type { NodeEvent } from "../node/events.ts";
import type { Hooks } from "../node/hooks.ts";
import { natsBackend } from "../node/nats-backend.ts";
import { Node } from "../node/node.ts";
import type { NodeStatus } from "../runtime/backend.ts";
import { systemClock, systemRandom } from "../runtime/system-clock.ts";
import { HistoryRecorder } from "./history-recorder.ts";
import { managedBackend } from "./managed-backend.ts";
import { startPatiently } from "./patient-start.ts";
import type { TermResource } from "./term-resource.ts";

const HISTORY_CLOSE_TIMEOUT_MS = 500;
/** The longest interval that Node accepts. */
const MAX_INTERVAL_MS = 2 ** 31 - 1;

export type VipFactory = (config: VipConfig, logger: Logger) => TermResource;

export interface DaemonOptions {
  readonly loaded: LoadedConfig;
  readonly resolved: ResolvedOptions;
  readonly hooks: Hooks;
  readonly logger: EventLogger;
  /** Required if the configuration has a `vip` section. */
  readonly vip: VipFactory | undefined;
  /** Wait for NATS instead of failing. */
  readonly waits: boolean;
}

export class Daemon {
  readonly node: Node;
  readonly #vip: TermResource | null;
  readonly #recorder: HistoryRecorder | null;
  readonly #closing = new AbortController();
  #status: (() => NodeStatus) | null = null;
  readonly #waits: boolean;
  readonly #logger: EventLogger;
  #recording: Promise<void> | undefined;
  #keepAlive: NodeJS.Timeout | undefined;

  private constructor(options: DaemonOptions, vip: TermResource | null) {
    const { loaded, resolved, hooks, logger } = options;
    this.#vip = vip;
    this.#waits = options.waits;
    this.#logger = logger;
    this.#recorder = recorderFor(options);
    const backend = managedBackend(natsBackend(resolved), {
      vipHeld: () => vip?.held,
      compete: async (competes) => {
        await (competes ? this.node.rejoin() : this.node.withdraw());
      },
      ready: (status) => {
        this.#status = status;
      },
    });
    const environment = { backend, clock: systemClock(), random: systemRandom };
    const nodeOptions = { ...loaded.nodeOptions, logger };
    this.node = new Node(nodeOptions, vip === null ? hooks : vip.hooks(hooks), environment);
  }

  /** Rejects if this host cannot hold the configured virtual IP. */
  static async prepare(options: DaemonOptions): Promise<Daemon> {
    const vip = vipFor(options);
    await vip?.check();
    return new Daemon(options, vip);
  }

  /** `undefined` until the node serves status requests. */
  status(): NodeStatus | undefined {
    return this.#status?.();
  }

  /** Resolves after `signal` has aborted and the node has stopped. Rejects if the node cannot start. */
  async run(signal: AbortSignal): Promise<void> {
    const { node } = this;
    // While NATS is unreachable, nothing else keeps the process alive.
    this.#keepAlive = setInterval(() => {}, MAX_INTERVAL_MS);
    try {
      const { stopped } = await this.#start(signal);
      await Promise.race([stopped, aborted(signal)]);
    } catch (error) {
      // The signal aborted during the start: there is no term to release.
      if (!(signal.aborted && error instanceof ClusterError && error.code === "ABORTED")) throw error;
    } finally {
      await node[Symbol.asyncDispose]();
    }
  }

  async #start(signal: AbortSignal): Promise<Running> {
    if (!this.#waits) return this.#startOnce(signal);
    return startPatiently(() => this.#startOnce(signal), { signal, log: this.#logger });
  }

  /** A failed start ends the readers of the events, so that each attempt has its own. */
  async #startOnce(signal: AbortSignal): Promise<Running> {
    const closing = { signal: this.#closing.signal };
    const recording = this.#recorder?.follow(this.node.events(closing));
    const stopped = untilStopped(this.node.events(closing));
    await this.node.start({ signal });
    this.#recording = recording;
    return { stopped };
  }

  /** Call it after `run` has settled. */
  async close(): Promise<void> {
    await this.#vip?.close();
    this.#closing.abort();
    await this.#recording;
    await this.#recorder?.close(HISTORY_CLOSE_TIMEOUT_MS);
    clearInterval(this.#keepAlive);
  }
}

interface Running {
  readonly stopped: Promise<void>;
}

function vipFor({ loaded, vip, logger }: DaemonOptions): TermResource | null {
  if (loaded.vip === null) return null;
  if (vip !== undefined) return vip(loaded.vip, logger);
  throw new ClusterError(
    "INVALID_CONFIG",
    "vip.address is set, but no virtual-IP provider was passed (ManagerOptions.vip)",
  );
}

function recorderFor({ loaded, resolved, logger }: DaemonOptions): HistoryRecorder | null {
  const { enabled = true, maxTerms = DEFAULT_HISTORY_TERMS } = loaded.config.history ?? {};
  if (!enabled || resolved.observer) return null;
  return new HistoryRecorder({
    node: resolved,
    maxTerms,
    onFailed: (err) =>
      logger.warn(
        { event: "history-failed", err },
        "term history is not being recorded; the election is unaffected",
      ),
  });
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
