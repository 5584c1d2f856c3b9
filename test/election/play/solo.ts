/**
 * A play with one node on the core alone: the script sends each event, the transcript shows the effects. There is no driver and
 * no bucket, and time passes only by the script.
 */

import { effectText, eventText } from "../../../scripts/shared/election-text.ts";
import { wakeDelayMs } from "../../../src/election/due.ts";
import { type InitialOptions, initialState, isHeld, step } from "../../../src/election/election.ts";
import type { Instant } from "../../../src/election/time.ts";
import type {
  ConnectionId,
  Effect,
  ElectionConfig,
  ElectionEvent,
  ElectionState,
  HolderAnswer,
  LeaseEntry,
  LeaseRecord,
  OwnConnection,
  WriteOutcome,
} from "../../../src/election/types.ts";
import { traceLine } from "../../../src/testing/simulation/trace-line.ts";

export const config: ElectionConfig = {
  nodeId: "a",
  incarnation: "a1",
  crashDetection: "lease",
  silenceMs: 0,
  leaseTtlMs: 10_000,
  heartbeatIntervalMs: 3_000,
  renewIntervalMs: 3_000,
  requestTimeoutMs: 1_000,
  retryDelayMs: 250,
  successorGraceMs: 50,
  cooldownMs: 10_000,
};

/** A lease record: `record(7, "b", 2)` is revision 7, written by node b's first incarnation for epoch 2. */
export function record(
  revision: number,
  nodeId: string,
  epoch: number,
  more: Partial<LeaseRecord> = {},
): LeaseEntry {
  const written: LeaseRecord = {
    nodeId,
    epoch,
    acquiredAt: 0,
    incarnation: `${nodeId}1`,
    nonce: 1,
    ttlMs: 10_000,
    ...more,
  };
  return { kind: "record", revision, record: written };
}

/** A record as go-cluster writes it. */
export function goRecord(revision: number, nodeId: string, epoch: number): LeaseEntry {
  return { kind: "record", revision, record: { nodeId, epoch, acquiredAt: 0 } };
}

export function released(revision: number, epoch: number, successor?: string): LeaseEntry {
  return { kind: "released", revision, epoch, ...(successor === undefined ? {} : { successor }) };
}

export function deleted(revision: number): LeaseEntry {
  return { kind: "deleted", revision };
}

export function garbage(revision: number): LeaseEntry {
  return { kind: "garbage", revision, reason: "not JSON" };
}

/** The n-th connection to the server, with a presence consumer or without. */
export function connection(clientId: number, presence = false): ConnectionId & { presence?: string } {
  return { serverId: "server", clientId, ...(presence ? { presence: `stream.presence-${clientId}` } : {}) };
}

export class Solo {
  readonly #lines: string[];
  readonly #name: string;
  #now: Instant = { mono: 0, boot: 0, wall: 1_700_000_000_000 };
  #generation = "generation-1";
  state: ElectionState;
  /** Effects of the last event. */
  effects: readonly Effect[] = [];

