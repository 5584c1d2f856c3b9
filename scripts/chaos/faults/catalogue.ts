/** The kind of every fault, and which world can inject it. */
import type { WorldDetection } from "../detection.ts";
import { BUCKET_KINDS } from "./kinds/bucket.ts";
import { CLOCK_KINDS } from "./kinds/clock.ts";
import type { FaultKind } from "./kinds/kind.ts";
import { NETWORK_KINDS } from "./kinds/network.ts";
import { PROCESS_KINDS } from "./kinds/process.ts";
import { SERVER_KINDS } from "./kinds/server.ts";
import { type FaultName, groupOf } from "./names.ts";

/** What a world consists of. */
export interface WorldProfile {
  /** 1: a single server. 3: a cluster with one replica and one node on each server. */
  readonly servers: 1 | 3;
  readonly crashDetection: WorldDetection;
  /** Whether libfaketime can change the clocks of the node processes. */
  readonly clocks: boolean;
  /** Whether each server has a small disk of its own. */
  readonly disks: boolean;
  /** Whether each node runs in a network namespace of its own. */
  readonly namespaces: boolean;
}

const KINDS: Readonly<Record<FaultName, FaultKind>> = {
  ...PROCESS_KINDS,
  ...NETWORK_KINDS,
  ...SERVER_KINDS,
  ...BUCKET_KINDS,
  ...CLOCK_KINDS,
};

export function kindOf(name: FaultName): FaultKind {
  return KINDS[name];
}

/** Whether such a world can inject this fault. */
export function isPossible(name: FaultName, world: WorldProfile): boolean {
  const { needs } = kindOf(name);
  switch (needs) {
    case undefined:
      // Server faults are left to the other worlds: a world with changeable clocks spends its time on clock faults.
      return groupOf(name) !== "server" || !world.clocks;
    case "cluster":
      return world.servers === 3;
    case "clocks":
      return world.clocks;
    case "presence":
      return world.crashDetection === "presence" || world.crashDetection === "mixed";
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
