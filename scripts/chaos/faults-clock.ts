/** Faults of the clocks of a process, by libfaketime. */
import { setTimeout as pause } from "node:timers/promises";
import type { FaultName } from "./catalogue.ts";
import type { NodeProcess } from "./node-process.ts";
import { type Fault, past, type Scene } from "./scene.ts";

/** To a follower this is a jump forward, and it may take over too soon: that is still this fault's doing. */
async function setRight(node: NodeProcess, { leaseMs }: Scene): Promise<void> {
  node.clock?.bend(0);
  await pause(leaseMs);
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
    await node.end("SIGKILL");
    node.clock?.runAt(rate);
    node.start();
    await pause(random.between(1000, 2000));
  },
};