  constructor(title: string, changes: Partial<ElectionConfig> & InitialOptions = {}) {
    this.#lines = [title];
    const { competes, rememberedEpoch, ...ofConfig } = changes;
    const own = { ...config, ...ofConfig };
    this.#name = own.nodeId;
    this.state = initialState(own, this.#now, { competes, rememberedEpoch });
  }

  get now(): Instant {
    return this.#now;
  }

  get held(): boolean {
    return isHeld(this.state, this.#now);
  }

  /** Effect types of the last event. */
  get effectTypes(): string[] {
    return this.effects.map((effect) => effect.type);
  }

  scene(text: string): this {
    this.#lines.push("", text);
    return this;
  }

  /** Advances all clocks to so many milliseconds after the start. */
  at(ms: number): this {
    return this.pass(ms - this.#now.mono);
  }

  pass(ms: number): this {
    const { mono, boot, wall } = this.#now;
    this.#now = { mono: mono + ms, boot: boot + ms, wall: wall + ms };
    return this;
  }

  /** Suspends the machine: the monotonic clock stops. */
  suspendMachine(ms: number): this {
    const { mono, boot, wall } = this.#now;
    this.#now = { mono, boot: boot + ms, wall: wall + ms };
    this.#lines.push(traceLine(null, this.#name, `   (the machine is suspended for ${ms} ms)`));
    return this;
  }

  stepWall(ms: number): this {
    this.#now = { ...this.#now, wall: this.#now.wall + ms };
    this.#lines.push(traceLine(null, this.#name, `   (the wall clock is set by ${ms} ms)`));
    return this;
  }

  send(event: ElectionEvent): this {
    const { state, effects } = step(this.state, event, this.#now);
    this.state = state;
    this.effects = effects;
    this.#lines.push(traceLine(this.#now.mono, this.#name, `<- ${eventText(event)}`));
    for (const effect of effects)
      this.#lines.push(traceLine(null, this.#name, `-> ${effectText(effect, state)}`));
    return this;
  }

  opened(generation = "generation-1", maxAgeMs = 0): this {
    this.#generation = generation;
    return this.send({ type: "bucket-opened", generation, maxAgeMs });
  }

  /** The answer to the last question. */
  answered(answer: HolderAnswer): this {
    return this.send({ type: "answered", question: this.state.inquiry.lastQuestion, answer });
  }

  connected(binding: OwnConnection | null = connection(1)): this {
    return this.send({ type: "connected", binding });
  }

  disconnected(): this {
    return this.send({ type: "disconnected" });
  }

  tick(): this {
    return this.send({ type: "tick" });
  }

  /** Advances to that time, with a tick whenever the node wants one. */
  until(ms: number): this {
    for (let wakes = 0; wakes < 1_000; wakes += 1) {
      const delay = wakeDelayMs(this.state, this.#now);
      if (delay === null || this.#now.mono + delay > ms) return this.at(ms);
      this.pass(delay).tick();
    }
    throw new Error("the node spins");
  }

  /** As `until`, and answers each read with this entry 2 ms later. Ends early when a write is sent. */
  untilAnswering(ms: number, entry: LeaseEntry | null): this {
    for (let wakes = 0; wakes < 1_000; wakes += 1) {
      if (this.state.reads.inFlight)
        this.pass(2).reads(entry, entry?.revision ?? this.state.lease.newestRevision);
      if (this.state.writes.inFlight !== null) return this;
      const delay = wakeDelayMs(this.state, this.#now);
      if (delay === null || this.#now.mono + delay > ms) return this.at(ms);
      this.pass(delay).tick();
    }
    return this;
  }

  watched(entry: LeaseEntry): this {
    return this.send({ type: "watched", entry });
  }

  /** A message is watched, and the read that it causes shows the same. */
  learns(entry: LeaseEntry): this {
    this.watched(entry);
    return this.state.reads.inFlight ? this.reads(entry) : this;
  }

  /** The answer to a read; `null`: no message on the key. */
  reads(
    entry: LeaseEntry | null,
    lastSequence: number = entry?.revision ?? 0,
    generation: string = this.#generation,
  ): this {
    this.#generation = generation;
    const snapshot = { generation, lastSequence, entry };
    return this.send({ type: "read", outcome: { kind: "snapshot", snapshot } });
  }

  readFails(): this {
    return this.send({ type: "read", outcome: { kind: "failed", error: new Error("no answer") } });
  }

  readsNoBucket(): this {
    return this.send({ type: "read", outcome: { kind: "no-bucket" } });
  }

  applied(revision: number): this {
    return this.#written({ kind: "applied", revision });
  }

  conflict(): this {
    return this.#written({ kind: "conflict" });
  }

  unanswered(): this {
    return this.#written({ kind: "unknown", error: new Error("no answer") });
  }

  #written(outcome: WriteOutcome): this {
    const nonce = this.state.writes.inFlight?.nonce;
    if (nonce === undefined) throw new Error("the script answers a write that was not sent");
    return this.send({ type: "written", nonce, outcome });
  }

  /** A record of this node. */
  own(revision: number, epoch: number, nonce: number): LeaseEntry {
    const { nodeId, incarnation } = this.state.config;
    return record(revision, nodeId, epoch, { incarnation, nonce });
  }

  /** Adds a line with `isHeld`. */
  ask(): this {
    this.#lines.push(traceLine(this.#now.mono, this.#name, `?  isHeld: ${this.held ? "yes" : "no"}`));
    return this;
  }

  /** Makes the node leader since 0 ms, with epoch 1 at revision 1. */
  leading(binding: OwnConnection | null = connection(1)): this {
    const before = this.#lines.length;
    this.opened().connected(binding).reads(null).applied(1);
    this.#lines.length = before;
    this.#lines.push(traceLine(this.#now.mono, this.#name, "   (leads: epoch 1, rev 1, deadline at 9500)"));
    return this;
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
