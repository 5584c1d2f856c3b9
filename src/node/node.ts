import { type NodeOptions, type ResolvedOptions, resolveOptions } from "../config/resolve.ts";
import type { Leader, RoleName } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import { type BoundLogger, createLogger } from "../log/logger.ts";
import type { Attachment, Backend, ServiceHandle } from "../runtime/backend.ts";
import type { Clock, Random } from "../runtime/ports.ts";
import { SystemClock, systemRandom } from "../runtime/system-clock.ts";
import { type WaitOptions, within } from "../runtime/waiting.ts";
import { type EventBody, EventStream, type NodeEvent } from "./events.ts";
import type { Hooks } from "./hooks.ts";
import { Run } from "./incarnation.ts";
import { natsBackend } from "./nats-backend.ts";
import type { Term } from "./term.ts";

/** What a node runs on. The default is a real NATS and the system's clocks; the simulator brings its own. */
export interface NodeEnvironment {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * One participant of a cluster: competes for its leadership, or observes it.
 *
 * ```ts
 * await using node = new Node({ clusterId: "billing", nodeId: "a", servers: "nats://localhost:4222" });
 * await node.start();
 * await node.runWhileLeader(async (term) => { while (!term.signal.aborted) await work(term.epoch); });
 * ```
 *
 * The constructor only checks its options; `start()` connects. A node can be started again after `stop()`; every start is a
 * new incarnation.
 */
export class Node implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #hooks: Hooks;
  readonly #environment: NodeEnvironment;
  /** Of waits with a limit, where it is not the system's, whose timers let the process end: a wait keeps it going. */
  readonly #waitClock: Clock | undefined;
  readonly #logger: BoundLogger;
  readonly #streams = new Set<EventStream>();
  #run: Run | null = null;
  #starting: { readonly done: Promise<void>; readonly abort: AbortController } | null = null;
  #stopping: Promise<void> | null = null;
  #rememberedEpoch = 0;

  /**
   * `environment`: what to run on instead of a real NATS and the system's clocks; `nats-leader/testing` makes them.
   *
   * @throws ClusterError `INVALID_CONFIG`, naming every option that is wrong.
   */
  constructor(options: NodeOptions, hooks: Hooks = {}, environment?: NodeEnvironment) {
    this.#options = resolveOptions(options);
    this.#hooks = hooks;
    this.#logger = createLogger({ level: this.#options.logLevel, logger: this.#options.logger });
    this.#environment = environment ?? {
      backend: natsBackend(this.#options),
      clock: new SystemClock(),
      random: systemRandom,
    };
    const { clock } = this.#environment;
    this.#waitClock = clock instanceof SystemClock ? undefined : clock;
  }

  get clusterId(): string {
    return this.#options.clusterId;
  }

  get nodeId(): string {
    return this.#options.nodeId;
  }

  /**
   * Where the node stands: `follower`, `campaigning`, `leader`, `suspended`, `draining` or `stopped`. For display; to decide
   * whether to act, ask `isLeader()`.
   */
  get role(): RoleName {
    return this.#run?.driver.state.role.name ?? "stopped";
  }

  /**
   * May this node act as the leader at this moment? Compares clocks at every call (well under a microsecond), so it is false
   * from the deadline on even if nothing could tell the process so: offline, after SIGSTOP, with a blocked event loop.
   */
  isLeader(): boolean {
    return this.#run?.isLeader() ?? false;
  }

  /** Who leads as far as this node knows; `null`: nobody, or nobody who renewed in time. */
  get leader(): Leader | null {
    return this.#run?.driver.state.announced ?? null;
  }

  /** Epoch of the present leader's term, 0 when there is none. A leader's own is `term.epoch`. */
  get epoch(): number {
    return this.leader?.epoch ?? 0;
  }

  /** Is the connection to NATS up? */
  get connected(): boolean {
    return this.#run?.driver.state.connected ?? false;
  }

  /** The running term; `null` when this node does not lead or is giving it up. */
  get term(): Term | null {
    return this.#run?.term ?? null;
  }

  /** The micro service other programs ask (`nats micro ls`); `null` when not started or switched off. */
  get service(): ServiceHandle | null {
    return this.#run?.service ?? null;
  }

