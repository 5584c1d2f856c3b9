/** Faults of servers and of the routes between them. */
import { setTimeout as pause } from "node:timers/promises";
import { streamName } from "../../../src/nats/names.ts";
import type { NatsServer } from "../../../src/testing.ts";
import { CLUSTER_ID, STREAM } from "../node/messages.ts";
import { reload, type ServerHome } from "../servers/server-home.ts";
import type { FaultName } from "./names.ts";
import { type Fault, longerThanLease, pastLease, type Scene } from "./scene.ts";

const BALLAST = "x".repeat(20_000);

/** Mostly the leader of the bucket's stream or of the register's stream, whose loss stops all writes. */
async function victim({ servers, operator, random }: Scene): Promise<NatsServer> {
  const other = random.pick(servers.all);
  if (servers.all.length === 1 || random.next() < 0.3) return other;
  const stream = random.next() < 0.7 ? streamName(CLUSTER_ID) : STREAM;
  const name = await operator.streamLeader(stream);
  return servers.all.find((server) => server.name === name) ?? other;
}

/** One server, or all. */
async function oneOrAll(scene: Scene): Promise<readonly NatsServer[]> {
  return scene.random.next() < 0.7 ? [await victim(scene)] : scene.servers.all;
}

function homeOf({ servers }: Scene, server: NatsServer): ServerHome {
  const home = servers.homes[servers.all.indexOf(server)];
  if (home === undefined) throw new Error(`${server.name} is not a server of this world`);
  return home;
}

async function restart(server: NatsServer): Promise<void> {
  await server.restart({ until: "listening" });
}

async function startAgain(server: NatsServer): Promise<void> {
  await server.start({ until: "listening" });
}

/** Takes one server away, waits, and gives it back. */
async function without(
  scene: Scene,
  take: (server: NatsServer) => Promise<void>,
  whileGone: (scene: Scene) => Promise<void>,
  giveBack: (server: NatsServer) => Promise<void>,
): Promise<void> {
  const server = await victim(scene);
  await take(server);
  await whileGone(scene);
  await giveBack(server);
}

const briefly = ({ random, leaseMs }: Scene): Promise<void> => pause(random.between(0, leaseMs * 0.8));

export const SERVER_FAULTS: Readonly<Record<FaultName<"server">, Fault>> = {
  "server-kill": (scene) =>
    without(
      scene,
      (server) => server.kill(),
      scene.random.next() < 0.6 ? briefly : longerThanLease,
      startAgain,
    ),
  "server-restart": (scene) =>
    without(
      scene,
      (server) => server.stop(),
      async () => {},
      startAgain,
    ),
  "server-freeze-short": (scene) =>
    without(
      scene,
      (server) => server.pause(),
      briefly,
      (server) => server.resume(),
    ),
  "server-freeze": (scene) =>
    without(
      scene,
      (server) => server.pause(),
      longerThanLease,
      (server) => server.resume(),
    ),
  "lame-duck": (scene) =>
    without(
      scene,
      (server) => server.lameDuck(),
      ({ random }) => pause(random.between(500, 2500)),
      (server) => server.restart({ until: "listening" }),
    ),
  async "rolling-restart"({ servers, random }) {
    for (const server of servers.all) {
      if (random.next() < 0.5) {
        await server.lameDuck();
        await pause(random.between(500, 1500));
      }
      await server.restart({ until: "listening" });
      await servers.whole();
    }
  },
  async "quorum-lost"(scene) {
    const { servers, random } = scene;
    const kept = random.pick(servers.all);
    const others = servers.all.filter((server) => server !== kept);
    const killed = random.next() < 0.5;
    await Promise.all(others.map((server) => (killed ? server.kill() : server.pause())));
    await longerThanLease(scene);
    await Promise.all(others.map((server) => (killed ? startAgain(server) : server.resume())));
  },
  async "servers-all-killed"({ servers, random }) {
    await Promise.all(servers.all.map((server) => server.kill()));
    await pause(random.between(0, 1000));
    await Promise.all(servers.all.map(startAgain));
  },
  async "route-split"(scene) {
    const { servers, random } = scene;
    const index = servers.all.indexOf(await victim(scene));
    const cutOff = servers.routes.flatMap((row, from) =>
      row.filter((route, to) => route !== null && (from === index || to === index)),
    );
    const how = random.next() < 0.5 ? "hold" : "cut";
    for (const route of cutOff) route?.[how]();
    await pastLease(scene);
    await pause(random.between(0, 2000));
    for (const route of cutOff) route?.mend();
  },
  async "credentials-revoked"(scene) {
    await scene.servers.revoke([scene.leader.nodeId]);
    await pastLease(scene);
    await scene.servers.revoke([]);
  },
  async "all-credentials-revoked"(scene) {
    const { servers, leader, followers } = scene;
    await servers.revoke([leader, ...followers].map(({ nodeId }) => nodeId));
    await longerThanLease(scene);
    await servers.revoke([]);
  },
  async "disk-full"(scene) {
    const victims = await oneOrAll(scene);
    const disks = victims.map((server) => homeOf(scene, server).disk);
    await Promise.all(disks.map((disk) => disk?.fill()));
    // The last page of the stream's file may have room for more lease records.
    await scene.operator.putBeside(BALLAST);
    await longerThanLease(scene);
    for (const disk of disks) disk?.free();
    // A stream that met a full disk accepts no writes until its server is restarted.
    for (const server of victims) await server.restart({ until: "listening" });
  },
  async "jetstream-off"(scene) {
    const victims = await oneOrAll(scene);
    // A cluster whose members all lose JetStream by a reload loses its streams permanently (nats-server 2.15.1).
    const how = victims.length === 1 && scene.random.next() < 0.5 ? reload : restart;
    for (const server of victims) homeOf(scene, server).set({ jetstream: false });
    await Promise.all(victims.map(how));
    await longerThanLease(scene);
    for (const server of victims) homeOf(scene, server).set({ jetstream: true });
    await Promise.all(victims.map(how));
  },
  async "stream-leader-stepdown"({ operator, random }) {
    await operator.api(`STREAM.LEADER.STEPDOWN.${streamName(CLUSTER_ID)}`);
    await pause(random.between(100, 600));
  },
};
