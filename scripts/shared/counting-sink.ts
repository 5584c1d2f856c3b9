/**
 * A sink that several processes share over NATS, with what a transactional store has: a fence and a position for each resource, and batches that are
 * stored completely or not at all. It counts how often each message was stored, by the number that its producer gave it.
 */
import type { Msg, NatsConnection } from "@nats-io/transport-node";

const HEAD_BYTES = 24;

/** What a batch became: `stale`: a later owner has the fence; `conflict`: it does not begin at the position. */
export type StoreOutcome = "stored" | "stale" | "conflict";

/** How often each number of each resource was stored. */
export interface Counts {
  /** Numbers that were stored at least once. */
  readonly stored: number;
  /** Numbers up to the largest one that were not stored. */
  readonly lost: number;
  /** How often a number was stored again. */
  readonly duplicatesAccepted: number;
  /** Batches that were stored after a batch of a later term. */
  readonly staleAccepted: number;
}

export interface SinkCounts extends Counts {
  readonly staleRefused: number;
  readonly conflicts: number;
}

/** Counts what a sink has stored, in the order in which it has. */
export class Tally {
  readonly #resources = new Map<string, { counts: Uint8Array; largest: number; epoch: number }>();
  #staleAccepted = 0;

  add(name: string, epoch: number, numbers: Iterable<number>): void {
    const resource = this.#resources.get(name) ?? { counts: new Uint8Array(1_024), largest: 0, epoch: 0 };
    this.#resources.set(name, resource);
    if (epoch < resource.epoch) this.#staleAccepted += 1;
    resource.epoch = Math.max(resource.epoch, epoch);
    for (const number of numbers) {
      if (number >= resource.counts.length) {
        const larger = new Uint8Array(Math.max(number + 1, resource.counts.length * 2));
        larger.set(resource.counts);
        resource.counts = larger;
      }
      resource.counts[number] = (resource.counts[number] ?? 0) + 1;
      resource.largest = Math.max(resource.largest, number);
    }
  }

  /** The largest number that was stored. */
  largestOf(name: string): number {
    return this.#resources.get(name)?.largest ?? 0;
  }

  counts(): Counts {
    let stored = 0;
    let lost = 0;
    let duplicatesAccepted = 0;
    for (const { counts, largest } of this.#resources.values()) {
      for (let number = 1; number <= largest; number++) {
        const count = counts[number] ?? 0;
        if (count === 0) lost += 1;
        else stored += 1;
        if (count > 1) duplicatesAccepted += count - 1;
      }
    }
    return { stored, lost, duplicatesAccepted, staleAccepted: this.#staleAccepted };
  }
}

/** The sink itself, in one process. */
export class CountingSink {
  readonly #states = new Map<string, { fence: number; position: number }>();
  readonly #tally = new Tally();
  readonly #listeners = new Set<(resource: string, epoch: number) => void>();
  #staleRefused = 0;
  #conflicts = 0;

  constructor(connection: NatsConnection, subject: string) {
    const serve = (what: string, answer: (resource: string, message: Msg) => string): void => {
      connection.subscribe(`${subject}.${what}.*`, {
        callback: (error, message) => {
          if (error === null) message.respond(answer(message.subject.split(".").at(-1) ?? "", message));
        },
      });
    };
    serve("take", (resource, message) => this.#take(resource, Number(message.string())));
    serve("store", (resource, message) => this.#store(resource, message.data));
  }

  /** Calls it for every batch that is stored. Returns the function that ends this. */
  onStored(listener: (resource: string, epoch: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  counts(): SinkCounts {
    return { ...this.#tally.counts(), staleRefused: this.#staleRefused, conflicts: this.#conflicts };
  }

  /** The largest number of a resource that was stored. */
  largestOf(resource: string): number {
    return this.#tally.largestOf(resource);
  }

  #of(name: string): { fence: number; position: number } {
    const state = this.#states.get(name) ?? { fence: 0, position: 0 };
    this.#states.set(name, state);
    return state;
  }

  #take(name: string, epoch: number): string {
    const state = this.#of(name);
    if (epoch < state.fence) return "stale";
    state.fence = epoch;
    return String(state.position);
  }

  #store(name: string, data: Uint8Array): StoreOutcome {
    const state = this.#of(name);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const [epoch, prev, last] = [view.getFloat64(0), view.getFloat64(8), view.getFloat64(16)];
    if (epoch < state.fence) {
      this.#staleRefused += 1;
      return "stale";
    }
    if (prev !== state.position) {
      this.#conflicts += 1;
      return "conflict";
    }
    state.fence = epoch;
    state.position = last;
    const count = (data.byteLength - HEAD_BYTES) / 4;
    const numbers = Array.from({ length: count }, (_, index) => view.getUint32(HEAD_BYTES + index * 4));
    this.#tally.add(name, epoch, numbers);
    for (const listener of this.#listeners) listener(name, epoch);
    return "stored";
  }
}

export interface SinkBatch {
  readonly resource: string;
  readonly epoch: number;
  /** The position at which the batch begins, and its own. */
  readonly prev: number;
  readonly last: number;
  readonly numbers: readonly number[];
}

/** The side of an owner. */
export class SinkClient {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #timeoutMs: number;

  constructor(connection: NatsConnection, subject: string, timeoutMs: number) {
    this.#connection = connection;
    this.#subject = subject;
    this.#timeoutMs = timeoutMs;
  }

  /** Moves the fence, and resolves with the position. Rejects if a later owner has it. */
  async take(resource: string, epoch: number): Promise<number> {
    const answer = await this.#request(`take.${resource}`, Buffer.from(String(epoch)));
    if (answer === "stale") throw new Error(`epoch ${epoch} of resource ${resource} is stale`);
    return Number(answer);
  }

  async store({ resource, epoch, prev, last, numbers }: SinkBatch): Promise<StoreOutcome> {
    const data = Buffer.allocUnsafe(HEAD_BYTES + numbers.length * 4);
    data.writeDoubleBE(epoch, 0);
    data.writeDoubleBE(prev, 8);
    data.writeDoubleBE(last, 16);
    for (const [index, number] of numbers.entries()) data.writeUInt32BE(number, HEAD_BYTES + index * 4);
    return (await this.#request(`store.${resource}`, data)) as StoreOutcome;
  }

  async #request(what: string, data: Uint8Array): Promise<string> {
    const subject = `${this.#subject}.${what}`;
    return (await this.#connection.request(subject, data, { timeout: this.#timeoutMs })).string();
  }
}
