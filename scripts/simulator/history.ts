/** One seed gives one history: some nodes, one bucket, many faults, then a quiet end. */

import { FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeConnections } from "../../src/testing/simulation/fakes/fake-connections.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import { type Settling, VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";
import { traceLine } from "../../src/testing/simulation/trace-line.ts";
import { effectText, eventText } from "../shared/election-text.ts";
import { Checker, QUIET_MS, STEADY_MS } from "./check/checker.ts";
import { RATE_SLACK } from "./check/commits.ts";
import { Tally } from "./check/tally.ts";
import { StrayWrite, Violation } from "./check/violation.ts";
import type { FaultContext } from "./faults/fault-tools.ts";
import { strike } from "./faults/faults.ts";
import { Host, type SimulatedWorld, timing } from "./host.ts";
import { FAULTY_MS, type Plan } from "./plan.ts";
import { TraceHash } from "./trace-hash.ts";

const STOPPING_MS = 2 * timing.leaseTtlMs;
/** Least time between two false answers of the server: no follower compares both. */
const LIE_EVERY_MS = 20_000;
/** How long an orderly handover may take: the longest drain, and what follows. */
const HANDOVER_MS = 12_000;

export interface Outcome {
  /** Number of terms that began. */
  readonly terms: number;
  /** The history ended early, see `StrayWrite`. */
  readonly strayed: boolean;
  /** `null`: no invariant was violated. */
  readonly violation: string | null;
  /** True time at the end, in milliseconds. */
  readonly endedAtMs: number;
  /** Hash of everything that happened. */
  readonly hash: number;
}

export class History {
  readonly #plan: Plan;
  readonly #tally: Tally;
  readonly #time: VirtualTime;
  readonly #bucket = new FakeBucket();
  readonly #hash = new TraceHash();
  readonly #trace: string[] | null;
  readonly #checker: Checker;
  readonly #world: SimulatedWorld;
  readonly #hosts: Host[] = [];
  #nextLieAt = 0;

