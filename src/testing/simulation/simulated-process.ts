/** One process of a simulated cluster, as the test holds it: start it, stop it, do bad things to it. */
import type { FakeSession } from "./fakes/fake-session.ts";
import { perfectNetwork } from "./fakes/network.ts";
import { type Place, type ProcessContext, ProcessLife, type SharedWorld } from "./process-run.ts";
import { numberFrom, SimulationError } from "./simulation-error.ts";

/**
 * What a process does, as `main` would: makes a `Node` on `process.environment`, starts it, works while it leads. The
 * process exits when this returns. A throw fails the simulation, unless the process was told to end.
 */
export type Program = (process: ProcessContext) => void | Promise<void>;

export interface SimulatedProcessOptions {
  /**
   * How fast its clocks run: its milliseconds per true one. Default 1. The library's guarantees hold while two processes
   * differ by less than 5 %.
   */
  readonly clockRate?: number;
}

/** What a process tells its cluster. */
export interface ProcessReports {
  tell(who: string, text: string): void;
  failed(process: string, error: unknown): void;
}

export class SimulatedProcess {
  readonly name: string;
  readonly #world: SharedWorld;
  readonly #program: Program;
  readonly #reports: ProcessReports;
  readonly #place: Place;
  readonly #latencyMs: number;
  #life: ProcessLife | null = null;
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
    this.#place = { name, network: perfectNetwork(options.latencyMs), callDelayMs: 0, clockRate };
  }

  /** Was it started, and has neither crashed nor exited? A paused process is alive. */
  get alive(): boolean {
    return this.#life?.alive === true;
  }

  /** Is it alive and not paused? */
  get running(): boolean {
    return this.#life?.running === true;
  }

  /** Runs its program, in a new life: nothing is remembered. Throws `misused` while it is alive. */
  start(): void {
    if (this.alive) throw new SimulationError("misused", `process "${this.name}" is running already`);
    this.#starts += 1;
    const life = new ProcessLife(this.#world, this.#place, this.#starts, (text) => this.#tell(text));
    this.#life = life;
    this.#tell("starts");
    let told = false;
    life.context.terminated.addEventListener("abort", () => {
      told = true;
    });
    const ended = (error: unknown): void => {
      if (!life.alive) return;
      life.end();
      this.#tell(error === null ? "exits" : `exits: ${String(error)}`);
      if (error !== null && !told) this.#reports.failed(this.name, error);
    };
    void Promise.resolve()
      .then(() => this.#program(life.context))
      .then(
        () => ended(null),
        (error: unknown) => ended(error ?? new Error("rejected with nothing")),
      );
  }

  /** SIGTERM: aborts `terminated`. What its program makes of that is up to it. Nothing happens to a dead process. */
  terminate(): void {
    if (!this.alive) return;
    this.#tell("SIGTERM");
    this.#life?.terminate();
  }

  /**
   * SIGKILL: none of its code runs again, except what is in the middle of a turn of the event loop. `noticedAfterMs`: its
   * host is lost with it, so that the server finds the connection closed only that much later (default 0).
   */
  crash(options: { readonly noticedAfterMs?: number } = {}): void {
    if (!this.alive) return;
    const lingerMs = numberFrom("noticedAfterMs", options.noticedAfterMs, 0, 0);
    this.#tell(lingerMs === 0 ? "SIGKILL" : `its host is lost, the server finds out in ${lingerMs} ms`);
    this.#life?.end(lingerMs);
  }

  /**
   * SIGSTOP, or a swapped or suspended process: for `forMs`, or until `resume()`. Its clocks go on; what arrives waits.
   * Pauses that overlap last until the latest end.
   */
  pause(forMs: number = Number.POSITIVE_INFINITY): void {
    if (!this.alive) return;
    const ms = numberFrom("forMs", forMs, 0, forMs);
    this.#tell(ms === Number.POSITIVE_INFINITY ? "SIGSTOP" : `SIGSTOP for ${ms} ms`);
    this.#life?.clock.pause(ms);
  }

  /** SIGCONT. */
  resume(): void {
    if (!this.alive || this.running) return;
    this.#tell("SIGCONT");
    this.#life?.clock.resume();
  }

  /**
   * Nothing gets through between it and NATS, in either direction, until `heal()`. Its connection seems to stand, as a TCP
   * connection does; for one that is closed, see `disconnect`. Its calls to others get through.
   */
  partition(): void {
    this.#tell("cut off from NATS");
    this.#place.network.dropRequests = true;
    this.#place.network.dropResponses = true;
  }

  /** What it sends to NATS is lost, until `heal()`. */
  dropRequests(): void {
    this.#tell("its requests to NATS are lost");
    this.#place.network.dropRequests = true;
  }

  /** What NATS answers and tells is lost on the way to it, until `heal()`: its writes are applied, and it can't know. */
  dropResponses(): void {
    this.#tell("answers of NATS to it are lost");
    this.#place.network.dropResponses = true;
  }

  /** Its next write to the lease arrives that much later, however long it waits for the answer. */
  delayNextWrite(ms: number): void {
    this.#tell(`its next write to NATS arrives ${ms} ms late`);
    this.#place.network.delayNextWriteMs = numberFrom("ms", ms, 0, 0);
  }

  /** One way between it and NATS, and whatever it calls, in milliseconds; for what is sent from now on, until `heal()`. */
  setLatency(ms: number): void {
    this.#tell(`latency ${ms} ms`);
    this.#place.network.latencyMs = numberFrom("ms", ms, 0, 0);
  }

  /** Its calls (`process.call`) arrive that much later, until `heal()`. */
  delayCalls(ms: number): void {
    this.#tell(`its calls arrive ${ms} ms late`);
    this.#place.callDelayMs = numberFrom("ms", ms, 0, 0);
  }

  /** Ends everything above that lasts until `heal()`. */
  heal(): void {
    this.#tell("its network is healed");
    const { network } = this.#place;
    Object.assign(network, perfectNetwork(this.#latencyMs));
    this.#place.callDelayMs = 0;
  }

  /** Its connections to NATS are closed on both sides, and come back after `forMs` (default 100). */
  disconnect(forMs = 100): void {
    const life = this.#life;
    if (life === null || !life.alive) return;
    const ms = numberFrom("forMs", forMs, 0, forMs);
    this.#tell(`disconnected for ${ms} ms`);
    for (const session of life.sessions) {
      if (session.link === null) continue;
      session.disconnect();
      this.#reconnect(life, session, ms);
    }
  }

  /** Somebody sets its wall clock forwards or back by that many milliseconds. */
  stepWallClock(ms: number): void {
    this.#tell(`its wall clock is stepped by ${ms} ms`);
    this.#life?.clock.stepWall(ms);
  }

  #reconnect(life: ProcessLife, session: FakeSession, ms: number): void {
    const { time } = this.#world;
    time.after(ms, () => {
      if (!life.alive || !life.sessions.has(session)) return;
      const { downUntil } = this.#world;
      if (time.now < downUntil) this.#reconnect(life, session, downUntil - time.now + 1);
      else session.reconnect();
    });
  }

  #tell(text: string): void {
    this.#reports.tell(this.name, text);
  }
}
