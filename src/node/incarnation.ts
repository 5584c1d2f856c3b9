import type { ResolvedOptions } from "../config/resolve.ts";
import { renewIntervalMs } from "../election/lease.ts";
import type { Leader, LossReason, ResignReason } from "../election/types.ts";
import { asError, ClusterError } from "../errors.ts";
import type { Logger } from "../log/logger.ts";
import type { Attachment, NodeStatus, ServiceHandle } from "../runtime/backend.ts";
import { Driver, type Output } from "../runtime/driver.ts";
import type { Clock } from "../runtime/ports.ts";
import { deferred } from "../runtime/waiting.ts";
import type { EventBody } from "./events.ts";
import { type HookName, HookRunner, type Hooks } from "./hooks.ts";
import { LeaderWork, type Worker } from "./leader-work.ts";
import { logOutput } from "./log.ts";
import { Handover } from "./step-down.ts";
import { RunningTerm, type Term } from "./term.ts";

export interface RunOptions {
  readonly options: ResolvedOptions;
  readonly hooks: Hooks;
  readonly incarnation: string;
  readonly attachment: Attachment;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rememberedEpoch: number;
  readonly emit: (event: EventBody) => void;
}

/**
 * One incarnation of a node, from `start()` to `stop()`: turns what the election says into terms, hooks, events and
 * log lines, and what the application wants into events of the election.
 */
export class Run {
  readonly #o: RunOptions;
  readonly #driver: Driver;
  readonly #hooks: HookRunner;
  readonly #startedAtMono: number;
  readonly #work: LeaderWork;
  readonly #handover: Handover;
  readonly #leading = new Set<(term: Term) => void>();
  readonly #stopped = deferred<void>();
  readonly #hurry = deferred<void>();
  #term: RunningTerm | null = null;
  #drainingTerm: RunningTerm | null = null;
  #service: ServiceHandle | null = null;
  #serving: Promise<ServiceHandle | null> = Promise.resolve(null);
  #unlisten: (() => void) | null = null;

