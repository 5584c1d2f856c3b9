/** One seed, one history: some nodes, one bucket, many faults, then a quiet end. */
import { FakeBucket } from "../../../src/sim/fake-bucket.ts";
import { FakeConnections } from "../../../src/sim/fake-session.ts";
import { VirtualTime } from "../../../src/sim/virtual-time.ts";
import { effectText, eventText, line } from "../../election/play/format.ts";
import { Checker } from "./checker.ts";
import { bucketFaults, commonFaults, type FaultContext, operatorFaults } from "./faults.ts";
import { Host, timing, type World } from "./host.ts";
import { SeededRandom } from "./random.ts";
import { Strayed, Violation } from "./violation.ts";

const FAULTY_MS = 30_000;
const QUIET_MS = 3 * timing.leaseTtlMs;
const STOPPING_MS = 2 * timing.leaseTtlMs;

export interface Outcome {
  readonly seed: number;
  /** Crashes are detected by presence, at least by most nodes. */
  readonly presence: boolean;
  /** Terms that began. */
  readonly terms: number;
  readonly faults: number;
  /** Cut short, see `Strayed`. */
  readonly strayed: boolean;
  /** What went wrong, `null`: nothing. */
  readonly violation: string | null;
  /** What happened, if it was asked for. */
  readonly story: readonly string[];
}

export class History {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #time = new VirtualTime();
  readonly #bucket = new FakeBucket();
  readonly #story: string[] = [];
  readonly #checker: Checker;
  readonly #world: World;
  readonly #hosts: Host[] = [];
  #faults = 0;

  constructor(seed: number, withStory = false) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    const connections = new FakeConnections(this.#time);
    this.#checker = new Checker(this.#time, this.#bucket, connections);
    this.#world = {
      time: this.#time,
      bucket: this.#bucket,
      connections,
      presence: seed % 2 === 0,
      witness: this.#checker,
    };
    if (withStory) {
      this.#checker.tell = ({ incarnation, driver }, event, effects) => {
        this.#story.push(line(this.#time.now, incarnation, `<- ${eventText(event)}`));
        for (const effect of effects)
          this.#story.push(line(null, incarnation, `-> ${effectText(effect, driver.state)}`));
      };
    }
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
    return {
      seed: this.#seed,
      presence: this.#world.presence,
      terms: this.#checker.becomes,
      faults: this.#faults,
      strayed,
      violation,
      story: this.#story,
    };
  }

  async #play(): Promise<void> {
    const nodes = this.#random.pick([1, 2, 3, 3, 4, 5]);
    for (let index = 0; index < nodes; index += 1) {
      this.#hosts.push(
        new Host(this.#world, {
          nodeId: "abcde".charAt(index),
          competes: index < 1 || !this.#random.chance(0.1),
          crashDetection: this.#world.presence && !this.#random.chance(0.1) ? "presence" : "lease",
          rate: 1 + (this.#random.next() - 0.5) * 0.01,
          renewIntervalMs: this.#random.pick([timing.heartbeatIntervalMs, timing.heartbeatIntervalMs, 300]),
          drainMs: this.#random.pick([0, 5, 200, 1_500, 4_000]),
        }),
      );
    }
    this.#plan();
    const look = (): void => this.#checker.look();
    await this.#time.advance(FAULTY_MS, look);
    this.#heal();
    await this.#time.advance(QUIET_MS, look);
    const held = this.#checker.held.map((process) => process.incarnation);
    if (held.length !== 1) throw new Violation(`after a quiet time held by: ${held.join(", ") || "nobody"}`);
    await this.#stopAll(look);
  }

  #plan(): void {
    const kinds = this.#random.pick([
      commonFaults,
      commonFaults,
      [...commonFaults, ...operatorFaults],
      [...commonFaults, ...bucketFaults],
    ]);
    const context: FaultContext = {
      random: this.#random,
      time: this.#time,
      bucket: this.#bucket,
      hosts: this.#hosts,
      checker: this.#checker,
      quietFrom: FAULTY_MS,
      remembers: bucketFaults.every((fault) => kinds.includes(fault)),
      tell: (text) => this.#story.push(line(this.#time.now, "**", text)),
    };
    const count = this.#random.between(5, 30);
    for (let index = 0; index < count; index += 1) {
      this.#time.at(this.#random.between(0, FAULTY_MS - 1), () => {
        this.#faults += 1;
        this.#random.pick(kinds)(context, this.#random.pick(this.#hosts));
      });
    }
  }

  #heal(): void {
    this.#story.push(line(this.#time.now, "**", "everything is healed"));
    for (const { network } of this.#hosts) {
      Object.assign(network, { latencyMs: 1, dropRequests: false, dropResponses: false, dropWatch: false });
      Object.assign(network, { delayNextWriteMs: 0, staleSnapshot: null });
    }
  }

  async #stopAll(look: () => void): Promise<void> {
    this.#story.push(line(this.#time.now, "**", "everybody is stopped"));
    const processes = this.#hosts.map((host) => host.process);
    for (const { driver } of processes) driver.dispatch({ type: "stop" });
    await this.#time.advance(STOPPING_MS, look);
    for (const { driver, incarnation, session } of processes) {
      if (driver.state.role.name !== "stopped") throw new Violation(`${incarnation} does not stop`);
      if (session.listeners > 0) throw new Violation(`${incarnation} still listens`);
    }
    if (this.#time.pending > 0) throw new Violation(`${this.#time.pending} timers are left`);
  }
}

/** The seed again, with its story, for people. */
export async function retell(seed: number): Promise<string> {
  const { story, violation, presence } = await new History(seed, true).run();
  const ending = story.slice(-Number(process.env["STORY_LINES"] ?? 200));
  return `seed ${seed} (${presence ? "presence" : "lease"}): ${violation}\n${ending.join("\n")}\nreplay: SEED=${seed} npx vitest run test/sim`;
}
