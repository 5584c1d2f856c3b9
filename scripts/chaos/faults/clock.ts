/** Faults of the clocks of a process, through libfaketime. */
import { setTimeout as pause } from "node:timers/promises";
import type { NodeProcess } from "../node/node-process.ts";
import type { FaultName } from "./names.ts";
import { type Fault, pastLease, restoreAll, type Scene } from "./scene.ts";

/** Far more than the lease margin allows for. */
export const FAR_RATE = 1.25;
const STARTED_MS = 10_000;

/** A follower sees this as a jump forward and may take over too early, so the fault lasts for another lease. */
async function resetClock(node: NodeProcess, { leaseMs }: Scene): Promise<void> {
  node.clock?.set(0);
  await pause(leaseMs);
}

async function restartAtRate(node: NodeProcess, rate: number): Promise<void> {
  await node.end("SIGKILL");
  node.clock?.runAt(rate);
  node.start();
  await node.report("started", STARTED_MS);
}

export const CLOCK_FAULTS: Readonly<Record<FaultName<"clock">, Fault>> = {
  async "clock-back"(scene) {
    const { leader, random } = scene;
    // The leader's timers stop and its deadline moves away: it calls itself leader and does not renew.
    leader.clock?.set(-random.between(3, 5));
    await pastLease(scene);
    await resetClock(leader, scene);
  },
  async "clock-forward"(scene) {
    const { leader, random, leaseMs } = scene;
    leader.clock?.set(random.between(2, 5));
    await pause(random.between(0, leaseMs));
    // The clocks are not set back: that is the fault `clock-back`.
  },
  async "freeze-and-clock-back"(scene) {
    const { leader, random } = scene;
    leader.freeze();
    leader.clock?.set(-random.between(2, 6));
    await pastLease(scene);
    leader.thaw();
    await pause(random.between(100, 400));
    await resetClock(leader, scene);
  },
  async "clock-rate"(scene) {
    const { leader, followers, random } = scene;
    const node = random.next() < 0.5 ? leader : random.pick(followers);
    const rate = random.next() < 0.5 ? 0.995 : 1.005;
    await restartAtRate(node, rate);
    await pause(random.between(1000, 2000));
  },
  async "clock-rate-far"(scene) {
    const { leader, followers, random, leaseMs } = scene;
    const node = random.pick(followers);
    const fast = random.next() < 0.5;
    await restartAtRate(node, fast ? FAR_RATE : 1 / FAR_RATE);
    // A fast follower takes over too early; a slow leader stops too late.
    if (!fast) leader.send({ do: "step-down", to: node.lane });
    if (!fast) await scene.takenOver(2 * leaseMs);
    const old = fast ? leader : node;
    const { epoch } = old;
    for (const proxy of old.proxies) proxy.blackhole(true);
    await scene.takenOver(2 * leaseMs, epoch);
    await pause(leaseMs * (FAR_RATE - 1));
    restoreAll(old.proxies);
    await restartAtRate(node, 1);
  },
  async "wall-clock"(scene) {
    const { leader, followers, random, leaseMs } = scene;
    const node = random.pick(followers);
    node.clock?.wallOnly(true);
    await restartAtRate(node, 1);
    leader.send({ do: "step-down", to: node.lane });
    await scene.takenOver(2 * leaseMs);
    const seconds = random.between(1, 3600);
    node.clock?.set(random.next() < 0.5 ? -seconds : seconds);
    await pause(1.5 * leaseMs);
    node.clock?.wallOnly(false);
    await node.end("SIGKILL");
  },
};
