/**
 * What is done to a bucket in one script. A script says what is done relative to what stands in the bucket ("against the
 * present revision"), so that it still means something when operations are left out of it.
 */

import type { LeaseWrite } from "../../../src/election/types.ts";
import type { Random } from "../../../src/testing/simulation/random.ts";

/** Three nodes. `c` is the one whose requests and answers get lost. */
export type Node = "a" | "b" | "c";

/** What a write expects, relative to what stands in the bucket when it is sent. */
export type ExpectSpec =
  /** The key's last revision; 0 when it has no message. */
  | "current"
  /** One less. */
  | "older"
  /** The first revision of all. */
  | "first"
  /** One that does not exist yet. */
  | "ahead"
  /** No message on the key, whatever the stream has seen. */
  | "none"
  /** No message on the key, and the stream ends where it does. */
  | "empty-at-end"
  | "empty-before-end"
  | "empty-past-end"
  /** The revision that the n-th of several writes would be given if all before it were applied. */
  | "chained";

export interface WriteSpec {
  readonly kind: "put" | "release";
  readonly expect: ExpectSpec;
  readonly successor?: string;
}

/** What others write to the key, without any condition. */
export type Foreign =
  | "go-record"
  | "our-record"
  | "garbage"
  | "empty"
  | "delete-marker"
  | "purge-marker"
  | "our-marker";

export type Operation =
  /** `above`: what the node remembers, if it has to make the bucket. */
  | { readonly do: "open"; readonly by: Node; readonly above: number }
  | { readonly do: "read"; readonly by: Node }
  | { readonly do: "write"; readonly by: Node; readonly write: WriteSpec }
  /** All at the same time, each from a node of its own. */
  | { readonly do: "race"; readonly writes: readonly WriteSpec[] }
  /** One after the other on one connection, none waited for. */
  | { readonly do: "pipeline"; readonly by: Node; readonly writes: readonly WriteSpec[] }
  /** The request is held up on its way, and the sender gives up. */
  | { readonly do: "late"; readonly write: WriteSpec }
  /** The oldest held-up request arrives. */
  | { readonly do: "arrive" }
  | { readonly do: "lose-request"; readonly write: WriteSpec }
  | { readonly do: "lose-answer"; readonly write: WriteSpec }
  /** Written and read while disconnected, then connected again. */
  | { readonly do: "offline"; readonly write: WriteSpec }
  | { readonly do: "force"; readonly what: Foreign }
  | { readonly do: "other-key" }
  | { readonly do: "purge-key" | "purge-stream" }
  /** An operator deletes the message itself; the bucket forbids it. */
  | { readonly do: "delete-message" }
  | { readonly do: "delete-bucket" }
  /** The message on the key outlives max-age. */
  | { readonly do: "expire" }
  /** The server ends and starts again. Only on a server of the script's own. */
  | { readonly do: "restart"; readonly how: "stop" | "kill" };

export interface Script {
  readonly seed: number;
  /** A bucket with max-age from the beginning, as go-cluster makes it. */
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

const node = (random: Random): Node => random.pick(["a", "b", "c"]);

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
  /** Restarts of the server take part. */
  readonly restarts?: boolean;
}

/** The script of a seed: the same one for ever. */
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
    // Mostly the bucket is made again soon: while it is gone little happens.
    if (operation.do === "delete-bucket" && random.next() < 0.7) operations.push(open(random));
  }
  return { seed, aging, operations };
}

/** A write that is about to be sent, and who sends it. */
export interface SentWrite {
  readonly by: Node;
  readonly write: LeaseWrite;
}

/** An operation as it is carried out, the same in both worlds. */
export type Step =
  | Exclude<Operation, { readonly writes: readonly WriteSpec[] } | { readonly write: WriteSpec }>
  | { readonly do: "write"; readonly by: Node; readonly write: LeaseWrite }
  | { readonly do: "race"; readonly writes: readonly SentWrite[] }
  | { readonly do: "pipeline"; readonly by: Node; readonly writes: readonly LeaseWrite[] }
  | { readonly do: "late" | "lose-request" | "lose-answer" | "offline"; readonly write: LeaseWrite };
