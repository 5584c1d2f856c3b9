/** Nodes of nats-leader and go-cluster in one cluster: takeovers, their epochs and their times. */
import { describe, expect, test } from "vitest";
import { statusSubject, stepdownSubject } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { GoClusterPeer } from "../support/node/go-cluster-emulator.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { startNode, type TestNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const LEASE_TTL_MS = 2000;
const HEARTBEAT_MS = 500;
const TIMING = {
  leaseTtlMs: LEASE_TTL_MS,
  heartbeatIntervalMs: HEARTBEAT_MS,
  interop: "go-cluster",
} as const;

const server = useNatsServer();

describe.each(["go-cluster", "nats-leader"] as const)("in a bucket that %s created", (maker) => {
  /** A cluster whose bucket exists without a holder. */
  async function cluster(): Promise<Operator> {
    const operator = await operatorOf(server, freshId());
    if (maker === "go-cluster") await operator.createBucket(LEASE_TTL_MS);
    else await (await ours(operator, "maker", { observer: true })).node.stop();
    expect((await operator.config())["max_age"]).toBe(LEASE_TTL_MS * 1e6);
    return operator;
  }

  const ours = (operator: Operator, nodeId: string, options: object = {}): Promise<TestNode> =>
    startNode(server, { ...TIMING, clusterId: operator.clusterId, nodeId, ...options });
  const go = ({ clusterId }: Operator, nodeId: string): Promise<GoClusterPeer> =>
    GoClusterPeer.start({
      url: server.url,
      clusterId,
      nodeId,
      leaseTtlMs: LEASE_TTL_MS,
      heartbeatMs: HEARTBEAT_MS,
    });

  async function goLeads(operator: Operator, nodeId = "go"): Promise<GoClusterPeer> {
    const peer = await go(operator, nodeId);
    if (!peer.isLeader) await peer.events.next((event) => event.type === "become");
    return peer;
  }

  test("go-cluster's leader is followed as long as it renews", async () => {
    const operator = await cluster();
    const peer = await goLeads(operator);
    const node = await ours(operator, "node");
    await node.until(() => node.node.leader?.nodeId === "go");
    expect(node.node.epoch).toBe(peer.epoch);
    const before = await operator.lastSequence();
    while ((await operator.lastSequence()) < before + 4)
      await peer.events.next((event) => event.type === "sees");
    expect(node.node.isLeader()).toBe(false);
    expect(peer.isLeader).toBe(true);
    expect(await operator.record()).toEqual({
      node_id: "go",
      epoch: peer.epoch,
      acquired_at: expect.any(Number),
    });
  });

  test("go-cluster follows a leader of nats-leader and reads its record", async () => {
    const operator = await cluster();
    const node = await ours(operator, "node");
    await node.until(() => node.node.isLeader());
    const peer = await go(operator, "go");
    const sees = await peer.events.next((event) => event.type === "sees" && event.nodeId === "node");
    expect(sees).toMatchObject({ epoch: node.node.epoch });
    for (let renewals = 0; renewals < 4; renewals++) await peer.events.next((event) => event.type === "sees");
    expect(peer.isLeader).toBe(false);
    expect(node.node.isLeader()).toBe(true);
  });

  test("go-cluster leads at once after a step-down of nats-leader, with the next epoch", async () => {
    const operator = await cluster();
    const node = await ours(operator, "node");
    await node.until(() => node.node.isLeader());
    const { epoch } = node.node;
    const peer = await go(operator, "go");
    await peer.events.next((event) => event.type === "sees");
    const answer = await operator.connection.request(stepdownSubject(operator.clusterId, "node"), "", {
      timeout: 3000,
    });
    expect(answer.json()).toEqual({ ok: true });
    const become = await peer.events.next((event) => event.type === "become");
    expect(become).toMatchObject({ epoch: epoch + 1 });
    await node.until(() => node.node.leader?.nodeId === "go");
    expect(node.node.epoch).toBe(epoch + 1);
  });

  test("nats-leader leads at once after go-cluster's step-down, an unconditional delete and a cooldown key", async () => {
    const operator = await cluster();
    const peer = await goLeads(operator);
    const node = await ours(operator, "node");
    await node.until(() => node.node.leader?.nodeId === "go");
    const { epoch } = peer;
    const began = performance.now();
    const answer = await operator.connection.request(stepdownSubject(operator.clusterId, "go"), "", {
      timeout: 3000,
    });
    expect(answer.json()).toEqual({ ok: true });
    const term = await node.becomes();
    expect(performance.now() - began).toBeLessThan(LEASE_TTL_MS); // the record is not waited out
    expect(term.epoch).toBeGreaterThan(epoch);
    // go-cluster cools down and follows.
    await peer.events.next((event) => event.type === "sees" && event.nodeId === "node");
    expect(peer.isLeader).toBe(false);
  });

  test("a go-cluster leader that ends without a release is replaced after its lease, with a larger epoch", async () => {
    const operator = await cluster();
    const peer = await goLeads(operator);
    const node = await ours(operator, "node");
    await node.until(() => node.node.leader?.nodeId === "go");
    const { epoch } = peer;
    const renewed = await peer.events.next((event) => event.type === "sees");
    expect(renewed).toMatchObject({ nodeId: "go" });
    const began = performance.now();
    await peer.stop();
    const term = await node.becomes(3 * LEASE_TTL_MS);
    expect(performance.now() - began).toBeGreaterThan(LEASE_TTL_MS - HEARTBEAT_MS - 100);
    expect(term.epoch).toBeGreaterThan(epoch);
  });

  test("a killed leader of nats-leader leaves a record that expires, and go-cluster continues from its epoch", async () => {
    const operator = await cluster();
    const dead = await startChildNode(server, { ...TIMING, clusterId: operator.clusterId, nodeId: "dead" });
    const { epoch = 0 } = await dead.next("become");
    const peer = await go(operator, "go");
    await peer.events.next((event) => event.type === "sees");
    dead.child.kill("SIGKILL");
    const become = await peer.events.next((event) => event.type === "become", 3 * LEASE_TTL_MS);
    expect(become).toMatchObject({ epoch: epoch + 1 });
  });

  test("a killed leader of nats-leader is replaced by another before go-cluster can act", async () => {
    const operator = await cluster();
    const dead = await startChildNode(server, { ...TIMING, clusterId: operator.clusterId, nodeId: "dead" });
    const { epoch = 0 } = await dead.next("become");
    const peer = await go(operator, "go");
    const node = await ours(operator, "node");
    await node.until(() => node.node.epoch === epoch);
    dead.child.kill("SIGKILL");
    expect((await node.becomes()).epoch).toBe(epoch + 1);
    await peer.events.next((event) => event.type === "sees" && event.nodeId === "node");
    expect(peer.isLeader).toBe(false);
  });

  test("leadership moves between both kinds, and epochs increase", async () => {
    const operator = await cluster();
    const epochs: number[] = [];
    const node = await ours(operator, "node", { cooldownMs: 0 });
    epochs.push((await node.becomes()).epoch);
    const peer = await go(operator, "go");
    await peer.events.next((event) => event.type === "sees");
    for (let round = 0; round < 2; round++) {
      // A node of go-cluster polls, and may come too late for a step-down: this one comes back when it leads.
      await node.node.withdraw();
      const become = await peer.events.next((event) => event.type === "become");
      epochs.push(become.type === "become" ? become.epoch : 0);
      await node.node.rejoin();
      await peer.stepDown();
      epochs.push((await node.becomes()).epoch);
      await peer.events.next((event) => event.type === "sees" && event.nodeId === "node");
      // go-cluster's cooldown is as long as its lease.
      await operator.api(`STREAM.PURGE.KV_KV_CLUSTER_${operator.clusterId}`, {
        filter: `$KV.KV_CLUSTER_${operator.clusterId}.cooldown.>`,
      });
    }
    expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
    expect(epochs).toHaveLength(5);
  });

  test("a new go-cluster node starts at epoch 1 after an expiry; nats-leader warns, and exceeds every earlier epoch", async () => {
    const operator = await cluster();
    const first = await startChildNode(server, { ...TIMING, clusterId: operator.clusterId, nodeId: "first" });
    await first.next("become");
    first.child.kill("SIGKILL");
    const watcher = await ours(operator, "watcher", { cooldownMs: 0 });
    const { epoch } = await watcher.becomes(3 * LEASE_TTL_MS);
    expect(epoch).toBeGreaterThan(1);
    // As after an expiry, while no node of nats-leader competes.
    await watcher.node.withdraw();
    await operator.purgeBucket();
    const peer = await goLeads(operator);
    expect(peer.epoch).toBe(1);
    await watcher.next("warning", (event) => event.code === "EPOCH_REGRESSED");
    await watcher.node.rejoin();
    await peer.stepDown();
    expect((await watcher.becomes(3 * LEASE_TTL_MS)).epoch).toBeGreaterThan(epoch);
  });

  test("both kinds answer a status request", async () => {
    const operator = await cluster();
    const peer = await goLeads(operator);
    const node = await ours(operator, "node");
    await node.until(() => node.node.leader?.nodeId === "go");
    const ask = async (nodeId: string): Promise<object> =>
      (await operator.connection.request(statusSubject(operator.clusterId, nodeId), "")).json();
    const common = { leader: "go", epoch: peer.epoch, uptimeMs: expect.any(Number), connected: true };
    expect(await ask("go")).toEqual({ nodeId: "go", role: "PRIMARY", ...common });
    expect(await ask("node")).toMatchObject({ nodeId: "node", role: "PASSIVE", ...common });
  });
});

