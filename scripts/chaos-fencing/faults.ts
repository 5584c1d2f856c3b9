/** What is done to the leader, each for longer than its lease. */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsServer } from "../../src/testing.ts";
import type { ChaosNode } from "./chaos-node.ts";
import { LEASE_TTL_MS } from "./messages.ts";
import type { Random } from "./random.ts";

export const FAULTS = [
  "freeze",
  "hold",
  "hold-requests",
  "cut",
  "server-kill",
  "server-freeze",
  "clock-back",
  "clock-and-freeze",
] as const;
export type FaultName = (typeof FAULTS)[number];

/** Those that can be done here: without libfaketime the clocks stay straight. */
export function possibleFaults(clocks: boolean): readonly FaultName[] {
  return FAULTS.filter((name) => clocks || !name.startsWith("clock"));
}

/** Deals all faults in a shuffled order, then all again: also a short run has some of each. */
export function* deck(faults: readonly FaultName[], random: Random): Generator<FaultName, never> {
  for (;;) {
    const left = [...faults];
    while (left.length > 0) yield left.splice(random.between(0, left.length - 1), 1)[0] as FaultName;
  }
}

export interface Scene {
  readonly server: NatsServer;
  readonly leader: ChaosNode;
  readonly random: Random;
  /** Resolves when another node has written, or after a while. */
  readonly takenOver: () => Promise<void>;
}

/** Everything is mended when it resolves. */
export async function inflict(name: FaultName, scene: Scene): Promise<void> {
  const { server, leader, random } = scene;
  switch (name) {
    case "freeze":
      leader.freeze();
      await past(scene);
      leader.thaw();
      return;
    case "hold":
    case "hold-requests":
      // What was sent just before the line went dead, and what is sent into it, arrives when it is mended.
      leader.line.hold(true, name === "hold");
      await past(scene);
      leader.line.mend();
      return;
    case "cut":
      leader.line.cut();
      await past(scene);
      leader.line.mend();
      return;
    case "server-kill":
      await server.kill();
      await pause(random.between(0, 1500));
      await server.start({ until: "listening" });
      return;
    case "server-freeze":
      await server.pause();
      await pause(random.between(300, 1800));
      await server.resume();
      return;
    case "clock-back":
      // Its timers stand still and its deadline is far away: it believes to lead, and does not renew.
      leader.clock?.bend(-random.between(3, 5));
      await past(scene);
      leader.clock?.bend(0);
      return;
    case "clock-and-freeze":
      leader.freeze();
      leader.clock?.bend(-random.between(2, 6));
      await past(scene);
      leader.thaw();
      await pause(random.between(100, 400));
      leader.clock?.bend(0);
      return;
    default:
      name satisfies never;
  }
}

/** Until the lease is over and another one has it; sometimes a little less, for the races at the edge. */
async function past({ random, takenOver }: Scene): Promise<void> {
  await pause(LEASE_TTL_MS * 0.6 + random.between(0, 300));
  if (random.next() < 0.85) {
    await takenOver();
    await pause(random.between(0, 150));
  }
}
