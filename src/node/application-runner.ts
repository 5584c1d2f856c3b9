/**
 * Runs the application side of one incarnation: one queue of events, one timer, and the promises, signals and calls of the
 * application that `src/application` decides about.
 */
import { applicationWakeMs, initialApplication, stepApplication } from "../application/application.ts";
import { blockedNow } from "../application/due.ts";
import type {
  ApplicationConfig,
  ApplicationEffect,
  ApplicationEvent,
  ApplicationState,
  Blocked,
  HookCall,
  Notice,
  Outcome,
  Settlement,
  WaitFor,
  WorkerSettlement,
} from "../application/types.ts";
import { ClusterError, messageOf } from "../errors.ts";
import type { Driver } from "../runtime/driver.ts";
import type { Clock } from "../runtime/ports.ts";
import { limitOf, type WaitOptions } from "../runtime/waiting.ts";
import { codeOf, runCode } from "./application-code.ts";
import type { Hooks } from "./hooks.ts";
import { clockTrueSignal, RunningTerm, type Term, type TermIdentity } from "./term.ts";

/** Leader work: what `runWhileLeader()` runs in every term. */
export type LeaderWork = (term: Term, run: { readonly signal: AbortSignal }) => unknown;

/** How a term that was given up has ended. */
export interface StepDownResult {
  readonly epoch: number;
  /**
   * Whether the lease was deleted. `false`: it expires within `leaseTtlMs`. `null`: not known yet, because the caller is
   * application code whose end the step-down waits for.
   */
  readonly leaseDeleted: boolean | null;
  /** `timed-out`: hooks or work had not ended after `drainTimeoutMs` and may still run. `pending`: the caller has to end first. */
  readonly drain: "complete" | "timed-out" | "pending";
}

export interface StopResult {
  readonly reason: "requested" | "connection-closed";
  /** The last term that this node gave up, by the stop or before; `null` if there was none. */
  readonly term: StepDownResult | null;
  /** Names of hooks, and `work`, that had not returned when the node stopped. */
  readonly unfinished: readonly string[];
}

export interface RunnerOptions {
  readonly config: ApplicationConfig;
  readonly identity: Omit<TermIdentity, "epoch" | "acquiredAt">;
  readonly hooks: Hooks;
  readonly clock: Clock;
  readonly driver: Driver;
  /** Keeps the process alive for as long as a wait with this limit lasts. Returns the end. */
  readonly keepAlive: (limitMs: number) => () => void;
  /** Reports a notice as log line and event. */
  readonly notify: (notice: Notice, term: (epoch: number) => Term) => void;
  /** Closes what the incarnation opened. */
  readonly close: () => Promise<void>;
}

interface PendingWait {
  readonly what: string;
  readonly resolve: (settlement: Settlement) => void;
  readonly release: () => void;
}

interface PendingWorker {
  readonly work: LeaderWork;
  readonly resolve: (settlement: WorkerSettlement) => void;
}

interface ActiveRun {
  readonly epoch: number;
  readonly controller: AbortController;
}

export class ApplicationRunner {
  readonly #o: RunnerOptions;
  readonly #queue: ApplicationEvent[] = [];
  readonly #terms = new Map<number, RunningTerm>();
  readonly #waits = new Map<number, PendingWait>();
  readonly #workers = new Map<number, PendingWorker>();
  readonly #runs = new Map<number, ActiveRun>();
  #state: ApplicationState;
  #busy = false;
  #cancelTimer: (() => void) | null = null;
  #lastId = 0;

  constructor(options: RunnerOptions) {
    this.#o = options;
    this.#state = initialApplication(options.config);
  }

  /** The running term; `null` when there is none, or it is being given up. */
  get term(): Term | null {
    const last = this.#state.terms.at(-1);
    return last === undefined || last.ended !== null ? null : this.#term(last.epoch);
  }

