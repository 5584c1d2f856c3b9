/** A cluster on virtual time, for tests of an application's behaviour under leadership changes. */

import { FakeBucket } from "./fakes/fake-bucket.ts";
import { FakeConnections } from "./fakes/fake-connections.ts";
import type { HeldResource } from "./held-resources.ts";
import { type HeldBy, type HeldTerm, HeldTerms } from "./held-terms.ts";
import type { SharedWorld } from "./process-run.ts";
import { Random, SeededRandom } from "./random.ts";
import { planFaults } from "./random-faults.ts";
import { SimulatedGroups } from "./simulated-groups.ts";
import { type Program, SimulatedProcess, type SimulatedProcessOptions } from "./simulated-process.ts";
import { numberFrom, SimulationError } from "./simulation-error.ts";
import { VirtualTime } from "./time/virtual-time.ts";
import { traceLine } from "./trace-line.ts";

const DEFAULT_DOWN_MS = 2_000;
const UNTIL_MS = 60_000;
/** After a restart of the server, processes reconnect within this time. */
const RECONNECT_SPREAD_MS = 200;
/** Number of trace lines in an error's message. */
const ERROR_TRACE_LINES = 60;

export interface SimulatedClusterOptions {
  /**
   * Decides everything that is random. The same seed and the same programs give the same trace.
   * @default 1
   */
  readonly seed?: number;
  /**
   * One-way latency between a process and NATS, or a resource that it calls, in milliseconds; at least 0.
   * @default 1
   */
  readonly latencyMs?: number;
}

/** Thrown to end `until()` when its condition is true. */
class Reached extends Error {}

/**
 * Simulated processes that run programs with a real `Node` or `Group`, on a simulated NATS and virtual time. An hour takes seconds, and
 * the seed decides everything.
 *
 * After every event the cluster checks who holds the lease. Two holders at once, or an epoch that does not increase, end the
 * simulation with `violation`. The same is checked for every resource of a group. Your test checks the guarantees of your own application.
 *
 * Nodes detect crashes as on a real NATS: by the end of a connection, and by the silence that a leader promises (`silenceMs`, 2 s by
 * default). A leader that is paused or partitioned for longer is suspended, and another one replaces it.
 *
 * Programs may only wait for promises of this simulation. Real timers, files and sockets take real time, during which the
 * simulation does not advance.
 *
 * @example
 * ```ts
 * const cluster = new SimulatedCluster({ seed: 7 });
 * for (const name of ["a", "b", "c"]) {
 *   cluster.process(name, async ({ environment, sleep, terminated }) => {
 *     const options = { clusterId: "jobs", nodeId: name, servers: "simulated", logger: false } as const;
 *     const node = new Node(options, {}, environment);
 *     terminated.addEventListener("abort", () => void node.stop());
 *     // A program that ends with an error fails the test, and NATS may be out of reach when a crashed process starts again.
 *     while (!(await node.start({ signal: terminated }).then(() => true, () => terminated.aborted))) await sleep(1_000);
 *     if (!terminated.aborted) await node.runWhileLeader((term) => job(term, sleep));
 *   });
 * }
 * cluster.injectFaults({ count: 20, withinMs: 60_000 });
 * await cluster.advance(90_000);
 * ```
 */
export class SimulatedCluster {
  /** Random numbers from the seed, for the test's own use: `next()` in [0, 1), `between`, `chance`, `pick`. */
  readonly random: Random;
  readonly #latencyMs: number;
  readonly #faultRandom: Random;
  readonly #world: SharedWorld;
  readonly #processes: SimulatedProcess[] = [];
  readonly #trace: string[] = [];
  readonly #held: HeldTerms;
  #failure: SimulationError | null = null;
  #moving = false;

