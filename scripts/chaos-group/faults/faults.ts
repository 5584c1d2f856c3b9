/** The faults of a chaos run of groups. */
import { setTimeout as pause } from "node:timers/promises";
import { groupRepublishSubject, groupStreamName, groupSubject } from "../../../src/nats/names.ts";
import type { NatsServer } from "../../../src/testing.ts";
import type { Frame } from "../../shared/nats-frames.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import type { MemberProcess } from "../member/member-process.ts";
import { GROUP_ID, ledgerOf, RESOURCES } from "../member/messages.ts";
import { briefly, type Fault, pastLease, restoreAll, type Scene } from "./scene.ts";

/** Why two members may own a resource at once: documented in docs/chaos.md. */
export type Blame = "none" | "connection" | "clock";

export interface FaultKind {
  readonly what: string;
  readonly blame: Blame;
  /** The world that can play it. */
  readonly needs?: "cluster" | "clocks";
  readonly inflict: Fault;
}

const isOwnerWrite = ({ subject }: Frame): boolean =>
  subject?.startsWith(groupSubject(GROUP_ID, "owner.")) === true;
const isSessionWrite = ({ subject }: Frame): boolean =>
  subject?.startsWith(groupSubject(GROUP_ID, "session.")) === true;
const isRepublished = ({ subject }: Frame): boolean =>
  subject?.startsWith(groupRepublishSubject(GROUP_ID, "")) === true;

async function restart(server: NatsServer): Promise<void> {
  await server.restart({ until: "listening" });
}

/** Mostly the leader of the group's bucket or of a ledger. */
async function victim({ servers, operator, random }: Scene): Promise<NatsServer> {
  const other = random.pick(servers.all);
  if (servers.all.length === 1 || random.next() < 0.3) return other;
  const stream = random.next() < 0.7 ? groupStreamName(GROUP_ID) : ledgerOf(random.pick(RESOURCES)).stream;
  const name = await operator.streamLeader(stream);
  return servers.all.find((server) => server.name === name) ?? other;
}

function onAll(members: readonly MemberProcess[], change: (proxy: TcpProxy) => void): void {
  for (const { proxies } of members) for (const proxy of proxies) change(proxy);
}

/** For longer than a lease, or for less. */
async function during(
  scene: Scene,
  proxies: readonly TcpProxy[],
  begin: (proxy: TcpProxy) => void,
): Promise<void> {
  for (const proxy of proxies) begin(proxy);
  await (scene.random.next() < 0.7 ? pastLease(scene) : briefly(scene));
  restoreAll(proxies);
}

/** The next matching writes are stored, and their answers are lost or late. */
async function answersTaken(scene: Scene, matches: (frame: Frame) => boolean): Promise<void> {
  const { members, random, leaseMs } = scene;
  const takers = members.flatMap(({ proxies }) =>
    proxies.map((proxy) => proxy.takeReplyTo(matches, leaseMs)),
  );
  const all = Promise.allSettled(takers);
  // Something has to move, so that owner keys are written.
  members[0].send({ do: "drain" });
  const settled = await all;
  members[0].send({ do: "rejoin" });
  if (random.next() < 0.5) for (const one of settled) if (one.status === "fulfilled") one.value.release();
}

/** The next matching writes arrive long after they were given up. */
async function requestsLate(scene: Scene, matches: (frame: Frame) => boolean): Promise<void> {
  const { members, random, leaseMs } = scene;
  const takers = members.flatMap(({ proxies }) =>
    proxies.map((proxy) => proxy.takeNextToServer(matches, leaseMs)),
  );
  const all = Promise.allSettled(takers);
  members[0].send({ do: "drain" });
  const settled = await all;
  members[0].send({ do: "rejoin" });
  await pause(random.between(0, leaseMs));
  for (const one of settled) if (one.status === "fulfilled") one.value.release();
}

async function withClock(member: MemberProcess, rate: number, whileSo: () => Promise<void>): Promise<void> {
  const restarted = async (at: number): Promise<void> => {
    await member.end("SIGKILL");
    member.clock?.runAt(at);
    member.start();
  };
  await restarted(rate);
  await whileSo();
  await restarted(1);
}

/** Of the lease, each way: requests of members are given up after 15 %. */
const SLOW_PART = 0.065;

