/** A cluster on virtual time, for tests of what an application makes of its leadership. */

import { FakeBucket } from "./fakes/fake-bucket.ts";
import { FakeConnections } from "./fakes/fake-session.ts";
import { type HeldBy, type HeldTerm, HeldTerms } from "./held-terms.ts";
import type { SharedWorld } from "./process-run.ts";
import { Random, SeededRandom } from "./random.ts";
import { planFaults } from "./random-faults.ts";
import { type Program, SimulatedProcess, type SimulatedProcessOptions } from "./simulated-process.ts";
import { numberFrom, SimulationError } from "./simulation-error.ts";
import { VirtualTime } from "./time/virtual-time.ts";
import { traceLine } from "./trace-line.ts";

const DEFAULT_DOWN_MS = 2_000;
const UNTIL_MS = 60_000;
/** After a restart of the server connections come back within that. */
const COME_BACK_MS = 200;
/** The end of the story that an error carries. */
const STORY_LINES = 60;

export interface SimulatedClusterOptions {
  /** Decides everything that is random. Default 1. The same seed and the same programs give the same story. */
  readonly seed?: number;
  /** One way between a process and NATS, or whatever it calls, in milliseconds. Default 1; 0 or more. */
  readonly latencyMs?: number;
}

/** Ends `until` from within. */
class Reached extends Error {}

/**
 * Processes that run programs with a real `Node`, on a simulated NATS and virtual time: an hour takes seconds, and a seed
 * decides it all.
 *
 * ```ts
 * const cluster = new SimulatedCluster({ seed: 7 });
 * for (const name of ["a", "b", "c"]) {
 *   cluster.process(name, async ({ environment, sleep, terminated }) => {
 *     const options = { clusterId: "jobs", nodeId: name, servers: "simulated", logger: false } as const;
 *     const node = new Node(options, {}, environment);
 *     terminated.addEventListener("abort", () => void node.stop());
 *     await node.start();
 *     await node.runWhileLeader((term) => job(term, sleep));
 *   });
 * }
 * cluster.injectFaults({ count: 20, withinMs: 60_000 });
 * await cluster.advance(90_000);
 * ```
 *
 * After everything that happens it looks who holds the lease: two at once, or an epoch that does not rise, end the
 * simulation with `violation`. What your own application guarantees, your test checks.
 *
 * Only code that waits by promises of this simulation takes part: real timers, files and sockets take real time, in which
 * nothing moves here.
 */