  /** Application code that keeps other application code from running, once that has been reported. */
  get blocked(): Blocked | null {
    return blockedNow(this.#state, this.#o.clock.now());
  }

  /** Handles an event and everything that follows from it synchronously. */
  dispatch(event: ApplicationEvent): void {
    this.#queue.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#step(next);
    } finally {
      this.#busy = false;
    }
    this.#setTimer();
  }

  // ------------------------------------------------------------------------------------------ calls of the application

  async campaign(what: string, options: WaitOptions): Promise<Term> {
    // A deadline that has passed ends the term before the wait can be answered with it.
    this.#o.driver.expire();
    const settlement = await this.#wait(what, { kind: "leadership" }, options);
    if (settlement.kind === "leading") return this.#term(settlement.epoch);
    throw refusal(what, settlement, options);
  }

  /** Resolves when the term may be acted on. */
  async untilHeld(epoch: number, options: WaitOptions): Promise<void> {
    const what = `the term with epoch ${epoch} to be held`;
    const { driver } = this.#o;
    const signal = this.#terms.get(epoch)?.signal;
    do {
      driver.expire();
      const settlement = await this.#wait(what, { kind: "held", epoch }, options);
      // The signal's own reason: work that lets it pass has not failed.
      if (settlement.kind === "term-over") signal?.throwIfAborted();
      if (settlement.kind !== "leading") throw refusal(what, settlement, options);
      // After a pause the loop first has to see that the connection is still open.
      if (!driver.isHeld()) await driver.freshened();
    } while (!driver.isHeld());
  }

  /** `null`: the node does not lead. */
  async stepDown(
    what: string,
    successor: string | undefined,
    options: WaitOptions,
  ): Promise<StepDownResult | null> {
    return this.#giveUp(what, options, { type: "step-down", successor });
  }

  async setCompeting(what: string, competes: boolean, options: WaitOptions): Promise<StepDownResult | null> {
    return this.#giveUp(what, options, { type: "compete", competes });
  }

