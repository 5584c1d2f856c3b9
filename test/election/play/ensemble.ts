/**
 * A play with several nodes: drivers in virtual time against one bucket. The script injects faults; the transcript shows the events
 * and effects of every node.
 */
import { effectText, eventText } from "../../../scripts/shared/election-text.ts";
import type { ElectionConfig } from "../../../src/election/types.ts";
import { Driver, type Output } from "../../../src/runtime/driver.ts";
import { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeSession } from "../../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../../src/testing/simulation/fakes/fake-store.ts";
import { type Network, perfectNetwork } from "../../../src/testing/simulation/fakes/network.ts";
import { VirtualClock } from "../../../src/testing/simulation/time/virtual-clock.ts";
import { settle, VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import { traceLine } from "../../../src/testing/simulation/trace-line.ts";
import { config } from "./solo.ts";

export interface PartOptions {
  readonly config?: Partial<ElectionConfig>;
  /** Time that the application's work takes to stop. */
  readonly drainMs?: number;
  readonly rememberedEpoch?: number;
  readonly competes?: boolean;
}

/** One process in the play. */
export class Part {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly network: Network = perfectNetwork();
  readonly session: FakeSession;
  readonly store: FakeStore;
  readonly driver: Driver;
  readonly outputs: Output[] = [];

  constructor(play: Ensemble, name: string, options: PartOptions) {
    this.name = name;
    this.clock = new VirtualClock(play.time);
    const own: ElectionConfig = {
      ...config,
      nodeId: name,
      incarnation: `${name}1`,
      crashDetection: play.presence ? "presence" : "lease",
      ...options.config,
    };
    const { clock, network } = this;
    this.session = new FakeSession(play.connections, {
      presence: own.crashDetection === "presence",
      silenceMs: own.silenceMs,
      clock,
      network,
    });
    this.store = new FakeStore(play.time, play.bucket, { network, clock, session: this.session });
    this.driver = new Driver({
      config: own,
      clock,
      store: this.store,
      session: this.session,
      rememberedEpoch: options.rememberedEpoch ?? 0,
      competes: options.competes ?? true,
      output: (output) => {
        this.outputs.push(output);
        if (output.type !== "drain") return;
        clock.setTimer(options.drainMs ?? 1, () => this.driver.dispatch({ type: "drained" }));
      },
      trace: (event, _now, effects, state) => {
        // Four in a second.
        if (event.type === "beat-proven" && effects.length === 0) return;
        play.append(name, `<- ${eventText(event)}`);
        for (const effect of effects) play.appendLine(name, `-> ${effectText(effect, state)}`);
      },
    });
  }

  start(): this {
    this.driver.start(this.store.info());
    return this;
  }

  kill(): void {
    this.clock.kill();
    void this.store.close();
    this.session.kill();
  }

  /** How often this node has emitted the effect. */
  count(type: Output["type"]): number {
    return this.outputs.filter((output) => output.type === type).length;
  }
}

export class Ensemble {
  readonly time: VirtualTime = new VirtualTime();
  readonly bucket: FakeBucket = new FakeBucket();
  readonly connections: FakeConnections = new FakeConnections(this.time);
  readonly presence: boolean;
  readonly #lines: string[];
  #quiet = false;

  constructor(title: string, presence = false) {
    this.#lines = [title];
    this.presence = presence;
  }

  node(name: string, options: PartOptions = {}): Part {
    return new Part(this, name, options);
  }

  scene(text: string): void {
    this.#lines.push("", text);
  }

  /** Injects a fault or another event. */
  async happens(text: string, run: () => void): Promise<void> {
    this.append("**", text);
    run();
    await settle();
  }

  async at(ms: number): Promise<void> {
    await this.time.advance(ms - this.time.now);
  }

  /** Advances to that time without transcript: nothing new happens. */
  async quietlyUntil(ms: number, why: string): Promise<void> {
    this.#lines.push(traceLine(null, "..", why));
    this.#quiet = true;
    await this.at(ms);
    this.#quiet = false;
  }

  ask(...parts: Part[]): void {
    for (const part of parts) this.append(part.name, `?  isHeld: ${part.driver.isHeld() ? "yes" : "no"}`);
  }

  append(who: string, text: string): void {
    if (!this.#quiet) this.#lines.push(traceLine(this.time.now, who, text));
  }

  appendLine(who: string, text: string): void {
    if (!this.#quiet) this.#lines.push(traceLine(null, who, text));
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
