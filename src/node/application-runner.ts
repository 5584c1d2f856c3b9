/**
 * Runs the application side of one incarnation: one queue of events, one timer, and the promises, signals and calls of the
 * application that `src/application` decides about.
 */
import {
  applicationWakeMs,
  initialApplication,
  stepApplication,
  unfinishedCode,
} from "../application/application.ts";
import { blockedNow } from "../application/due.ts";
import type {
  ApplicationConfig,
  ApplicationEffect,
  ApplicationEvent,
  ApplicationState,
  Blocked,
  EarlierCode,
  HookCall,
  Notice,
  Settlement,
  WorkerSettlement,
} from "../application/types.ts";
import { ClusterError } from "../errors.ts";
import { attempt, OpenRequests, outcomeOf } from "../runtime/application/open-requests.ts";
import type { Driver } from "../runtime/driver.ts";
import type { Clock } from "../runtime/ports.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import { callHook } from "./call-hook.ts";
import type { Hooks } from "./hooks.ts";
import { clockTrueSignal, RunningTerm, type Term, type TermIdentity } from "./term.ts";

/** Leader work: what `runWhileLeader()` runs in every term. */
export type LeaderWork = (term: Term, run: { readonly signal: AbortSignal }) => unknown;

export interface RunnerOptions {
  /** Of the last incarnation of the node. */
  readonly earlier?: ApplicationRunner | null;
  readonly config: ApplicationConfig;
  readonly identity: Omit<TermIdentity, "epoch" | "acquiredAt">;
  readonly hooks: Hooks;
  readonly clock: Clock;
  readonly driver: Driver;
  /** Keeps the process alive for as long as a wait with this limit lasts. Returns the end. */
  readonly keepAlive: (limitMs: number) => () => void;
  /** Reports a notice as log line and event. */
  readonly notify: (notice: Notice, term: (epoch: number) => Term) => void;
  readonly untilHeld: (epoch: number, options: WaitOptions) => Promise<void>;
  /** Closes what the incarnation opened. */
  readonly close: () => Promise<void>;
  /** A hook that the application has was called, and has ended. */
  readonly hookEnded?: (call: HookCall, failed: boolean, durationMs: number) => void;
  /** Reports that a step has failed, which is a defect: the steps after it are carried out. */
  readonly defect: (during: string, error: unknown) => void;
}

/** A settlement; `term`: the one that it names, which may have ended before the caller goes on. */
export type Answer = Settlement & { readonly term?: Term | undefined };

interface ActiveRun {
  readonly epoch: number;
  readonly worker: number;
  readonly controller: AbortController;
}

type CodeEnded = Extract<ApplicationEvent, { type: "call-ended" | "run-ended" }>;

export class ApplicationRunner {
  /** Stands for this incarnation and those whose code has outlived them: that code holds up this one as its own does. */
  readonly codeOwner: object;
  readonly #o: RunnerOptions;
  readonly #queue: ApplicationEvent[] = [];
  readonly #terms = new Map<number, RunningTerm>();
  readonly #open: OpenRequests<ApplicationEvent, Answer, LeaderWork, WorkerSettlement>;
  readonly #runs = new Map<number, ActiveRun>();
  #state: ApplicationState;
  #busy = false;
  #cancelTimer: (() => void) | null = null;
  /** The next incarnation of the node. */
  #next: ApplicationRunner | null = null;

  constructor(options: RunnerOptions) {
    this.#o = options;
    this.#open = new OpenRequests((event) => this.dispatch(event), options.keepAlive);
    this.codeOwner = options.earlier?.codeOwner ?? {};
    this.#state = initialApplication(options.config, options.earlier?.handOver(this));
  }

  /** Whether all hooks and work have returned. */
  get isIdle(): boolean {
    return this.#state.active === null && this.#state.workers.every(({ run }) => run === null);
  }