test("a bucket of go-cluster whose max-age is shorter than the lease is rejected", async () => {
  const operator = await operatorOf(server, freshId());
  await operator.createBucket(LEASE_TTL_MS);
  const options = { clusterId: operator.clusterId, nodeId: "node", leaseTtlMs: LEASE_TTL_MS + 1 };
  await expect(startNode(server, options)).rejects.toMatchObject({ code: "BUCKET_INCOMPATIBLE" });
});

test("two emulated nodes of go-cluster: unconditional delete, create, epoch of the last record", async () => {
  const { clusterId } = await operatorOf(server, freshId());
  const start = (nodeId: string): Promise<GoClusterPeer> =>
    GoClusterPeer.start({
      url: server.url,
      clusterId,
      nodeId,
      leaseTtlMs: LEASE_TTL_MS,
      heartbeatMs: HEARTBEAT_MS,
    });
  const a = await start("a");
  expect(a).toMatchObject({ isLeader: true, epoch: 1 });
  const b = await start("b");
  await b.events.next((event) => event.type === "sees" && event.nodeId === "a");
  await a.stepDown();
  expect(await b.events.next((event) => event.type === "become")).toMatchObject({ epoch: 2 });
  await a.events.next((event) => event.type === "sees" && event.nodeId === "b");
  await b.stop();
  expect(await a.events.next((event) => event.type === "become", 4 * LEASE_TTL_MS)).toMatchObject({
    epoch: 3,
  });
});