  constructor(options: SimulatedClusterOptions = {}) {
    const seed = numberFrom("seed", options.seed, 0, 1);
    this.#latencyMs = numberFrom("latencyMs", options.latencyMs, 0, 1);
    this.random = new SeededRandom(seed);
    this.#faultRandom = new Random(this.random.between(0, 0xffff_ffff));
    const time = new VirtualTime();
    this.#world = {
      time,
      bucket: new FakeBucket(),
      connections: new FakeConnections(time),
      members: new Map(),
      groups: new SimulatedGroups(time, seed, (source, text) => this.log(source, text)),
      clusterId: null,
      downUntil: 0,
    };
    this.#held = new HeldTerms(({ process, epoch }, begins) =>
      this.log(process, begins ? `LEADS with epoch ${epoch}` : `no longer leads with epoch ${epoch}`),
    );
  }

  /** True time since the start of the simulation, in milliseconds. */
  get now(): number {
    return this.#world.time.now;
  }

  get processes(): readonly SimulatedProcess[] {
    return this.#processes;
  }

  /** Periods in which a node held the lease, oldest first. */
  get terms(): readonly HeldTerm[] {
    return this.#held.all;
  }

  /** Periods in which a member of a group held a resource, oldest first. */
  get resourceTerms(): readonly HeldResource[] {
    return this.#world.groups.terms;
  }

  /** The resources that a process holds now as a member of a group, in order of their names. */
  owned(process: string): string[] {
    return this.#world.groups.owned(process);
  }

  /** Everything that happened: one line per event, with its time. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  /** Adds a line to the trace, attributed to `source`. */
  log(source: string, text: string): void {
    this.#trace.push(traceLine(this.now, source, text));
  }

  /**
   * Adds a process and starts it.
   * @throws `SimulationError` `misused` if the name is in use.
   */
  process(name: string, program: Program, options: SimulatedProcessOptions = {}): SimulatedProcess {
    if (this.#processes.some((other) => other.name === name)) {
      throw new SimulationError("misused", `cannot add process "${name}": the name is in use`);
    }
    const reports = {
      log: (source: string, text: string) => this.log(source, text),
      failed: (failed: string, cause: unknown) => {
        this.#failure ??= this.#error("program_failed", `the program of "${failed}" failed: ${cause}`, cause);
      },
    };
    const process = new SimulatedProcess(this.#world, name, program, reports, {
      ...options,
      latencyMs: this.#latencyMs,
    });
    this.#processes.push(process);
    process.start();
    return process;
  }

  /**
   * Advances virtual time by `ms`.
   * @throws `SimulationError` `violation` or `program_failed` as soon as one occurs, `misused` while another `advance()` or
   * `until()` runs.
   */
  async advance(ms: number): Promise<void> {
    await this.#move(numberFrom("ms", ms, 0, ms), () => {});
  }

  /**
   * Advances virtual time until `isSo()` returns true. Calls it after every event.
   * @param withinMs Limit in milliseconds. Default 60000.
   * @throws `SimulationError` `not_reached` when the limit is reached, and the errors of `advance()`.
   */
  async until(isSo: () => boolean, withinMs: number = UNTIL_MS): Promise<void> {
    try {
      await this.#move(withinMs, () => {
        if (isSo()) throw new Reached();
      });
    } catch (thrown) {
      if (thrown instanceof Reached) return;
      throw thrown;
    }
    throw this.#error("not_reached", `condition not true within ${withinMs} ms: ${isSo}`);
  }

  /** Restarts the NATS server: it is down for `downMs` (default 2000), then all processes reconnect. Its data survive. */
  restartServer(downMs: number = DEFAULT_DOWN_MS): void {
    const ms = numberFrom("downMs", downMs, 0, downMs);
    this.log("**", `NATS server restarts, down for ${ms} ms`);
    this.#world.downUntil = Math.max(this.#world.downUntil, this.now + ms);
    for (const process of this.#processes) {
      process.disconnect(ms + this.#faultRandom.between(0, RECONNECT_SPREAD_MS));
    }
  }

  /** NATS has no quorum for `forMs`: no request is answered. The seed decides whether writes commit afterwards or are lost. */
  loseQuorum(forMs: number): void {
    const ms = numberFrom("forMs", forMs, 0, forMs);
    const commitsLate = this.#faultRandom.chance(0.5);
    this.log("**", `no quorum for ${ms} ms; writes ${commitsLate ? "commit afterwards" : "are lost"}`);
    const { bucket, groups, time } = this.#world;
    bucket.loseQuorum(commitsLate);
    groups.loseQuorum(commitsLate);
    time.after(ms, () => {
      bucket.regainQuorum();
      groups.regainQuorum();
    });
  }

  /**
   * An operator deletes the bucket of the cluster, and those of all groups; nodes and members recreate them. The library's guarantees do
   * not cover this: two nodes may lead, and two members own a resource, until the present lease or session has expired, and epochs may
   * restart if no process remembers them.
   */
  deleteBucket(): void {
    this.log("**", "bucket deleted");
    this.#held.tolerateDeletion(this.now);
    this.#world.bucket.delete();
    this.#world.groups.deleteBuckets();
  }

  /**
   * Schedules `count` random faults, all over after `withinMs`: crashes, restarts, pauses, partitions, lost requests and
   * responses, latency, late writes and calls, lost connections, clock steps, server restarts and lost quorums. Never
   * `deleteBucket()`.
   */
  injectFaults(options: { readonly count: number; readonly withinMs: number }): void {
    const withinMs = numberFrom("withinMs", options.withinMs, 1, 1);
    planFaults(
      {
        random: this.#faultRandom,
        time: this.#world.time,
        processes: this.#processes,
        until: this.now + withinMs,
        restartServer: (ms) => this.restartServer(ms),
        loseQuorum: (ms) => this.loseQuorum(ms),
      },
      numberFrom("count", options.count, 0, 0),
    );
  }

  async #move(ms: number, afterEach: () => void): Promise<void> {
    if (this.#moving) throw new SimulationError("misused", "another advance() or until() is still running");
    this.#moving = true;
    try {
      await this.#world.time.advance(ms, () => {
        this.#check();
        afterEach();
      });
    } finally {
      this.#moving = false;
    }
  }

  #check(): void {
    const holders: HeldBy[] = [];
    for (const [handlers, run] of this.#world.members) {
      // A paused process does not call isLeader(). Its status is evaluated when it continues.
      if (!run.running) continue;
      const status = handlers.status();
      if (status.held) holders.push({ process: run.host.name, status });
    }
    const violation = this.#held.observe(this.now, holders) ?? this.#world.groups.check();
    if (violation !== null) this.#failure ??= this.#error("violation", violation);
    if (this.#failure !== null) throw this.#failure;
  }

  #error(
    code: "violation" | "program_failed" | "not_reached",
    message: string,
    cause?: unknown,
  ): SimulationError {
    const trace = this.#trace.slice(-ERROR_TRACE_LINES).join("\n");
    return new SimulationError(code, `${message}\n${trace}`, cause === undefined ? undefined : { cause });
  }
}
