/** Records that the node did not write, from other incarnations, operators and other programs; and deleted buckets. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { leaseSubject, streamName } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import { CALM, QUICK, settled, startLeader, startNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A bucket that a node has created and left. */
async function usedBucket(): Promise<{ clusterId: string; operator: Operator }> {
  const clusterId = freshId();
  const first = await startLeader(server, { clusterId, nodeId: "first" });
  await first.node.stop();
  return { clusterId, operator: await operatorOf(server, clusterId) };
}

function foreign(nodeId: string, epoch: number, over: object = {}): object {
  return { node_id: nodeId, epoch, acquired_at: 1, incarnation: "other", nonce: 1, ttl_ms: 1000, ...over };
}

describe("a record with this node's id and another incarnation", () => {
  test("does not promote it: it waits for the lease to expire, as any other node does", async () => {
    const { clusterId, operator } = await usedBucket();
    await operator.put(foreign("a", 7));
    const before = performance.now();
    const a = await startNode(server, { ...QUICK, clusterId, nodeId: "a" });
    await a.until(() => a.node.leader !== null);
    expect(a.node.leader).toMatchObject({ nodeId: "a", incarnation: "other", epoch: 7 });
    expect(a.node.isLeader()).toBe(false);
    const term = await a.becomes();
    expect(performance.now() - before).toBeGreaterThanOrEqual(QUICK.leaseTtlMs);
    expect(term.epoch).toBe(8);
    expect(a.count("become-leader")).toBe(1);
  });

  test("does not promote a running follower that sees it by its watch", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    const operator = await operatorOf(server, clusterId);
    const before = performance.now();
    await operator.put(foreign("b", 7, { ttl_ms: CALM.leaseTtlMs }));
    await b.until(() => b.node.leader?.nodeId === "b");
    expect(b.node.isLeader()).toBe(false);
    expect((await a.next("lose-leadership")).reason).toBe("superseded");
    await settled([a, b], 7);
    expect(performance.now() - before).toBeGreaterThanOrEqual(CALM.leaseTtlMs);
  });

  test("ends the term of the leader whose lease it replaced", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const operator = await operatorOf(server, a.node.clusterId);
    await operator.put(foreign("a", 3));
    expect(await a.next("lose-leadership")).toMatchObject({
      reason: "superseded",
      by: { nodeId: "a", epoch: 3 },
    });
  });
});

test("of two nodes with the same id one leads, and both warn once and name both", async () => {
  const clusterId = freshId();
  const first = await startLeader(server, { ...CALM, heartbeatIntervalMs: 200, clusterId, nodeId: "twin" });
  const second = await startNode(server, { ...CALM, heartbeatIntervalMs: 200, clusterId, nodeId: "twin" });
  await second.until(() => second.warnings("DUPLICATE_NODE_ID").length > 0);
  const [warning = ""] = second.warnings("DUPLICATE_NODE_ID");
  expect(warning).toContain("twin");
  expect(warning).toContain(first.node.leader?.incarnation);
  const lines = second.log.filter((line) => line.fields["code"] === "DUPLICATE_NODE_ID");
  expect(lines).toMatchObject([{ level: "warn", fields: { node: "twin" } }]);
  expect(warning).toContain(String(lines[0]?.fields["incarnation"]));
  await pause(1.5 * QUICK.leaseTtlMs);
  await first.leads();
  expect(second.node.isLeader()).toBe(false);
  expect(second.warnings("DUPLICATE_NODE_ID")).toHaveLength(1);
  const [fromLeader = "", ...more] = first.warnings("DUPLICATE_NODE_ID");
  expect(fromLeader).toContain(first.node.leader?.incarnation);
  expect(fromLeader).toContain(String(lines[0]?.fields["incarnation"]));
  expect(more).toEqual([]);
});

describe("a step-down never touches a successor's lease", () => {
  test.each(["lease", "presence"] as const)(
    "when the leader was cut off at that time (crashDetection: %s)",
    async (crashDetection) => {
      const clusterId = freshId();
      const proxy = await proxied(server);
      const stale = await startLeader(proxy, { ...CALM, clusterId, nodeId: "stale", crashDetection });
      const operator = await operatorOf(server, clusterId);
      proxy.blackhole(true);
      const revision = await operator.put(foreign("successor", 2));
      await stale.leads(); // the record cannot have reached it
      const down = stale.node.stepDown();
      await stale.called("onLoseLeadership");
      proxy.blackhole(false);
      await down;
      expect(await operator.stored()).toMatchObject({ seq: revision });
      expect(await operator.record()).toMatchObject({ node_id: "successor" });
      expect(stale.node.isLeader()).toBe(false);
    },
  );

  test("when the successor writes while the release is on its way", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const stale = await startLeader(proxy, { clusterId, nodeId: "stale" });
    const operator = await operatorOf(server, clusterId);
    const isRelease = (frame: { subject: string; text: string }): boolean =>
      frame.subject === leaseSubject(clusterId) && frame.text.includes("KV-Operation: DEL");
    const taking = proxy.takeNextToServer(isRelease);
    const down = stale.node.stepDown();
    const release = await taking;
    const revision = await operator.put(foreign("successor", 2));
    release.release();
    await down;
    expect(await operator.stored()).toMatchObject({ seq: revision });
  });
});

