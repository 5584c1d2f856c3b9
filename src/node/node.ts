import type { ConnectedServer } from "../application/types.ts";
import { type NodeFacts, type NodeSource, register } from "../channels/source.ts";
import { type NodeOptions, type ResolvedOptions, resolveOptions } from "../config/resolve.ts";
import type { Leader, RoleName } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import { type BoundLogger, createLogger } from "../log/logger.ts";
import { Lifecycle } from "../runtime/application/lifecycle.ts";
import type { Attachment, Backend, ServiceHandle } from "../runtime/backend.ts";
import { EventStreams } from "../runtime/event-streams.ts";
import { noLeaseFacts } from "../runtime/lease-watch.ts";
import type { Clock, Random } from "../runtime/ports.ts";
import { SystemClock, systemClock, systemRandom } from "../runtime/system-clock.ts";
import { checkOptions, keepAlive, kindOf, limitOf, type WaitOptions } from "../runtime/waiting.ts";
import type { StepDownResult, StopResult } from "./application-calls.ts";
import type { ApplicationRunner, LeaderWork } from "./application-runner.ts";
import type { EventBody, NodeEvent } from "./events.ts";
import { checkHooks, type Hooks, keepsAddress } from "./hooks.ts";
import { Incarnation } from "./incarnation.ts";
import { natsBackend } from "./nats-backend.ts";
import { leaseConfig } from "./node-watch.ts";
import type { NodeReport } from "./report.ts";
import type { Term } from "./term.ts";

/** What a node runs on: by default NATS and the system's clocks. `nats-leader/testing` makes simulated ones. */
export interface NodeEnvironment {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Draws a node id for options without one.
   *
   * @default The host name and 6 random characters.
   */
  readonly nodeId?: () => string;
}

const NOTHING_TO_STOP: StopResult = {
  reason: "requested",
  term: null,
  unfinished: [],
  pending: false,
};

function notRunning(options: ResolvedOptions): NodeFacts {
  const lease = noLeaseFacts(leaseConfig(options));
  return { ...lease, isLeader: false, hasLeader: false, role: "stopped", epoch: 0 };
}

/**
 * One participant of a cluster: competes for its leadership, or observes it.
 *
 * The constructor only checks its options; `start()` connects. After `stop()` a node can be started again; each start is a new
 * incarnation. Exported as `LeaderNode`, too: many editors complete `Node` as the one of the DOM.
 *
 * @example
 * ```ts
 * await using node = new Node({ clusterId: "billing", nodeId: "a", servers: "nats://localhost:4222" });
 * await node.start();
 * await node.runWhileLeader(async (term, { signal }) => {
 *   while (!signal.aborted) await work(term.epoch);
 * });
 * ```
 */
