/** Faults of servers, and of what is between them. */
import { setTimeout as pause } from "node:timers/promises";
import { streamName } from "../../src/nats/names.ts";
import type { NatsServer } from "../../src/testing.ts";
import type { FaultName } from "./catalogue.ts";
import { CLUSTER_ID, STREAM } from "./messages.ts";
import { type Fault, longerThanLease, past, type Scene } from "./scene.ts";

/** Mostly the one whose loss hurts: it leads the bucket's stream, or the register's. */
async function victim({ servers, operator, random }: Scene): Promise<NatsServer> {
  const other = random.pick(servers.all);
  if (servers.all.length === 1 || random.next() < 0.3) return other;
  const stream = random.next() < 0.7 ? streamName(CLUSTER_ID) : STREAM;
  const name = await operator.streamLeader(stream);
  return servers.all.find((server) => server.name === name) ?? other;
}

async function startAgain(server: NatsServer): Promise<void> {
  await server.start({ until: "listening" });
}

/** One server is taken away and given back. */
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
    await past(scene);
    await pause(random.between(0, 2000));
    for (const route of cutOff) route?.mend();
  },
  async "stream-leader-stepdown"({ operator, random }) {
    await operator.api(`STREAM.LEADER.STEPDOWN.${streamName(CLUSTER_ID)}`);
    await pause(random.between(100, 600));
  },
};
