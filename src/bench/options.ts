/** What a failover benchmark is told to do, and what it finds. */
import type { CrashDetection } from "../election/types.ts";
import type { Floor } from "./floor.ts";
import type { Summary } from "./stats.ts";

export const MODES = ["kill", "term", "stepdown", "freeze", "server-kill"] as const;
export type Mode = (typeof MODES)[number];

export const WAYS = ["kill", "pause", "lame-duck"] as const;
/** What becomes of a server in mode `server-kill`. */
export type Way = (typeof WAYS)[number];

export const TARGETS = ["turn", "stream-leader"] as const;
/** Which server it happens to: each in turn, or whichever leads the lease's stream. */
export type Target = (typeof TARGETS)[number];

export interface FailoverOptions {
  readonly mode: Mode;
  readonly rounds: number;
  /** Nodes that compete at any time. */
  readonly nodes: number;
  readonly ttlMs: number;
  readonly servers: 1 | 3;
  /** Version of the nats-server; default: the one that this library is developed with. */
  readonly serverVersion?: string | undefined;
  readonly crashDetection: CrashDetection;
  readonly how: Way;
  readonly target: Target;
  /** Ends the benchmark; everything it started is ended before it rejects. */
  readonly signal: AbortSignal;
  /** Lines for a person. */
  readonly onProgress: (line: string) => void;
}

/** Samples and what they come to. Milliseconds. */
export interface Samples extends Summary {
  readonly samplesMs: readonly number[];
}

/** What `--json` prints. Fields are added, never changed. */
export interface FailoverReport extends Samples {
  readonly mode: Mode;
  readonly rounds: number;
  readonly ttlMs: number;
  /** Version of the nats-server. */
  readonly server: string;
  readonly servers: number;
  readonly nodes: number;
  readonly crashDetection: CrashDetection;
  /** What a sample is, in words. */
  readonly sample: string;
  /** Terms after the first one. */
  readonly leaderChanges: number;
  /** The longest time two nodes called themselves leader at once. Must be 0. */
  readonly overlapMs: number;
  /** Of every term, in the order in which they began. */
  readonly epochs: readonly number[];
  readonly epochsIncrease: boolean;
  readonly floor: Floor;
  /** Load average (1 min) of the machine, at the start and at the end. */
  readonly load: readonly [number, number];
  /** Mode `term` and `stepdown`: from the moment `onLoseLeadership` resolved. */
  readonly afterLoseHook?: Samples;
  /** Mode `stepdown`: the nodes' cooldown, shorter than the default so that rounds can follow each other. */
  readonly cooldownMs?: number;
  /** Mode `freeze`: how long each leader was frozen and what its first `isLeader()` after that said. */
  readonly thaws?: readonly { readonly frozenMs: number; readonly leaderAfter: boolean }[];
  /** Mode `server-kill`. */
  readonly how?: Way;
  readonly blows?: readonly Blow[];
}

/** What happened to one server, and what came of it. */
export interface Blow {
  readonly server: string;
  /** It led the lease's stream. */
  readonly streamLeader: boolean;
  /** The leading node was connected to it. */
  readonly leaderConnected: boolean;
  /** How long the leading node was suspended. */
  readonly suspendedMs: number;
  /** Longest time between two acks of a client that writes into the lease's stream every 25 ms. */
  readonly writeStallMs: number;
  readonly leaderChanges: number;
}

/** True when what must never happen did not. */
export function isSound(report: FailoverReport): boolean {
  const answeredRight = report.thaws?.every(({ leaderAfter }) => !leaderAfter) ?? true;
  return report.overlapMs === 0 && report.epochsIncrease && answeredRight;
}