export class Node implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #hooks: Hooks;
  readonly #environment: NodeEnvironment;
  readonly #logger: BoundLogger;
  readonly #streams: EventStreams<EventBody>;
  readonly #lifecycle: Lifecycle<Incarnation>;
  readonly #source: NodeSource;
  /** Hooks and work of the last incarnation may still run. */
  #earlier: ApplicationRunner | null = null;
  #rememberedEpoch = 0;

  /**
   * @param options - See {@link NodeOptions}. Checked here; no I/O is done.
   * @param hooks - Called on changes of leadership and of the connection. See {@link Hooks}.
   * @param environment - Replaces NATS and the system's clocks, for tests.
   * @throws ClusterError `INVALID_CONFIG`; the message names every invalid option with its value and rule, or every hook that is
   * misspelt or no function.
   */
  constructor(options: NodeOptions, hooks: Hooks = {}, environment?: NodeEnvironment) {
    this.#options = resolveOptions(options, environment?.nodeId, { vip: keepsAddress(hooks) });
    checkHooks(hooks);
    this.#hooks = hooks;
    this.#lifecycle = new Lifecycle("node", this.#options.nodeId);
    this.#streams = new EventStreams<EventBody>(() => this.#environment.clock.now().wall);
    this.#logger = createLogger({ level: this.#options.logLevel, logger: this.#options.logger });
    this.#environment = environment ?? {
      backend: natsBackend(this.#options),
      clock: systemClock(),
      random: systemRandom,
    };
    const { clusterId, nodeId } = this.#options;
    const read = (): NodeFacts => this.#lifecycle.current?.facts() ?? notRunning(this.#options);
    this.#source = register<NodeSource>(this, { kind: "node", clusterId, nodeId, read });
  }

  /** The option `clusterId`. */
  get clusterId(): string {
    return this.#options.clusterId;
  }

  /** The option `nodeId`, or the id that was drawn in its place. */
  get nodeId(): string {
    return this.#options.nodeId;
  }

  /**
   * `follower`, `campaigning`, `leader`, `suspended`, `draining` or `stopped`. For display only: to decide whether to act,
   * call `isLeader()`.
   */
  get role(): RoleName {
    return this.#lifecycle.current?.driver.state.role.name ?? "stopped";
  }

  /**
   * May this node act as the leader at this moment? Compares clocks at every call, so it is false from the deadline on even if no
   * code has run since: offline, after SIGSTOP, with a blocked event loop.
   */
  isLeader(): boolean {
    return this.#lifecycle.current?.driver.isHeld() ?? false;
  }

  /** The leader, as last seen by this node; `null` if there is none or it did not renew in time. */
  get leader(): Leader | null {
    return this.#lifecycle.current?.driver.state.announced ?? null;
  }

  /** Epoch of `leader`, 0 if there is none. The fencing token of this node's own term is `term.epoch`. */
  get epoch(): number {
    return this.leader?.epoch ?? 0;
  }

  /** Is the connection to NATS up? */
  get connected(): boolean {
    return this.#lifecycle.current?.driver.state.link.connected ?? false;
  }

  /** The NATS server that the connection is on; `null` while disconnected. */
  get server(): ConnectedServer | null {
    return this.#lifecycle.current?.server ?? null;
  }

  /** The running term; `null` when this node does not lead, or its term is draining. */
  get term(): Term | null {
    const incarnation = this.#lifecycle.current;
    const term = incarnation?.application.term ?? null;
    // A deadline that has passed ends the term, even if no code has run since.
    return term !== null && incarnation?.driver.leaseRemainingMs(term.epoch) === 0 ? null : term;
  }

  /**
   * The state of this node, for health checks and displays; `null` before `start()` has connected and after the node has stopped. Compares
   * clocks at every call.
   */
  status(): NodeReport | null {
    return this.#lifecycle.current?.report() ?? null;
  }

  /** The node's micro service (`nats micro ls`); `null` before `start()` and with `service: false`. */
  get service(): ServiceHandle | null {
    return this.#lifecycle.current?.service ?? null;
  }

  /**
   * Connects, opens or creates the bucket, and begins to compete. Resolves when the node takes part, whichever node leads, or
   * when `stop()` has ended the start. A start that rejects leaves nothing open.
   *
   * @param options - `signal` aborts the start.
   * @throws ClusterError `ALREADY_STARTED`; `NO_CONNECTION`, `AUTHORIZATION`, `JETSTREAM_UNAVAILABLE`, `SERVER_TOO_OLD`,
   * `BUCKET_INCOMPATIBLE`, `INSUFFICIENT_RESOURCES` or `STORE_UNAVAILABLE` when NATS cannot be used; `ABORTED` by the signal.
   */
  async start(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#lifecycle.start(
      options,
      (signal) => this.#start(signal),
      () => this.#streams.close(),
    );
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { backend, clock, random } = this.#environment;
    const { clusterId, nodeId, observer, election } = this.#options;
    const id = random.id();
    const logger = this.#logger.child({ cluster: clusterId, node: nodeId, incarnation: id });
    const attachment: Attachment = await backend.attach({
      clusterId,
      incarnation: id,
      signal,
      rememberedEpoch: this.#rememberedEpoch,
      silenceMs: observer ? 0 : election.silenceMs,
      warn: (code, message, error) => {
        logger.warn({ event: "warning", code, err: error }, message);
        this.#streams.push({ type: "warning", code, message, error: error ?? null });
      },
    });
    if (signal.aborted) {
      await attachment.close();
      throw this.#lifecycle.startAborted(signal);
    }
    const incarnation = new Incarnation({
      id,
      options: this.#options,
      hooks: this.#hooks,
      attachment,
      clock,
      keepAlive: clock instanceof SystemClock ? keepAlive : () => () => {},
      logger,
      rememberedEpoch: this.#rememberedEpoch,
      emit: (event) => this.#streams.push(event),
      source: this.#source,
      earlier: this.#earlier,
    });
    this.#earlier = null;
    this.#lifecycle.began(incarnation, () => {
      this.#rememberedEpoch = incarnation.driver.state.lease.highestEpoch;
      this.#earlier = incarnation.application.isIdle ? null : incarnation.application;
      this.#streams.close();
    });
    await incarnation.start();
    // `stop()` stops an incarnation itself.
    if (!signal.aborted || this.#lifecycle.stopRequested) return;
    await incarnation.calls.stop({});
    throw this.#lifecycle.startAborted(signal);
  }

  /**
   * Stops the work, releases the lease and closes the connection (unless it was passed in). While leading, the order is:
   * `term.signal` aborts; `onLoseLeadership` and leader work end; the lease is deleted; the next node leads. All hooks and work
   * together have `drainTimeoutMs` to end. Idempotent: further calls join the stop, and a node that is not running is left alone.
   *
   * Awaited by a hook or leader work, which the stop has to wait for, it resolves before the node has stopped (`pending: true`), and
   * the stop completes when that has returned. It resolves at once where V8's stack trace shows that the caller is awaited, or that it
   * was called synchronously other than by an emitter. Elsewhere (on Bun, in async code compiled to ES2015 or ES2016, in timers and other
   * callbacks) it resolves as soon as nothing else keeps the node from stopping and min(1 s, `drainTimeoutMs` / 2) have passed. A handler
   * that hooks or work have registered, and do not await, gets the final result if they end within that time.
   *
   * @param options - An abort of `signal`, or `timeoutMs`, ends the wait for hooks and leader work, not the stop. What is no object is
   * ignored: a listener of SIGTERM gets the signal's name.
   * @returns What happened: whether the last term's work ended in time, and what has not returned.
   */
  async stop(options: WaitOptions = {}): Promise<StopResult> {
    const limits = typeof options === "object" && options !== null ? options : {};
    limitOf(limits);
    return this.#lifecycle.stop(NOTHING_TO_STOP, ({ calls }) => calls.stop(limits));
  }

  /** The same as `stop()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /**
   * Gives up leadership in the same order as `stop()`; the node stays and does not campaign for `cooldownMs`, or until another
   * node has led. A call while the term is being given up joins that.
   *
   * Awaited by a hook or leader work it resolves as early as `stop()` does (`drain: "pending"`), and the rest follows when that has
   * returned.
   *
   * @param options - `to`: node id of a successor, which campaigns before all others (a handover). `signal` and `timeoutMs` end
   * the wait, not the step-down.
   * @returns Whether the lease was deleted, and whether hooks and work ended in time.
   * @throws ClusterError `NOT_STARTED`, `STOPPED`, `NO_CONNECTION`; `NOT_LEADER`; `HANDOVER_REFUSED` when the successor does not answer, does
   * not compete or is not connected, and nothing was changed; `ABORTED` or `TIMEOUT`.
   * @example
   * ```ts
   * const { drain } = await node.stepDown({ to: "b", timeoutMs: 15_000 });
   * ```
   */
  async stepDown(options: { readonly to?: string | undefined } & WaitOptions = {}): Promise<StepDownResult> {
    limitOf(options);
    return this.#lifecycle.require().stepDown(options.to, options);
  }

  /** Does this node compete? True unless it is an observer or `withdraw()` was called. */
  get competes(): boolean {
    return this.#lifecycle.current?.driver.state.candidacy.competes ?? !this.#options.observer;
  }

  /**
   * Stops competing until `rejoin()` or the next start: gives up leadership in the same order as `stop()` and follows.
   *
   * @param options - End the wait, not the withdrawal.
   * @returns How a term that was given up has ended; `null` if there was none.
   * @throws ClusterError `NOT_STARTED`, `STOPPED`, `NO_CONNECTION`; `ABORTED` or `TIMEOUT`.
   */
  async withdraw(options: WaitOptions = {}): Promise<StepDownResult | null> {
    limitOf(options);
    const what = `node "${this.nodeId}" to release its lease`;
    return this.#lifecycle.require().calls.setCompeting(what, false, options);
  }

  /**
   * Competes again at once, after `withdraw()` or in a cooldown.
   *
   * @throws ClusterError `NOT_STARTED`, `STOPPED`, `NO_CONNECTION`; `INVALID_CONFIG` for an observer.
   */
  async rejoin(): Promise<void> {
    const incarnation = this.#lifecycle.require();
    if (this.#options.observer) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `node "${this.nodeId}" cannot compete: it was created with observer: true`,
      );
    }
    await incarnation.calls.setCompeting("", true, {});
  }

  /**
   * Resolves with the term as soon as this node leads: at once if it already does, and after a suspension when that has ended.
   *
   * @param options - End the wait.
   * @throws ClusterError `NOT_STARTED`; `INVALID_CONFIG` for an observer; `STOPPED` when the node stops first, or has stopped; `NO_CONNECTION`
   * when it stops, or has stopped, because its connection was closed; `ABORTED` or `TIMEOUT`.
   * @example
   * ```ts
   * const term = await node.campaign({ timeoutMs: 30_000 });
   * ```
   */
  async campaign(options: WaitOptions = {}): Promise<Term> {
    limitOf(options);
    const incarnation = this.#lifecycle.require();
    if (this.#options.observer) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `node "${this.nodeId}" never leads: it was created with observer: true`,
      );
    }
    return incarnation.calls.campaign(`node "${this.nodeId}" to become leader`, options);
  }

  /**
   * Runs `work` in every term of this node, after `onBecomeLeader`. Resolves when the node has stopped or `signal` has aborted,
   * and a run in progress has ended; at once after `stop()`. Runs never overlap; work that returns early is not run again in the same term.
   *
   * Called in a hook or in leader work that has not ended, it runs `work` in that term only, at once, and resolves when the run has
   * ended. A hook without a term (`onLeaderChange`, `onNatsDisconnect`, `onNatsReconnect`) gets the running term, or `NOT_LEADER` while
   * there is none whose `onBecomeLeader` has returned: hooks run one at a time, so none could begin before that hook returns.
   *
   * @param work - Must end when `run.signal` aborts: a drain waits for it, at most for `drainTimeoutMs`. `run.signal` aborts with
   * `term.signal`, and then has the same reason, and with `options.signal`, and then has a `ClusterError` `ABORTED` whose `cause`
   * is the reason of that.
   * @param options - An abort of `signal` ends the registration.
   * @throws ClusterError `INVALID_CONFIG`; `NOT_STARTED`; `NOT_LEADER` in a hook without a term; `NO_CONNECTION` when the node has
   * stopped because its connection was closed; `HOOK_FAILED`
   * when `work` threw, also after its signal has aborted; `cause` is what it threw, and a term that still runs is given up
   * (`hook-failed`). An error that only repeats the abort is not a failure: the reason of a signal that the work was given (its
   * run's, the term's or `options.signal`), an `AbortError` with such a reason, or without one, as its `cause`, or what a call of this library
   * throws when such a signal aborts it (`ABORTED`, `OUTCOME_UNKNOWN`). `STOPPED` when the node has stopped and a run has not ended.
   * @example
   * ```ts
   * await node.runWhileLeader(async (term, { signal }) => {
   *   while (!signal.aborted) {
   *     await processNext(term.epoch);
   *     await sleep(1_000, undefined, { signal });
   *   }
   * });
   * ```
   */
  async runWhileLeader(
    work: LeaderWork,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkOptions(options);
    if (typeof work !== "function") {
      const rule = "runWhileLeader(work): work must be a function";
      throw new ClusterError("INVALID_CONFIG", `${rule}, not ${kindOf(work)}`);
    }
    if (this.#lifecycle.current === null && this.#lifecycle.stopRequested) return;
    await this.#lifecycle.require().calls.runWhileLeader(work, options.signal);
  }

  /**
   * The events of this node from now on. The iterator ends when the node has stopped, or a start has failed. Each call returns an independent reader
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
    checkOptions(options);
    return this.#streams.open(options.signal);
  }
}