  /** `settling` changes nothing but the run time. */
  constructor(plan: Plan, tally: Tally = new Tally(), withTrace = false, settling: Settling = "announced") {
    this.#plan = plan;
    this.#time = new VirtualTime(settling);
    this.#tally = tally;
    this.#trace = withTrace ? [] : null;
    const [time, bucket] = [this.#time, this.#bucket];
    const connections = new FakeConnections(time);
    const { remembers } = plan;
    this.#checker = new Checker({ time, bucket, connections, tally, hash: this.#hash, remembers });
    this.#world = {
      time,
      bucket,
      connections,
      presence: plan.presence,
      witness: this.#checker,
      quietFrom: FAULTY_MS,
    };
    bucket.maxAgeMs = plan.maxAgeMs;
    bucket.canBeginAbove = plan.beginsAbove;
    if (plan.maxAgeMs > 0) this.#expireByAge(plan.maxAgeMs);
    if (withTrace) {
      this.#checker.onStep = ({ incarnation, driver }, event, effects) => {
        // Four in a second.
        if (event.type === "beat-proven" && effects.length === 0) return;
        this.#log(time.now, incarnation, `<- ${eventText(event)}`);
        for (const effect of effects) this.#log(null, incarnation, `-> ${effectText(effect, driver.state)}`);
      };
    }
  }

  /** Empty without `withTrace`. */
  get trace(): readonly string[] {
    return this.#trace ?? [];
  }

  async run(): Promise<Outcome> {
    let violation: string | null = null;
    let strayed = false;
    try {
      await this.#play();
    } catch (thrown) {
      strayed = thrown instanceof StrayWrite;
      if (thrown instanceof Violation) violation = thrown.message;
      else if (!strayed) violation = String((thrown as Error).stack ?? thrown);
    }
    const { terms } = this.#checker;
    return { terms, strayed, violation, endedAtMs: this.#time.now, hash: this.#hash.value };
  }

  async #play(): Promise<void> {
    for (const [index, options] of this.#plan.hosts.entries()) {
      this.#hosts.push(new Host(this.#world, "abcdefghij".charAt(index % 10), options));
    }
    this.#schedule();
    const check = (): void => this.#checker.check();
    await this.#time.advance(FAULTY_MS, check);
    this.#heal();
    await this.#time.advance(QUIET_MS, check);
    const before = this.#heldByOne();
    const { suspensions } = this.#checker;
    const written = this.#checker.held.map(({ store }) => store.writes);
    // Without faults the leader stays the same and renews its lease.
    await this.#time.advance(STEADY_MS, check);
    const after = this.#heldByOne();
    if (after !== before)
      throw new Violation(`without faults the lease was held by ${before}, then by ${after}`);
    if (this.#checker.suspensions > suspensions)
      throw new Violation(`without faults the term of ${before} is suspended`);
    for (const [index, { store, incarnation, host }] of this.#checker.held.entries()) {
      const renewals = store.writes - (written[index] ?? 0);
      const least = Math.floor(STEADY_MS / (host.options.renewIntervalMs * RATE_SLACK));
      if (renewals < least)
        throw new Violation(`${incarnation} renewed ${renewals} times in ${STEADY_MS} ms, not ${least}`);
    }
    for (const process of this.#checker.held)
      if (process.session.binding?.account !== undefined && !this.#checker.promises(process))
        throw new Violation(`${process.incarnation} promises no silence although nothing fails`);
    await this.#handOver(check);
    await this.#stopAll(check);
  }

  /** Invariant 8, without faults: the leader steps down, and no other node leads before its work has ended. */
  async #handOver(check: () => void): Promise<void> {
    this.#log(this.#time.now, "**", "the leader steps down");
    this.#checker.orderly = true;
    for (const { driver } of this.#checker.held) driver.dispatch({ type: "resign", reason: "released" });
    await this.#time.advance(HANDOVER_MS, check);
    this.#checker.orderly = false;
  }

  /** Invariant 10. */
  #heldByOne(): string {
    this.#checker.check();
    if (this.#checker.exhausted) return "no node: no epoch is left";
    const held = this.#checker.held.map(({ incarnation, driver }) => {
      const { role } = driver.state;
      return `${incarnation}${role.name === "leader" ? ` with epoch ${role.term.epoch}` : ""}`;
    });
    const [one] = held;
    if (one === undefined || held.length > 1) {
      throw new Violation(
        `${QUIET_MS} ms after the last fault the lease is held by: ${held.join(", ") || "no node"}`,
      );
    }
    return one;
  }

  #schedule(): void {
    for (const { at, name, host, seed } of this.#plan.faults) {
      this.#time.at(at, () => {
        const target = this.#hosts[host];
        if (target === undefined) throw new Error(`fault "${name}": the plan has no host ${host}`);
        this.#tally.fault(name);
        strike(name, this.#faultContext(seed), target);
        this.#checker.invalidate();
      });
    }
  }

  #faultContext(seed: number): FaultContext {
    const context: FaultContext = {
      random: new SeededRandom(seed),
      time: this.#time,
      bucket: this.#bucket,
      hosts: this.#hosts,
      quietFrom: this.#world.quietFrom,
      remembers: this.#plan.remembers,
      log: (text) => this.#log(this.#time.now, "**", text),
      strike: (name, host) => strike(name, context, host),
      beforeIntervention: (kind, recreates) => this.#checker.beforeIntervention(kind, recreates),
      afterPurge: () => this.#checker.afterPurge(),
      forging: (write) => this.#checker.forging(write),
      mayLie: () => {
        if (this.#time.now < this.#nextLieAt) return false;
        this.#nextLieAt = this.#time.now + LIE_EVERY_MS;
        return true;
      },
      invalidate: () => this.#checker.invalidate(),
    };
    return context;
  }

  /** The server removes messages that are too old, without a notice. */
  #expireByAge(maxAgeMs: number): void {
    this.#bucket.watch({
      entry: (entry) => {
        this.#time.after(maxAgeMs, () => {
          if (this.#bucket.entry !== entry) return;
          this.#bucket.expire();
          this.#checker.aged();
        });
      },
      gone: () => {},
    });
  }

  #heal(): void {
    this.#log(this.#time.now, "**", "every fault ends");
    this.#bucket.regainQuorum();
    for (const { network, process } of this.#hosts) {
      process.application?.becomeBenign();
      network.latencyMs = 1;
      network.dropRequests = false;
      network.dropResponses = false;
      network.dropWatch = false;
      network.delayNextWriteMs = 0;
      network.staleSnapshot = null;
    }
  }

  async #stopAll(check: () => void): Promise<void> {
    this.#log(this.#time.now, "**", "every node stops");
    const processes = this.#hosts.map((host) => host.process);
    for (const process of processes) process.stop();
    await this.#time.advance(STOPPING_MS, check);
    for (const { driver, incarnation, session, application } of processes) {
      application?.assertSettled();
      check();
      if (driver.state.role.name !== "stopped") throw new Violation(`${incarnation} did not stop`);
      if (session.listeners > 0) throw new Violation(`${incarnation} left a listener behind`);
    }
    if (this.#time.pending > 0) throw new Violation(`${this.#time.pending} timers were left behind`);
  }

  #log(at: number | null, source: string, text: string): void {
    this.#trace?.push(traceLine(at, source, text));
  }
}
