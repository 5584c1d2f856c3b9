/** What a fault has to work with. A fault undoes its effects before it resolves; the world restarts the processes it killed. */
import { setTimeout as pause } from "node:timers/promises";
import { leaseSpanMs } from "../../../src/election/lease.ts";
import type { Random } from "../../../src/testing/simulation/random.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import type { NodeProcess } from "../node/node-process.ts";
import type { Operator } from "../servers/operator.ts";
import type { Servers } from "../servers/servers.ts";

export interface Scene {
  readonly leader: NodeProcess;
  /** The other nodes that have started. */
  readonly followers: readonly NodeProcess[];
  readonly servers: Servers;
  readonly operator: Operator;
  /** A user without the permissions of a node. */
  readonly stranger: Operator;
  readonly random: Random;
  readonly leaseMs: number;
  /** Resolves when a term with an epoch above `thanEpoch` (default: the leader's) has written, or after `timeoutMs`. */
  readonly takenOver: (timeoutMs: number, thanEpoch?: number) => Promise<void>;
  /** Starts a second process with the leader's node id. The world ends it. */
  readonly twin: () => Promise<NodeProcess>;
}

export type Fault = (scene: Scene) => Promise<void>;

export function spanMs({ leaseMs }: Scene): number {
  return leaseSpanMs(leaseMs);
}

/** Waits until the lease has expired and another node holds it; in 15 % of the cases less, for the races at the edge. */
export async function pastLease(scene: Scene): Promise<void> {
  const { random, leaseMs, takenOver } = scene;
  await pause(leaseMs * 0.6 + random.between(0, 300));
  if (random.next() < 0.85) {
    await takenOver(2 * leaseMs);
    await pause(random.between(0, 150));
  } else {
    await pause(random.between(0, Math.floor(leaseMs * 0.35)));
  }
}

/** Waits longer than the lease TTL, whether or not the lease changes hands. */
export async function longerThanLease({ random, leaseMs }: Scene): Promise<void> {
  await pause(leaseMs + random.between(100, 800));
}

/** Resets both sides of every connection through these proxies. */
export function resetBoth(proxies: readonly TcpProxy[]): void {
  for (const proxy of proxies) {
    proxy.resetServerSide();
    proxy.resetClientSide();
  }
}

export function restoreAll(proxies: readonly TcpProxy[]): void {
  for (const proxy of proxies) {
    proxy.refuse(false);
    proxy.delay(0);
    proxy.filterToClient(null);
    proxy.blackhole(false);
  }
}
