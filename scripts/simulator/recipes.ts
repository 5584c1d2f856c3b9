/**
 * Faults that aim at one rule of the election each: a few that belong together, in an order and at distances at which they matter. Random
 * faults rarely meet like that. Only `npm run sim -- --recipe NAME` and the mutants that name a recipe play them: the plan of a seed
 * without a recipe stays as it is.
 */
import type { CrashDetection } from "../../src/election/types.ts";
import type { SimulatedFaultName } from "./faults/names.ts";

/** One fault of a burst. */
interface RecipeStep {
  readonly name: SimulatedFaultName;
  /** Which host of the burst it hits. With one node in the history they are the same, with two the third is the first. */
  readonly host: "one" | "other" | "third";
  /** Least and largest time since the step before, in milliseconds. */
  readonly afterMs: readonly [number, number];
}

export interface Recipe {
  /** Number of nodes, one of these. */
  readonly nodes: readonly number[];
  readonly crashDetection: readonly CrashDetection[];
  readonly steps: readonly RecipeStep[];
  /** The revisions of a bucket that is created again begin at 1, below the epochs. Then there is one burst: every node knows the epochs before it. */
  readonly restartsRevisions?: boolean;
}

export type RecipeName =
  | "overtaken acquires"
  | "overtaken releases"
  | "lost history"
  | "stale reads of a replaced leader"
  | "late deletions"
  | "a bucket deleted over an ended holder"
  | "hidden terms above the revisions"
  | "a key deleted twice"
  | "a bucket deleted behind a former leader";

export const recipes: Readonly<Record<RecipeName, Recipe>> = {
  /** A node learns what replaced its acquiring write before it receives the ack. */
  "overtaken acquires": {
    nodes: [1, 2, 3],
    crashDetection: ["lease", "presence"],
    steps: [
      { name: "overtaken acquire", host: "one", afterMs: [0, 0] },
      { name: "only follow", host: "other", afterMs: [0, 500] },
    ],
  },
  /** A node learns that the bucket was deleted before it receives the ack of its release. */
  "overtaken releases": {
    nodes: [1, 2],
    crashDetection: ["lease", "presence"],
    steps: [
      { name: "overtaken release", host: "one", afterMs: [0, 0] },
      { name: "step down", host: "one", afterMs: [0, 0] },
      { name: "kill -9", host: "other", afterMs: [0, 500] },
    ],
  },
  /** The server loses the newest messages of the bucket: what was acknowledged is gone, so with more nodes nothing is promised (A2). */
  "lost history": {
    nodes: [1],
    crashDetection: ["lease", "presence"],
    steps: [{ name: "history lost", host: "one", afterMs: [0, 0] }],
  },
  /** A leader is replaced while its reads return what was stored before its last renewals. */
  "stale reads of a replaced leader": {
    nodes: [2, 3],
    crashDetection: ["presence"],
    steps: [{ name: "replaced unseen", host: "one", afterMs: [0, 0] }],
  },
  /** A node deletes its own late lease, wants to lead again, and the deletion is late, too. */
  "late deletions": {
    nodes: [2],
    crashDetection: ["lease", "presence"],
    steps: [
      { name: "late write", host: "one", afterMs: [0, 0] },
      { name: "step down", host: "other", afterMs: [0, 50] },
      { name: "only follow", host: "one", afterMs: [800, 1_300] },
      { name: "late write", host: "one", afterMs: [0, 200] },
      { name: "late write", host: "one", afterMs: [50, 200] },
    ],
  },
  /** A node learns that the holder's connection has ended, but not that the holder is back, because the bucket is deleted. */
  "a bucket deleted over an ended holder": {
    nodes: [2, 3],
    crashDetection: ["presence"],
    steps: [
      { name: "latency", host: "other", afterMs: [0, 0] },
      { name: "disconnected", host: "one", afterMs: [0, 500] },
      { name: "bucket deleted", host: "other", afterMs: [300, 1_500] },
    ],
  },
  /** Garbage hides a term from a node that knows the one before, in a bucket whose epochs lie above their revisions. */
  "hidden terms above the revisions": {
    nodes: [3],
    crashDetection: ["lease", "presence"],
    restartsRevisions: true,
    steps: [
      // The next epoch lies above the revisions of this bucket.
      { name: "key deleted", host: "one", afterMs: [20_000, 30_000] },
      { name: "bucket deleted", host: "one", afterMs: [12_000, 14_000] },
      { name: "pause", host: "other", afterMs: [4_000, 6_000] },
      { name: "step down", host: "one", afterMs: [10, 50] },
      { name: "garbage", host: "one", afterMs: [20, 100] },
      { name: "kill -9", host: "third", afterMs: [0, 20] },
    ],
  },
  /** A node that waits because the key was deleted misses the lease that follows, and its deletion. */
  "a key deleted twice": {
    nodes: [3],
    crashDetection: ["lease", "presence"],
    steps: [
      { name: "key deleted", host: "one", afterMs: [0, 0] },
      { name: "vanished", host: "other", afterMs: [2, 5] },
      { name: "vanished", host: "one", afterMs: [500, 4_000] },
      { name: "key deleted", host: "one", afterMs: [1, 2_000] },
    ],
  },
  /** A leader is replaced without knowing it, and its successor is cut off when the bucket is deleted. */
  "a bucket deleted behind a former leader": {
    nodes: [2, 3],
    crashDetection: ["lease"],
    steps: [
      { name: "vanished", host: "one", afterMs: [0, 0] },
      { name: "vanished", host: "other", afterMs: [9_000, 11_000] },
      { name: "bucket deleted", host: "other", afterMs: [1, 1_500] },
    ],
  },
};
