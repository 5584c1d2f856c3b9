/** Resolves relative operations ("expects the present revision") to concrete ones ("expects revision 7"). */
import type { Expectation, LeaseWrite } from "../../../src/election/types.ts";
import type { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import type { ExpectSpec, NodeName, Operation, Step, WriteSpec } from "./operations.ts";

const RACERS: readonly NodeName[] = ["a", "b", "c"];

/** Creates the writes of one script. Every record differs, so that the one in the bucket is identifiable. */
export class Resolver {
  readonly #bucket: FakeBucket;
  #nonce = 0;

  constructor(bucket: FakeBucket) {
    this.#bucket = bucket;
  }

  resolve(operation: Operation): Step {
    switch (operation.do) {
      case "write":
        return { ...operation, write: this.#write(operation.write) };
      case "late":
      case "lose-request":
      case "lose-answer":
      case "offline":
        return { do: operation.do, write: this.#write(operation.write) };
      case "race":
        return {
          do: "race",
          writes: operation.writes.map((spec, index) => ({
            by: RACERS[index % RACERS.length] as NodeName,
            write: this.#write(spec),
          })),
        };
      case "pipeline":
        return { ...operation, writes: operation.writes.map((spec, index) => this.#write(spec, index)) };
      default:
        return operation;
    }
  }

  #write({ kind, expect, successor }: WriteSpec, index = 0): LeaseWrite {
    this.#nonce += 1;
    const nonce = this.#nonce;
    const expectation = this.#expectation(expect, index);
    if (kind === "release") {
      const heir = successor === undefined ? {} : { successor };
      return { kind, epoch: nonce, incarnation: `i${nonce}`, ...heir, expect: expectation };
    }
    const session = { serverId: "S", clientId: nonce, presence: `stream.presence_${nonce}` };
    const bound = nonce % 2 === 0 ? { session } : {};
    const record = { nodeId: "n", epoch: nonce, acquiredAt: nonce, incarnation: "i", nonce, ttlMs: 10_000 };
    return { kind, record: { ...record, ...bound }, expect: expectation };
  }

  #expectation(spec: ExpectSpec, index: number): Expectation {
    const { lastSequence, entry } = this.#bucket.snapshot();
    const current = entry?.revision ?? 0;
    switch (spec) {
      case "current":
        return { revision: current };
      case "older":
        return { revision: Math.max(0, current - 1) };
      case "first":
        return { revision: 1 };
      case "ahead":
        return { revision: lastSequence + 1 };
      case "none":
        return { revision: 0 };
      case "empty-at-end":
        return { emptyAtSequence: lastSequence };
      case "empty-before-end":
        return { emptyAtSequence: Math.max(0, lastSequence - 1) };
      case "empty-past-end":
        return { emptyAtSequence: lastSequence + 1 };
      case "chained":
        return { revision: lastSequence + index };
      default:
        return spec satisfies never;
    }
  }
}
