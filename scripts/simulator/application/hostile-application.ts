/**
 * An application that misbehaves, on the application side of a simulated node: hooks and work that hang, block the event loop,
 * throw early, late, synchronously or after the abort, ignore their signal, and call back into the node; callers that come and go at any time.
 *
 * Executes the effects of `src/application` on the clock of its process and reports every step to the watch, which checks it.
 */
import {
  applicationWakeMs,
  initialApplication,
  stepApplication,
} from "../../../src/application/application.ts";
import {
  type ApplicationConfig,
  type ApplicationEffect,
  type ApplicationEvent,
  type ApplicationState,
  type Caller,
  type ElectionOutput,
  HOOK_NAMES,
  type Outcome,
  type Settlement,
} from "../../../src/application/types.ts";
import type { ElectionEvent } from "../../../src/election/types.ts";
import type { Clock } from "../../../src/runtime/ports.ts";
import type { Random } from "../../../src/testing/simulation/random.ts";
import { ApplicationWatch } from "./application-watch.ts";

export interface HostileOptions {
  readonly clock: Pick<Clock, "now" | "setTimer">;
  readonly random: Random;
  readonly drainTimeoutMs: number;
  /** Share of calls and runs that do not simply return. 0: a well-behaved application. */
  readonly hostility: number;
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

/** A hook call or a run of work that has not ended. */
interface Code {
  readonly id: number;
  readonly kind: "call" | "run";
  /** Of code that belongs to a term. */
  readonly epoch: number | null;
  readonly worker: number | null;
  aborted: boolean;
  /** What the code does when its signal aborts; absent if it ignores it. */
  onAbort?: () => void;
}

const FOREVER = Number.POSITIVE_INFINITY;
const SLOW_AFTER_MS = 4_000;
const SELF_WAIT_MS = 1_000;
/** Where a call comes from that no hook or work makes. */
const OUTSIDE: Caller = { inside: [], awaited: false };
/** How late a timer may be: timers fire on whole milliseconds. */
const LATE_MS = 5;

export class HostileApplication {
  readonly #o: HostileOptions;
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
  #hostility: number;
  #withdrawn = false;

  constructor(options: HostileOptions) {
    this.#o = options;
    this.#hostility = options.hostility;
    const { random } = options;
    const config: ApplicationConfig = {
      drainTimeoutMs: options.drainTimeoutMs,
      slowAfterMs: SLOW_AFTER_MS,
      selfWaitMs: Math.min(SELF_WAIT_MS, options.drainTimeoutMs / 2),
      hooks: new Set(HOOK_NAMES.filter(() => random.chance(0.8))),
      failureBackOffMs: 250,
      maxFailureBackOffMs: 8_000,
    };
    this.#state = initialApplication(config);
    this.#watch = new ApplicationWatch(config, options.violated);
    if (random.chance(0.7)) this.#addWorker(null);
    if (random.chance(0.3)) this.#addWorker(null);
    this.#callLater();
  }

  get state(): ApplicationState {
    return this.#state;
  }

  output(output: ElectionOutput): void {
    this.#dispatch({ type: "election", output });
  }

  connection(event: "nats-disconnect" | "nats-reconnect"): void {
    this.#dispatch(event === "nats-disconnect" ? { type: event, error: null } : { type: event });
  }

  /** Calls from outside of hooks and work, for as long as the application is hostile. */
  #callLater(): void {
    if (this.#hostility === 0) return;
    this.#later(this.#o.random.between(1, 8_000), () => {
      if (this.#hostility === 0 || this.#state.stage !== "running") return;
      this.#call();
      this.#callLater();
    });
  }

