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
import { Incarnation } from "./incarnation.ts";
import { natsBackend } from "./nats-backend.ts";
import type { Term } from "./term.ts";

/** What a node runs on: by default NATS and the system's clocks. `nats-leader/testing` makes simulated ones. */
export interface NodeEnvironment {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * One participant of a cluster: competes for its leadership, or observes it.
 *
 * The constructor only checks its options; `start()` connects. After `stop()` a node can be started again; each start is a new
 * incarnation.
 *
 * @example
 * ```ts
 * await using node = new Node({ clusterId: "billing", nodeId: "a", servers: "nats://localhost:4222" });
 * await node.start();
 * await node.runWhileLeader(async (term) => {
 *   while (!term.signal.aborted) await work(term.epoch);
 * });
 * ```
 */
export class Node implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #hooks: Hooks;
  readonly #environment: NodeEnvironment;
  /**
   * Clock of waits with a `timeoutMs`. Undefined on the system's clock, whose timers do not keep the process alive: a wait
   * has to.
   */
  readonly #waitClock: Clock | undefined;
  readonly #logger: BoundLogger;
  readonly #streams = new Set<EventStream>();
  #incarnation: Incarnation | null = null;
  #starting: { readonly done: Promise<void>; readonly abort: AbortController } | null = null;
  #stopping: Promise<void> | null = null;
  #rememberedEpoch = 0;

  /**
   * @param options - See {@link NodeOptions}. Checked here; no I/O is done.
   * @param hooks - Called on changes of leadership and of the connection. See {@link Hooks}.
   * @param environment - Replaces NATS and the system's clocks, for tests.
   * @throws ClusterError `INVALID_CONFIG`; the message names every invalid option with its value and rule.
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

  /** The option `clusterId`. */
  get clusterId(): string {
    return this.#options.clusterId;
  }

  /** The option `nodeId`. */
  get nodeId(): string {
    return this.#options.nodeId;
  }

  /**
   * `follower`, `campaigning`, `leader`, `suspended`, `draining` or `stopped`. For display only: to decide whether to act,
   * call `isLeader()`.
   */
  get role(): RoleName {
    return this.#incarnation?.driver.state.role.name ?? "stopped";
  }

  /**
   * May this node act as the leader at this moment? Compares clocks at every call (well under a microsecond). It is therefore
   * false from the deadline on even if no code has run since: offline, after SIGSTOP, with a blocked event loop.
   */
  isLeader(): boolean {
    return this.#incarnation?.driver.isHeld() ?? false;
  }

  /** The leader, as last seen by this node; `null` if there is none or it did not renew in time. */
  get leader(): Leader | null {
    return this.#incarnation?.driver.state.announced ?? null;
  }

  /** Epoch of `leader`, 0 if there is none. The fencing token of this node's own term is `term.epoch`. */
  get epoch(): number {
    return this.leader?.epoch ?? 0;
  }

  /** Is the connection to NATS up? */
  get connected(): boolean {
    return this.#incarnation?.driver.state.link.connected ?? false;
  }

  /** The running term; `null` when this node does not lead, or its term is draining. */
  get term(): Term | null {
    return this.#incarnation?.term ?? null;
  }

  /** The node's micro service (`nats micro ls`); `null` before `start()` and with `service: false`. */
  get service(): ServiceHandle | null {
    return this.#incarnation?.service ?? null;
  }

