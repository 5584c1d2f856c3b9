/** Faults of the network between a node and the servers. */
import { setTimeout as pause } from "node:timers/promises";
import { leaseSubject, republishSubject, statusSubject } from "../../../src/nats/names.ts";
import type { NatsServer } from "../../../src/testing.ts";
import type { Frame, TcpProxy } from "../../shared/tcp-proxy.ts";
import type { Namespace } from "../machine/namespace.ts";
import { CLUSTER_ID } from "../node/messages.ts";
import type { FaultName } from "./catalogue.ts";
import { type Fault, longerThanLease, passAll, past, resetBoth, type Scene, spanMs } from "./scene.ts";

const FLOOD_BYTES = 900_000;
/** More than a server keeps for a client, and the kernels on the way. */
const FLOOD_MESSAGES = 5;
const FLOODS = 8;

/** Holds what `hold` says until another leads, then lets it arrive late or, `lost`, resets the connection. */
async function heldUp(scene: Scene, hold: (way: TcpProxy) => void, end: "late" | "lost"): Promise<void> {
  const { ways } = scene.leader;
  for (const way of ways) hold(way);
  await past(scene);
  if (end === "lost") resetBoth(ways);
  passAll(ways);
}

/** Until the connection that only one side believes in is over on the other, by its lease if by nothing else. */
async function bothSidesKnow(scene: Scene): Promise<void> {
  await pause(spanMs(scene) + 100);
}

async function slowed(nodes: readonly { readonly ways: readonly TcpProxy[] }[], ms: number, forMs: number) {
  const ways = nodes.flatMap((node) => node.ways);
  for (const way of ways) way.delay(ms);
  await pause(forMs);
  passAll(ways);
}

const isLeaseWrite = ({ subject }: Frame): boolean => subject === leaseSubject(CLUSTER_ID);

/**
 * Sends one connection more than it is waited for, until its server gives it up. It must not be taking anything. On a busy
 * machine its own pings may end it before.
 */
async function flooded({ operator, servers, leader }: Scene): Promise<void> {
  const noise = "x".repeat(FLOOD_BYTES);
  const before = await slowConsumers(servers.all);
  for (let times = 0; times < FLOODS; times++) {
    for (let messages = 0; messages < FLOOD_MESSAGES; messages++)
      operator.connection.publish(statusSubject(CLUSTER_ID, leader.nodeId), noise);
    await operator.connection.flush();
    if ((await slowConsumers(servers.all)) > before) return;
  }
}

