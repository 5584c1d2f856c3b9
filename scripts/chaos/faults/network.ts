/** Faults of the network between a node and the servers. */
import { setTimeout as pause } from "node:timers/promises";
import {
  leaseSubject,
  newReplySubject,
  pingSubject,
  republishSubject,
  statusSubject,
} from "../../../src/nats/names.ts";
import type { NatsServer } from "../../../src/testing.ts";
import { Flood } from "../../shared/flood.ts";
import type { Frame } from "../../shared/nats-frames.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import type { Namespace } from "../machine/namespace.ts";
import { CLUSTER_ID } from "../node/messages.ts";
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

/** More than the server's `max_pending` and the kernels' buffers hold. */
const FLOOD_BYTES = 60e6;
const FLOODERS = 2;
/** Payload of the flood's messages. Large ones fill the backlog sooner; small ones take the leader longer to read. */
const PAYLOADS = [100, 1_000, 900_000] as const;
/** Less than the server's `max_pending`: it delivers all of them. */
const SERVICE_FLOOD_BYTES = 4e6;
const POLL_MS = 5;

/** Applies `hold` until another node leads. Then the held frames arrive (`late`) or the connection is reset (`lost`). */
async function withHeldFrames(
  scene: Scene,
  hold: (proxy: TcpProxy) => void,
  end: "late" | "lost",
): Promise<void> {
  const { proxies } = scene.leader;
  for (const proxy of proxies) hold(proxy);
  await pastLease(scene);
  if (end === "lost") resetBoth(proxies);
  restoreAll(proxies);
}

/** Waits until a leader whose connection is closed on the server's side only has stopped leading: its span at most. */
async function pastSpan(scene: Scene): Promise<void> {
  await pause(spanMs(scene) + 100);
}

async function delayed(
  nodes: readonly { readonly proxies: readonly TcpProxy[] }[],
  ms: number,
  forMs: number,
) {
  const proxies = nodes.flatMap((node) => node.proxies);
  for (const proxy of proxies) proxy.delay(ms);
  await pause(forMs);
  restoreAll(proxies);
}

const isLeaseWrite = ({ subject }: Frame): boolean => subject === leaseSubject(CLUSTER_ID);

/**
 * Floods the leader's connection, which must be stalled, until its server closes it as a slow consumer. On a busy machine
 * the client's own pings may close the connection first.
 */
async function flood(scene: Scene): Promise<void> {
  const { servers, leader, random } = scene;
  const before = await slowConsumers(servers.all);
  const flooding = Flood.start({
    server: await serverOfLeader(scene),
    login: null,
    subject: pingSubject(CLUSTER_ID, leader.nodeId),
    payloadBytes: random.pick(PAYLOADS),
    maxBytes: FLOOD_BYTES,
    sockets: FLOODERS,
  });
  try {
    while (!flooding.isDone && flooding.failure === null) {
      if ((await slowConsumers(servers.all)) > before) return;
      await pause(POLL_MS);
    }
  } finally {
    flooding.stop();
  }
}

/** The server that holds the connection which the lease names: in a cluster, a flood through another would be slowed down by a route. */
async function serverOfLeader({ servers, operator }: Scene): Promise<NatsServer> {
  const serverId = await operator.serverOfHolder();
  for (const server of servers.all) {
    const answer = await fetch(`${server.monitorUrl}/varz`);
    if (((await answer.json()) as { server_id: string }).server_id === serverId) return server;
  }
  // The lease has changed hands, or is that of a connection before the last one.
  return servers.all[0] as NatsServer;
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
  if (leader.namespace === null) throw new Error(`node ${leader.lane} has no network namespace`);
  return leader.namespace;
}

/** Both kernels retransmit, so lost packets may arrive late. */
async function disconnectMachine(scene: Scene, how: (machine: Namespace) => void): Promise<void> {
  const machine = machineOf(scene);
  how(machine);
  await pastLease(scene);
  machine.mend();
}

