/** What the benchmark and its child processes say to each other. Times are milliseconds of `hostNowMs`. */
import type { CrashDetection } from "../../src/election/types.ts";

export const GROUP_ID = "bench";
/** No member has anything to do with it. */
export const STRANGER_STREAM = "STRANGER";
export const STRANGER_SUBJECT = "stranger.news";
/** The bucket of the claimers: configured as that of a group. */
export const FLOOR_ID = "floor";

export type GroupTask =
  | {
      readonly role: "member";
      readonly memberId: string;
      readonly servers: readonly string[];
      readonly resources: number;
      readonly settleMs: number;
      readonly crashDetection: CrashDetection;
      /** Asks `term.held` every millisecond, and reports when the answer changes. */
      readonly watch: boolean;
    }
  /** A bare client that writes as many keys as the members claim. */
  | {
      readonly role: "claimer";
      readonly name: string;
      readonly servers: readonly string[];
      readonly claims: number;
      /** Writes in flight. */
      readonly window: number;
    }
  /** A client that publishes to a stream of its own. */
  | { readonly role: "stranger"; readonly servers: readonly string[]; readonly everyMs: number };

/** A term has begun, or is over: `at` is the first instruction of `onOwn`, and of `onDisown`. */
export interface Change {
  readonly kind: "own" | "disown";
  readonly resource: string;
  readonly epoch: number;
  readonly at: number;
  /** Of the end. */
  readonly reason?: string;
}

/** One publish, from the call to its ack. */
export interface Published {
  readonly at: number;
  readonly ms: number;
}

export type GroupReport =
  /** `startedAt`: `start()` was called. */
  | { readonly type: "ready"; readonly startedAt: number }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "changes"; readonly changes: readonly Change[] }
  /** A watched member holds its terms, or none of them any more; then `at` is the last time at which it did. */
  | { readonly type: "held"; readonly held: boolean; readonly at: number }
  /** Answer to `claim`: all claims are acknowledged. */
  | { readonly type: "claimed"; readonly at: number }
  /** Answer to `cpu`: the processor time that this process has used since its start. */
  | { readonly type: "cpu"; readonly at: number; readonly cpuMs: number }
  | { readonly type: "published"; readonly published: readonly Published[] };
