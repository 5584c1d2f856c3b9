/** Faults of the clocks of a process, by libfaketime. */
import { setTimeout as pause } from "node:timers/promises";
import type { NodeProcess } from "../node/node-process.ts";
import type { FaultName } from "./catalogue.ts";
import { type Fault, passAll, past, type Scene } from "./scene.ts";

/** Far beyond what the margin of a lease allows for. */
export const FAR_RATE = 1.25;
const STARTED_MS = 10_000;

/** To a follower this is a jump forward, and it may take over too soon: that is still this fault's doing. */
async function setRight(node: NodeProcess, { leaseMs }: Scene): Promise<void> {
  node.clock?.bend(0);
  await pause(leaseMs);
}

async function runningAt(node: NodeProcess, rate: number): Promise<void> {
  await node.end("SIGKILL");
  node.clock?.runAt(rate);
  node.start();
  await node.report("started", STARTED_MS);
}

export const CLOCK_FAULTS: Readonly<Record<FaultName<"clock">, Fault>> = {
  async "clock-back"(scene) {
    const { leader, random } = scene;
    // Its timers stand still and its deadline is far away: it believes to lead, and does not renew.
    leader.clock?.bend(-random.between(3, 5));
    await past(scene);
    await setRight(leader, scene);
  },
  async "clock-forward"(scene) {
    const { leader, random, leaseMs } = scene;
    leader.clock?.bend(random.between(2, 5));
    await pause(random.between(0, leaseMs));
    // And not back: that would be the other fault.
  },
  async "freeze-and-clock-back"(scene) {
    const { leader, random } = scene;
    leader.freeze();
    leader.clock?.bend(-random.between(2, 6));
    await past(scene);
    leader.thaw();
    await pause(random.between(100, 400));
    await setRight(leader, scene);
  },
  async "clock-rate"(scene) {
    const { leader, followers, random } = scene;
    const node = random.next() < 0.5 ? leader : random.pick(followers);
    const rate = random.next() < 0.5 ? 0.995 : 1.005;
    await runningAt(node, rate);
    await pause(random.between(1000, 2000));
  },
  async "clock-rate-far"(scene) {
    const { leader, followers, random, leaseMs } = scene;
    const node = random.pick(followers);
    const fast = random.next() < 0.5;
    await runningAt(node, fast ? FAR_RATE : 1 / FAR_RATE);
    // A fast follower takes over too soon, a slow leader stops too late.
    if (!fast) leader.tell({ do: "step-down", to: node.lane });
    if (!fast) await scene.takenOver(2 * leaseMs);
    const old = fast ? leader : node;
    const { epoch } = old;
    for (const way of old.ways) way.blackhole(true);
    await scene.takenOver(2 * leaseMs, epoch);
    await pause(leaseMs * (FAR_RATE - 1));
    passAll(old.ways);
    await runningAt(node, 1);
  },
  async "wall-clock"(scene) {
    const { leader, followers, random, leaseMs } = scene;
    const node = random.pick(followers);
    node.clock?.wallOnly(true);
    await runningAt(node, 1);
    leader.tell({ do: "step-down", to: node.lane });
    await scene.takenOver(2 * leaseMs);
    const seconds = random.between(1, 3600);
    node.clock?.bend(random.next() < 0.5 ? -seconds : seconds);
    await pause(1.5 * leaseMs);
    node.clock?.wallOnly(false);
    await node.end("SIGKILL");
  },
};
