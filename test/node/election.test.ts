/** The requirements of go-cluster's end-to-end tests, and what users expect of any leader election. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { makeNode, QUICK, settled, startLeader, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

describe("one node", () => {
  test("leads with epoch 1 after exactly one onBecomeLeader", async () => {
    const a = await startNode(server, { clusterId: freshId(), nodeId: "a" });
    const term = await a.becomes();
    expect(term).toMatchObject({
      clusterId: a.node.clusterId,
      nodeId: "a",
      epoch: 1,
      lossReason: null,
    });
    expect(term.signal.aborted).toBe(false);
    await a.called("onBecomeLeader");
    await a.node.stop();
    expect(a.hooks.items.map((call) => call.name)).toEqual([
      "onBecomeLeader",
      "onLeaderChange",
      "onLoseLeadership",
      "onLeaderChange",
    ]);
    expect(a.calls("onLoseLeadership")[0]).toMatchObject({ term: { epoch: 1 }, reason: "stopped" });
    expect(a.calls("onLeaderChange").map((call) => call.leader?.nodeId ?? null)).toEqual(["a", null]);
    expect(term).toMatchObject({ held: false, lossReason: "stopped" });
  });

  test("reports its state before the start, while it runs and after the stop", async () => {
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a" });
    const { node } = a;
    const stopped = { role: "stopped", leader: null, epoch: 0, connected: false, term: null, service: null };
    expect(node).toMatchObject(stopped);
    expect(node.isLeader()).toBe(false);
    await a.start();
    expect(node).toMatchObject({ connected: true, service: { name: `cluster_${node.clusterId}` } });
    const term = await a.becomes();
    expect(node).toMatchObject({ role: "leader", epoch: 1, leader: { nodeId: "a", epoch: 1 } });
    expect(node.term).toBe(term);
    await a.leads();
    await node.stop();
    expect(node).toMatchObject(stopped);
    expect(node.isLeader()).toBe(false);
  });

  test("leads past several TTLs with a stable epoch, and a follower sees no change", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    await b.sees(a);
    const heard = await (await operatorOf(server, clusterId)).hear();
    await pause(3.5 * QUICK.leaseTtlMs);
    await a.leads();
    expect(a.node.epoch).toBe(1);
    expect([a.count("become-leader"), a.count("lose-leadership"), b.count("become-leader")]).toEqual([
      1, 0, 0,
    ]);
    expect(b.calls("onLeaderChange")).toHaveLength(1);
    const epochs = new Set(heard.items.map((write) => write.record?.["epoch"]));
    expect([...epochs]).toEqual([1]);
    expect(heard.items.length).toBeGreaterThanOrEqual(8);
  });

  test("can be restarted after a stop, as a new incarnation with a larger epoch", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const first = a.node.leader;
    await a.node.stop();
    await a.start();
    await a.until(() => a.node.isLeader());
    const second = a.node.leader;
    expect([first?.epoch, second?.epoch]).toEqual([1, 2]);
    expect(second?.incarnation).not.toBe(first?.incarnation);
    expect(a.count("become-leader")).toBe(2);
  });
});

describe("calls in the wrong state", () => {
  test("a second start rejects with ALREADY_STARTED, also while the first one is under way", async () => {
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a" });
    const first = a.start();
    await expect(a.node.start()).rejects.toMatchObject({ code: "ALREADY_STARTED" });
    await first;
    await expect(a.node.start()).rejects.toMatchObject({ code: "ALREADY_STARTED" });
    await a.becomes();
  });

  test("before the start all calls but stop() reject with NOT_STARTED, after the stop with STOPPED; stop() has nothing to do", async () => {
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a" });
    const refused = async (code: string): Promise<void> => {
      for (const call of [a.node.stepDown(), a.node.campaign(), a.node.withdraw(), a.node.rejoin()]) {
        await expect(call).rejects.toMatchObject({ code });
      }
    };
    await refused("NOT_STARTED");
    await expect(a.node.runWhileLeader(() => {})).rejects.toMatchObject({ code: "NOT_STARTED" });
    await a.start();
    await a.node.stop();
    await refused("STOPPED");
    await a.node.runWhileLeader(() => {});
    expect(await a.node.stop()).toEqual({ reason: "requested", term: null, unfinished: [], pending: false });
    await a.node[Symbol.asyncDispose]();
  });

  test("further calls of stop() join the first", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    await Promise.all([a.node.stop(), a.node.stop(), a.node[Symbol.asyncDispose]()]);
    expect(a.calls("onLoseLeadership")).toHaveLength(1);
  });
});

describe("several nodes", () => {
  test("two have one leader and agree on it", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    expect(b.node).toMatchObject({ role: "follower", epoch: 1, term: null });
    expect(b.node.leader).toEqual(a.node.leader);
    expect(b.node.isLeader()).toBe(false);
  });

  test("three that start at once have exactly one leader, and all agree", async () => {
    const clusterId = freshId();
    const nodes = await Promise.all(
      ["a", "b", "c"].map((nodeId) => startNode(server, { clusterId, nodeId })),
    );
    const [leader] = await settled(nodes);
    expect(leader.node.epoch).toBe(1);
    expect(nodes.reduce((sum, node) => sum + node.count("become-leader"), 0)).toBe(1);
  });

  test("a step-down fails over, the epoch rises, and every hook is called once per transition", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    await a.node.stepDown();
    await b.until(() => b.node.isLeader());
    await a.sees(b);
    expect([a.node.epoch, b.node.epoch]).toEqual([2, 2]);
    await b.called("onBecomeLeader");
    await a.until(() => a.count("released") === 1);
    expect([a.calls("onBecomeLeader").length, a.calls("onLoseLeadership").length]).toEqual([1, 1]);
    expect([b.calls("onBecomeLeader").length, b.calls("onLoseLeadership").length]).toEqual([1, 0]);
    expect(a.calls("onLoseLeadership")[0]).toMatchObject({ term: { epoch: 1 }, reason: "released" });
  });

  test("repeated step-downs move leadership, and every term has the next epoch", async () => {
    const clusterId = freshId();
    const nodes = await Promise.all(
      ["a", "b", "c"].map((nodeId) => startNode(server, { clusterId, nodeId, cooldownMs: 0 })),
    );
    for (let epoch = 1; epoch <= 6; epoch++) {
      const [leader] = await settled(nodes, epoch - 1);
      expect(leader.node.epoch).toBe(epoch);
      await leader.node.stepDown();
    }
  });

  test("a step-down of a node that does not lead rejects with NOT_LEADER and changes nothing", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    await expect(b.node.stepDown()).rejects.toMatchObject({
      code: "NOT_LEADER",
      message: 'node "b" is not the leader (role: follower, leader: "a")',
    });
    await a.leads();
    expect(a.count("lose-leadership")).toBe(0);
  });

  test("a second step-down while the first is under way joins it", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const first = a.node.stepDown();
    const second = await a.node.stepDown();
    expect(second).toEqual({ epoch: 1, leaseDeleted: true, drain: "complete" });
    expect(await first).toEqual(second);
    expect(a.count("lose-leadership")).toBe(1);
  });

  test("a stop of the leader hands over without waiting for the lease", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { ...LONG, clusterId, nodeId: "a" });
    const b = await startNode(server, { ...LONG, clusterId, nodeId: "b" });
    await b.sees(a);
    await a.node.stop();
    await b.until(() => b.node.isLeader());
    expect(b.node.epoch).toBe(2);
  });
});

describe("the cooldown", () => {
  test("keeps a node that stepped down from leading, even without another candidate", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", cooldownMs: 800 });
    await a.becomes();
    const before = performance.now();
    await a.node.stepDown();
    await a.becomes();
    expect(performance.now() - before).toBeGreaterThanOrEqual(800);
    expect(a.node.epoch).toBe(2);
  });

  test("is leaseTtlMs by default", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", ...QUICK });
    await a.becomes();
    const before = performance.now();
    await a.node.stepDown();
    await a.becomes();
    expect(performance.now() - before).toBeGreaterThanOrEqual(QUICK.leaseTtlMs);
  });

  test("of 0 lets a node lead again at once", async () => {
    const a = await startLeader(server, { ...LONG, clusterId: freshId(), nodeId: "a", cooldownMs: 0 });
    await a.becomes();
    await a.node.stepDown();
    await a.becomes(); // sooner than the default cooldown, which is the TTL
  });
});

describe("different TTLs", () => {
  test("a follower waits the longer of its own and the dead leader's", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    const first = await startLeader(server, { ...QUICK, clusterId, nodeId: "first" });
    await first.node.stop();
    await operator.put({
      node_id: "gone",
      epoch: 9,
      acquired_at: 1,
      incarnation: "x",
      nonce: 1,
      ttl_ms: 2000,
    });
    const before = performance.now();
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    expect((await b.becomes()).epoch).toBe(10);
    expect(performance.now() - before).toBeGreaterThanOrEqual(2000);
  });
});
