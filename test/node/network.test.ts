/** Single messages that are lost or late, and connections that drop and come back. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Frame } from "../../scripts/shared/nats-frames.ts";
import { within } from "../../scripts/shared/wait.ts";
import { leaseSubject } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { overlaps, proxied } from "../support/node/proxy.ts";
import { CALM, QUICK, startLeader, startNode } from "../support/node/test-node.ts";
import { LONG, PATIENCE_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

const MODES = ["lease", "presence"] as const;

/** Writes of the lease on their way to the server. */
function writes(clusterId: string): (frame: Frame) => boolean {
  return (frame) => frame.subject === leaseSubject(clusterId);
}

describe.each(MODES)("an answer that is lost (crashDetection: %s)", (crashDetection) => {
  test("to a renewal: the same term goes on, without a second become-leader", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...CALM, clusterId, nodeId: "a", crashDetection });
    const operator = await operatorOf(server, clusterId);
    const heard = await operator.hear();
    await proxy.takeReplyTo(writes(clusterId));
    await heard.until((items) => items.length >= 3);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect([a.count("become-leader"), a.count("lose-leadership"), a.count("suspended")]).toEqual([1, 0, 0]);
    expect(a.warnings("STORE_FAILING")).toHaveLength(1);
  });

  test("to several renewals: the same term goes on, because reads show that they were applied", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a", crashDetection });
    for (let lost = 0; lost < 4; lost++) await proxy.takeReplyTo(writes(clusterId));
    await pause(QUICK.leaseTtlMs);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(a.count("become-leader")).toBe(1);
  });

  test("to the acquiring write: the node leads once, with epoch 1, without waiting for W", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const taking = proxy.takeReplyTo(writes(clusterId));
    const a = await startNode(proxy, { ...LONG, clusterId, nodeId: "a", crashDetection });
    await taking;
    expect((await a.becomes()).epoch).toBe(1);
    await pause(CALM.leaseTtlMs / 2);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(a.count("become-leader")).toBe(1);
  });

  test("to the release: the stop resolves, and the next leader does not wait for W", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...LONG, clusterId, nodeId: "a", crashDetection });
    const b = await startNode(server, { ...LONG, clusterId, nodeId: "b", crashDetection });
    await b.sees(a);
    const isRelease = (frame: Frame): boolean =>
      writes(clusterId)(frame) && frame.text.includes("KV-Operation");
    const taking = proxy.takeReplyTo(isRelease);
    const stopped = a.node.stop();
    await taking;
    await b.until(() => b.node.isLeader());
    await within(stopped, { timeoutMs: PATIENCE_MS });
  });
});

describe("a request that is lost", () => {
  test("a renewal is repeated, and the term goes on", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...CALM, clusterId, nodeId: "a" });
    await proxy.takeNextToServer(writes(clusterId));
    await pause(CALM.leaseTtlMs);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(a.count("become-leader")).toBe(1);
  });

  test("an acquiring write that arrives after its request timed out does not affect the term", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const taking = proxy.takeNextToServer(writes(clusterId));
    const a = await startNode(proxy, { ...CALM, clusterId, nodeId: "a" });
    const late = await taking;
    const term = await a.becomes(); // by its second acquiring write
    late.release();
    await pause(CALM.leaseTtlMs);
    expect(a.node).toMatchObject({ role: "leader", epoch: term.epoch });
    expect(a.count("become-leader")).toBe(1);
  });

  test("an acquiring write that is applied after the node has stopped holds the lease no longer than W", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const taking = proxy.takeNextToServer(writes(clusterId));
    const a = await startNode(proxy, { ...QUICK, clusterId, nodeId: "a", crashDetection: "lease" });
    const late = await taking;
    const stopping = a.node.stop();
    late.release();
    await stopping;
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    await b.until(() => b.node.isLeader());
    expect(a.count("become-leader")).toBe(0);
  });
});

