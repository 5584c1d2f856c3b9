/** What the benchmark and its child processes say to each other. Times are milliseconds of `hostNowMs`. */
import type { CrashDetection } from "../../src/election/types.ts";

export const STREAM = "TICKS";
/** Bytes of a message: its number in its partition, when it was published, and filler. */
export const MESSAGE_BYTES = 100;

export const SINKS = ["counting", "postgres", "ledger"] as const;
export type SinkKind = (typeof SINKS)[number];

/** Where the sink is. Each run has its own, by `name`: one token. */
export interface SinkPlace {
  readonly kind: SinkKind;
  readonly name: string;
  readonly servers: readonly string[];
  /** Of `postgres`. */
  readonly database?: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  };
}

export type BridgeTask =
  /** A member of the group, which consumes the partitions that it owns. */
  | {
      readonly role: "instance";
      readonly groupId: string;
      readonly memberId: string;
      readonly servers: readonly string[];
      readonly partitions: number;
      readonly crashDetection: CrashDetection;
      readonly sink: SinkPlace;
    }
  /** `consume()` of nats.js on these partitions, without a group and without a term. */
  | {
      readonly role: "bare";
      readonly servers: readonly string[];
      readonly partitions: readonly number[];
      readonly sink: SinkPlace;
    }
  | { readonly role: "producer"; readonly servers: readonly string[]; readonly partitions: number };

/** Commands to a child, as `do`. */
export type BridgeCommand =
  /** To instances and bare consumers: begin to consume, now and in every later term. */
  | { readonly do: "go" }
  /** To instances: forget the latencies so far. `latencies` follows. */
  | { readonly do: "latencies" }
  /** To the producer: as many messages as fast as possible, or so many a second until `pause`. */
  | { readonly do: "publish"; readonly count: number }
  | { readonly do: "pace"; readonly perSecond: number }
  | { readonly do: "pause" };

/** When a term has begun, had the fence and the position, had its consumer, and had stored its first batch. */
export interface First {
  readonly resource: string;
  readonly epoch: number;
  readonly ownedAt: number;
  readonly takenAt: number;
  readonly openedAt: number;
  readonly at: number;
}

export type BridgeReport =
  | { readonly type: "ready" }
  | { readonly type: "failed"; readonly message: string }
  /** What the instance owns now, whenever it changes. */
  | { readonly type: "owned"; readonly owned: readonly string[] }
  /** The first batch of a term has been stored. */
  | ({ readonly type: "first" } & First)
  /** So many messages have been stored, at most every 20 ms; the last report has the sum. */
  | { readonly type: "stored"; readonly total: number; readonly at: number }
  /** From publish to the sink's answer, in whole milliseconds: how often each, since the last `latencies`. */
  | { readonly type: "latencies"; readonly counts: readonly number[] }
  /** Numbers of each partition that are stored in the stream: the answer to `publish` and `pause`. */
  | { readonly type: "published"; readonly numbers: readonly number[] };

/** The group's resources are partitions, by their number. */
export function subjectOf(partition: number | string, key: string): string {
  return `ticks.${partition}.${key}`;
}
