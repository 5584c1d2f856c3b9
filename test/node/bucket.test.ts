/** Buckets that exist before the node starts, created by go-cluster or by hand, with and without max-age; and watches that fail. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import type { NodeOptions } from "../../src/config/resolve.ts";
import { bucketName, republishSubject, streamName } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { goRecord, type Operator, operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import {
  CALM,
  makeNode,
  QUICK,
  settled,
  startLeader,
  startNode,
  type TestNode,
} from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const NANOS_PER_MS = 1_000_000;

const server = useNatsServer();

/** A bucket as go-cluster creates it, after some terms of go-cluster nodes: the last epoch is 5. */
async function goBucket(maxAgeMs: number): Promise<{ clusterId: string; operator: Operator }> {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  await operator.createBucket(maxAgeMs);
  for (let epoch = 1; epoch <= 4; epoch++) {
    await operator.put(goRecord("go-1", epoch));
    await operator.del();
  }
  return { clusterId, operator };
}

/** Resolves when the lease was written so many times from now on. */
async function writes(operator: Operator, count: number): Promise<void> {
  const before = await operator.lastSequence();
  await waitFor(async () => (await operator.lastSequence()) >= before + count, { intervalMs: 50 });
}

describe("a bucket created by go-cluster", () => {
  test("with a max-age that is the TTL works: a dead Go leader is replaced with a larger epoch after its lease has expired", async () => {
    const { leaseTtlMs } = CALM;
    const { clusterId, operator } = await goBucket(leaseTtlMs);
    await operator.put(goRecord("go-1", 5));
    const before = performance.now();
    const a = await startNode(server, { leaseTtlMs, clusterId, nodeId: "a" });
    await a.until(() => a.node.leader?.nodeId === "go-1");
    expect(a.node).toMatchObject({ role: "follower", epoch: 5 });
    expect((await a.becomes()).epoch).toBeGreaterThan(5);
    expect(performance.now() - before).toBeGreaterThanOrEqual(leaseTtlMs - 100);
  });

  test("makes a node wait for its max-age even if the node's own TTL is shorter", async () => {
    const { clusterId, operator } = await goBucket(2000);
    await operator.put(goRecord("go-1", 5));
    const before = performance.now();
    const a = await startNode(server, { ...QUICK, clusterId, nodeId: "a" });
    expect((await a.becomes()).epoch).toBeGreaterThan(5);
    expect(performance.now() - before).toBeGreaterThanOrEqual(1900);
  });

  test("a Go leader that renews is never replaced, and one that steps down by a plain delete is replaced at once", async () => {
    const { clusterId, operator } = await goBucket(2000);
    await operator.put(goRecord("go-1", 5));
    const a = await startNode(server, { ...QUICK, clusterId, nodeId: "a" });
    // The interval at which the Go leader renews, for one and a half max-ages.
    for (let renewal = 0; renewal < 6; renewal++) {
      await pause(500);
      await operator.put(goRecord("go-1", 5));
    }
    expect(a.node.leader).toMatchObject({ nodeId: "go-1", epoch: 5 });
    expect(a.count("become-leader")).toBe(0);
    const before = performance.now();
    await operator.del();
    const term = await a.becomes();
    // After a record the node would have waited for the max-age.
    expect(performance.now() - before).toBeLessThan(2000);
    expect(term.epoch).toBeGreaterThan(5);
  });

  test("keeps the term of a node for several max-ages, in records that Go can read", async () => {
    const { clusterId, operator } = await goBucket(1500);
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
    const { epoch } = a.node;
    expect(epoch).toBeGreaterThan(4);
    const since = Date.now();
    // A renewal every 450 ms: of two max-ages.
    await writes(operator, 7);
    expect([a.node.epoch, a.node.role]).toEqual([epoch, "leader"]);
    expect(a.count("become-leader")).toBe(1);
    const record = await operator.record();
    expect(record).toMatchObject({ node_id: "a", epoch });
    expect(Number.isInteger(record["acquired_at"])).toBe(true);
    expect(Math.abs(Number(record["acquired_at"]) - since)).toBeLessThan(2000);
    await a.node.stop();
    const marker = await operator.stored();
    expect(marker?.value).toBe("");
    expect(marker?.headers).toContain("KV-Operation: DEL");
  });

  test("in which the lease expired while no node ran: a new node's epoch is still larger", async () => {
    const { clusterId, operator } = await goBucket(QUICK.leaseTtlMs);
    await operator.put(goRecord("go-1", 5));
    await waitFor(async () => (await operator.stored()) === null);
    const a = await startNode(server, { ...QUICK, clusterId, nodeId: "a" });
    expect((await a.becomes()).epoch).toBeGreaterThan(5);
  });
});