async function slowConsumers(servers: readonly NatsServer[]): Promise<number> {
  const counts = await Promise.all(
    servers.map(async ({ monitorUrl }) => {
      const answer = await fetch(`${monitorUrl}/varz`);
      return ((await answer.json()) as { slow_consumers: number }).slow_consumers;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

function machineOf({ leader }: Scene): Namespace {
  if (leader.namespace === null) throw new Error("this world's nodes have no machines of their own");
  return leader.namespace;
}

/** Both kernels go on trying, so what was lost may arrive late. */
async function cutOff(scene: Scene, how: (machine: Namespace) => void): Promise<void> {
  const machine = machineOf(scene);
  how(machine);
  await past(scene);
  machine.mend();
}

export const NETWORK_FAULTS: Readonly<Record<FaultName<"network">, Fault>> = {
  blackhole: (scene) => heldUp(scene, (way) => way.blackhole(true), "late"),
  "half-open": (scene) => heldUp(scene, (way) => way.blackhole(true), "lost"),
  "requests-lost": (scene) => heldUp(scene, (way) => way.toServer("hold"), "lost"),
  "requests-late": (scene) => heldUp(scene, (way) => way.toServer("hold"), "late"),
  "responses-lost": (scene) =>
    heldUp(scene, (way) => way.toClient("hold"), scene.random.next() < 0.5 ? "lost" : "late"),
  async "ack-lost"({ leader, random, leaseMs }) {
    // Only one of its ways is in use.
    const acks = leader.ways.map((way) => way.takeReplyTo(isLeaseWrite, leaseMs));
    const ack = await Promise.any(acks).catch(() => null);
    await pause(random.between(100, leaseMs));
    if (random.next() < 0.5) ack?.release();
  },
  async "late-acquire"(scene) {
    const { leader, followers, random, leaseMs } = scene;
    const ways = followers.flatMap((node) => node.ways);
    const writes = ways.map((way) => way.takeNextToServer(isLeaseWrite, 2 * leaseMs).catch(() => null));
    await leader.end("SIGKILL");
    if (random.next() < 0.5) await scene.takenOver(3 * leaseMs);
    else await pause(random.between(0, 3 * leaseMs));
    const held = await Promise.all(writes);
    for (const write of held) write?.release();
    await pause(random.between(0, leaseMs));
  },
  async cut(scene) {
    const { ways } = scene.leader;
    for (const way of ways) {
      way.refuse(true);
      way.cut();
    }
    await pause(scene.random.between(0, scene.leaseMs));
    passAll(ways);
  },
  async flap({ leader, random }) {
    for (let times = random.between(2, 6); times > 0; times--) {
      resetBoth(leader.ways);
      await pause(random.between(5, 300));
    }
  },
  async "reset-client-side"({ leader, random }) {
    for (const way of leader.ways) way.resetClientSide();
    await pause(random.between(100, 600));
  },
  async "reset-server-side"(scene) {
    for (const way of scene.leader.ways) way.resetServerSide();
    await bothSidesKnow(scene);
  },
  async "freeze-and-reset-server-side"(scene) {
    const { leader, random } = scene;
    leader.freeze();
    await pause(random.between(0, 200));
    for (const way of leader.ways) way.resetServerSide();
    await scene.takenOver(spanMs(scene) * random.next());
    leader.thaw();
    await bothSidesKnow(scene);
  },
  slow: (scene) =>
    slowed([scene.leader], scene.random.between(5, Math.floor(scene.leaseMs * 0.02)), scene.leaseMs),
  "too-slow": (scene) =>
    slowed([scene.leader], spanMs(scene) * (0.5 + scene.random.next()), 2 * scene.leaseMs),
  "all-too-slow": (scene) =>
    slowed(
      [scene.leader, ...scene.followers],
      spanMs(scene) * (0.5 + 0.5 * scene.random.next()),
      2 * scene.leaseMs,
    ),
  async "followers-cut-off"(scene) {
    const ways = scene.followers.flatMap((node) => node.ways);
    for (const way of ways) way.blackhole(true);
    await longerThanLease(scene);
    passAll(ways);
  },
  async "watch-blocked"(scene) {
    const ways = [scene.leader, ...scene.followers].flatMap((node) => node.ways);
    const subject = republishSubject(CLUSTER_ID);
    for (const way of ways) way.filterToClient((frame) => frame.subject !== subject);
    await longerThanLease(scene);
    passAll(ways);
  },
  async "slow-consumer"(scene) {
    const { ways } = scene.leader;
    for (const way of ways) way.stallToClient(true);
    await flooded(scene);
    await past(scene);
    for (const way of ways) way.stallToClient(false);
    await bothSidesKnow(scene);
  },
  "cable-pulled": (scene) => cutOff(scene, (machine) => machine.pull()),
  "packets-out-lost": (scene) => cutOff(scene, (machine) => machine.loseOutgoing()),
  "packets-in-lost": (scene) => cutOff(scene, (machine) => machine.loseIncoming()),
  async "cable-pulled-and-kill"(scene) {
    const { leader } = scene;
    const machine = machineOf(scene);
    machine.pull();
    await leader.end("SIGKILL");
    await past(scene);
    // A machine that comes back knows nothing of its old connections.
    resetBoth(leader.ways);
    machine.mend();
  },
};