describe("a connection that drops and comes back", () => {
  test("does not end the term (crashDetection: lease), nor suspend it", async () => {
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { clusterId: freshId(), nodeId: "a", crashDetection: "lease" });
    const term = a.node.term;
    for (let times = 1; times <= 3; times++) {
      proxy.cut();
      await a.called("onNatsDisconnect", times);
      await a.leads();
      await a.called("onNatsReconnect", times);
    }
    await a.leads();
    expect(a.node.term).toBe(term);
    expect([a.count("become-leader"), a.count("lose-leadership"), a.count("suspended")]).toEqual([1, 0, 0]);
  });

  test("suspends the term (crashDetection: presence) until a renewal is acknowledged, and does not end it", async () => {
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { clusterId: freshId(), nodeId: "a" });
    const { term } = a.node;
    proxy.refuse(true);
    proxy.cut();
    const suspended = await a.next("suspended");
    expect(suspended.term).toBe(term);
    expect([a.node.isLeader(), term?.held, term?.signal.aborted]).toEqual([false, false, false]);
    expect(a.node).toMatchObject({ role: "suspended", connected: false });
    proxy.refuse(false);
    await a.next("resumed");
    await a.until(() => a.node.isLeader() && term?.held === true);
    expect(a.node.term).toBe(term);
    expect([a.count("become-leader"), a.count("lose-leadership")]).toEqual([1, 0]);
    expect(a.hooks.items.map((call) => call.name)).toEqual([
      "onBecomeLeader",
      "onLeaderChange",
      "onNatsDisconnect",
      "onNatsReconnect",
    ]);
  });

  test("lets another node lead at once (crashDetection: presence), and the former leader is not held", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const shared = { ...LONG, clusterId };
    const a = await startLeader(proxy, { ...shared, nodeId: "a" });
    const b = await startNode(server, { ...shared, nodeId: "b" });
    await b.sees(a);
    const overlapped = overlaps(a, b);
    proxy.refuse(true);
    proxy.cut();
    expect((await b.becomes()).epoch).toBe(2);
    proxy.refuse(false);
    expect(await a.next("lose-leadership")).toMatchObject({
      reason: "superseded",
      by: { nodeId: "b", epoch: 2 },
    });
    await a.sees(b);
    expect(overlapped()).toBe(0);
  });

  test("of a follower does not make it take over from a live leader", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(proxy, { clusterId, nodeId: "b" });
    await b.sees(a);
    for (let times = 1; times <= 3; times++) {
      proxy.cut();
      await b.called("onNatsReconnect", times);
    }
    await pause(CALM.leaseTtlMs / 2);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(b.node.leader).toMatchObject({ nodeId: "a", epoch: 1 });
    expect(a.count("suspended") + b.count("become-leader")).toBe(0);
  });

  test("of a follower does not hide a change of leader that occurred before the reconnect", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const c = await startNode(server, { clusterId, nodeId: "c" });
    const b = await startNode(proxy, { clusterId, nodeId: "b", observer: true });
    await Promise.all([b.sees(a), c.sees(a)]);
    proxy.refuse(true);
    proxy.cut();
    await b.next("nats-disconnect");
    await a.node.stepDown();
    await c.until(() => c.node.isLeader());
    expect(b.node.leader?.nodeId).toBe("a");
    proxy.refuse(false);
    await b.sees(c);
  });
});

test("a leader whose server forgets its connection is suspended or stopped within the ping time", async () => {
  const clusterId = freshId();
  const proxy = await proxied(server);
  const a = await startLeader(proxy, { ...LONG, clusterId, nodeId: "a" });
  proxy.resetServerSide(); // the client's side stays open and receives nothing
  await a.next("suspended");
  await a.next("resumed");
  expect(a.node.epoch).toBe(1);
});

describe("round trips to the server that become too long", () => {
  test("for presence: the leader keeps its lease, isLeader() is false, and a warning says why", async () => {
    const proxy = await proxied(server);
    const options = {
      ...LONG,
      clusterId: freshId(),
      nodeId: "a",
      crashDetection: "presence",
      silenceMs: 0,
    } as const;
    const a = await startLeader(proxy, options);
    proxy.delay(600);
    await a.until(() => a.warnings("SLOW_CONNECTION").length > 0);
    expect(a.warnings("SLOW_CONNECTION")[0]).toContain(
      'crashDetection "presence" needs less than 1000 ms: isLeader() is false',
    );
    expect(a.node.isLeader()).toBe(false);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    proxy.delay(0);
    await a.node.term?.untilHeld({ timeoutMs: PATIENCE_MS });
    expect(a.node.isLeader()).toBe(true);
  });
});