  /**
   * Connects, opens or creates the bucket, and begins to compete. Resolves when the node takes part, as leader or follower. A start
   * that rejects leaves nothing open.
   *
   * @param options - `signal` aborts the start.
   * @throws ClusterError `ALREADY_STARTED`; `NO_CONNECTION`, `AUTHORIZATION`, `JETSTREAM_UNAVAILABLE`, `SERVER_TOO_OLD`,
   * `BUCKET_INCOMPATIBLE`, `INSUFFICIENT_RESOURCES` or `STORE_UNAVAILABLE` when NATS cannot be used; `ABORTED` by the signal;
   * `STOPPED` by `stop()`.
   */
  async start(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#incarnation !== null || this.#starting !== null) {
      throw new ClusterError("ALREADY_STARTED", `node "${this.nodeId}" is already running`);
    }
    const { signal } = options;
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal?.reason);
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const done = this.#start(abort.signal);
    this.#starting = { done, abort };
    try {
      await done;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#starting = null;
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { backend, clock, random } = this.#environment;
    const { clusterId, nodeId } = this.#options;
    const id = random.id();
    const logger = this.#logger.child({ cluster: clusterId, node: nodeId, incarnation: id });
    const attachment: Attachment = await backend.attach({
      clusterId,
      incarnation: id,
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
    const incarnation = new Incarnation({
      id,
      options: this.#options,
      hooks: this.#hooks,
      attachment,
      clock,
      logger,
      rememberedEpoch: this.#rememberedEpoch,
      emit: (event) => this.#emit(event),
    });
    this.#incarnation = incarnation;
    void incarnation.stopped.then(() => {
      this.#rememberedEpoch = incarnation.driver.state.lease.highestEpoch;
      if (this.#incarnation === incarnation) this.#incarnation = null;
      for (const stream of this.#streams) stream.close();
    });
    await incarnation.start();
  }

  /**
   * Stops the work, releases the lease and closes the connection (unless it was passed in). While leading, the order is:
   * `term.signal` aborts; `onLoseLeadership` and leader work end (at most `drainTimeoutMs`); the lease is deleted; the next node
   * leads. Calls while the node is stopping join that stop. Inside a hook or leader work it resolves at once, and the stop
   * completes when the hook or work has returned.
   *
   * @param options - An abort of `signal`, or `timeoutMs`, ends the wait for hooks and leader work, not the stop.
   * @throws ClusterError `NOT_STARTED` when the node is not running.
   */
  stop(options: WaitOptions = {}): Promise<void> {
    const incarnation = this.#incarnation;
    if (this.#starting !== null && incarnation === null) {
      this.#starting.abort.abort(
        new ClusterError("STOPPED", "stop() was called while the node was starting"),
      );
      return this.#starting.done.catch(() => {});
    }
    if (incarnation === null) {
      return Promise.reject(new ClusterError("NOT_STARTED", `node "${this.nodeId}" is not running`));
    }
    this.#stopping ??= this.#stop(incarnation);
    if (incarnation.hooks.insideHook) return Promise.resolve();
    if (options.signal === undefined && options.timeoutMs === undefined) return this.#stopping;
    const stopping = this.#stopping;
    return within(stopping, `node "${this.nodeId}" to stop`, options, this.#waitClock).catch(() => {
      incarnation.hurry();
      return stopping;
    });
  }

  async #stop(incarnation: Incarnation): Promise<void> {
    incarnation.stop();
    await incarnation.stopped;
    this.#stopping = null;
  }

  /** Like `stop()`, but does nothing when the node is not running. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#incarnation !== null || this.#starting !== null) await this.stop();
  }

  /**
   * Gives up leadership in the same order as `stop()`; the node stays and does not campaign for `cooldownMs`. Resolves when
   * the lease is deleted. Inside a hook or leader work it resolves as soon as the term is draining.
   *
   * @param options - `to`: node id of a successor, which campaigns before all others (a handover). `signal` and `timeoutMs` end
   * the wait, not the step-down.
   * @throws ClusterError `NOT_STARTED`; `NOT_LEADER`; `HANDOVER_REFUSED` when the successor does not answer, does not compete or
   * is not connected, and nothing was changed; `STORE_UNAVAILABLE` when the lease could not be deleted and is left to expire;
   * `ABORTED` or `TIMEOUT`.
   * @example
   * ```ts
   * await node.stepDown({ to: "b", timeoutMs: 15_000 });
   * ```
   */
  async stepDown(options: { readonly to?: string | undefined } & WaitOptions = {}): Promise<void> {
    const released = this.#require().stepDown.request(options.to);
    await within(released, `node "${this.nodeId}" to step down`, options, this.#waitClock);
  }

  /** Does this node compete? True unless it is an observer or `setCompeting(false)` was called. */
  get competes(): boolean {
    return this.#incarnation?.driver.state.candidacy.competes ?? !this.#options.observer;
  }

  /**
   * Changes whether this node competes, until the next `setCompeting()` or `stop()`.
   *
   * @param competes - `false`: gives up leadership in the same order as `stop()` and follows; resolves when a lease that was
   * held is released. `true`: competes at once; a cooldown ends.
   * @param options - End the wait, not the change.
   * @throws ClusterError `NOT_STARTED`; `INVALID_CONFIG` for an observer; `ABORTED` or `TIMEOUT`.
   */
  async setCompeting(competes: boolean, options: WaitOptions = {}): Promise<void> {
    const done = this.#require().stepDown.setCompeting(competes);
    await within(done, `node "${this.nodeId}" to release its lease`, options, this.#waitClock);
  }

  /**
   * Resolves with the term as soon as this node leads: at once if it already does.
   *
   * @param options - End the wait.
   * @throws ClusterError `NOT_STARTED`; `INVALID_CONFIG` for an observer; `STOPPED` when the node stops first; `ABORTED` or `TIMEOUT`.
   * @example
   * ```ts
   * const term = await node.campaign({ timeoutMs: 30_000 });
   * ```
   */
  async campaign(options: WaitOptions = {}): Promise<Term> {
    const incarnation = this.#require();
    if (this.#options.observer) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `node "${this.nodeId}" never leads: it was created with observer: true`,
      );
    }
    let cancel = (): void => {};
    const leading = new Promise<Term>((resolve) => {
      cancel = incarnation.onLeading(resolve);
    });
    const stopped = incarnation.stopped.then(() => {
      throw new ClusterError("STOPPED", `node "${this.nodeId}" was stopped before it became leader`);
    });
    stopped.catch(() => {});
    const settled = Promise.race([leading, stopped]);
    const what = `node "${this.nodeId}" to become leader`;
    return within(settled, what, options, this.#waitClock).finally(cancel);
  }

  /**
   * Runs `work` in every term of this node, after `onBecomeLeader`. Resolves when the node has stopped or `signal` has aborted,
   * and a run in progress has ended. Runs never overlap; work that returns early is not run again in the same term.
   *
   * @param work - Must end when `term.signal` aborts: a drain waits for it, at most for `drainTimeoutMs`. Here `term.signal`
   * aborts on `options.signal`, too.
   * @param options - An abort of `signal` ends the registration.
   * @throws ClusterError `NOT_STARTED`; `HOOK_FAILED` when `work` threw, `cause` is what it threw. The node steps down
   * (`hook-failed`). A throw after `term.signal` has aborted is ignored.
   */
  async runWhileLeader(
    work: (term: Term) => void | Promise<void>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const incarnation = this.#require();
    const own = new AbortController();
    const signal = options.signal === undefined ? own.signal : AbortSignal.any([own.signal, options.signal]);
    let remove = (): Promise<void> => Promise.resolve();
    const failed = new Promise<never>((_, reject) => {
      remove = incarnation.work.add({ work, signal, failed: reject });
    });
    const aborted = new Promise<void>((resolve) => {
      if (options.signal?.aborted === true) resolve();
      options.signal?.addEventListener("abort", () => resolve(), { once: true });
    });
    try {
      await Promise.race([failed, incarnation.stopped, aborted]);
    } finally {
      own.abort(new ClusterError("ABORTED", "runWhileLeader() has ended"));
      await remove();
    }
  }

  /**
   * The events of this node from now on. The iterator ends when the node has stopped. Each call returns an independent reader
   * with a buffer of 1024 events; when it is full, the oldest are discarded (`overflow`). May be called before `start()`.
   *
   * @param options - An abort of `signal` ends the iterator.
   * @example
   * ```ts
   * for await (const event of node.events()) {
   *   if (event.type === "warning") alert(event.code, event.message);
   * }
   * ```
   */
  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<NodeEvent> {
    const { signal } = options;
    const stream: EventStream = new EventStream(() => {
      this.#streams.delete(stream);
      signal?.removeEventListener("abort", onAbort);
    });
    const onAbort = (): void => stream.close();
    this.#streams.add(stream);
    if (signal?.aborted === true) stream.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    return stream;
  }

  #emit(event: EventBody): void {
    if (this.#streams.size === 0) return;
    const at = this.#environment.clock.now().wall;
    for (const stream of this.#streams) stream.push({ at, ...event } as NodeEvent);
  }

  #require(): Incarnation {
    if (this.#incarnation !== null) return this.#incarnation;
    throw new ClusterError("NOT_STARTED", `node "${this.nodeId}" is not running: call start() first`);
  }
}
