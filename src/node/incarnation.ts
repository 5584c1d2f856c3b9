import type { ResolvedOptions } from "../config/resolve.ts";
import { renewIntervalMs } from "../election/lease.ts";
import type { Leader, LossReason, ResignReason } from "../election/types.ts";
import { asError, ClusterError } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import type { Attachment, NodeStatus, ServiceHandle } from "../runtime/backend.ts";
import { Driver, type Output } from "../runtime/driver.ts";
import type { Clock } from "../runtime/ports.ts";
import { deferred } from "../runtime/waiting.ts";
import type { EventBody } from "./events.ts";
import { type HookName, HookRunner, type Hooks } from "./hooks.ts";
import { LeaderWork } from "./leader-work.ts";
import { logConnection, logEffect } from "./log.ts";
import { StepDown } from "./step-down.ts";
import { RunningTerm, type Term } from "./term.ts";

export interface IncarnationOptions {
  /** Random id of this incarnation. */
  readonly id: string;
  readonly options: ResolvedOptions;
  readonly hooks: Hooks;
  readonly attachment: Attachment;
  readonly clock: Clock;
  readonly logger: EventLogger;
  readonly rememberedEpoch: number;
  readonly emit: (event: EventBody) => void;
}

/**
 * A node from `start()` to `stop()`. Translates the effects of the election into terms, hooks, events and log lines, and
 * requests of the application into events of the election.
 */
export class Incarnation {
  readonly driver: Driver;
  readonly hooks: HookRunner;
  readonly work: LeaderWork;
  readonly stepDown: StepDown;
  readonly #o: IncarnationOptions;
  readonly #startedAtMono: number;
  readonly #leading = new Set<(term: Term) => void>();
  readonly #stopped = deferred<void>();
  readonly #hurry = deferred<void>();
  #term: RunningTerm | null = null;
  #drainingTerm: RunningTerm | null = null;
  #service: ServiceHandle | null = null;
  #serving: Promise<ServiceHandle | null> = Promise.resolve(null);
  #unlisten: (() => void) | null = null;

