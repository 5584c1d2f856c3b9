/**
 * An application that misbehaves, on the application side of a simulated node: hooks and work that hang, block the event loop,
 * throw early, late, synchronously or after the abort, ignore their signal, and call back into the node; callers that come and go at
 * any time.
 */
import {
  type ApplicationConfig,
  type ApplicationState,
  type Caller,
  type ElectionOutput,
  HOOK_NAMES,
} from "../../../src/application/types.ts";
import type { Random } from "../../../src/testing/simulation/random.ts";
import { type ApplicationSurroundings, type Code, FOREVER, SimulatedRunner } from "./simulated-runner.ts";

export interface HostileOptions extends ApplicationSurroundings {
  readonly random: Random;
  readonly drainTimeoutMs: number;
  /** Share of calls and runs that do not simply return. 0: a well-behaved application. */
  readonly hostility: number;
}

const SLOW_AFTER_MS = 4_000;
const SELF_WAIT_MS = 1_000;
/** Where a call comes from that no hook or work makes. */
const OUTSIDE: Caller = { inside: [], awaited: false };

export class HostileApplication {
  readonly #o: HostileOptions;
  readonly #runner: SimulatedRunner;
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
    this.#runner = new SimulatedRunner({
      ...options,
      config,
      enter: (code) => this.#behave(code),
      closingMs: () => random.between(0, 20),
    });
    if (random.chance(0.7)) this.#runner.addWorker(null);
    if (random.chance(0.3)) this.#runner.addWorker(null);
    this.#callLater();
  }

  get state(): ApplicationState {
    return this.#runner.state;
  }

  output(output: ElectionOutput): void {
    this.#runner.dispatch({ type: "election", output });
  }

  connection(event: "nats-disconnect" | "nats-reconnect"): void {
    const server = null;
    this.#runner.dispatch(
      event === "nats-disconnect" ? { type: event, error: null, server } : { type: event, server },
    );
  }

  /** Calls from outside of hooks and work, for as long as the application is hostile. */
  #callLater(): void {
    if (this.#hostility === 0) return;
    this.#runner.later(this.#o.random.between(1, 8_000), () => {
      if (this.#hostility === 0 || this.#runner.state.stage !== "running") return;
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
        return this.#runner.addWorker(null);
      case 4: {
        const workers = this.#runner.workers;
        if (workers.length > 0) this.#runner.dispatch({ type: "abort-worker", worker: random.pick(workers) });
        return;
      }
      default: {
        const waits = this.#runner.waits;
        if (waits.length > 0) this.#runner.dispatch({ type: "abort-wait", wait: random.pick(waits) });
      }
    }
  }

  /** From now on hooks and work return, also those that are under way, and the node competes. */
  becomeBenign(): void {
    this.#hostility = 0;
    for (const code of this.#runner.codes) {
      this.#runner.later(this.#o.random.between(0, 500), () => this.#runner.end(code, { kind: "returned" }));
    }
    if (this.#withdrawn) this.#compete(true, OUTSIDE);
  }

  stop(): void {
    const { random } = this.#o;
    const timeoutMs = random.chance(0.3) ? random.between(0, 3_000) : FOREVER;
    const codes = this.#runner.codes;
    const code = codes.length > 0 && random.chance(0.3) ? random.pick(codes) : null;
    const wait = this.#runner.ask(() => code !== null && this.#runner.end(code, { kind: "returned" }));
    this.#runner.dispatch({
      type: "stop",
      wait,
      caller: code === null ? OUTSIDE : this.#in(code),
      timeoutMs,
    });
  }

  /** At the end of a history. */
  assertSettled(): void {
    this.#runner.assertSettled();
  }

  // ------------------------------------------------------------------------------------------ application code

  #behave(code: Code): void {
    const { random } = this.#o;
    const returns = (): void => this.#runner.end(code, { kind: "returned" });
    const fails = (): void =>
      this.#hostility === 0
        ? returns()
        : this.#runner.end(code, { kind: "threw", error: this.#thrown(code), abort: false });
    const abortError = (): void =>
      this.#runner.end(code, { kind: "threw", error: new Error("aborted"), abort: true });
    const soon = (then: () => void, most = 3_000): void => this.#runner.later(random.between(0, most), then);
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
        return this.#runner.block(random.between(1, random.chance(0.8) ? 3_000 : 15_000), () =>
          this.#behave(code),
        );
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
        return this.#runner.addWorker(code.id, (failed) => (failed ? fails() : returns()));
      case 8: {
        const wait = this.#runner.ask(returns);
        return this.#runner.dispatch({
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
    this.#runner.dispatch({
      type: "compete",
      wait: this.#runner.ask(then),
      competes,
      caller,
      timeoutMs: FOREVER,
    });
  }

  #campaign(): void {
    const { random } = this.#o;
    const timeoutMs = random.chance(0.5) ? random.between(0, 15_000) : FOREVER;
    const wait = this.#runner.ask((settlement) => {
      if (settlement.kind !== "leading" || !random.chance(0.5)) return;
      const { epoch } = settlement;
      this.#runner.dispatch({
        type: "wait",
        wait: this.#runner.ask(() => {}),
        for: { kind: "held", epoch },
        timeoutMs: FOREVER,
      });
    });
    this.#runner.dispatch({ type: "wait", wait, for: { kind: "leadership" }, timeoutMs });
  }

  #stepDown(caller: Caller, then: () => void): void {
    const timeoutMs = this.#o.random.chance(0.3) ? this.#o.random.between(0, 8_000) : FOREVER;
    this.#runner.dispatch({
      type: "step-down",
      wait: this.#runner.ask(then),
      successor: undefined,
      caller,
      timeoutMs,
    });
  }
}
