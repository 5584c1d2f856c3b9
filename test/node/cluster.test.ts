/** A NATS cluster of three servers. */
import { describe, expect, test } from "vitest";
import type { NatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { makeNode, settled, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { useNatsCluster } from "../support/use-server.ts";

/** On these servers several writers can win one compare-and-set on a replicated stream. */
const oldest = process.env["NATS_TEST_VERSION"]?.startsWith("2.9.") === true;

const cluster = useNatsCluster();

/** The server that the leader is connected to, from the lease's record. */
async function serverOf(clusterId: string): Promise<NatsServer> {
  const session = (await (await operator(clusterId)).record())["session"] as { server_id: string };
  for (const server of cluster.servers) {
    if (!server.running) continue;
    const varz = await fetch(`${server.monitorUrl}/varz`, { headers: { connection: "close" } });
    if (((await varz.json()) as { server_id: string }).server_id === session.server_id) return server;
  }
  throw new Error("the leader is on none of the servers");
}

function operator(clusterId: string): Promise<Operator> {
  return operatorOf({ url: cluster.urls }, clusterId);
}

describe.runIf(oldest)("on a server older than 2.9.21", () => {
  test("more than one replica is refused with SERVER_TOO_OLD, because a CAS can have several winners there", async () => {
    const a = makeNode({ servers: cluster.urls }, { clusterId: freshId(), nodeId: "a", replicas: 3 });
    await expect(a.start()).rejects.toMatchObject({
      code: "SERVER_TOO_OLD",
      message: expect.stringMatching(/3 replicas.*several winners/),
    });
    expect(a.node.role).toBe("stopped");
  });

  test("a bucket that another tool created with 3 replicas is refused, too", async () => {
    const clusterId = freshId();
    await (await operator(clusterId)).createBucket(0, { num_replicas: 3 });
    const a = makeNode({ servers: cluster.urls }, { clusterId, nodeId: "a" });
    await expect(a.start()).rejects.toMatchObject({ code: "SERVER_TOO_OLD" });
  });

  test("replicas: auto uses one replica, warns with the reason, and leads", async () => {
    const clusterId = freshId();
    const a = await startLeader({ servers: cluster.urls }, { clusterId, nodeId: "a" });
    expect(await (await operator(clusterId)).config()).toMatchObject({ num_replicas: 1 });
    expect(a.events.items.find((event) => event.type === "warning")).toMatchObject({
      message: expect.stringMatching(/gets 1 replica.*2\.9\.21/),
    });
  });
});

describe.skipIf(oldest)(
  "with three replicas (not on 2.9.10, where a CAS on them can have several winners)",
  () => {
    async function trio(): Promise<{ clusterId: string; nodes: [TestNode, ...TestNode[]] }> {
      const clusterId = freshId();
      const nodes = await Promise.all(
        [0, 1, 2].map((index) =>
          // Every node knows all servers and connects to a different one first.
          startNode(
            { servers: [...cluster.urls.slice(index), ...cluster.urls.slice(0, index)] },
            { leaseTtlMs: 10_000, clusterId, nodeId: `n${index}` },
          ),
        ),
      );
      return { clusterId, nodes: await settled(nodes, 0, 15_000) };
    }

    test("the bucket gets three, and one of three nodes leads", async () => {
      const { clusterId, nodes } = await trio();
      expect(await (await operator(clusterId)).config()).toMatchObject({ num_replicas: 3 });
      expect(nodes[0].node.epoch).toBe(1);
      await nodes[0].node.stepDown();
      const [next] = await settled(nodes, 1);
      expect(next.node.epoch).toBe(2);
    });

    test("the leader's server is stopped: it moves to another, and its term stays", async () => {
      const { clusterId, nodes } = await trio();
      const [leader] = nodes;
      const { term } = leader.node;
      const server = await serverOf(clusterId);
      await server.stop();
      atEnd(async () => {
        await server.start();
        await cluster.ready();
      });
      await leader.next("resumed", undefined, 15_000);
      expect(leader.node.term).toBe(term);
      await leader.leads();
      expect(nodes.map((node) => node.count("become-leader")).reduce((sum, n) => sum + n)).toBe(1);
      expect((await serverOf(clusterId)).name).not.toBe(server.name);
    });

    test("the leader's server goes into lame duck mode: it moves away, and its term stays", async () => {
      const { clusterId, nodes } = await trio();
      const [leader] = nodes;
      const { term } = leader.node;
      const server = await serverOf(clusterId);
      await server.lameDuck();
      atEnd(async () => {
        await server.restart();
        await cluster.ready();
      });
      await leader.next("resumed", undefined, 15_000);
      expect(leader.node.term).toBe(term);
      expect((await serverOf(clusterId)).name).not.toBe(server.name);
    });

    test("quorum lost: the leader stops by its deadline; quorum restored: a node leads with a larger epoch", async () => {
      const clusterId = freshId();
      const options = { leaseTtlMs: 2000, clusterId };
      const nodes = await Promise.all(
        ["a", "b"].map((nodeId) => startNode({ servers: cluster.urls }, { ...options, nodeId })),
      );
      const [leader] = await settled(nodes, 0, 15_000);
      const own = await serverOf(clusterId);
      const others = cluster.servers.filter((server) => server !== own);
      await Promise.all(others.map((server) => server.pause()));
      expect(await leader.next("lose-leadership")).toMatchObject({ reason: "expired" });
      expect(leader.node.isLeader()).toBe(false);
      await Promise.all(others.map((server) => server.resume()));
      await settled(nodes, leader.calls("onBecomeLeader")[0]?.term?.epoch, 25_000);
    });
  },
);