export const NETWORK_FAULTS: Readonly<Record<FaultName<"network">, Fault>> = {
  blackhole: (scene) => withHeldFrames(scene, (proxy) => proxy.blackhole(true), "late"),
  "half-open": (scene) => withHeldFrames(scene, (proxy) => proxy.blackhole(true), "lost"),
  "requests-lost": (scene) => withHeldFrames(scene, (proxy) => proxy.toServer("hold"), "lost"),
  "requests-late": (scene) => withHeldFrames(scene, (proxy) => proxy.toServer("hold"), "late"),
  "responses-lost": (scene) =>
    withHeldFrames(scene, (proxy) => proxy.toClient("hold"), scene.random.next() < 0.5 ? "lost" : "late"),
  async "ack-lost"({ leader, random, leaseMs }) {
    // The node uses one of its proxies; the others see no write.
    const acks = leader.proxies.map((proxy) => proxy.takeReplyTo(isLeaseWrite, leaseMs));
    const ack = await Promise.any(acks).catch(() => null);
    await pause(random.between(100, leaseMs));
    if (random.next() < 0.5) ack?.release();
  },
  async "late-acquire"(scene) {
    const { leader, followers, random, leaseMs } = scene;
    const proxies = followers.flatMap((node) => node.proxies);
    const writes = proxies.map((proxy) =>
      proxy.takeNextToServer(isLeaseWrite, 2 * leaseMs).catch(() => null),
    );
    await leader.end("SIGKILL");
    if (random.next() < 0.5) await scene.takenOver(3 * leaseMs);
    else await pause(random.between(0, 3 * leaseMs));
    const held = await Promise.all(writes);
    for (const write of held) write?.release();
    await pause(random.between(0, leaseMs));
  },
  async cut(scene) {
    const { proxies } = scene.leader;
    for (const proxy of proxies) {
      proxy.refuse(true);
      proxy.cut();
    }
    await pause(scene.random.between(0, scene.leaseMs));
    restoreAll(proxies);
  },
  async flap({ leader, random }) {
    for (let times = random.between(2, 6); times > 0; times--) {
      resetBoth(leader.proxies);
      await pause(random.between(5, 300));
    }
  },
  async "reset-client-side"({ leader, random }) {
    for (const proxy of leader.proxies) proxy.resetClientSide();
    await pause(random.between(100, 600));
  },
  async "reset-server-side"(scene) {
    for (const proxy of scene.leader.proxies) proxy.resetServerSide();
    await pastSpan(scene);
  },
  async "freeze-and-reset-server-side"(scene) {
    const { leader, random } = scene;
    leader.freeze();
    await pause(random.between(0, 200));
    for (const proxy of leader.proxies) proxy.resetServerSide();
    await scene.takenOver(spanMs(scene) * random.next());
    leader.thaw();
    await pastSpan(scene);
  },
  slow: (scene) =>
    delayed([scene.leader], scene.random.between(5, Math.floor(scene.leaseMs * 0.02)), scene.leaseMs),
  "too-slow": (scene) =>
    delayed([scene.leader], spanMs(scene) * (0.5 + scene.random.next()), 2 * scene.leaseMs),
  "all-too-slow": (scene) =>
    delayed(
      [scene.leader, ...scene.followers],
      spanMs(scene) * (0.5 + 0.5 * scene.random.next()),
      2 * scene.leaseMs,
    ),
  async "followers-cut-off"(scene) {
    const proxies = scene.followers.flatMap((node) => node.proxies);
    for (const proxy of proxies) proxy.blackhole(true);
    await longerThanLease(scene);
    restoreAll(proxies);
  },
  async "watch-blocked"(scene) {
    const proxies = [scene.leader, ...scene.followers].flatMap((node) => node.proxies);
    const subject = republishSubject(CLUSTER_ID);
    for (const proxy of proxies) proxy.filterToClient((frame) => frame.subject !== subject);
    await longerThanLease(scene);
    restoreAll(proxies);
  },
  async "slow-consumer"(scene) {
    const { proxies } = scene.leader;
    for (const proxy of proxies) proxy.stallToClient(true);
    await flood(scene);
    await pastLease(scene);
    for (const proxy of proxies) proxy.stallToClient(false);
    await pastSpan(scene);
  },
  "cable-pulled": (scene) => disconnectMachine(scene, (machine) => machine.pull()),
  "packets-out-lost": (scene) => disconnectMachine(scene, (machine) => machine.loseOutgoing()),
  "packets-in-lost": (scene) => disconnectMachine(scene, (machine) => machine.loseIncoming()),
  async "cable-pulled-and-kill"(scene) {
    const { leader } = scene;
    const machine = machineOf(scene);
    machine.pull();
    await leader.end("SIGKILL");
    await pastLease(scene);
    // A machine that boots again has forgotten its old connections.
    resetBoth(leader.proxies);
    machine.mend();
  },
  async "host-lost"(scene) {
    const { leader, followers, random } = scene;
    const host = random.next() < 0.7 ? leader : random.pick(followers);
    // Without a cable of its own, the proxies swallow what it sends and receives.
    if (host.namespace === null) for (const proxy of host.proxies) proxy.blackhole(true);
    else host.namespace.pull();
    await (host === leader ? pastLease(scene) : longerThanLease(scene));
    if (random.next() < 0.5) {
      await host.end("SIGKILL");
      // A host that boots has forgotten its connections.
      resetBoth(host.proxies);
    }
    restoreAll(host.proxies);
    host.namespace?.mend();
  },
  async backlog(scene) {
    const { proxies } = scene.leader;
    for (const proxy of proxies) proxy.stallToClient(true);
    await flood(scene);
    // The leader reads on: the end of its connection comes after the flood.
    for (const proxy of proxies) proxy.stallToClient(false);
    await pastSpan(scene);
  },
  async "service-flood"(scene) {
    const { leader, random, leaseMs } = scene;
    const flooding = Flood.start({
      server: await serverOfLeader(scene),
      login: null,
      subject: statusSubject(CLUSTER_ID, leader.nodeId),
      reply: newReplySubject(CLUSTER_ID, null),
      payloadBytes: random.pick([0, 100]),
      maxBytes: SERVICE_FLOOD_BYTES,
      sockets: 1,
    });
    await pause(leaseMs + random.between(0, 500));
    flooding.stop();
  },
};
