/** Faults of node processes. */
import { setTimeout as pause } from "node:timers/promises";
import type { FaultName } from "./names.ts";
import {
  type Fault,
  longerThanLease,
  pastLease,
  resetBoth,
  restoreAll,
  type Scene,
  spanMs,
} from "./scene.ts";

/** Waits for the next leader: milliseconds with presence, up to the lease TTL without. */
async function leaderReplaced(scene: Scene): Promise<void> {
  await scene.takenOver(2 * scene.leaseMs);
  await pause(scene.random.between(0, 100));
}

async function freeze(scene: Scene): Promise<void> {
  scene.leader.freeze();
  await pastLease(scene);
  scene.leader.thaw();
}

export const PROCESS_FAULTS: Readonly<Record<FaultName<"process">, Fault>> = {
  async kill(scene) {
    await scene.leader.end("SIGKILL");
    await leaderReplaced(scene);
  },
  async "kill-follower"({ followers, random }) {
    await random.pick(followers).end("SIGKILL");
    await pause(random.between(50, 400));
  },
  async "kill-two"(scene) {
    await Promise.all([scene.leader.end("SIGKILL"), scene.random.pick(scene.followers).end("SIGKILL")]);
    await leaderReplaced(scene);
  },
  async "kill-half-open"(scene) {
    const { leader } = scene;
    for (const proxy of leader.proxies) proxy.toServer("hold");
    await leader.end("SIGKILL");
    await pastLease(scene);
    resetBoth(leader.proxies);
    restoreAll(leader.proxies);
  },
  async term(scene) {
    await scene.leader.end("SIGTERM");
    await leaderReplaced(scene);
  },
  async "step-down"(scene) {
    scene.leader.send({ do: "step-down" });
    await leaderReplaced(scene);
  },
  freeze,
  async "freeze-short"(scene) {
    scene.leader.freeze();
    await pause(scene.random.between(30, Math.floor(spanMs(scene) * 0.3)));
    scene.leader.thaw();
  },
  async "freeze-and-cut"(scene) {
    const { leader, random } = scene;
    leader.freeze();
    await pause(random.between(0, 200));
    if (random.next() < 0.5) resetBoth(leader.proxies);
    else for (const proxy of leader.proxies) proxy.cut();
    await pastLease(scene);
    leader.thaw();
  },
  async "freeze-all"(scene) {
    const { leader, followers, random } = scene;
    for (const node of [leader, ...followers]) node.freeze();
    await longerThanLease(scene);
    for (const node of random.next() < 0.5 ? [leader, ...followers] : [...followers, leader]) {
      node.thaw();
      await pause(random.between(0, 50));
    }
  },
  async block(scene) {
    const { leader, leaseMs, random } = scene;
    const ms = leaseMs + random.between(0, 800);
    const done = leader.report("unblocked", ms + 10_000);
    leader.send({ do: "block", ms });
    await done;
  },
  async "block-and-cut"(scene) {
    const { leader, random } = scene;
    const done = leader.report("unblocked", 10_000);
    leader.send({ do: "block", ms: random.between(20, 240) });
    await pause(random.between(0, 20));
    resetBoth(leader.proxies);
    await done;
    await pause(random.between(0, 300));
  },
  async "duplicate-id"(scene) {
    const { leader, random } = scene;
    await scene.twin();
    await pause(random.between(50, 500));
    await leader.end("SIGKILL");
    await leaderReplaced(scene);
  },
  async "different-ttls"(scene) {
    const { leader, followers, random, leaseMs, takenOver } = scene;
    const node = random.pick(followers);
    await node.end("SIGKILL");
    node.setLease(2 * leaseMs);
    node.start();
    await node.report("started", 5000);
    leader.send({ do: "step-down", to: node.lane });
    await takenOver(2 * leaseMs);
    // The other nodes wait for the TTL in the leader's record, not for their own.
    const { epoch } = node;
    node.freeze();
    await takenOver(4 * leaseMs, epoch);
    node.thaw();
    await pause(random.between(0, 300));
    await node.end("SIGKILL");
    node.setLease(leaseMs);
  },
  async "freeze-seconds"({ leader, followers, random }) {
    const node = random.next() < 0.7 ? leader : random.pick(followers);
    node.freeze();
    await pause(random.between(1000, 6000));
    node.thaw();
  },
};
