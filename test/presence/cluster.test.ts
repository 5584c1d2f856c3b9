/** Three servers: the leader's connection, the stream leader and the presence consumer are on different ones. */
import { beforeAll, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { streamName } from "../../src/nats/names.ts";
import type { NatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { type ChildNode, startChildNode } from "../support/node/child-node.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { deletePresence, oldest, presenceIn, serverIdOf, sessionIn } from "../support/node/presence.ts";
import { settled, startNode, type TestNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsCluster } from "../support/use-server.ts";

/** On 2.9.10 the bucket has one replica, because a compare-and-set on several can have several winners there. */
const replicas = oldest ? "R1, because 2.9.10's CAS on R3 is not one" : "R3";

const cluster = useNatsCluster();
let ids: Map<string, NatsServer>;
beforeAll(async () => {
  ids = new Map(
    await Promise.all(
      cluster.servers.map(async (server) => [await serverIdOf(server), server] as [string, NatsServer]),
    ),
  );
});

interface Scene {
  readonly operator: Operator;
  readonly leader: ChildNode;
  readonly followers: readonly TestNode[];
  /** The leader's server. */
  readonly own: NatsServer;
}

/** The server that leads a stream or a consumer. A server without that information may not answer. */
async function nameInCluster(operator: Operator, call: string): Promise<string> {
  const ask = async (): Promise<string | undefined> => {
    const answer = await operator.connection.request(`$JS.API.${call}`, "", { timeout: 500 });
    return answer.json<{ cluster?: { leader?: string } }>().cluster?.leader;
  };
  return waitFor(() => ask().catch(() => undefined), { timeoutMs: 10_000, message: call });
}

const hostOf = (operator: Operator, presence: string): Promise<string> =>
  nameInCluster(operator, `CONSUMER.INFO.${presence}`);

/** A leader on a server that leads the stream or does not, and two followers on the other two. */
async function scene(where: "with the stream" | "elsewhere"): Promise<Scene> {
  const shared = { ...LONG, clusterId: freshId() };
  // The first node creates the bucket, whose server is known afterwards.
  const maker = await startNode({ servers: cluster.urls }, { ...shared, nodeId: "maker", observer: true });
  const operator = await operatorOf({ url: cluster.urls }, shared.clusterId);
  const streamLeader = await nameInCluster(operator, `STREAM.INFO.${streamName(shared.clusterId)}`);
  await maker.node.stop();
  const own = cluster.servers.find(({ name }) => (name === streamLeader) === (where === "with the stream"));
  if (own === undefined) throw new Error("a cluster of one?");
  const others = cluster.servers.filter((server) => server !== own);
  const leader = await startChildNode(own, { ...shared, nodeId: "leader" });
  await leader.next("become");
  const followers = await Promise.all(
    others.map((server, index) => startNode(server, { ...shared, nodeId: `f${index}` })),
  );
  await Promise.all(followers.map((node) => node.until(() => node.node.epoch === 1)));
  expect(ids.get((await sessionIn(operator)).server_id)).toBe(own);
  return { operator, leader, followers, own };
}

/** Deletes the presence until it is recreated on another server than the leader's connection. */
async function moveAway({ operator, own }: Scene): Promise<{ presence: string; host: string }> {
  let presence = await presenceIn(operator);
  for (let tries = 0; tries < 20; tries++) {
    const host = await hostOf(operator, presence);
    if (host !== own.name) return { presence, host };
    await deletePresence(operator, presence);
    presence = await presenceIn(operator, presence);
  }
  throw new Error("the presence was always on the leader's server");
}

test(`a leader on another server than the stream's and its presence's is replaced at once (${replicas})`, async () => {
  const all = await scene("elsewhere");
  const { host } = await moveAway(all);
  expect(host).not.toBe(all.own.name);
  all.leader.child.kill("SIGKILL");
  const [next] = await settled(all.followers, 1);
  expect(next.node.epoch).toBe(2);
  expect(all.followers.map((node) => node.count("become-leader")).reduce((sum, n) => sum + n)).toBe(1);
});

test(`its presence is deleted by hand on whatever server it is: no change of leader (${replicas})`, async () => {
  const { operator, leader, followers } = await scene("elsewhere");
  let presence = await presenceIn(operator);
  for (let times = 0; times < 3; times++) {
    await deletePresence(operator, presence);
    presence = await presenceIn(operator, presence);
  }
  await waitFor(async () => (await leader.status()).held);
  expect(await leader.status()).toMatchObject({ epoch: 1 });
  for (const node of followers) {
    // A cluster under load may drop a read: a warning, and no change of leader.
    expect(node.types().filter((type) => type !== "warning")).toEqual(["started", "leader-change"]);
  }
});

test.skipIf(oldest)(
  "the server of the leader's presence consumer is frozen: the leader stays, and recreates its presence on another server (not on 2.9.10: the stream is only there)",
  async () => {
    const all = await scene("with the stream");
    const { operator, leader, followers } = all;
    const { presence, host } = await moveAway(all);
    const frozen = cluster.servers.find(({ name }) => name === host);
    if (frozen === undefined) throw new Error(`no server ${host}`);
    atEnd(async () => {
      await frozen.resume();
      await cluster.ready();
    });
    const heard = await operatorOf(all.own, operator.clusterId);
    await frozen.pause();
    // Its heartbeats stop. If the leader of the meta group was frozen, a new one has to be elected first.
    const next = await waitFor(
      async () => {
        const now = await sessionIn(heard).catch(() => null);
        return now?.presence !== undefined && now.presence !== presence && now.presence;
      },
      { timeoutMs: 25_000, intervalMs: 100 },
    );
    expect(next).not.toBe(presence);
    await waitFor(async () => (await leader.status()).held);
    expect(await leader.status()).toMatchObject({ epoch: 1 });
    for (const node of followers) expect(node.count("become-leader")).toBe(0);
  },
  60_000,
);
