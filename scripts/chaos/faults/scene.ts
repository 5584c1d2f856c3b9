/** What a fault finds. Each undoes all that it did before it resolves; only processes it has killed are started for it. */
import { setTimeout as pause } from "node:timers/promises";
import { leaseSpanMs } from "../../../src/election/lease.ts";
import type { Random } from "../../../src/testing/simulation/random.ts";
import type { TcpProxy } from "../../shared/tcp-proxy.ts";
import type { NodeProcess } from "../node/node-process.ts";
import type { Operator } from "../servers/operator.ts";
import type { Servers } from "../servers/servers.ts";

export interface Scene {
  readonly leader: NodeProcess;
  /** The others that take part. */
  readonly followers: readonly NodeProcess[];
  readonly servers: Servers;
  readonly operator: Operator;
  readonly stranger: Operator;
  readonly random: Random;
  readonly leaseMs: number;
  /** Resolves when another term has written (newer than that epoch, if given), or after that many milliseconds. */
  readonly takenOver: (timeoutMs: number, thanEpoch?: number) => Promise<void>;
  /** Starts a second process under the leader's node id. Ended by the world. */
  readonly twin: () => Promise<NodeProcess>;
}

export type Fault = (scene: Scene) => Promise<void>;

export function spanMs({ leaseMs }: Scene): number {
  return leaseSpanMs(leaseMs);
}

/** Until the lease is over and another one has it; sometimes a little less, for the races at the edge. */
export async function past(scene: Scene): Promise<void> {
  const { random, leaseMs, takenOver } = scene;
  await pause(leaseMs * 0.6 + random.between(0, 300));
  if (random.next() < 0.85) {
    await takenOver(2 * leaseMs);
    await pause(random.between(0, 150));
  } else {
    await pause(random.between(0, Math.floor(leaseMs * 0.35)));
  }
}

/** Longer than the lease, whoever has it. */
export async function longerThanLease({ random, leaseMs }: Scene): Promise<void> {
  await pause(leaseMs + random.between(100, 800));
}

/** Resets every connection through these, both sides. */
export function resetBoth(ways: readonly TcpProxy[]): void {
  for (const way of ways) {
    way.resetServerSide();
    way.resetClientSide();
  }
}

export function passAll(ways: readonly TcpProxy[]): void {
  for (const way of ways) {
    way.refuse(false);
    way.delay(0);
    way.filterToClient(null);
    way.blackhole(false);
  }
}
