/** Every fault of a chaos run: what it is, what it needs, and what it may do. */
import { KINDS } from "./fault-kinds.ts";

/** What a world is made of. */
export interface WorldProfile {
  /** 1: one server. 3: a cluster, a replica on each, and a node on each. */
  readonly servers: 1 | 3;
  readonly crashDetection: "presence" | "lease";
  /** Whether the clocks of its processes can be bent. */
  readonly clocks: boolean;
  /** Whether each server has a small disk of its own. */
  readonly disks: boolean;
  /** Whether each node is in a network namespace of its own. */
  readonly namespaces: boolean;
}

/**
 * Whose doing an overlap of held terms under this fault would be.
 *
 * - `none` there must not be one
 * - `one-sided` the documented residue of presence: the server's side of a connection is gone, the client's stays
 * - `clock-rate` clocks whose rates differ by more than the margin allows; bounded by how much they differ
 * - `operator` somebody deletes the lease under the leader; documented risk
 * - `busy-loop` the leader's event loop stands still, for less than it takes to doubt itself, while its connection is closed
 * - `clock` a clock that goes back, which no lease survives; the fence does
 */
export type Blame = "none" | "one-sided" | "clock-rate" | "busy-loop" | "operator" | "clock";

/** What the fault may change: nobody notices; the term stays but may be suspended; anything. */
export type Effect = "nothing" | "same-term" | "any";

export const NAMES = {
  process: [
    "kill",
    "kill-follower",
    "kill-two",
    "kill-half-open",
    "term",
    "step-down",
    "freeze",
    "freeze-short",
    "freeze-and-cut",
    "freeze-all",
    "block",
    "block-and-cut",
    "duplicate-id",
    "different-ttls",
  ],
  network: [
    "blackhole",
    "half-open",
    "requests-lost",
    "requests-late",
    "responses-lost",
    "ack-lost",
    "late-acquire",
    "cut",
    "flap",
    "reset-client-side",
    "reset-server-side",
    "freeze-and-reset-server-side",
    "slow",
    "too-slow",
    "all-too-slow",
    "followers-cut-off",
    "watch-blocked",
    "slow-consumer",
    "cable-pulled",
    "cable-pulled-and-kill",
    "packets-out-lost",
    "packets-in-lost",
  ],
  server: [
    "server-kill",
    "server-restart",
    "server-freeze-short",
    "server-freeze",
    "lame-duck",
    "rolling-restart",
    "quorum-lost",
    "servers-all-killed",
    "route-split",
    "stream-leader-stepdown",
    "credentials-revoked",
    "all-credentials-revoked",
    "disk-full",
    "jetstream-off",
  ],
  bucket: [
    "key-deleted",
    "key-purged",
    "bucket-deleted",
    "bucket-recreated",
    "garbage",
    "huge-record",
    "foreign-record",
    "old-events",
    "forged-advisory",
    "forged-status",
    "stranger",
    "presence-deleted",
  ],
  clock: [
    "clock-back",
    "clock-forward",
    "freeze-and-clock-back",
    "clock-rate",
    "clock-rate-far",
    "wall-clock",
  ],
} as const;

export type FaultGroup = keyof typeof NAMES;
export type FaultName<G extends FaultGroup = FaultGroup> = (typeof NAMES)[G][number];

export const FAULT_NAMES: readonly FaultName[] = Object.values(NAMES).flat();

/** `undefined`: there is no such fault. */
export function faultNamed(text: string): FaultName | undefined {
  return FAULT_NAMES.find((name) => name === text);
}

export function groupOf(name: FaultName): FaultGroup {
  const groups = Object.keys(NAMES) as FaultGroup[];
  return groups.find((group) => NAMES[group].some((other) => other === name)) ?? "process";
}

export interface FaultKind {
  readonly what: string;
  readonly blame: Blame;
  readonly effect: Effect;
  /** About how long it takes, to share faults out between worlds. On three servers as `clusterMs`, if that is given. */
  readonly costMs: number;
  readonly clusterMs?: number;
  readonly needs?: "cluster" | "clocks" | "presence" | "disks" | "namespaces";
  /** A leader's decision outlives its term here: the unfenced shadow is bound to take stale writes. */
  readonly stale?: true;
}

export function kindOf(name: FaultName): FaultKind {
  return KINDS[name];
}

/** Whether this fault can be done in such a world. */
export function isPossible(name: FaultName, world: WorldProfile): boolean {
  const { needs } = kindOf(name);
  switch (needs) {
    case undefined:
      // Where clocks are bent that should come often.
      return groupOf(name) !== "server" || !world.clocks;
    case "cluster":
      return world.servers === 3;
    case "clocks":
      return world.clocks;
    case "presence":
      return world.crashDetection === "presence";
    case "disks":
      return world.disks && !world.clocks;
    case "namespaces":
      return world.namespaces;
    default:
      return needs satisfies never;
  }
}

export function costMs(name: FaultName, world: WorldProfile): number {
  const { costMs: alone, clusterMs } = kindOf(name);
  return world.servers === 3 ? (clusterMs ?? alone) : alone;
}
