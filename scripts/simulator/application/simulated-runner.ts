/**
 * Executes the effects of `src/application` on the clock of a simulated process and reports every step to the watch, which checks it.
 * What application code does is up to the application.
 */
import {
  applicationWakeMs,
  initialApplication,
  stepApplication,
} from "../../../src/application/application.ts";
import type {
  ApplicationConfig,
  ApplicationEffect,
  ApplicationEvent,
  ApplicationState,
  Outcome,
  Settlement,
} from "../../../src/application/types.ts";
import { after } from "../../../src/election/time.ts";
import type { ElectionEvent } from "../../../src/election/types.ts";
import type { Clock } from "../../../src/runtime/ports.ts";
import { ApplicationWatch } from "./application-watch.ts";

/** What the process and its node offer. */
export interface ApplicationSurroundings {
  readonly clock: Pick<Clock, "now" | "setTimer">;
  readonly election: (event: ElectionEvent) => void;
  /** Blocks the event loop of the process. `then` runs before anything that has come by then. */
  readonly block: (forMs: number, then: () => void) => void;
  readonly violated: (what: string) => void;
  /** Sees every step; for traces. */
  readonly trace?: (
    event: ApplicationEvent,
    effects: readonly ApplicationEffect[],
    state: ApplicationState,
  ) => void;
  /** The node has stopped and closed everything. */
  readonly closed: () => void;
}

interface RunnerOptions extends ApplicationSurroundings {
  readonly config: ApplicationConfig;
  /** Enters application code. */
  readonly enter: (code: Code) => void;
  /** Milliseconds that closing takes. */
  readonly closingMs: () => number;
}

/** A hook call or a run of work that has not ended. */
export interface Code {
  readonly id: number;
  readonly kind: "call" | "run";
  /** Of code that belongs to a term. */
  readonly epoch: number | null;
  readonly worker: number | null;
  aborted: boolean;
  /** What the code does when its signal aborts; absent if it ignores it. */
  onAbort?: () => void;
}

export const FOREVER: number = Number.POSITIVE_INFINITY;
/** How late a timer may be: timers fire on whole milliseconds. */
const LATE_MS = 5;

export class SimulatedRunner {
  readonly #o: RunnerOptions;
  readonly #watch: ApplicationWatch;
  readonly #queue: ApplicationEvent[] = [];
  /** Application code to be entered once the step has been carried out, as by a microtask. */
  readonly #entries: (() => void)[] = [];
  readonly #codes = new Map<number, Code>();
  readonly #answers = new Map<number, (settlement: Settlement) => void>();
  readonly #workers = new Map<number, (failed: boolean) => void>();
  #state: ApplicationState;
  #busy = false;
  #blocked = false;
  /** Of application code, ended with the process. */
  readonly #timers = new Set<() => void>();
  #cancelTimer: (() => void) | null = null;
  #selfWaitSinceMono: number | null = null;
  #lastId = 0;

  constructor(options: RunnerOptions) {
    this.#o = options;
    this.#state = initialApplication(options.config);
    this.#watch = new ApplicationWatch(options.config, options.violated);
  }

  get state(): ApplicationState {
    return this.#state;
  }