  /**
   * Connects, opens the bucket and begins to compete. Resolves when this node takes part, whoever leads.
   *
   * Rejects and leaves nothing behind: `ALREADY_STARTED`, `NO_CONNECTION`, `AUTHORIZATION`, `JETSTREAM_UNAVAILABLE`,
   * `BUCKET_INCOMPATIBLE`, `SERVER_TOO_OLD`, `ABORTED`.
   */
  async start(limits: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#run !== null || this.#starting !== null) {
      throw new ClusterError("ALREADY_STARTED", `node "${this.nodeId}" is running already`);
    }
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(limits.signal?.reason);
    if (limits.signal?.aborted === true) onAbort();
    limits.signal?.addEventListener("abort", onAbort, { once: true });
    const done = this.#start(abort.signal);
    this.#starting = { done, abort };
    try {
      await done;
    } finally {
      limits.signal?.removeEventListener("abort", onAbort);
      this.#starting = null;
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { backend, clock, random } = this.#environment;
    const { clusterId, nodeId } = this.#options;
    const incarnation = random.id();
    const logger = this.#logger.child({ cluster: clusterId, node: nodeId, incarnation });
    const attachment: Attachment = await backend.attach({
      clusterId,
      incarnation,
      signal,
      rememberedEpoch: this.#rememberedEpoch,
      warn: (code, message, error) => {
        logger.warn({ event: "warning", code, err: error }, message);
        this.#emit({ type: "warning", code, message, error: error ?? null });
      },
    });
    if (signal.aborted) {
      await attachment.close();
      throw new ClusterError("ABORTED", `start of node "${nodeId}": aborted`, { cause: signal.reason });
    }
    const run = new Run({
      options: this.#options,
      hooks: this.#hooks,
      incarnation,
      attachment,
      clock,
      logger,
      rememberedEpoch: this.#rememberedEpoch,
      emit: (event) => this.#emit(event),
    });
    this.#run = run;
    void run.stopped.then(() => {
      this.#rememberedEpoch = run.driver.state.highestEpoch;
      if (this.#run === run) this.#run = null;
      for (const stream of this.#streams) stream.close();
    });
    await run.start();
  }

  /**
   * Leaves: stops the work, releases the lease, closes the connection (unless it was passed in). While leading, the
   * order is: `term.signal` aborts, `onLoseLeadership` and leader work end (at most `drainTimeoutMs`), the lease is
   * deleted, the next node leads. Calls while it is stopping join it. An abort of `signal`, or `timeoutMs`, ends the
   * waiting for hooks and work, not the stop.
   *
   * Rejects with `NOT_STARTED` when the node does not run. Inside a hook or leader work it resolves at once and the
   * stop goes on when that has returned.
   */
  stop(limits: WaitOptions = {}): Promise<void> {
    const run = this.#run;
    if (this.#starting !== null && run === null) {
      this.#starting.abort.abort(new ClusterError("STOPPED", "stopped while starting"));
      return this.#starting.done.catch(() => {});
    }
    if (run === null) {
      return Promise.reject(new ClusterError("NOT_STARTED", `node "${this.nodeId}" is not running`));
    }
    this.#stopping ??= this.#stop(run);
    if (run.insideHook) return Promise.resolve();
    if (limits.signal === undefined && limits.timeoutMs === undefined) return this.#stopping;
    const stopping = this.#stopping;
    return within(stopping, `stop of node "${this.nodeId}"`, limits, this.#waitClock).catch(() => {
      run.hurry();
      return stopping;
    });
  }

  async #stop(run: Run): Promise<void> {
    run.stop();
    await run.stopped;
    this.#stopping = null;
  }

