/** What a fault of a group has to work with. A fault undoes its effects before it resolves; the world restarts the members it ended. */
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../../src/testing/simulation/random.ts";
import type { Operator } from "../../chaos/servers/operator.ts";
import type { Servers } from "../../chaos/servers/servers.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import type { MemberProcess } from "../member/member-process.ts";

export interface Scene {
  /** The members of the world that run. The first one is the fault's. */
  readonly members: readonly [MemberProcess, ...MemberProcess[]];
  readonly servers: Servers;
  readonly operator: Operator;
  readonly random: Random;
  readonly leaseMs: number;
  /** Resolves when every resource has been written by its owner from now on: what must go on under the fault. */
  readonly settled: () => Promise<void>;
  /** Starts a member more; the world ends it. */
  readonly join: () => Promise<MemberProcess>;
  /** Starts a second process with the id of this member; the world ends it. */
  readonly twin: (member: MemberProcess) => Promise<MemberProcess>;
}

export type Fault = (scene: Scene) => Promise<void>;

/** Longer than the session of a member that cannot renew it. */
export async function pastLease({ random, leaseMs }: Scene): Promise<void> {
  await pause(leaseMs + random.between(100, 1_200));
}

export async function briefly({ random, leaseMs }: Scene): Promise<void> {
  await pause(random.between(20, Math.floor(leaseMs * 0.7)));
}

export function restoreAll(proxies: readonly TcpProxy[]): void {
  for (const proxy of proxies) {
    proxy.refuse(false);
    proxy.delay(0);
    proxy.toServer("pass");
    proxy.toClient("pass");
    proxy.blackhole(false);
    proxy.stallToClient(false);
    proxy.filterToClient(null);
  }
}
