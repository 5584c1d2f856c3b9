/** Options and report of the failover benchmark. */
import type { CrashDetection } from "../election/types.ts";
import type { Floor } from "./floor.ts";
import type { Summary } from "./stats.ts";

export const MODES = ["kill", "term", "stepdown", "freeze", "host", "server-kill"] as const;
export type Mode = (typeof MODES)[number];

export const WAYS = ["kill", "pause", "lame-duck"] as const;
/** How a server goes down in mode `server-kill`. */
export type Way = (typeof WAYS)[number];

export const TARGETS = ["turn", "stream-leader", "leader-server"] as const;
/**
 * Which server goes down: each in turn, the leader of the lease's stream, or the one that the leader is connected to, which is made the
 * stream's leader before: then the leader of the election loses its connection, and cannot renew until NATS has elected another one.
 */
export type Target = (typeof TARGETS)[number];

export interface FailoverOptions {
  readonly mode: Mode;
  readonly rounds: number;
  /** Number of nodes that compete at any time. */
  readonly nodes: number;
  readonly ttlMs: number;
  readonly servers: 1 | 3;
  /** Version of the nats-server. @default the version that this library is developed with */
  readonly serverVersion?: string | undefined;
  readonly crashDetection: CrashDetection;
  /** @default that of a node */
  readonly silenceMs?: number | undefined;
  readonly how: Way;
  readonly target: Target;
  /** Aborts the benchmark. Every server and process is stopped before it rejects. */
  readonly signal: AbortSignal;
  /** Receives progress lines. */
  readonly onProgress: (line: string) => void;
}

/** Samples and their percentiles, in milliseconds. */
export interface Samples extends Summary {
  readonly samplesMs: readonly number[];
}

/** The output of `--json`. Fields are added, never changed. */
export interface FailoverReport extends Samples {
  readonly mode: Mode;
  readonly rounds: number;
  readonly ttlMs: number;
  /** Version of the nats-server. */
  readonly server: string;
  readonly servers: number;
  readonly nodes: number;
  readonly crashDetection: CrashDetection;
  /** F of the nodes. 0: none. */
  readonly silenceMs: number;
  /** Description of a sample: from which event to which. */
  readonly sample: string;
  /** Number of terms after the first one. */
  readonly leaderChanges: number;
  /** The longest time during which two nodes were leader at once. Must be 0. */
  readonly overlapMs: number;
  /** The epochs of all terms, in the order in which the terms began. */
  readonly epochs: readonly number[];
  readonly epochsIncrease: boolean;
  readonly floor: Floor;
  /** The machine's load average (1 min) at the start and at the end. */
  readonly load: readonly [number, number];
  /** Modes `term` and `stepdown`: the same samples, counted from the end of `onLoseLeadership`. */
  readonly afterLoseHook?: Samples;
  /** Mode `stepdown`: the nodes' cooldown, shorter than the default so that rounds can follow each other. */
  readonly cooldownMs?: number;
  /** Mode `freeze`: how long each leader was frozen, and the result of its first `isLeader()` afterwards. */
  readonly thaws?: readonly { readonly frozenMs: number; readonly leaderAfter: boolean }[];
  /**
   * Mode `host`: for how long each leader that was cut off still answered `isLeader()` with true, counted from the cut and from the
   * entry of the next leader's `onBecomeLeader`.
   */
  readonly cuts?: readonly { readonly heldMs: number; readonly overlapMs: number }[];
  /** Mode `server-kill`. */
  readonly how?: Way;
  readonly blows?: readonly Blow[];
}

/** One server that went down, and the effect on the election. */
export interface Blow {
  readonly server: string;
  /** The server led the lease's stream. */
  readonly streamLeader: boolean;
  /** The leading node was connected to the server. */
  readonly leaderConnected: boolean;
  /** How long the leading node was suspended. */
  readonly suspendedMs: number;
  /** Longest time between two acks of a client that writes to the lease's stream every 25 ms. */
  readonly writeStallMs: number;
  readonly leaderChanges: number;
}

/** True if no two nodes led at once, epochs increased, and no thawed leader answered `isLeader()` with true. */
export function isSound(report: FailoverReport): boolean {
  const answeredRight = report.thaws?.every(({ leaderAfter }) => !leaderAfter) ?? true;
  return report.overlapMs === 0 && report.epochsIncrease && answeredRight;
}