  #call(): void {
    const { random } = this.#o;
    switch (random.between(0, 5)) {
      case 0:
      case 1:
        return this.#campaign();
      case 2:
        return this.#stepDown(OUTSIDE, () => {});
      case 3:
        return this.#addWorker(null);
      case 4: {
        const workers = [...this.#workers.keys()];
        if (workers.length > 0) this.#dispatch({ type: "abort-worker", worker: random.pick(workers) });
        return;
      }
      default: {
        const waits = [...this.#answers.keys()];
        if (waits.length > 0) this.#dispatch({ type: "abort-wait", wait: random.pick(waits) });
      }
    }
  }

  /** From now on hooks and work return, also those that are under way, and the node competes. */
  becomeBenign(): void {
    this.#hostility = 0;
    for (const code of this.#codes.values()) {
      this.#later(this.#o.random.between(0, 500), () => this.#end(code, { kind: "returned" }));
    }
    if (this.#withdrawn) this.#compete(true, OUTSIDE);
  }

  stop(): void {
    const { random } = this.#o;
    const timeoutMs = random.chance(0.3) ? random.between(0, 3_000) : FOREVER;
    const codes = [...this.#codes.values()];
    const code = codes.length > 0 && random.chance(0.3) ? random.pick(codes) : null;
    const wait = this.#ask(() => code !== null && this.#end(code, { kind: "returned" }));
    this.#dispatch({ type: "stop", wait, caller: code === null ? OUTSIDE : this.#in(code), timeoutMs });
  }

  /** At the end of a history. */
  assertSettled(): void {
    this.#watch.assertEnded(this.#state);
  }

  // ------------------------------------------------------------------------------------------ the driver's part

  #dispatch(event: ApplicationEvent): void {
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

  #block(forMs: number, then: () => void): void {
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
      this.#later(this.#state.config.selfWaitMs + LATE_MS, () => selfWaits.check(this.#o.clock.now()));
    }
    this.#selfWaitSinceMono = sinceMono;
  }

  #expect(limitMs: number, what: string, ended: () => boolean): void {
    this.#later(limitMs + LATE_MS, () => {
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
        this.#later(this.#o.random.between(0, 20), () => {
          this.#dispatch({ type: "closed" });
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
      this.#dispatch({ type: "tick" });
    });
  }

  #later(delayMs: number, then: () => void): void {
    const cancel = this.#o.clock.setTimer(delayMs, () => {
      this.#timers.delete(cancel);
      then();
    });
    this.#timers.add(cancel);
  }

  // ------------------------------------------------------------------------------------------ application code

  #abort(code: Code | undefined): void {
    if (code === undefined || code.aborted) return;
    code.aborted = true;
    const { onAbort } = code;
    if (onAbort !== undefined) this.#entries.push(onAbort);
  }

  #enter(code: Code): void {
    this.#codes.set(code.id, code);
    this.#entries.push(() => this.#behave(code));
  }

  #end(code: Code, outcome: Outcome): void {
    if (!this.#codes.delete(code.id)) return;
    this.#watch.codeEnds(code, outcome);
    if (code.kind === "call") this.#dispatch({ type: "call-ended", call: code.id, outcome });
    else this.#dispatch({ type: "run-ended", run: code.id, outcome });
  }

  #behave(code: Code): void {
    const { random } = this.#o;
    const returns = (): void => this.#end(code, { kind: "returned" });
    const fails = (): void =>
      this.#hostility === 0
        ? returns()
        : this.#end(code, { kind: "threw", error: this.#thrown(code), abort: false });
    const abortError = (): void =>
      this.#end(code, { kind: "threw", error: new Error("aborted"), abort: true });
    const soon = (then: () => void, most = 3_000): void => this.#later(random.between(0, most), then);
    const onAbort = (then: () => void): void => {
      if (code.aborted) then();
      else code.onAbort = then;
    };
    if (!random.chance(this.#hostility)) {
      if (code.kind === "call" || random.chance(0.3))
        return random.chance(0.5) ? returns() : soon(returns, 200);
      return onAbort(() => (random.chance(0.5) ? abortError() : soon(returns, 200)));
    }
    switch (random.between(0, 11)) {
      case 0:
        return; // hangs
      case 10:
        // Blocks the loop, and is still running when the loop goes on.
        return this.#block(random.between(1, random.chance(0.8) ? 3_000 : 15_000), () => this.#behave(code));
      case 1:
        return fails();
      case 2:
        return soon(fails);
      case 3:
        return code.epoch === null ? soon(returns) : onAbort(() => soon(fails));
      case 4:
        return code.epoch === null ? fails() : onAbort(abortError);
      case 5:
        // Ignores its signal.
        return soon(returns, 20_000);
      case 6:
        return this.#stepDown(this.#in(code), () => soon(returns, 100));
      case 11:
        // A handler that the code has registered, and does not wait for.
        this.#stepDown({ inside: [code.id], awaited: false }, () => {});
        return soon(returns, 20_000);
      case 7:
        return this.#addWorker(code.id, (failed) => (failed ? fails() : returns()));
      case 8: {
        const wait = this.#ask(returns);
        return this.#dispatch({
          type: "wait",
          wait,
          for: { kind: "leadership" },
          timeoutMs: random.between(1, 20_000),
        });
      }
      default: {
        const competes = random.chance(0.7);
        this.#compete(competes, this.#in(code), returns);
        if (!competes) soon(() => this.#compete(true, OUTSIDE));
      }
    }
  }

  /** A call that the code awaits; only sometimes can that be seen. */
  #in(code: Code): Caller {
    return { inside: [code.id], awaited: this.#o.random.chance(0.5) };
  }

  /** Anything can be thrown. */
  #thrown(code: Code): unknown {
    return this.#o.random.chance(0.1) ? Object.create(null) : new Error(`of ${code.kind} ${code.id}`);
  }

  #compete(competes: boolean, caller: Caller, then: () => void = () => {}): void {
    this.#withdrawn = !competes;
    this.#dispatch({ type: "compete", wait: this.#ask(then), competes, caller, timeoutMs: FOREVER });
  }

  #campaign(): void {
    const { random } = this.#o;
    const timeoutMs = random.chance(0.5) ? random.between(0, 15_000) : FOREVER;
    const wait = this.#ask((settlement) => {
      if (settlement.kind !== "leading" || !random.chance(0.5)) return;
      const { epoch } = settlement;
      this.#dispatch({
        type: "wait",
        wait: this.#ask(() => {}),
        for: { kind: "held", epoch },
        timeoutMs: FOREVER,
      });
    });
    this.#dispatch({ type: "wait", wait, for: { kind: "leadership" }, timeoutMs });
  }

  #stepDown(caller: Caller, then: () => void): void {
    const timeoutMs = this.#o.random.chance(0.3) ? this.#o.random.between(0, 8_000) : FOREVER;
    this.#dispatch({ type: "step-down", wait: this.#ask(then), successor: undefined, caller, timeoutMs });
  }

  #addWorker(inside: number | null, then: (failed: boolean) => void = () => {}): void {
    const worker = ++this.#lastId;
    this.#workers.set(worker, (failed) => this.#entries.push(() => then(failed)));
    this.#dispatch({ type: "add-worker", worker, inside });
  }

  /** A new wait, and what its caller does with the answer: in a turn of its own, as behind an `await`. */
  #ask(then: (settlement: Settlement) => void): number {
    const wait = ++this.#lastId;
    this.#answers.set(wait, (settlement) => this.#entries.push(() => then(settlement)));
    return wait;
  }
}