export class SimulatedCluster {
  /** Numbers that the seed decides, for the test's own use: `next()` in [0, 1), `between`, `chance`, `pick`. */
  readonly random: Random;
  readonly #latencyMs: number;
  readonly #faultRandom: Random;
  readonly #world: SharedWorld;
  readonly #processes: SimulatedProcess[] = [];
  readonly #story: string[] = [];
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
      clusterId: null,
      downUntil: 0,
    };
    this.#held = new HeldTerms(({ process, epoch }, begins) =>
      this.tell(process, begins ? `LEADS with epoch ${epoch}` : `leads no more with epoch ${epoch}`),
    );
  }

  /** True time since the beginning, in milliseconds. */
  get now(): number {
    return this.#world.time.now;
  }

  get processes(): readonly SimulatedProcess[] {
    return this.#processes;
  }

  /** Who held the lease when, oldest first. */
  get terms(): readonly HeldTerm[] {
    return this.#held.all;
  }

  /** What happened, a line each, with times. */
  get story(): readonly string[] {
    return this.#story;
  }

  /** Adds a line to the story. */
  tell(who: string, text: string): void {
    this.#story.push(traceLine(this.now, who, text));
  }

  /** Adds a process and starts it. Throws `misused` where the name is taken. */
  process(name: string, program: Program, options: SimulatedProcessOptions = {}): SimulatedProcess {
    if (this.#processes.some((other) => other.name === name)) {
      throw new SimulationError("misused", `there is a process "${name}" already`);
    }
    const reports = {
      tell: (who: string, text: string) => this.tell(who, text),
      failed: (who: string, cause: unknown) => {
        this.#failure ??= this.#error("program_failed", `the program of "${who}" failed: ${cause}`, cause);
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
   * Lets that much time pass. Rejects with `violation` or `program_failed` as soon as there is one; with `misused` while an
   * earlier call is under way.
   */
  async advance(ms: number): Promise<void> {
    await this.#move(numberFrom("ms", ms, 0, ms), () => {});
  }

  /** Lets time pass until that is so, looking after everything that happens; rejects with `not_reached` after `withinMs` (60000). */
  async until(isSo: () => boolean, withinMs: number = UNTIL_MS): Promise<void> {
    try {
      await this.#move(withinMs, () => {
        if (isSo()) throw new Reached();
      });
    } catch (thrown) {
      if (thrown instanceof Reached) return;
      throw thrown;
    }
    throw this.#error("not_reached", `not so within ${withinMs} ms: ${isSo}`);
  }

  /** The NATS server is down for that long (default 2000 ms), then everybody reconnects. What it stored stays. */
  restartServer(downMs: number = DEFAULT_DOWN_MS): void {
    const ms = numberFrom("downMs", downMs, 0, downMs);
    this.tell("**", `the NATS server is restarted, down for ${ms} ms`);
    this.#world.downUntil = Math.max(this.#world.downUntil, this.now + ms);
    for (const process of this.#processes) {
      process.disconnect(ms + this.#faultRandom.between(0, COME_BACK_MS));
    }
  }

  /** NATS has no quorum for that long: nobody is answered. What arrives meanwhile is committed afterwards, or not: both happen. */
  loseQuorum(forMs: number): void {
    const ms = numberFrom("forMs", forMs, 0, forMs);
    const commitsLate = this.#faultRandom.chance(0.5);
    this.tell("**", `no quorum for ${ms} ms; writes ${commitsLate ? "commit afterwards" : "are lost"}`);
    this.#world.bucket.loseQuorum(commitsLate);
    this.#world.time.after(ms, () => this.#world.bucket.regainQuorum());
  }

  /**
   * An operator deletes the bucket; nodes make it anew. That is beyond what the library guarantees: until the leader of now
   * has outlived its lease, two may lead, and epochs may start anew where nobody remembers them.
   */
  deleteBucket(): void {
    this.tell("**", "the bucket is deleted");
    this.#held.lenient(this.now);
    this.#world.bucket.delete();
  }

  /**
   * Plans `count` random faults from now on, all over after `withinMs`: crashes, restarts, pauses, partitions, lost requests or
   * answers, latency, late writes and calls, lost connections, clock steps, server restarts, lost quorums. Not
   * `deleteBucket`.
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
    if (this.#moving) throw new SimulationError("misused", "an earlier advance() or until() is under way");
    this.#moving = true;
    try {
      await this.#world.time.advance(ms, () => {
        this.#look();
        afterEach();
      });
    } finally {
      this.#moving = false;
    }
  }

  #look(): void {
    const holders: HeldBy[] = [];
    for (const [handlers, life] of this.#world.members) {
      // A paused process does not ask; what it would be told is decided when it continues.
      if (!life.running) continue;
      const status = handlers.status();
      if (status.held) holders.push({ process: life.place.name, status });
    }
    const wrong = this.#held.look(this.now, holders);
    if (wrong !== null) this.#failure ??= this.#error("violation", wrong);
    if (this.#failure !== null) throw this.#failure;
  }

  #error(
    code: "violation" | "program_failed" | "not_reached",
    what: string,
    cause?: unknown,
  ): SimulationError {
    const story = this.#story.slice(-STORY_LINES).join("\n");
    return new SimulationError(code, `${what}\n${story}`, cause === undefined ? undefined : { cause });
  }
}
