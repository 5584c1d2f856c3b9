/** A process of a simulated cluster: the test starts it, stops it and injects faults into it. */
import { messageOf } from "../../errors.ts";
import type { FakeSession } from "./fakes/fake-session.ts";
import { perfectGroupNetwork } from "./fakes/group-network.ts";
import { type ProcessContext, type ProcessHost, ProcessRun, type SharedWorld } from "./process-run.ts";
import { numberFrom, SimulationError } from "./simulation-error.ts";

/**
 * The `main` function of a process: creates a `Node` on `process.environment` and starts it, works while it leads; or a `Group` on
 * `process.groupEnvironment`, and works on what it owns. The process exits when it returns. An exception fails the simulation, except after `terminate()`.
 */
export type Program = (process: ProcessContext) => void | Promise<void>;

export interface SimulatedProcessOptions {
  /**
   * Rate of its clocks: milliseconds on the clock per true millisecond. The library's guarantees hold while the rates of
   * two processes differ by less than 5 %.
   * @default 1
   */
  readonly clockRate?: number;
}

/** How a process reports to its cluster. */
export interface ProcessReports {
  log(process: string, text: string): void;
  failed(process: string, error: unknown): void;
}

export class SimulatedProcess {
  readonly name: string;
  readonly #world: SharedWorld;
  readonly #program: Program;
  readonly #reports: ProcessReports;
  readonly #host: ProcessHost;
  readonly #latencyMs: number;
  #run: ProcessRun | null = null;
  #starts = 0;

  constructor(
    world: SharedWorld,
    name: string,
    program: Program,
    reports: ProcessReports,
    options: SimulatedProcessOptions & { readonly latencyMs: number },
  ) {
    this.name = name;
    this.#world = world;
    this.#program = program;
    this.#reports = reports;
    this.#latencyMs = options.latencyMs;
    const clockRate = numberFrom("clockRate", options.clockRate, 0.01, 1);
    this.#host = { name, network: perfectGroupNetwork(options.latencyMs), callDelayMs: 0, clockRate };
  }

  /** Whether the process has neither crashed nor exited. A paused process is alive. */
  get alive(): boolean {
    return this.#run?.alive === true;
  }

  /** Whether the process is alive and not paused. */
  get running(): boolean {
    return this.#run?.running === true;
  }