  /** Like `stop()`, but a node that does not run is left alone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#run !== null || this.#starting !== null) await this.stop();
  }

  /**
   * Gives up leadership, in the same order as `stop()`, and does not campaign for `cooldownMs`. Resolves when the lease is
   * deleted. `to`: the node that goes first; it must answer and compete, or nothing happens (`HANDOVER_REFUSED`).
   *
   * Rejects with `NOT_LEADER` when this node does not lead, `NOT_STARTED`; with `ABORTED` or `TIMEOUT` when the limits end
   * the wait, which does not take the step-down back.
   */
  async stepDown(options: { readonly to?: string | undefined } & WaitOptions = {}): Promise<void> {
    const leaving = this.#require().stepDown(options.to);
    await within(leaving, `step-down of node "${this.nodeId}"`, options, this.#waitClock);
  }

  /** Does this node want to lead? Until told otherwise it does, unless it is an observer. */
  get competes(): boolean {
    return this.#run?.driver.state.config.competes ?? !this.#options.observer;
  }

  /**
   * `false`: gives up leadership in the same order as `stop()` and only follows from now on; resolves when a lease that was
   * held is gone. `true`: competes again at once, any cooldown forgotten. Not remembered over a `stop()`.
   *
   * Rejects with `NOT_STARTED`, with `INVALID_CONFIG` for an observer, with `ABORTED` or `TIMEOUT` when the limits end the
   * wait, which does not take the change back.
   */
  async setCompeting(competes: boolean, limits: WaitOptions = {}): Promise<void> {
    const done = this.#require().setCompeting(competes);
    await within(done, `node "${this.nodeId}" giving up its lease`, limits, this.#waitClock);
  }

  /** Resolves with the term as soon as this node leads: at once when it does. Rejects when the wait or the node ends. */
  async campaign(limits: WaitOptions = {}): Promise<Term> {
    const run = this.#require();
    if (this.#options.observer) {
      throw new ClusterError("INVALID_CONFIG", `node "${this.nodeId}" is an observer: it never leads`);
    }
    let cancel = (): void => {};
    const leading = new Promise<Term>((resolve) => {
      cancel = run.onLeading(resolve);
    });
    const stopped = run.stopped.then(() => {
      throw new ClusterError("STOPPED", `node "${this.nodeId}" was stopped before it led`);
    });
    stopped.catch(() => {});
    const settled = Promise.race([leading, stopped]);
    const what = `leadership of node "${this.nodeId}"`;
    return within(settled, what, limits, this.#waitClock).finally(cancel);
  }

  /**
   * Runs `work` in every term of this node, after `onBecomeLeader`, until the node stops or `signal` aborts; then resolves
   * when a run in progress has ended. `term.signal` tells `work` to end, and a handover waits for it (`drainTimeoutMs`). Work that returns early is not run
   * again in the same term; runs never overlap. When it throws, the node steps down (`hook-failed`) and this rejects with `HOOK_FAILED`.
   */
  async runWhileLeader(
    work: (term: Term) => void | Promise<void>,
    limits: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const run = this.#require();
    const own = new AbortController();
    const signal = limits.signal === undefined ? own.signal : AbortSignal.any([own.signal, limits.signal]);
    let remove = (): Promise<void> => Promise.resolve();
    const failed = new Promise<never>((_, reject) => {
      remove = run.addWorker({ work, signal, failed: reject });
    });
    const aborted = new Promise<void>((resolve) => {
      if (limits.signal?.aborted === true) resolve();
      limits.signal?.addEventListener("abort", () => resolve(), { once: true });
    });
    try {
      await Promise.race([failed, run.stopped, aborted]);
    } finally {
      own.abort(new ClusterError("ABORTED", "runWhileLeader has ended"));
      await remove();
    }
  }

  /**
   * What happens to this node from now on, as an async iterator that ends when the node stops. Every call is a reader of its
   * own; one that reads too slowly loses the oldest events and is told how many (`overflow`). May be called before `start()`.
   */
  events(limits: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<NodeEvent> {
    const stream: EventStream = new EventStream(() => {
      this.#streams.delete(stream);
      limits.signal?.removeEventListener("abort", onAbort);
    });
    const onAbort = (): void => stream.close();
    this.#streams.add(stream);
    if (limits.signal?.aborted === true) stream.close();
    limits.signal?.addEventListener("abort", onAbort, { once: true });
    return stream;
  }

  #emit(event: EventBody): void {
    if (this.#streams.size === 0) return;
    const at = this.#environment.clock.now().wall;
    for (const stream of this.#streams) stream.push({ at, ...event } as NodeEvent);
  }

  #require(): Run {
    if (this.#run !== null) return this.#run;
    throw new ClusterError("NOT_STARTED", `node "${this.nodeId}" is not running: call start() first`);
  }
}