  constructor(o: IncarnationOptions) {
    const { options, attachment, clock } = o;
    this.#o = o;
    this.#startedAtMono = clock.now().mono;
    this.hooks = new HookRunner((hook, thrown) => this.#onHookError(hook, thrown, this.#term));
    this.driver = new Driver({
      config: {
        ...options.election,
        incarnation: o.id,
        renewIntervalMs: renewIntervalMs(
          options.leaseTtlMs,
          options.heartbeatIntervalMs,
          attachment.bucket.replicas,
        ),
      },
      clock,
      store: attachment.store,
      session: attachment.session,
      competes: !options.observer,
      rememberedEpoch: o.rememberedEpoch,
      output: (effect) => this.#onEffect(effect),
    });
    this.work = new LeaderWork(this.hooks, (thrown, term) => this.#onHookError("work", thrown, term));
    this.stepDown = new StepDown({ options, attachment, driver: this.driver, hooks: this.hooks });
  }

  /** The running term; `null` when there is none, or when it is draining. */
  get term(): Term | null {
    return this.#term;
  }

  get service(): ServiceHandle | null {
    return this.#service;
  }

  /** Resolves when the incarnation has ended and everything it opened is closed. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  async start(): Promise<void> {
    const { attachment, hooks, logger, options } = this.#o;
    this.#unlisten = attachment.session.listen((event) => {
      logConnection(logger, event);
      if (event.type === "disconnected" || event.type === "closed") {
        this.#o.emit({ type: "nats-disconnect", error: event.error });
        void this.hooks.enqueue("onNatsDisconnect", () => hooks.onNatsDisconnect?.(event.error));
      } else if (event.type === "connected") {
        this.#o.emit({ type: "nats-reconnect" });
        void this.hooks.enqueue("onNatsReconnect", () => hooks.onNatsReconnect?.());
      }
    });
    this.driver.start(attachment.bucket);
    this.#o.emit({ type: "started" });
    logger.info({ event: "started", competes: !options.observer }, "node started");
    this.#serving = attachment.serve({
      status: () => this.status(),
      stepDown: (to) => this.stepDown.request(to),
    });
    this.#service = await this.#serving;
  }

  status(): NodeStatus {
    const { options, attachment, clock } = this.#o;
    const { role, announced, candidacy } = this.driver.state;
    const held = this.driver.isHeld();
    return {
      nodeId: options.nodeId,
      role: held || role.name === "draining" ? "PRIMARY" : "PASSIVE",
      leader: announced?.nodeId ?? "",
      epoch: announced?.epoch ?? 0,
      uptimeMs: Math.round(clock.now().mono - this.#startedAtMono),
      connected: attachment.session.connected,
      clusterId: options.clusterId,
      incarnation: this.#o.id,
      state: role.name,
      held,
      competes: candidacy.competes,
      presence: attachment.presence,
      leaseTtlMs: options.election.leaseTtlMs,
      version: options.serviceVersion,
    };
  }

  /** Calls back with the running term if it is held, else with the next one. Returns the cancellation. */
  onLeading(callback: (term: Term) => void): () => void {
    if (this.#term !== null && this.driver.isHeld()) {
      callback(this.#term);
      return () => {};
    }
    this.#leading.add(callback);
    return () => this.#leading.delete(callback);
  }

  /** Begins to stop; `stopped` resolves at the end. */
  stop(): void {
    this.driver.dispatch({ type: "stop" });
  }

  /** Ends the wait for hooks and leader work; the stop itself continues. */
  hurry(): void {
    this.#hurry.resolve();
  }

  // ------------------------------------------------------------------------------------------ effects of the election

  #onEffect(effect: Output): void {
    const { logger, hooks, emit, options } = this.#o;
    logEffect(logger, effect, options);
    switch (effect.type) {
      case "become-leader":
        return this.#onBecomeLeader(effect.epoch, effect.acquiredAt);
      case "suspended":
      case "resumed":
        if (this.#term !== null) emit({ type: effect.type, term: this.#term });
        return;
      case "lose-leadership":
        void this.#endTerm(effect.reason, effect.by ?? null);
        return;
      case "drain":
        void this.#drain(effect.reason);
        return;
      case "released":
        return this.#onReleased(effect.epoch, effect.deleted);
      case "leader-change":
        emit(effect);
        void this.hooks.enqueue("onLeaderChange", () => hooks.onLeaderChange?.(effect.leader));
        return;
      case "warning": {
        const { code, message, error = null } = effect;
        return emit({ type: "warning", code, message, error });
      }
      case "stopped":
        void this.#onStopped();
        return;
      default:
        effect satisfies never;
    }
  }

  #onBecomeLeader(epoch: number, acquiredAt: number): void {
    const { options, hooks, id } = this.#o;
    const { clusterId, nodeId } = options;
    const term = new RunningTerm({ clusterId, nodeId, incarnation: id, epoch, acquiredAt }, this.driver);
    this.#term = term;
    this.#o.emit({ type: "become-leader", term });
    for (const callback of this.#leading) callback(term);
    this.#leading.clear();
    void this.hooks.enqueue("onBecomeLeader", async () => {
      if (term.signal.aborted) return;
      term.announced = true;
      await hooks.onBecomeLeader?.(term);
      this.work.startAll(term);
    });
  }

  /** A failure that leaves a term without its work ends that term. */
  #onHookError(hook: HookName | "work", thrown: unknown, term: RunningTerm | null): void {
    const error = asError(thrown);
    const message = hook === "work" ? "leader work failed" : `${hook} threw`;
    const endsTerm = hook === "work" || hook === "onBecomeLeader";
    this.#o.logger.error({ event: "hook-error", hook, err: error }, message);
    this.#o.emit({ type: "hook-error", hook, error });
    if (!endsTerm || term === null || term !== this.#term) return;
    this.driver.dispatch({ type: "resign", reason: "hook-failed" });
  }

  /** Aborts the term's signal, calls `onLoseLeadership` after all earlier hooks, and waits for leader work to end. */
  async #endTerm(reason: LossReason, by: Leader | null): Promise<void> {
    const term = this.#term;
    if (term === null) return;
    this.#term = null;
    term.end(
      reason,
      new ClusterError("NOT_LEADER", `the term with epoch ${term.epoch} has ended: ${reason}`),
    );
    this.#o.emit({ type: "lose-leadership", term, reason, by });
    await this.hooks.enqueue("onLoseLeadership", async () => {
      if (term.announced) await this.#o.hooks.onLoseLeadership?.(term, reason);
    });
    await Promise.all(term.work.values());
  }

  async #drain(reason: ResignReason): Promise<void> {
    const term = this.#term;
    this.#drainingTerm = term;
    const { drainTimeoutMs } = this.#o.options;
    const outcome = await this.#withPatience(this.#endTerm(reason, null));
    if (outcome === "late") {
      this.#o.logger.error(
        { event: "drain-timeout", epoch: term?.epoch, drainTimeoutMs },
        "drain cut short: leader work did not end in time; the lease is released while it may still run",
      );
    }
    this.driver.dispatch({ type: "drained" });
  }

  /** Waits for application code, at most for `drainTimeoutMs` or until `hurry()`. */
  async #withPatience(application: Promise<void>): Promise<"done" | "late"> {
    let cancel = (): void => {};
    const timeout = new Promise<"late">((resolve) => {
      cancel = this.#o.clock.setTimer(this.#o.options.drainTimeoutMs, () => resolve("late"));
    });
    const done = application.then(() => "done" as const);
    const hurried = this.#hurry.promise.then(() => "late" as const);
    const outcome = await Promise.race([done, timeout, hurried]);
    cancel();
    return outcome;
  }

  #onReleased(epoch: number, deleted: boolean): void {
    const term = this.#drainingTerm;
    this.#drainingTerm = null;
    if (term !== null) this.#o.emit({ type: "released", term, deleted });
    this.stepDown.released(epoch, deleted);
  }

  async #onStopped(): Promise<void> {
    this.#unlisten?.();
    await this.#withPatience(this.hooks.idle());
    this.stepDown.end();
    // A stop may come while the service is still being set up.
    const service = await this.#serving.catch(() => null);
    await service?.stop().catch(() => {});
    await this.#o.attachment.close();
    this.#o.logger.info({ event: "stopped" }, "node stopped");
    this.#o.emit({ type: "stopped" });
    this.#stopped.resolve();
  }
}