describe("garbage in the key", () => {
  test.each([
    ["no JSON", "garbage"],
    ["an empty value", ""],
    ["a record without an epoch", '{"node_id":"x","acquired_at":1}'],
    ["an epoch that is no number", '{"node_id":"x","epoch":"7","acquired_at":1}'],
  ])("%s is replaced with a larger epoch after its lease has expired", async (_, value) => {
    const { clusterId, operator } = await usedBucket();
    const revision = await operator.put(value);
    const before = performance.now();
    const a = await startNode(server, { ...QUICK, clusterId, nodeId: "a" });
    const term = await a.becomes();
    expect(performance.now() - before).toBeGreaterThanOrEqual(QUICK.leaseTtlMs);
    expect(term.epoch).toBeGreaterThan(1);
    expect(term.epoch).toBeGreaterThan(revision - 1);
    expect(a.warnings("GARBAGE_RECORD")).toHaveLength(1);
  });

  test("over a leader's record is replaced by the leader, and the term goes on", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    await b.sees(a);
    const operator = await operatorOf(server, clusterId);
    const { term } = a.node;
    for (let times = 1; times <= 8; times++) {
      const revision = await operator.put("garbage");
      await waitFor(async () => ((await operator.stored())?.seq ?? 0) > revision);
      expect(await operator.record()).toMatchObject({ node_id: "a", epoch: 1 });
    }
    expect([a.node.term, b.node.isLeader()]).toEqual([term, false]);
  });
});

describe("an operator", () => {
  test.each(["DEL", "PURGE"] as const)(
    "who removes the key (%s) ends the term; epochs go on above it",
    async (operation) => {
      const clusterId = freshId();
      const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
      const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
      await b.sees(a);
      const operator = await operatorOf(server, clusterId);
      await operator.del(operation);
      expect((await a.next("lose-leadership")).reason).toBe("deleted");
      await settled([a, b], 1);
    },
  );

  test("who purges the whole stream ends the term; epochs go on above it", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
    const operator = await operatorOf(server, clusterId);
    await operator.purgeBucket();
    expect((await a.next("lose-leadership")).reason).toBe("deleted");
    await a.next("become-leader", ({ term }) => term.epoch > 1);
  });

  test("who deletes the bucket ends the term at once, with a warning; epochs go on above it", async () => {
    const clusterId = freshId();
    const options = { ...QUICK, clusterId, cooldownMs: 0, successorGraceMs: 1000 };
    const a = await startLeader(server, { ...options, nodeId: "a" });
    const b = await startNode(server, { ...options, nodeId: "b" });
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const { epoch } = from.node;
      await from.node.stepDown({ to: to.id });
      await settled([a, b], epoch);
    }
    expect(a.node).toMatchObject({ epoch: 3, role: "leader" });
    const operator = await operatorOf(server, clusterId);
    await operator.deleteBucket();
    expect((await a.next("lose-leadership", ({ reason }) => reason === "deleted")).term.epoch).toBe(3);
    await settled([a, b], 3);
    expect(a.warnings("BUCKET_MISSING").length + a.warnings("BUCKET_RECREATED").length).toBeGreaterThan(0);
    const loud = a.log.filter((line) => line.level === "warn" && /BUCKET_/.test(String(line.fields["code"])));
    expect(loud[0]?.fields).toMatchObject({ cluster: clusterId, node: "a" });
    expect(await operator.config()).toMatchObject({ name: streamName(clusterId), max_msgs_per_subject: 1 });
  });

  test("who deletes and recreates the bucket at once ends the term too", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a" });
    await a.node.stop();
    await a.start();
    await a.next("become-leader", ({ term }) => term.epoch === 2);
    const operator = await operatorOf(server, clusterId);
    proxy.blackhole(true); // so that the node does not recreate the bucket first
    await operator.deleteBucket();
    await operator.createBucket(0);
    proxy.blackhole(false);
    expect((await a.next("lose-leadership", ({ term }) => term.epoch === 2)).reason).toBe("deleted");
    expect((await a.becomes()).epoch).toBeGreaterThan(2);
    expect(a.warnings("BUCKET_RECREATED")).toHaveLength(1);
    expect(await operator.record()).toMatchObject({ node_id: "a", epoch: a.node.epoch });
  });

  test("who restores an older record does not lower epochs: the next one is above all that were seen", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a", cooldownMs: 0 });
    for (let epoch = 2; epoch <= 4; epoch++) {
      await a.node.stepDown();
      await a.next("become-leader", ({ term }) => term.epoch === epoch);
    }
    await (await operatorOf(server, clusterId)).put(foreign("ghost", 1));
    expect((await a.next("lose-leadership", ({ term }) => term.epoch === 4)).reason).toBe("superseded");
    await a.until(() => a.warnings("EPOCH_REGRESSED").length === 1);
    expect((await a.becomes()).epoch).toBe(5);
  });
});