  async #giveUp(
    what: string,
    options: WaitOptions,
    request:
      | { readonly type: "step-down"; readonly successor: string | undefined }
      | { readonly type: "compete"; readonly competes: boolean },
  ): Promise<StepDownResult | null> {
    const blocking = codeOf(this) !== null;
    const epoch = this.#state.terms.at(-1)?.epoch ?? 0;
    const settlement = await this.#ask(what, options, (wait, timeoutMs) => ({
      ...request,
      wait,
      blocking,
      timeoutMs,
    }));
    switch (settlement.kind) {
      case "released": {
        const { leaseDeleted, drain } = settlement;
        return { epoch: settlement.epoch, leaseDeleted, drain };
      }
      case "begun":
        return { epoch, leaseDeleted: null, drain: "pending" };
      case "nothing":
      case "term-over":
        return null;
      default:
        throw refusal(what, settlement, options);
    }
  }

  /** Joins a stop that has begun. Never rejects. */
  async stop(what: string, options: WaitOptions): Promise<StopResult> {
    const blocking = codeOf(this) !== null;
    const settlement = await this.#ask(what, options, (wait, timeoutMs) => ({
      type: "stop",
      wait,
      blocking,
      timeoutMs,
    }));
    if (settlement.kind !== "stopped") return { reason: "requested", term: null, unfinished: [] };
    const { reason, givenUp, unfinished } = settlement;
    const term =
      givenUp === null
        ? null
        : { epoch: givenUp.epoch, leaseDeleted: givenUp.leaseDeleted, drain: givenUp.drain };
    return { reason, term, unfinished };
  }

  async runWhileLeader(work: LeaderWork, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return;
    const worker = ++this.#lastId;
    const inside = codeOf(this);
    const onAbort = (): void => this.dispatch({ type: "abort-worker", worker });
    const settlement = await new Promise<WorkerSettlement>((resolve) => {
      this.#workers.set(worker, { work, resolve });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.dispatch({ type: "add-worker", worker, inside });
    });
    signal?.removeEventListener("abort", onAbort);
    switch (settlement.kind) {
      case "done":
        return;
      case "failed":
        throw new ClusterError("HOOK_FAILED", `leader work failed: ${messageOf(settlement.error)}`, {
          cause: settlement.error,
        });
      case "unfinished":
        throw new ClusterError(
          "STOPPED",
          "the node has stopped and leader work has not ended; make it end when its signal aborts",
        );
      default:
        settlement satisfies never;
    }
  }

  // ------------------------------------------------------------------------------------------ waits

  #wait(what: string, condition: WaitFor, options: WaitOptions): Promise<Settlement> {
    return this.#ask(what, options, (wait, timeoutMs) => ({ type: "wait", wait, for: condition, timeoutMs }));
  }

  /** Dispatches an event that adds a wait; resolves with its settlement. */
  #ask(
    what: string,
    options: WaitOptions,
    event: (wait: number, timeoutMs: number) => ApplicationEvent,
  ): Promise<Settlement> {
    const timeoutMs = limitOf(options);
    const { signal } = options;
    const wait = ++this.#lastId;
    return new Promise((resolve) => {
      const onAbort = (): void => this.dispatch({ type: "abort-wait", wait });
      const release = this.#o.keepAlive(timeoutMs);
      this.#waits.set(wait, {
        what,
        resolve,
        release: () => {
          release();
          signal?.removeEventListener("abort", onAbort);
        },
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.dispatch(event(wait, timeoutMs));
      if (signal?.aborted === true) onAbort();
    });
  }

  // ------------------------------------------------------------------------------------------ effects

  #step(event: ApplicationEvent): void {
    const { state, effects } = stepApplication(this.#state, event, this.#o.clock.now());
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
    for (const epoch of this.#terms.keys()) {
      if (!state.terms.some((term) => term.epoch === epoch)) this.#terms.delete(epoch);
    }
  }

  #carryOut(effect: ApplicationEffect): void {
    switch (effect.type) {
      case "notify":
        if (effect.notice.type === "become-leader")
          this.#addTerm(effect.notice.epoch, effect.notice.acquiredAt);
        return this.#o.notify(effect.notice, (epoch) => this.#term(epoch));
      case "call-hook":
        return this.#callHook(effect);
      case "start-run":
        return this.#startRun(effect.run, effect.worker, effect.epoch);
      case "abort-run":
        return this.#runs
          .get(effect.run)
          ?.controller.abort(new ClusterError("ABORTED", "the signal of runWhileLeader() has aborted"));
      case "end-term": {
        const why = new ClusterError(
          "NOT_LEADER",
          `the term with epoch ${effect.epoch} has ended: ${effect.reason}`,
        );
        this.#terms.get(effect.epoch)?.end(effect.reason, why);
        for (const { epoch, controller } of this.#runs.values())
          if (epoch === effect.epoch) controller.abort(why);
        return;
      }
      case "settle": {
        const wait = this.#waits.get(effect.wait);
        this.#waits.delete(effect.wait);
        wait?.release();
        return wait?.resolve(effect.settlement);
      }
      case "settle-worker": {
        const worker = this.#workers.get(effect.worker);
        this.#workers.delete(effect.worker);
        return worker?.resolve(effect.settlement);
      }
      case "resign": {
        const { reason, successor, pauseMs } = effect;
        return this.#o.driver.dispatch({
          type: "resign",
          reason,
          pauseMs,
          ...(successor === undefined ? {} : { successor }),
        });
      }
      case "set-competing":
        return this.#o.driver.dispatch({ type: "compete", competes: effect.competes });
      case "drained":
        return this.#o.driver.dispatch({ type: "drained" });
      case "stop-election":
        return this.#o.driver.dispatch({ type: "stop" });
      case "close":
        void this.#o.close().then(() => this.dispatch({ type: "closed" }));
        return;
      default:
        effect satisfies never;
    }
  }

  #addTerm(epoch: number, acquiredAt: number): void {
    const identity: TermIdentity = { ...this.#o.identity, epoch, acquiredAt };
    this.#terms.set(
      epoch,
      new RunningTerm(identity, this.#o.driver, (options) => this.untilHeld(epoch, options)),
    );
  }

  #term(epoch: number): RunningTerm {
    const term = this.#terms.get(epoch);
    if (term === undefined) throw new Error(`bug: no term with epoch ${epoch}`);
    return term;
  }

  #callHook(call: HookCall): void {
    const { hooks } = this.#o;
    const term = "epoch" in call ? this.#term(call.epoch) : null;
    this.#run(call.call, term?.signal, () => {
      switch (call.hook) {
        case "onBecomeLeader":
          return hooks.onBecomeLeader?.(this.#term(call.epoch));
        case "onLoseLeadership":
          return hooks.onLoseLeadership?.(this.#term(call.epoch), call.reason);
        case "onLeaderChange":
          return hooks.onLeaderChange?.(call.leader);
        case "onNatsDisconnect":
          return hooks.onNatsDisconnect?.(call.error);
        case "onNatsReconnect":
          return hooks.onNatsReconnect?.();
        default:
          return call satisfies never;
      }
    }).then((outcome) => this.dispatch({ type: "call-ended", call: call.call, outcome }));
  }

  #startRun(run: number, worker: number, epoch: number): void {
    const controller = new AbortController();
    const term = this.#term(epoch);
    const signal = clockTrueSignal(controller, () => term.signal.aborted);
    this.#runs.set(run, { epoch, controller });
    const work = this.#workers.get(worker)?.work;
    this.#run(run, signal, () => work?.(term, { signal })).then((outcome) => {
      this.#runs.delete(run);
      this.dispatch({ type: "run-ended", run, outcome });
    });
  }

  /** Enters application code, after the present event has been handled completely. Never rejects. */
  async #run(code: number, signal: AbortSignal | undefined, run: () => unknown): Promise<Outcome> {
    await Promise.resolve();
    try {
      await runCode(this, code, run);
      return { kind: "returned" };
    } catch (error) {
      return { kind: "threw", error, abort: isAbort(error, signal) };
    }
  }

  #setTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const delayMs = applicationWakeMs(this.#state, this.#o.clock.now());
    if (delayMs === null) return;
    this.#cancelTimer = this.#o.clock.setTimer(delayMs, () => {
      this.#cancelTimer = null;
      this.dispatch({ type: "tick" });
    });
  }
}

