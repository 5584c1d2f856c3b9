/** One seed, one history: some nodes, one bucket, many faults, then a quiet end. */

import { FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeConnections } from "../../src/testing/simulation/fakes/fake-session.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import { type Settling, VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";
import { traceLine } from "../../src/testing/simulation/trace-line.ts";
import { effectText, eventText } from "../shared/election-text.ts";
import { Checker, QUIET_MS, RATE_SLACK, STEADY_MS } from "./check/checker.ts";
import { Tally } from "./check/tally.ts";
import { Strayed, Violation } from "./check/violation.ts";
import type { FaultContext } from "./faults/fault-tools.ts";
import { strike } from "./faults/faults.ts";
import { Host, timing, type World } from "./host.ts";
import { FAULTY_MS, type Plan } from "./plan.ts";
import { TraceHash } from "./trace-hash.ts";

const STOPPING_MS = 2 * timing.leaseTtlMs;

export interface Outcome {
  /** Terms that began. */
  readonly terms: number;
  /** Cut short, see `Strayed`. */
  readonly strayed: boolean;
  /** What went wrong, `null`: nothing. */
  readonly violation: string | null;
  /** True time at the end, in milliseconds. */
  readonly endedAtMs: number;
  /** Fingerprint of everything that happened. */
  readonly hash: number;
}

export class History {
  readonly #plan: Plan;
  readonly #tally: Tally;
  readonly #time: VirtualTime;
  readonly #bucket = new FakeBucket();
  readonly #hash = new TraceHash();
  readonly #story: string[] | null;
  readonly #checker: Checker;
  readonly #world: World;
  readonly #hosts: Host[] = [];

  /** `settling`: makes no difference but to the time it takes. */
  constructor(plan: Plan, tally: Tally = new Tally(), withStory = false, settling: Settling = "announced") {
    this.#plan = plan;
    this.#time = new VirtualTime(settling);
    this.#tally = tally;
    this.#story = withStory ? [] : null;
    const [time, bucket] = [this.#time, this.#bucket];
    const connections = new FakeConnections(time);
    const { remembers } = plan;
    this.#checker = new Checker({ time, bucket, connections, tally, hash: this.#hash, remembers });
    this.#world = { time, bucket, connections, presence: plan.presence, witness: this.#checker };
    bucket.maxAgeMs = plan.maxAgeMs;
    bucket.canBeginAbove = plan.beginsAbove;
    if (plan.maxAgeMs > 0) this.#expireByAge(plan.maxAgeMs);
    if (withStory) {
      this.#checker.tell = ({ incarnation, driver }, event, effects) => {
        this.#say(time.now, incarnation, `<- ${eventText(event)}`);
        for (const effect of effects) this.#say(null, incarnation, `-> ${effectText(effect, driver.state)}`);
      };
    }
  }

  /** What happened, if it was asked for. */
  get story(): readonly string[] {
    return this.#story ?? [];
  }

  async run(): Promise<Outcome> {
    let violation: string | null = null;
    let strayed = false;
    try {
      await this.#play();
    } catch (thrown) {
      strayed = thrown instanceof Strayed;
      if (thrown instanceof Violation) violation = thrown.message;
      else if (!strayed) violation = String((thrown as Error).stack ?? thrown);
    }
    const terms = this.#checker.becomes;
    return { terms, strayed, violation, endedAtMs: this.#time.now, hash: this.#hash.value };
  }

  async #play(): Promise<void> {
    for (const [index, options] of this.#plan.hosts.entries()) {
      this.#hosts.push(new Host(this.#world, "abcdefghij".charAt(index % 10), options));
    }
    this.#schedule();
    const look = (): void => this.#checker.look();
    await this.#time.advance(FAULTY_MS, look);
    this.#heal();
    await this.#time.advance(QUIET_MS, look);
    const before = this.#heldByOne();
    const written = this.#checker.held.map(({ store }) => store.writes);
    // Nothing happens any more: whoever leads goes on, renewal by renewal.
    await this.#time.advance(STEADY_MS, look);
    const after = this.#heldByOne();
    if (after !== before) throw new Violation(`in a quiet time held by ${before}, then by ${after}`);
    for (const [index, { store, incarnation, host }] of this.#checker.held.entries()) {
      const renewals = store.writes - (written[index] ?? 0);
      const least = Math.floor(STEADY_MS / (host.options.renewIntervalMs * RATE_SLACK));
      if (renewals < least)
        throw new Violation(`${incarnation} renews ${renewals} times in a quiet time, not ${least}`);
    }
    await this.#stopAll(look);
  }

  /** Invariant 10. */
  #heldByOne(): string {
    this.#checker.look();
    const held = this.#checker.held.map(({ incarnation, driver }) => {
      const { role } = driver.state;
      return `${incarnation}${role.name === "leader" ? ` with epoch ${role.term.epoch}` : ""}`;
    });
    const [one] = held;
    if (one === undefined || held.length > 1) {
      throw new Violation(`after a quiet time held by: ${held.join(", ") || "nobody"}`);
    }
    return one;
  }

  #schedule(): void {
    for (const { at, name, host, seed } of this.#plan.faults) {
      this.#time.at(at, () => {
        const target = this.#hosts[host];
        if (target === undefined) throw new Error(`fault "${name}": there is no host ${host}`);
        this.#tally.fault(name);
        strike(name, this.#faultContext(seed), target);
        this.#checker.stirred();
      });
    }
  }

  #faultContext(seed: number): FaultContext {
    return {
      random: new SeededRandom(seed),
      time: this.#time,
      bucket: this.#bucket,
      hosts: this.#hosts,
      quietFrom: FAULTY_MS,
      remembers: this.#plan.remembers,
      tell: (text) => this.#say(this.#time.now, "**", text),
      beforeTampering: (kind, recreates) => this.#checker.beforeTampering(kind, recreates),
      afterPurge: () => this.#checker.afterPurge(),
      stirred: () => this.#checker.stirred(),
    };
  }

  /** The server removes what is too old, and tells nobody. */
  #expireByAge(maxAgeMs: number): void {
    this.#bucket.watch({
      entry: (entry) => {
        this.#time.after(maxAgeMs, () => {
          if (this.#bucket.entry === entry) this.#bucket.expire();
        });
      },
      gone: () => {},
    });
  }

  #heal(): void {
    this.#say(this.#time.now, "**", "everything is healed");
    this.#bucket.regainQuorum();
    for (const { network } of this.#hosts) {
      network.latencyMs = 1;
      network.dropRequests = false;
      network.dropResponses = false;
      network.dropWatch = false;
      network.delayNextWriteMs = 0;
      network.staleSnapshot = null;
    }
  }

  async #stopAll(look: () => void): Promise<void> {
    this.#say(this.#time.now, "**", "everybody is stopped");
    const processes = this.#hosts.map((host) => host.process);
    for (const { driver } of processes) driver.dispatch({ type: "stop" });
    await this.#time.advance(STOPPING_MS, look);
    for (const { driver, incarnation, session } of processes) {
      if (driver.state.role.name !== "stopped") throw new Violation(`${incarnation} does not stop`);
      if (session.listeners > 0) throw new Violation(`${incarnation} still listens`);
    }
    if (this.#time.pending > 0) throw new Violation(`${this.#time.pending} timers are left`);
  }

  #say(at: number | null, who: string, text: string): void {
    this.#story?.push(traceLine(at, who, text));
  }
}