  /** Code that has not ended. */
  get codes(): readonly Code[] {
    return [...this.#codes.values()];
  }

  /** Waits without an answer. */
  get waits(): readonly number[] {
    return [...this.#answers.keys()];
  }

  get workers(): readonly number[] {
    return [...this.#workers.keys()];
  }

  /** At the end of a history. */
  assertSettled(): void {
    this.#watch.assertEnded(this.#state);
  }

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
    this.#enterAll();
  }

  /** Nothing is entered while application code blocks the loop. */
  #enterAll(): void {
    while (!this.#blocked) {
      const enter = this.#entries.shift();
      if (enter === undefined) return;
      enter();
    }
  }

  block(forMs: number, then: () => void): void {
    this.#blocked = true;
    this.#o.block(forMs, () => {
      this.#blocked = false;
      then();
      this.#enterAll();
    });
  }

  #step(event: ApplicationEvent): void {
    const now = this.#o.clock.now();
    const before = this.#state;
    const { state, effects } = stepApplication(before, event, now);
    this.#state = state;
    this.#o.trace?.(event, effects, state);
    this.#watch.step(before, event, effects, state, now);
    this.#expectLimits(event);
    this.#expectAnswer(event);
    for (const effect of effects) this.#carryOut(effect);
  }

  /** Everything with a limit has its own timer in the application side; these, set a little later, find out if one is missing. */
  #expectLimits(event: ApplicationEvent): void {
    const { drainTimeoutMs } = this.#state.config;
    if (event.type === "election" && event.output.type === "drain") {
      const { epoch } = event.output;
      this.#expect(drainTimeoutMs, `the drain of term ${epoch}`, () => {
        const drain = this.#state.terms.find((term) => term.epoch === epoch)?.drain;
        return drain?.outcome !== null;
      });
    } else if (event.type === "stop") {
      const limitMs = Math.min(drainTimeoutMs, event.timeoutMs);
      this.#expect(limitMs, "the stop", () => this.#state.stage !== "finishing");
    } else if ("timeoutMs" in event && event.timeoutMs !== FOREVER) {
      this.#expect(event.timeoutMs, `wait ${event.wait}`, () => !this.#answers.has(event.wait));
    }
  }

  /** Code that may wait for itself gets an answer by a timer, too. */
  #expectAnswer(event: ApplicationEvent): void {
    const { selfWaits } = this.#watch;
    const { sinceMono } = selfWaits;
    if (sinceMono !== null && (sinceMono !== this.#selfWaitSinceMono || "caller" in event)) {
      const delayMs = this.#state.config.selfWaitMs + LATE_MS;
      const dueAt = after(this.#o.clock.now(), delayMs);
      // After a pause, what was due later has not had its turn yet.
      this.later(delayMs, () => selfWaits.check(dueAt));
    }
    this.#selfWaitSinceMono = sinceMono;
  }

  #expect(limitMs: number, what: string, ended: () => boolean): void {
    this.later(limitMs + LATE_MS, () => {
      if (!ended()) this.#o.violated(`${what} outlasts its limit`);
    });
  }

  #carryOut(effect: ApplicationEffect): void {
    switch (effect.type) {
      case "call-hook": {
        const epoch = "epoch" in effect ? effect.epoch : null;
        this.#enter({
          id: effect.call,
          kind: "call",
          epoch,
          worker: null,
          aborted: effect.hook === "onLoseLeadership",
        });
        return;
      }
      case "start-run":
        this.#enter({
          id: effect.run,
          kind: "run",
          epoch: effect.epoch,
          worker: effect.worker,
          aborted: false,
        });
        return;
      case "abort-run":
        return this.#abort(this.#codes.get(effect.run));
      case "end-term":
        for (const code of this.#codes.values()) if (code.epoch === effect.epoch) this.#abort(code);
        return;
      case "settle":
        this.#answers.get(effect.wait)?.(effect.settlement);
        this.#answers.delete(effect.wait);
        return;
      case "settle-worker":
        this.#workers.get(effect.worker)?.(effect.settlement.kind === "failed");
        this.#workers.delete(effect.worker);
        return;
      case "resign":
        return this.#o.election({
          type: "resign",
          reason: effect.reason,
          pauseMs: effect.pauseMs,
          ...(effect.successor === undefined ? {} : { successor: effect.successor }),
        });
      case "set-competing":
        return this.#o.election({ type: "compete", competes: effect.competes });
      case "drained":
        return this.#o.election({ type: "drained" });
      case "stop-election":
        return this.#o.election({ type: "stop" });
      case "close":
        this.later(this.#o.closingMs(), () => {
          this.dispatch({ type: "closed" });
          this.#cancelTimer?.();
          for (const cancel of this.#timers) cancel();
          this.#timers.clear();
          this.#o.closed();
        });
        return;
      case "notify":
        return;
      default:
        effect satisfies never;
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

  later(delayMs: number, then: () => void): void {
    const cancel = this.#o.clock.setTimer(delayMs, () => {
      this.#timers.delete(cancel);
      then();
    });
    this.#timers.add(cancel);
  }

  #abort(code: Code | undefined): void {
    if (code === undefined || code.aborted) return;
    code.aborted = true;
    const { onAbort } = code;
    if (onAbort !== undefined) this.#entries.push(onAbort);
  }

  #enter(code: Code): void {
    this.#codes.set(code.id, code);
    this.#entries.push(() => this.#o.enter(code));
  }

  end(code: Code, outcome: Outcome): void {
    if (!this.#codes.delete(code.id)) return;
    this.#watch.codeEnds(code, outcome);
    if (code.kind === "call") this.dispatch({ type: "call-ended", call: code.id, outcome });
    else this.dispatch({ type: "run-ended", run: code.id, outcome });
  }

  addWorker(inside: number | null, then: (failed: boolean) => void = () => {}): void {
    const worker = ++this.#lastId;
    this.#workers.set(worker, (failed) => this.#entries.push(() => then(failed)));
    this.dispatch({ type: "add-worker", worker, inside });
  }

  /** A new wait, and what its caller does with the answer: in a turn of its own, as behind an `await`. */
  ask(then: (settlement: Settlement) => void): number {
    const wait = ++this.#lastId;
    this.#answers.set(wait, (settlement) => this.#entries.push(() => then(settlement)));
    return wait;
  }
}