  /**
   * Runs the program from the start, without any state of earlier runs.
   * @throws `SimulationError` `misused` if the process is alive.
   */
  start(): void {
    if (this.alive)
      throw new SimulationError("misused", `cannot start process "${this.name}": it is running already`);
    this.#starts += 1;
    const run = new ProcessRun(this.#world, this.#host, this.#starts, (text) => this.#log(text));
    this.#run = run;
    this.#log("starts");
    let terminated = false;
    run.context.terminated.addEventListener("abort", () => {
      terminated = true;
    });
    const ended = (error: unknown): void => {
      if (!run.alive) return;
      run.end();
      this.#log(error === null ? "exits" : `exits: ${messageOf(error)}`);
      if (error !== null && !terminated) this.#reports.failed(this.name, error);
    };
    void Promise.resolve()
      .then(() => this.#program(run.context))
      .then(
        () => ended(null),
        (error: unknown) => ended(error ?? new Error("the program rejected without a reason")),
      );
  }

  /** SIGTERM: aborts `terminated` of its context. The program decides what to do. No effect if the process is not alive. */
  terminate(): void {
    if (!this.alive) return;
    this.#log("SIGTERM");
    this.#run?.terminate();
  }

  /**
   * SIGKILL: none of its code runs again, except the rest of the present turn of the event loop. With `noticedAfterMs` its
   * host is lost, too: the server notices the closed connection that many milliseconds later (default 0). A leader is then replaced when
   * the server notices, when it has been silent for as long as it has promised (`silenceMs`), or when its lease has expired.
   */
  crash(options: { readonly noticedAfterMs?: number } = {}): void {
    if (!this.alive) return;
    const lingerMs = numberFrom("noticedAfterMs", options.noticedAfterMs, 0, 0);
    this.#log(lingerMs === 0 ? "SIGKILL" : `host lost; the server notices after ${lingerMs} ms`);
    this.#run?.end(lingerMs);
  }

  /**
   * SIGSTOP for `forMs` milliseconds, by default until `resume()`. Its clocks go on; what arrives waits. Overlapping pauses
   * end at the latest of their ends.
   */
  pause(forMs: number = Number.POSITIVE_INFINITY): void {
    if (!this.alive) return;
    const ms = numberFrom("forMs", forMs, 0, forMs);
    this.#log(ms === Number.POSITIVE_INFINITY ? "SIGSTOP" : `SIGSTOP for ${ms} ms`);
    this.#run?.clock.pause(ms);
  }

  /** SIGCONT. */
  resume(): void {
    if (!this.alive || this.running) return;
    this.#log("SIGCONT");
    this.#run?.clock.resume();
  }

  /**
   * Drops everything between the process and NATS, in both directions, until `heal()`. The connection stays open, as a TCP
   * connection does; `disconnect()` closes it. Calls of the process to other resources get through.
   */
  partition(): void {
    this.#log("partitioned from NATS");
    this.#host.network.dropRequests = true;
    this.#host.network.dropResponses = true;
  }

  /** Drops the requests of the process to NATS until `heal()`. */
  dropRequests(): void {
    this.#log("requests to NATS are lost");
    this.#host.network.dropRequests = true;
  }

  /** Drops everything from NATS to the process until `heal()`: its writes are applied, but their acks are lost. */
  dropResponses(): void {
    this.#log("responses of NATS are lost");
    this.#host.network.dropResponses = true;
  }

  /** Delays the next write of the process to the bucket of its cluster or group by `ms`, independent of its request timeout. */
  delayNextWrite(ms: number): void {
    this.#log(`next write to NATS arrives ${ms} ms late`);
    this.#host.network.delayNextWriteMs = numberFrom("ms", ms, 0, 0);
  }

  /** Sets the one-way latency to NATS and to called resources, in milliseconds, for messages sent from now until `heal()`. */
  setLatency(ms: number): void {
    this.#log(`latency ${ms} ms`);
    this.#host.network.latencyMs = numberFrom("ms", ms, 0, 0);
  }

  /** Delays the calls of the process (`ProcessContext.call`) by `ms` until `heal()`. */
  delayCalls(ms: number): void {
    this.#log(`calls arrive ${ms} ms late`);
    this.#host.callDelayMs = numberFrom("ms", ms, 0, 0);
  }

  /** Restores the network of the process: ends partition, drops, delays and latency. */
  heal(): void {
    this.#log("network restored");
    const { network } = this.#host;
    Object.assign(network, perfectGroupNetwork(this.#latencyMs));
    this.#host.callDelayMs = 0;
  }

  /** Closes its connections to NATS on both sides. They reconnect after `forMs` milliseconds (default 100). */
  disconnect(forMs = 100): void {
    const run = this.#run;
    if (run === null || !run.alive) return;
    const ms = numberFrom("forMs", forMs, 0, forMs);
    this.#log(`disconnected for ${ms} ms`);
    for (const session of run.sessions) {
      if (session.link === null) continue;
      session.disconnect();
      this.#reconnect(run, session, ms);
    }
  }

  /** Steps its wall clock by `ms`; a negative value sets it back. */
  stepWallClock(ms: number): void {
    this.#log(`wall clock stepped by ${ms} ms`);
    this.#run?.clock.stepWall(ms);
  }

  #reconnect(run: ProcessRun, session: FakeSession, ms: number): void {
    const { time } = this.#world;
    time.after(ms, () => {
      if (!run.alive || !run.sessions.has(session)) return;
      const { downUntil } = this.#world;
      if (time.now < downUntil) this.#reconnect(run, session, downUntil - time.now + 1);
      else session.reconnect();
    });
  }

  #log(text: string): void {
    this.#reports.log(this.name, text);
  }
}