  constructor(o: RunOptions) {
    this.#o = o;
    this.#startedAtMono = o.clock.now().mono;
    this.#hooks = new HookRunner((hook, error) => this.#onHookError(hook, error));
    this.#driver = new Driver({
      config: {
        ...o.options.election,
        incarnation: o.incarnation,
        renewIntervalMs: renewIntervalMs(
          o.options.leaseTtlMs,
          o.options.heartbeatIntervalMs,
          o.attachment.bucket.replicas,
        ),
      },
      clock: o.clock,
      store: o.attachment.store,
      session: o.attachment.session,
      rememberedEpoch: o.rememberedEpoch,
      output: (output) => this.#onOutput(output),
    });
    this.#work = new LeaderWork({
      hooks: this.#hooks,
      logger: o.logger,
      emit: o.emit,
      onFailed: (term) => this.#resign(term, "hook-failed"),
    });
    this.#handover = new Handover({
      options: o.options,
      attachment: o.attachment,
      driver: this.#driver,
      term: () => this.#term,
      insideHook: () => this.insideHook,
    });
  }

  get driver(): Driver {
    return this.#driver;
  }

  get term(): Term | null {
    return this.#term;
  }

  get service(): ServiceHandle | null {
    return this.#service;
  }

  /** True for code that runs inside a hook or leader work of this run. */
  get insideHook(): boolean {
    return this.#hooks.insideHook;
  }

  /** Resolves when the incarnation is over and everything it opened is closed. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  isLeader(): boolean {
    return this.#driver.isHeld();
  }

  async start(): Promise<void> {
    const { attachment, hooks, logger, options } = this.#o;
    this.#unlisten = attachment.session.listen((event) => {
      if (event.type === "disconnected" || event.type === "closed") {
        const closed = event.type === "closed";
        logger.warn(
          { event: event.type, err: event.error },
          closed ? "the NATS connection was closed for good; restart the node" : "disconnected from NATS",
        );
        this.#o.emit({ type: "disconnected", error: event.error });
        void this.#hooks.enqueue("onNatsDisconnect", () => hooks.onNatsDisconnect?.(event.error));
      } else if (event.type === "connected") {
        logger.info({ event: "reconnected" }, "reconnected to NATS");
        this.#o.emit({ type: "reconnected" });
        void this.#hooks.enqueue("onNatsReconnect", () => hooks.onNatsReconnect?.());
      }
    });
    this.#driver.start(attachment.bucket);
    this.#o.emit({ type: "started" });
    logger.info({ event: "started", competes: !options.observer }, "node started");
    this.#serving = attachment.serve({
      status: () => this.status(),
      stepDown: (to) => this.stepDown(to),
    });
    this.#service = await this.#serving;
  }

  status(): NodeStatus {
    const { options, attachment, clock, incarnation } = this.#o;
    const { role, announced } = this.#driver.state;
    const held = this.isLeader();
    return {
      nodeId: options.nodeId,
      role: held || role.name === "draining" ? "PRIMARY" : "PASSIVE",
      leader: announced?.nodeId ?? "",
      epoch: announced?.epoch ?? 0,
      uptimeMs: Math.round(clock.now().mono - this.#startedAtMono),
      connected: attachment.session.connected,
      clusterId: options.clusterId,
      incarnation,
      state: role.name,
      held,
      competes: this.#driver.state.config.competes,
      presence: attachment.presence,
      leaseTtlMs: options.election.leaseTtlMs,
      version: options.serviceVersion,
    };
  }

  stepDown(to?: string): Promise<void> {
    return this.#handover.stepDown(to);
  }

  setCompeting(competes: boolean): Promise<void> {
    return this.#handover.setCompeting(competes);
  }

  /** Calls back with the present term, or with the next one. Returns the cancellation. */
  onLeading(callback: (term: Term) => void): () => void {
    if (this.#term !== null && this.isLeader()) {
      callback(this.#term);
      return () => {};
    }
    this.#leading.add(callback);
    return () => this.#leading.delete(callback);
  }

  /** Runs work in the present term, if there is one, and in every later one. Returns its end, which waits for a run. */
  addWorker(worker: Worker): () => Promise<void> {
    return this.#work.add(worker, this.#term);
  }

  /** Begins to leave. `hurry` gives up waiting for hooks and work. */
  stop(): void {
    this.#driver.dispatch({ type: "stop" });
  }

  hurry(): void {
    this.#hurry.resolve();
  }

  // ------------------------------------------------------------------------------------------ from the election

  #onOutput(output: Output): void {
    const { logger, hooks, emit } = this.#o;
    logOutput(logger, output);
    switch (output.type) {
      case "become-leader":
        return this.#onBecome(output.epoch, output.acquiredAt);
      case "suspend":
      case "resume": {
        const type = output.type === "suspend" ? "suspended" : "resumed";
        if (this.#term !== null) emit({ type, term: this.#term });
        return;
      }
      case "lose":
        void this.#endTerm(output.reason, output.by ?? null);
        return;
      case "drain":
        void this.#drain(output.reason);
        return;
      case "released":
        return this.#onReleased(output.epoch, output.deleted);
      case "leader-changed":
        emit({ type: "leader", leader: output.leader });
        void this.#hooks.enqueue("onLeaderChange", () => hooks.onLeaderChange?.(output.leader));
        return;
      case "warn": {
        const { code, message, error = null } = output;
        return emit({ type: "warning", code, message, error });
      }
      case "stopped":
        void this.#onStopped();
        return;
      default:
        output satisfies never;
    }
  }

  #onBecome(epoch: number, acquiredAt: number): void {
    const { options, hooks, incarnation } = this.#o;
    const { clusterId, nodeId } = options;
    const term = new RunningTerm(
      { clusterId, nodeId, incarnation, epoch, acquiredAt },
      (heldEpoch) => this.#term?.epoch === heldEpoch && this.#driver.isHeld(),
      (ofEpoch) => this.#driver.remainingMs(ofEpoch),
    );
    this.#term = term;
    this.#o.emit({ type: "become", term });
    for (const callback of this.#leading) callback(term);
    this.#leading.clear();
    void this.#hooks.enqueue("onBecomeLeader", async () => {
      if (term.signal.aborted) return;
      term.announced = true;
      await hooks.onBecomeLeader?.(term);
      this.#work.startAll(term);
    });
  }

  #onHookError(hook: HookName, thrown: unknown): void {
    const error = asError(thrown);
    this.#o.logger.error({ event: "hook-error", hook, err: error }, `${hook} threw`);
    this.#o.emit({ type: "hook-error", hook, error });
    if (hook === "onBecomeLeader" && this.#term !== null) this.#resign(this.#term, "hook-failed");
  }

  #resign(term: RunningTerm, reason: ResignReason): void {
    if (this.#term === term && !term.signal.aborted) this.#driver.dispatch({ type: "resign", reason });
  }

  /** Aborts the term, calls the lose hook after everything before it, and waits for the work. */
  async #endTerm(reason: LossReason, by: Leader | null): Promise<void> {
    const term = this.#term;
    if (term === null) return;
    this.#term = null;
    term.end(reason, new ClusterError("NOT_LEADER", `the term with epoch ${term.epoch} is over: ${reason}`));
    this.#o.emit({ type: "lose", term, reason, by });
    await this.#hooks.enqueue("onLoseLeadership", async () => {
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
        "leader work did not end in time; the lease is released nevertheless",
      );
    }
    this.#driver.dispatch({ type: "drained" });
  }

  /** Waits for application code, but not longer than `drainTimeoutMs` or than the caller of `stop()` allows. */
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
    this.#handover.released(epoch, deleted);
  }

  async #onStopped(): Promise<void> {
    this.#unlisten?.();
    await this.#withPatience(this.#hooks.idle());
    this.#handover.end();
    // A stop may come while the service is still being set up.
    const service = await this.#serving.catch(() => null);
    await service?.stop().catch(() => {});
    await this.#o.attachment.close();
    this.#o.logger.info({ event: "stopped" }, "node stopped");
    this.#o.emit({ type: "stopped" });
    this.#stopped.resolve();
  }
}