/** Their order is part of what a seed decides. */
const NAMES = [
  "kill",
  "kill-two",
  "kill-during-takeover",
  "term",
  "rolling-restart",
  "freeze",
  "freeze-short",
  "freeze-all",
  "freeze-and-reset",
  "drain",
  "drain-hangs",
  "scale-up",
  "scale-up-and-kill",
  "duplicate-id",
  "cut",
  "flap",
  "blackhole",
  "requests-lost",
  "answers-lost",
  "reset-server-side",
  "reset-client-side",
  "slow",
  "all-too-slow",
  "slow-for-long",
  "watch-blocked",
  "claims-unanswered",
  "claims-late",
  "sessions-unanswered",
  "sessions-late",
  "server-kill",
  "server-restart",
  "server-freeze",
  "servers-all-killed",
  "servers-rolling-restart",
  "quorum-lost",
  "route-split",
  "stream-leader-stepdown",
  "clock-fast",
  "clock-forward",
  "clock-back",
] as const;

export type FaultName = (typeof NAMES)[number];

export const FAULT_NAMES: readonly FaultName[] = NAMES;

const FAULTS: Readonly<Record<FaultName, FaultKind>> = {
  kill: {
    what: "a member is killed (SIGKILL)",
    blame: "none",
    inflict: ({ members }) => members[0].end("SIGKILL"),
  },
  "kill-two": {
    what: "two members are killed at once",
    blame: "none",
    async inflict({ members }) {
      await Promise.all(members.slice(0, 2).map((member) => member.end("SIGKILL")));
    },
  },
  "kill-during-takeover": {
    what: "a member is killed, and another one while it takes over",
    blame: "none",
    async inflict({ members, random }) {
      await members[0].end("SIGKILL");
      await pause(random.between(0, 120));
      await members[1]?.end("SIGKILL");
    },
  },
  term: {
    what: "a member is stopped (SIGTERM) and started again",
    blame: "none",
    inflict: ({ members }) => members[0].end("SIGTERM"),
  },
  "rolling-restart": {
    what: "every member is stopped and started again, one after the other",
    blame: "none",
    async inflict({ members, random }) {
      for (const member of members) {
        await member.end("SIGTERM");
        member.start();
        await pause(random.between(300, 1_500));
      }
    },
  },
  freeze: {
    what: "a member is stopped (SIGSTOP) for longer than its lease",
    blame: "none",
    async inflict(scene) {
      const [member] = scene.members;
      member.freeze();
      await pastLease(scene);
      member.thaw();
    },
  },
  "freeze-short": {
    what: "a member is stopped (SIGSTOP) for less than its lease",
    blame: "none",
    async inflict(scene) {
      const [member] = scene.members;
      member.freeze();
      await briefly(scene);
      member.thaw();
    },
  },
  "freeze-all": {
    what: "every member is stopped (SIGSTOP) for longer than its lease",
    blame: "none",
    async inflict(scene) {
      for (const member of scene.members) member.freeze();
      await pastLease(scene);
      for (const member of scene.members) member.thaw();
    },
  },
  "freeze-and-reset": {
    what: "a member is stopped, and its server closes its connections",
    blame: "connection",
    async inflict(scene) {
      const [member] = scene.members;
      member.freeze();
      await pause(scene.random.between(0, 200));
      for (const proxy of member.proxies) proxy.resetServerSide();
      await briefly(scene);
      member.thaw();
      await pastLease(scene);
    },
  },
  drain: {
    what: "a member drains, and rejoins later",
    blame: "none",
    async inflict(scene) {
      const [member] = scene.members;
      member.send({ do: "drain" });
      await pastLease(scene);
      member.send({ do: "rejoin" });
    },
  },
  "drain-hangs": {
    what: "a member drains, and its work does not end for a while",
    blame: "none",
    async inflict(scene) {
      const [member] = scene.members;
      member.send({ do: "hang" });
      member.send({ do: "drain" });
      await pastLease(scene);
      member.send({ do: "unhang" });
      await briefly(scene);
      member.send({ do: "rejoin" });
    },
  },
  "scale-up": {
    what: "a member joins, and leaves later",
    blame: "none",
    async inflict(scene) {
      const member = await scene.join();
      await pastLease(scene);
      await member.end("SIGTERM");
    },
  },
  "scale-up-and-kill": {
    what: "a member joins and is killed while resources move to it",
    blame: "none",
    async inflict(scene) {
      const member = await scene.join();
      await pause(scene.random.between(0, 1_500));
      await member.end("SIGKILL");
    },
  },
  "duplicate-id": {
    what: "a second process with the id of a member starts, and the first one is killed",
    blame: "none",
    async inflict(scene) {
      const [member] = scene.members;
      const twin = await scene.twin(member);
      await briefly(scene);
      await member.end("SIGKILL");
      await pastLease(scene);
      await twin.end(scene.random.next() < 0.5 ? "SIGKILL" : "SIGTERM");
    },
  },
  cut: {
    what: "the connections of a member are closed and refused",
    blame: "connection",
    inflict: (scene) =>
      during(scene, scene.members[0].proxies, (proxy) => {
        proxy.refuse(true);
        proxy.cut();
      }),
  },
  flap: {
    what: "the connections of a member are closed several times",
    blame: "connection",
    async inflict({ members: [member], random }) {
      for (let left = random.between(2, 6); left > 0; left -= 1) {
        for (const proxy of member.proxies) proxy.cut();
        await pause(random.between(5, 300));
      }
    },
  },
  blackhole: {
    what: "nothing that a member sends and receives arrives, and nothing is closed",
    blame: "none",
    inflict: (scene) => during(scene, scene.members[0].proxies, (proxy) => proxy.blackhole(true)),
  },
  "requests-lost": {
    what: "what a member sends is held back",
    blame: "none",
    inflict: (scene) => during(scene, scene.members[0].proxies, (proxy) => proxy.toServer("hold")),
  },
  "answers-lost": {
    what: "what is sent to a member is held back",
    blame: "none",
    inflict: (scene) => during(scene, scene.members[0].proxies, (proxy) => proxy.toClient("hold")),
  },
  "reset-server-side": {
    what: "the server's side of a member's connections is reset, the member's stays open and silent",
    blame: "connection",
    async inflict(scene) {
      for (const proxy of scene.members[0].proxies) proxy.resetServerSide();
      await pastLease(scene);
    },
  },
  "reset-client-side": {
    what: "the member's side of its connections is reset, the server's stays open and silent",
    blame: "connection",
    async inflict(scene) {
      for (const proxy of scene.members[0].proxies) proxy.resetClientSide();
      await briefly(scene);
    },
  },
  slow: {
    what: "a member's network is slow",
    blame: "none",
    inflict: (scene) =>
      during(scene, scene.members[0].proxies, (proxy) => proxy.delay(scene.random.between(10, 400))),
  },
  "all-too-slow": {
    what: "every member's network is slower than the lease",
    blame: "none",
    inflict: (scene) =>
      during(
        scene,
        scene.members.flatMap(({ proxies }) => proxies),
        (proxy) => proxy.delay(scene.leaseMs * (0.5 + 0.5 * scene.random.next())),
      ),
  },
  "slow-for-long": {
    what: "round trips of every member are longer than the shortest promise allows, and the resources are written all the same",
    blame: "none",
    async inflict(scene) {
      const proxies = scene.members.flatMap((member) => member.proxies);
      for (const proxy of proxies) proxy.delay(scene.leaseMs * SLOW_PART);
      await pastLease(scene);
      await scene.settled();
      restoreAll(proxies);
    },
  },
  "watch-blocked": {
    what: "no member receives the messages of the bucket, while one drains",
    blame: "none",
    async inflict(scene) {
      onAll(scene.members, (proxy) => proxy.filterToClient((frame) => !isRepublished(frame)));
      scene.members[0].send({ do: "drain" });
      await pastLease(scene);
      onAll(scene.members, (proxy) => proxy.filterToClient(null));
      scene.members[0].send({ do: "rejoin" });
    },
  },
  "claims-unanswered": {
    what: "claims and releases are stored, and their answers are lost or late",
    blame: "none",
    inflict: (scene) => answersTaken(scene, isOwnerWrite),
  },
  "claims-late": {
    what: "claims and releases arrive long after they were given up",
    blame: "none",
    inflict: (scene) => requestsLate(scene, isOwnerWrite),
  },
  "sessions-unanswered": {
    what: "renewals and begins are stored, and their answers are lost or late",
    blame: "none",
    inflict: (scene) => answersTaken(scene, isSessionWrite),
  },
  "sessions-late": {
    what: "renewals, begins and fences arrive long after they were given up",
    blame: "none",
    inflict: (scene) => requestsLate(scene, isSessionWrite),
  },
  "server-kill": {
    what: "a server is killed and started again",
    blame: "connection",
    async inflict(scene) {
      const server = await victim(scene);
      await server.kill();
      await (scene.random.next() < 0.6 ? briefly(scene) : pastLease(scene));
      await server.start({ until: "listening" });
    },
  },
  "server-restart": {
    what: "a server is stopped and started again",
    blame: "connection",
    async inflict(scene) {
      await restart(await victim(scene));
    },
  },
  "server-freeze": {
    what: "a server stands still",
    blame: "connection",
    async inflict(scene) {
      const server = await victim(scene);
      await server.pause();
      await (scene.random.next() < 0.5 ? briefly(scene) : pastLease(scene));
      await server.resume();
    },
  },
  "servers-all-killed": {
    what: "every server is killed and started again",
    blame: "connection",
    async inflict({ servers, random }) {
      await Promise.all(servers.all.map((server) => server.kill()));
      await pause(random.between(0, 1_000));
      await Promise.all(servers.all.map((server) => server.start({ until: "listening" })));
    },
  },
  "servers-rolling-restart": {
    what: "the servers are restarted one after the other",
    blame: "connection",
    needs: "cluster",
    async inflict({ servers }) {
      for (const server of servers.all) {
        await restart(server);
        await servers.whole();
      }
    },
  },
  "quorum-lost": {
    what: "two of three servers are killed or stand still",
    blame: "connection",
    needs: "cluster",
    async inflict(scene) {
      const { servers, random } = scene;
      const kept = random.pick(servers.all);
      const others = servers.all.filter((server) => server !== kept);
      const isKilled = random.next() < 0.5;
      await Promise.all(others.map((server) => (isKilled ? server.kill() : server.pause())));
      await pastLease(scene);
      await Promise.all(
        others.map((server) => (isKilled ? server.start({ until: "listening" }) : server.resume())),
      );
    },
  },
  "route-split": {
    what: "a server is cut off from the others",
    blame: "connection",
    needs: "cluster",
    async inflict(scene) {
      const { servers, random } = scene;
      const index = servers.all.indexOf(await victim(scene));
      const cutOff = servers.routes.flatMap((row, from) =>
        row.filter((route, to) => route !== null && (from === index || to === index)),
      );
      const how = random.next() < 0.5 ? "hold" : "cut";
      for (const route of cutOff) route?.[how]();
      await pastLease(scene);
      for (const route of cutOff) route?.mend();
    },
  },
  "stream-leader-stepdown": {
    what: "the stream of the bucket gets another leader",
    blame: "none",
    needs: "cluster",
    async inflict({ operator, random }) {
      await operator.api(`STREAM.LEADER.STEPDOWN.${groupStreamName(GROUP_ID)}`);
      await pause(random.between(100, 600));
    },
  },
  "clock-fast": {
    what: "the clocks of a member run 1.25 times as fast as those of the others, which cannot renew for a part of their lease",
    blame: "clock",
    needs: "clocks",
    inflict: (scene) =>
      withClock(scene.members[0], 1.25, async () => {
        await pastLease(scene);
        const others = scene.members.slice(1).flatMap(({ proxies }) => proxies);
        for (const proxy of others) proxy.toServer("hold");
        await pause(scene.leaseMs * 0.9);
        for (const proxy of others) proxy.toServer("pass");
        await pastLease(scene);
      }),
  },
  "clock-forward": {
    what: "the clocks of a member are set forward",
    blame: "none",
    needs: "clocks",
    async inflict(scene) {
      scene.members[0].clock?.set(scene.random.between(2, 5));
      await briefly(scene);
    },
  },
  "clock-back": {
    what: "the clocks of a member are set back",
    blame: "clock",
    needs: "clocks",
    async inflict(scene) {
      const { clock } = scene.members[0];
      clock?.set(-scene.random.between(3, 5));
      await pastLease(scene);
      clock?.set(0);
      await pastLease(scene);
    },
  },
};

export function kindOf(name: FaultName): FaultKind {
  return FAULTS[name];
}