/** Does the error only repeat that the signal has aborted? As `fetch`, timers and `signal.throwIfAborted()` throw it. */
function isAbort(error: unknown, signal: AbortSignal | undefined): boolean {
  if (signal?.aborted !== true) return false;
  if (error === signal.reason) return true;
  if (!(error instanceof Error)) return false;
  return error.name === "AbortError" || error.cause === signal.reason;
}

/** Why a call of the application rejects. */
function refusal(what: string, settlement: Settlement, { signal }: WaitOptions): ClusterError {
  switch (settlement.kind) {
    case "timeout":
      return new ClusterError("TIMEOUT", `timed out waiting for ${what}`, { recoverable: true });
    case "aborted":
      return new ClusterError("ABORTED", `aborted while waiting for ${what}`, {
        cause: signal?.reason,
        recoverable: true,
      });
    case "term-over":
      return new ClusterError(
        "NOT_LEADER",
        `waiting for ${what}: the term with epoch ${settlement.epoch} has ended`,
      );
    case "stopped":
      return settlement.reason === "connection-closed"
        ? new ClusterError(
            "NO_CONNECTION",
            `waiting for ${what}: the NATS connection was closed and the node has stopped`,
          )
        : new ClusterError("STOPPED", `waiting for ${what}: the node has stopped`);
    case "leading":
    case "released":
    case "begun":
    case "nothing":
      throw new Error(`bug: the wait for ${what} is settled with "${settlement.kind}"`);
    default:
      return settlement satisfies never;
  }
}