  /** Application code of this incarnation, which has stopped, may still run: its end is an event of the next one, too. */
  handOver(next: ApplicationRunner): EarlierCode {
    this.#next = next;
    return unfinishedCode(this.#state);
  }

  /** A term that is not over for the application. */
  termOf(epoch: number): RunningTerm | undefined {
    return this.#terms.get(epoch);
  }

  knownTerm(epoch: number): RunningTerm {
    const term = this.#terms.get(epoch);
    if (term === undefined) throw new Error(`bug: no term with epoch ${epoch}`);
    return term;
  }

  /** The running term; `null` when there is none, or it is being given up. */
  get term(): Term | null {
    const last = this.#state.terms.at(-1);
    return last === undefined || last.ended !== null ? null : this.knownTerm(last.epoch);
  }

  /** Application code that keeps other application code from running, once that has been reported. */
  get blocked(): Blocked | null {
    return blockedNow(this.#state, this.#o.clock.now());
  }

  /** Handles an event and everything that follows from it synchronously. Never throws. */
  dispatch(event: ApplicationEvent): void {
    this.#queue.push(event);
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { type } = next;
      const now = next;
      this.#attempt(type, () => this.#step(now));
    }
    this.#busy = false;
    this.#attempt("timer", () => this.#setTimer());
  }

  /** A lost effect would leave hooks uncalled. */
  #attempt(what: string, act: () => void): void {
    attempt(what, act, this.#o.defect);
  }

  // ------------------------------------------------------------------------------------------ waits and work

  /** Dispatches an event that adds a wait; resolves with its settlement. */
  ask(options: WaitOptions, event: (wait: number, timeoutMs: number) => ApplicationEvent): Promise<Answer> {
    return this.#open.ask(options, event);
  }

  /** Adds leader work; resolves when it is over. `signal` has not aborted. */
  addWorker(
    work: LeaderWork,
    inside: number | null,
    signal: AbortSignal | undefined,
  ): Promise<WorkerSettlement> {
    return this.#open.register({ work, inside, signal }, (worker) => ({
      type: "add-worker",
      worker,
      inside,
    }));
  }

  // ------------------------------------------------------------------------------------------ effects

  #step(event: ApplicationEvent): void {
    const { state, effects } = stepApplication(this.#state, event, this.#o.clock.now());
    this.#state = state;
    for (const effect of effects) this.#attempt(effect.type, () => this.#carryOut(effect));
    for (const epoch of this.#terms.keys()) {
      if (!state.terms.some((term) => term.epoch === epoch)) this.#terms.delete(epoch);
    }
  }

  #carryOut(effect: ApplicationEffect): void {
    switch (effect.type) {
      case "notify":
        if (effect.notice.type === "become-leader")
          this.#addTerm(effect.notice.epoch, effect.notice.acquiredAt);
        return this.#o.notify(effect.notice, (epoch) => this.knownTerm(epoch));
      case "call-hook":
        return this.#callHook(effect);
      case "start-run":
        return this.#startRun(effect.run, effect.worker, effect.epoch);
      case "abort-run":
        return this.#abortRun(effect.run);
      case "end-term": {
        const term = this.knownTerm(effect.epoch);
        term.end(effect.reason);
        for (const { epoch, controller } of this.#runs.values())
          if (epoch === effect.epoch) controller.abort(term.signal.reason);
        return;
      }
      case "settle": {
        const { wait, settlement } = effect;
        const isLeading = settlement.kind === "leading";
        return this.#open.answer(
          wait,
          isLeading ? { ...settlement, term: this.#terms.get(settlement.epoch) } : settlement,
        );
      }
      case "settle-worker":
        return this.#open.endWork(effect.worker, effect.settlement);
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
        void this.#close();
        return;
      default:
        effect satisfies never;
    }
  }

  #addTerm(epoch: number, acquiredAt: number): void {
    const identity: TermIdentity = { ...this.#o.identity, epoch, acquiredAt };
    this.#terms.set(
      epoch,
      new RunningTerm(identity, this.#o.driver, (options) => this.#o.untilHeld(epoch, options)),
    );
  }

  /** What cannot be closed must not keep the node from having stopped. */
  async #close(): Promise<void> {
    try {
      await this.#o.close();
    } catch (error) {
      this.#attempt("close", () => this.#o.defect("close", error));
    }
    this.dispatch({ type: "closed" });
  }

  #callHook(call: HookCall): void {
    const { hooks } = this.#o;
    const term = "epoch" in call ? this.#terms.get(call.epoch) : undefined;
    const enter = (): unknown => callHook(hooks, call, term);
    const began = this.#o.clock.now();
    void outcomeOf(this.codeOwner, call.call, () => [term?.signal], enter).then((outcome) => {
      this.#codeEnded({ type: "call-ended", call: call.call, outcome });
      if (!this.#o.config.hooks.has(call.hook)) return;
      const failed = outcome.kind === "threw" && !outcome.abort;
      this.#o.hookEnded?.(call, failed, this.#o.clock.now().mono - began.mono);
    });
  }

  #startRun(run: number, worker: number, epoch: number): void {
    const controller = new AbortController();
    const term = this.knownTerm(epoch);
    const signal = clockTrueSignal(controller, () =>
      term.signal.aborted ? { reason: term.signal.reason as unknown } : null,
    );
    const pending = this.#open.registered(worker);
    this.#runs.set(run, { epoch, worker, controller });
    const enter = (): unknown => pending?.work(term, { signal });
    const signals = (): (AbortSignal | undefined)[] => [term.signal, signal, pending?.signal];
    void outcomeOf(this.codeOwner, run, signals, enter, pending?.inside).then((outcome) => {
      this.#runs.delete(run);
      this.#codeEnded({ type: "run-ended", run, outcome });
    });
  }

  #codeEnded(event: CodeEnded): void {
    this.dispatch(event);
    // Its error has been reported.
    if (this.#next !== null) this.#next.#codeEnded({ ...event, outcome: { kind: "returned" } });
  }

  #abortRun(run: number): void {
    const active = this.#runs.get(run);
    if (active === undefined) return;
    const { signal } = this.#open.registered(active.worker) ?? {};
    const message = "the signal that was passed to runWhileLeader() has aborted";
    active.controller.abort(new ClusterError("ABORTED", message, { cause: signal?.reason }));
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