test("a bucket created with interop has the configuration of go-cluster: max-age = TTL, history 1", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { leaseTtlMs: 2000, clusterId, nodeId: "a", interop: "go-cluster" });
  const operator = await operatorOf(server, clusterId);
  const config = await operator.config();
  expect(config).toMatchObject({
    name: streamName(clusterId),
    subjects: [`$KV.${bucketName(clusterId)}.>`],
    max_age: 2000 * NANOS_PER_MS,
    max_msgs_per_subject: 1,
    storage: "file",
    discard: "new",
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
    num_replicas: 1,
  });
  expect(await operator.record()).toMatchObject({ node_id: "a", epoch: 1 });
  const b = await startNode(server, { leaseTtlMs: 2000, clusterId, nodeId: "b", interop: "go-cluster" });
  await a.node.stepDown();
  await settled([a, b], 1);
});

test("a bucket created without interop has no max-age", async () => {
  const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
  const config = await (await operatorOf(server, a.node.clusterId)).config();
  expect(config).toMatchObject({ max_age: 0, max_msgs_per_subject: 1 });
});

/** Servers before 2.10 do not support a first sequence for a stream. */
const beginsAnywhere = process.env["NATS_TEST_VERSION"]?.startsWith("2.9.") !== true;

describe.runIf(beginsAnywhere)("a bucket recreated by a node that remembers its epoch", () => {
  async function leaderOfEpoch5(options: Partial<NodeOptions> & { clusterId: string }): Promise<TestNode> {
    const a = await startLeader(server, { ...QUICK, cooldownMs: 0, ...options, nodeId: "a" });
    for (let epoch = 2; epoch <= 5; epoch++) {
      await a.node.stepDown();
      await a.next("become-leader", ({ term }) => term.epoch === epoch);
    }
    return a;
  }

  test("keeps epochs rising for a new node that finds it empty", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    const a = await leaderOfEpoch5({ clusterId });
    await operator.deleteBucket();
    const { term } = await a.next("become-leader", ({ term: { epoch } }) => epoch > 5);
    await a.node.stop();
    await operator.purgeBucket();
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    expect((await b.becomes()).epoch).toBeGreaterThan(term.epoch);
  });

  test("keeps epochs rising for a new node when the last lease has expired", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    const a = await leaderOfEpoch5({ clusterId, interop: "go-cluster" });
    await operator.deleteBucket();
    const { term } = await a.next("become-leader", ({ term: { epoch } }) => epoch > 5);
    await a.node.stop();
    await waitFor(async () => (await operator.stored()) === null);
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    expect((await b.becomes()).epoch).toBeGreaterThan(term.epoch);
  });

  test("keeps epochs rising when the bucket was deleted while the node was stopped", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    const a = await leaderOfEpoch5({ clusterId });
    await a.node.stop();
    await operator.deleteBucket();
    await a.start();
    const { term } = await a.next("become-leader", ({ term: { epoch } }) => epoch > 5);
    await a.node.stop();
    await operator.purgeBucket();
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    expect((await b.becomes()).epoch).toBeGreaterThan(term.epoch);
  });
});

describe("a bucket that can't be used is refused with BUCKET_INCOMPATIBLE", () => {
  test("when its max-age is shorter than the TTL, naming both numbers", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    await operator.createBucket(2000);
    const a = makeNode(server, { leaseTtlMs: 3000, clusterId, nodeId: "a" });
    await expect(a.start()).rejects.toMatchObject({
      code: "BUCKET_INCOMPATIBLE",
      recoverable: false,
      message: expect.stringMatching(/max-age is 2000 ms.*leaseTtlMs is 3000/),
    });
    expect(a.node).toMatchObject({ role: "stopped", connected: false });
    expect((await operator.config())["max_age"]).toBe(2000 * NANOS_PER_MS);
    expect(await operator.lastSequence()).toBe(0);
  });

  test("when it keeps a history", async () => {
    const clusterId = freshId();
    await (await operatorOf(server, clusterId)).createBucket(0, { max_msgs_per_subject: 5 });
    const a = makeNode(server, { clusterId, nodeId: "a" });
    await expect(a.start()).rejects.toMatchObject({
      code: "BUCKET_INCOMPATIBLE",
      message: expect.stringContaining("history is 5, it must be 1"),
    });
  });
});

