/** A hash of everything that happened. The same seed gives the same hash on every machine. */
import type { Effect, ElectionEvent, ElectionState } from "../../src/election/types.ts";
import { roleIndex } from "./check/tally.ts";

const EVENTS: Readonly<Record<ElectionEvent["type"], number>> = {
  "bucket-opened": 1,
  "bucket-failed": 2,
  connected: 3,
  rebound: 4,
  disconnected: 5,
  watched: 6,
  read: 7,
  written: 8,
  "bucket-gone": 9,
  "presence-lost": 10,
  answered: 11,
  resign: 12,
  compete: 13,
  drained: 14,
  stop: 15,
  tick: 16,
  "beat-proven": 17,
  "holder-silent": 18,
  "holder-heard": 19,
};

const EFFECTS: Readonly<Record<Effect["type"], number>> = {
  write: 1,
  read: 2,
  "open-bucket": 3,
  ask: 4,
  "become-leader": 5,
  suspended: 6,
  resumed: 7,
  drain: 8,
  "lose-leadership": 9,
  released: 10,
  "leader-change": 11,
  warning: 12,
  stopped: 13,
};

export class TraceHash {
  #hash = 0x811c9dc5;

  /** 32 bits. */
  get value(): number {
    return this.#hash >>> 0;
  }

  step(
    at: number,
    processIndex: number,
    event: ElectionEvent,
    effects: readonly Effect[],
    state: ElectionState,
  ): void {
    this.#mix(Math.round(at * 1_000));
    this.#mix(processIndex * 64 + EVENTS[event.type]);
    this.#mix(state.lease.newestRevision * 8 + roleIndex(state.role.name));
    this.#mix(state.lease.highestEpoch);
    for (const { type } of effects) this.#mix(EFFECTS[type]);
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value | 0), 0x01000193);
    this.#hash ^= this.#hash >>> 15;
  }
}

/** Combines the hashes of many seeds, independent of their order. */
export class SetHash {
  #sum = 0n;

  add(seed: number, hash: number): void {
    this.#sum += mixed((BigInt(seed) << 32n) | BigInt(hash));
  }

  merge(digits: string): void {
    this.#sum += BigInt(`0x${digits}`);
  }

  /** 64 bits as hexadecimal digits. */
  get digits(): string {
    return BigInt.asUintN(64, this.#sum).toString(16).padStart(16, "0");
  }
}

/** SplitMix64's finalizer: a plain sum would not change if two seeds swapped their hashes. */
function mixed(value: bigint): bigint {
  let z = BigInt.asUintN(64, value + 0x9e3779b97f4a7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}
