/**
 * The operations of a bucket script. They are relative to the state of the bucket ("expects the present revision"), so that a
 * script stays meaningful when operations are removed from it.
 */

import type { LeaseWrite } from "../../../src/election/types.ts";
import type { Random } from "../../../src/testing/simulation/random.ts";

/** Three nodes. Requests and responses of `c` can be lost. */
export type NodeName = "a" | "b" | "c";

/** The expectation of a write, relative to the state of the bucket when it is sent. */
export type ExpectSpec =
  /** The key's last revision, 0 if it has no message. */
  | "current"
  /** One below the last revision. */
  | "older"
  /** Revision 1. */
  | "first"
  /** A revision that does not exist yet. */
  | "ahead"
  /** No message on the key. */
  | "none"
  /** No message on the key, and the last sequence of the stream. */
  | "empty-at-end"
  | "empty-before-end"
  | "empty-past-end"
  /** The revision that the n-th of several writes gets if all before it are applied. */
  | "chained";

export interface WriteSpec {
  readonly kind: "put" | "release";
  readonly expect: ExpectSpec;
  readonly successor?: string;
}

/** Unconditional writes of other clients to the key. */
export type Foreign =
  | "go-record"
  | "our-record"
  | "garbage"
  | "empty"
  | "delete-marker"
  | "purge-marker"
  | "our-marker";

export type Operation =
  /** `above`: the revision above which a new bucket must start. */
  | { readonly do: "open"; readonly by: NodeName; readonly above: number }
  | { readonly do: "read"; readonly by: NodeName }
  | { readonly do: "write"; readonly by: NodeName; readonly write: WriteSpec }
  /** Concurrent writes, each from another node. */
  | { readonly do: "race"; readonly writes: readonly WriteSpec[] }
  /** Consecutive writes on one connection without waiting for acks. */
  | { readonly do: "pipeline"; readonly by: NodeName; readonly writes: readonly WriteSpec[] }
  /** The request is delayed, and the sender gives up. */
  | { readonly do: "late"; readonly write: WriteSpec }
  /** The oldest delayed request arrives. */
  | { readonly do: "arrive" }
  | { readonly do: "lose-request"; readonly write: WriteSpec }
  | { readonly do: "lose-answer"; readonly write: WriteSpec }
  /** A write and a read while disconnected, then a reconnect. */
  | { readonly do: "offline"; readonly write: WriteSpec }
  | { readonly do: "force"; readonly what: Foreign }
  | { readonly do: "other-key" }
  | { readonly do: "purge-key" | "purge-stream" }
  /** An operator deletes the message itself, which the bucket denies. */
  | { readonly do: "delete-message" }
  | { readonly do: "delete-bucket" }
  /** The message on the key expires. */
  | { readonly do: "expire" }
  /** The server restarts. Only on a server that no other script uses. */
  | { readonly do: "restart"; readonly how: "stop" | "kill" };

export interface Script {
  readonly seed: number;
  /** The bucket has a max-age from the start, as go-cluster creates it. */
  readonly aging: boolean;
  readonly operations: readonly Operation[];
}

const EXPECTS: readonly (readonly [ExpectSpec, number])[] = [
  ["current", 10],
  ["older", 2],
  ["first", 1],
  ["ahead", 1],
  ["none", 2],
  ["empty-at-end", 5],
  ["empty-before-end", 1],
  ["empty-past-end", 1],
];

const FOREIGN: readonly Foreign[] = [
  "go-record",
  "our-record",
  "garbage",
  "empty",
  "delete-marker",
  "purge-marker",
  "our-marker",
];

function weighted<T>(random: Random, items: readonly (readonly [T, number])[]): T {
  let left = random.next() * items.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [item, weight] of items) {
    left -= weight;
    if (left < 0) return item;
  }
  return random.pick(items)[0];
}

function writeSpec(random: Random, expect: ExpectSpec = weighted(random, EXPECTS)): WriteSpec {
  if (random.next() < 0.75) return { kind: "put", expect };
  return { kind: "release", expect, ...(random.next() < 0.3 ? { successor: "b" } : {}) };
}

type Maker = (random: Random) => Operation;

const node = (random: Random): NodeName => random.pick(["a", "b", "c"]);

const open = (random: Random): Operation => ({
  do: "open",
  by: node(random),
  above: random.pick([0, 0, 3, 40]),
});

const MAKERS: readonly (readonly [Maker, number])[] = [
  [(random) => ({ do: "write", by: node(random), write: writeSpec(random) }), 14],
  [(random) => ({ do: "read", by: node(random) }), 5],
  [open, 2],
  [
    (random) => {
      const expect = random.next() < 0.8 ? weighted(random, EXPECTS) : undefined;
      const count = random.between(2, 3);
      return { do: "race", writes: Array.from({ length: count }, () => writeSpec(random, expect)) };
    },
    4,
  ],
  [
    (random) => ({
      do: "pipeline",
      by: node(random),
      writes: [writeSpec(random), writeSpec(random, random.next() < 0.6 ? "chained" : undefined)],
    }),
    2,
  ],
  [(random) => ({ do: "late", write: writeSpec(random) }), 2],
  [() => ({ do: "arrive" }), 2],
  [(random) => ({ do: "lose-request", write: writeSpec(random) }), 1],
  [(random) => ({ do: "lose-answer", write: writeSpec(random) }), 1],
  [(random) => ({ do: "offline", write: writeSpec(random) }), 0.4],
  [(random) => ({ do: "force", what: random.pick(FOREIGN) }), 5],
  [() => ({ do: "other-key" }), 3],
  [() => ({ do: "purge-key" }), 1],
  [() => ({ do: "purge-stream" }), 1],
  [() => ({ do: "delete-message" }), 0.5],
  [() => ({ do: "delete-bucket" }), 1],
];

export interface GenerateOptions {
  readonly longest?: number;
  /** Whether scripts contain restarts of the server. */
  readonly restarts?: boolean;
}

/** Generates the script of a seed. */
export function generate(seed: number, random: Random, options: GenerateOptions = {}): Script {
  const aging = random.next() < 0.15;
  const makers: (readonly [Maker, number])[] = [...MAKERS, [() => ({ do: "expire" }), aging ? 1.5 : 0.5]];
  if (options.restarts === true) {
    makers.push([(of) => ({ do: "restart", how: of.pick(["stop", "kill"] as const) }), 3]);
  }
  const operations: Operation[] = [];
  const count = random.between(4, options.longest ?? 30);
  for (let i = 0; i < count; i++) {
    const operation = weighted(random, makers)(random);
    operations.push(operation);
    // Mostly recreate the bucket soon: most operations need one.
    if (operation.do === "delete-bucket" && random.next() < 0.7) operations.push(open(random));
  }
  return { seed, aging, operations };
}

/** A write and its sender. */
export interface SentWrite {
  readonly by: NodeName;
  readonly write: LeaseWrite;
}

/** A resolved operation, the same in both worlds. */
export type Step =
  | Exclude<Operation, { readonly writes: readonly WriteSpec[] } | { readonly write: WriteSpec }>
  | { readonly do: "write"; readonly by: NodeName; readonly write: LeaseWrite }
  | { readonly do: "race"; readonly writes: readonly SentWrite[] }
  | { readonly do: "pipeline"; readonly by: NodeName; readonly writes: readonly LeaseWrite[] }
  | { readonly do: "late" | "lose-request" | "lose-answer" | "offline"; readonly write: LeaseWrite };