describe("a lease that expired", () => {
  test("leaves its epoch in the bucket: a new node's epoch is larger", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    const first = await startLeader(server, { ...QUICK, clusterId, nodeId: "first" });
    await first.node.stop();
    await operator.put({
      node_id: "dead",
      epoch: 41,
      acquired_at: 1,
      incarnation: "x",
      nonce: 1,
      ttl_ms: 200,
    });
    // The record stays: nothing happens when its lease has expired.
    await pause(400);
    const before = performance.now();
    const fresh = await startNode(server, { ...QUICK, clusterId, nodeId: "fresh" });
    expect((await fresh.becomes()).epoch).toBe(42);
    // The new node cannot know when the lease was last renewed, so it waits for the whole TTL.
    expect(performance.now() - before).toBeGreaterThanOrEqual(QUICK.leaseTtlMs);
  });
});

describe("a watch that fails", () => {
  test("because its consumer was deleted does not keep other nodes from finding the next leader", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    // A republish of another tool makes the watch use a consumer, on every version.
    const republish = { src: `$KV.${bucketName(clusterId)}.>`, dest: "elsewhere.>" };
    await operator.createBucket(0, { republish });
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    const c = await startNode(server, { clusterId, nodeId: "c", observer: true });
    await Promise.all([b.sees(a), c.sees(a)]);
    const watches = (await operator.consumers()).filter((name) => name.startsWith("lease_watch"));
    expect(watches).toHaveLength(3);
    for (const name of watches) await operator.api(`CONSUMER.DELETE.${streamName(clusterId)}.${name}`);
    await a.node.stepDown();
    await settled([b, a], 1);
    await c.sees(b);
  });

  test("without an error does not keep an observer from finding the next leader", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    const deaf = await startNode(proxy, { clusterId, nodeId: "deaf", observer: true });
    await Promise.all([b.sees(a), deaf.sees(a)]);
    proxy.filterToClient((frame) => frame.subject !== republishSubject(clusterId));
    await a.node.stepDown();
    await b.until(() => b.node.isLeader());
    await deaf.sees(b);
    expect(deaf.node.epoch).toBe(2);
  });

  test("without an error does not end the term of a leader whose writes are applied", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a" });
    proxy.filterToClient((frame) => frame.subject !== republishSubject(clusterId));
    // A renewal every 450 ms: of more than a lease.
    await writes(await operatorOf(server, clusterId), 5);
    expect([a.node.role, a.node.epoch]).toEqual(["leader", 1]);
    expect(a.types()).toEqual(["started", "become-leader", "leader-change"]);
  });
});

describe("an observer", () => {
  test("sees every change of leader, never competes, and writes nothing into the bucket", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a", cooldownMs: 0 });
    const watcher = await startNode(server, { ...QUICK, clusterId, nodeId: "watcher", observer: true });
    await watcher.sees(a);
    await a.node.stop();
    await watcher.sees(null);
    const operator = await operatorOf(server, clusterId);
    const last = await operator.lastSequence();
    // Nothing is to happen: a node that competes would write at once, and after a lease at the latest.
    await pause(QUICK.leaseTtlMs);
    expect(await operator.lastSequence()).toBe(last);
    expect(watcher.node).toMatchObject({ role: "follower", leader: null, epoch: 0 });
    await a.start();
    await watcher.sees(a);
    expect(watcher.calls("onLeaderChange").map((call) => call.leader?.epoch ?? null)).toEqual([1, null, 2]);
    expect(watcher.count("become-leader")).toBe(0);
    await expect(watcher.node.campaign()).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(watcher.node.stepDown()).rejects.toMatchObject({ code: "NOT_LEADER" });
  });

  test("that creates the bucket itself sees the first leader", async () => {
    const clusterId = freshId();
    const watcher = await startNode(server, { clusterId, nodeId: "watcher", observer: true });
    expect(watcher.node.leader).toBeNull();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    await watcher.sees(a);
  });

  test("reports no leader when the leader has stopped renewing", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a", crashDetection: "lease" });
    const watcher = await startNode(server, { ...QUICK, clusterId, nodeId: "watcher", observer: true });
    await watcher.sees(a);
    proxy.blackhole(true);
    await watcher.sees(null);
    expect(a.node.isLeader()).toBe(false);
    proxy.blackhole(false);
  });
});

/** A server 2.9 removes the files of a stream after it has answered that the stream is gone, and with them those of a new one. */
test("a bucket that is deleted again and again can be written each time it was recreated", async () => {
  const clusterId = freshId();
  const options = { ...QUICK, clusterId, cooldownMs: 0 };
  const a = await startLeader(server, { ...options, nodeId: "a" });
  const b = await startNode(server, { ...options, nodeId: "b" });
  const operator = await operatorOf(server, clusterId);
  let { epoch } = a.node;
  for (let deletion = 1; deletion <= 6; deletion++) {
    await operator.deleteBucket();
    epoch = (await settled([a, b], epoch))[0].node.epoch;
  }
  expect(epoch).toBeGreaterThanOrEqual(7);
});
