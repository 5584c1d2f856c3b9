/** Faults between a node and its server, through a proxy that loses, holds and delays what it carries. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { leaseSubject } from "../../src/nats/names.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { type Frame, startProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { within } from "../support/wait.ts";
import { atEnd } from "./support/cleanup.ts";
import { CALM, QUICK, startLeader, startNode, type TestNode } from "./support/node.ts";
import { freshId, type HeardWrite, operatorOf } from "./support/operator.ts";
import type { Recorder } from "./support/recorder.ts";

let server: NatsServer;
beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server.dispose());

const MODES = ["lease", "presence"] as const;

async function proxied(): Promise<TcpProxy> {
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  return proxy;
}

/** Writes of the lease on their way to the server. */
function writes(clusterId: string): (frame: Frame) => boolean {
  return (frame) => frame.subject === leaseSubject(clusterId);
}

interface Scene {
  readonly clusterId: string;
  readonly proxy: TcpProxy;
  /** Behind the proxy, and leads. */
  readonly leader: TestNode;
  /** Not behind it, and follows. */
  readonly follower: TestNode;
  readonly heard: Recorder<HeardWrite>;
}

async function scene(crashDetection: "lease" | "presence", options = {}): Promise<Scene> {
  const clusterId = freshId();
  const proxy = await proxied();
  const shared = { ...QUICK, clusterId, crashDetection, ...options };
  const leader = await startLeader(proxy, { ...shared, nodeId: "leader" });
  const follower = await startNode(server, { ...shared, nodeId: "follower" });
  await follower.sees(leader);
  const heard = await (await operatorOf(server, clusterId)).hear();
  await heard.next(() => true); // a renewal, just now
  await pause(100); // and its answer
  return { clusterId, proxy, leader, follower, heard };
}

/** When the leader was last heard to renew, and when the other became leader. */
async function takenOver({ follower, heard }: Scene): Promise<{ lastRenewalMs: number; becameMs: number }> {
  const become = await follower.called("onBecomeLeader");
  const renewals = heard.items.filter((write) => write.record?.["node_id"] === "leader");
  return { lastRenewalMs: renewals.at(-1)?.atMs ?? Number.NaN, becameMs: become.atMs };
}

/** Looks all the time, so that a moment of two leaders can't hide. Returns the longest overlap, in looks. */
function overlaps(...nodes: TestNode[]): () => number {
  let seen = 0;
  const timer = setInterval(() => {
    if (nodes.filter((node) => node.node.isLeader()).length > 1) seen += 1;
  }, 2);
  atEnd(() => clearInterval(timer));
  return () => seen;
}

describe.each(MODES)("a leader that is cut off (crashDetection: %s)", (crashDetection) => {
  test.each([
    ["both ways", (proxy: TcpProxy) => proxy.blackhole(true)],
    ["for requests only", (proxy: TcpProxy) => proxy.toServer("drop")],
    ["for responses only", (proxy: TcpProxy) => proxy.toClient("drop")],
  ])("%s stops by its own deadline, and nobody takes over before W", async (_, cut) => {
    const all = await scene(crashDetection);
    const { leader, follower, proxy, heard } = all;
    const overlapped = overlaps(leader, follower);
    const lastHeardMs = heard.items.at(-1)?.atMs ?? 0;
    const { signal } = leader.node.term ?? {};
    cut(proxy);
    const cutMs = performance.now();
    const lost = await leader.next("lose");
    expect(lost.reason).toBe("expired");
    expect(signal?.aborted).toBe(true);
    // S after the last renewal whose answer came, which cannot have been sent after the cut.
    expect(performance.now() - cutMs).toBeLessThan(750 + 150);
    expect(performance.now() - lastHeardMs).toBeGreaterThan(600);
    const { lastRenewalMs, becameMs } = await takenOver(all);
    // A margin of 20 for the two ways the renewal was heard of: here and in the follower.
    expect(becameMs - lastRenewalMs).toBeGreaterThanOrEqual(QUICK.leaseTtlMs - 20);
    expect(becameMs - lastRenewalMs).toBeLessThan(QUICK.leaseTtlMs + 700);
    expect(overlapped()).toBe(0);
    expect(follower.node.epoch).toBe(2);
    proxy.blackhole(false);
    await leader.sees(follower);
    expect(leader.count("become")).toBe(1);
  });

  test("leads again when it is back, with a larger epoch, when nobody else has come", async () => {
    const proxy = await proxied();
    const a = await startLeader(proxy, { ...QUICK, clusterId: freshId(), nodeId: "a", crashDetection });
    proxy.blackhole(true);
    expect((await a.next("lose")).reason).toBe("expired");
    expect(a.node.isLeader()).toBe(false);
    proxy.blackhole(false);
    expect((await a.next("become", ({ term }) => term.epoch > 1)).term.held).toBe(true);
  });

  test("can be stopped, and nothing hangs", async () => {
    const proxy = await proxied();
    const a = await startLeader(proxy, { ...QUICK, clusterId: freshId(), nodeId: "a", crashDetection });
    proxy.blackhole(true);
    const down = a.node.stepDown().catch((error: unknown) => error);
    const stopped = a.node.stop();
    await within(stopped, { timeoutMs: 3000 });
    expect(await down).toMatchObject({ code: "STORE_UNAVAILABLE", recoverable: true });
    expect(a.node.role).toBe("stopped");
    expect([a.count("become"), a.count("lose")]).toEqual([1, 1]);
  });

  test("whose late renewals reach the server after all resurrects nobody", async () => {
    const all = await scene(crashDetection);
    const { leader, follower, proxy, clusterId } = all;
    const operator = await operatorOf(server, clusterId);
    proxy.toServer("hold");
    await leader.next("lose");
    await follower.until(() => follower.node.isLeader());
    proxy.toServer("pass"); // now they come, in a bunch
    await leader.sees(follower);
    await pause(QUICK.leaseTtlMs);
    expect(follower.node.isLeader()).toBe(true);
    expect([follower.count("lose"), leader.count("become")]).toEqual([0, 1]);
    expect(await operator.record()).toMatchObject({ node_id: "follower", epoch: 2 });
  });
});

test("a takeover does not wait for a leader whose renewals arrive but whose answers don't", async () => {
  // The other half of "responses only": while the leader still renews, nobody may take over.
  const all = await scene("lease", { leaseTtlMs: 3000 });
  const { leader, follower, proxy, heard } = all;
  proxy.filterToClient((frame) => !frame.text.includes('"stream":'));
  await pause(1500);
  expect(leader.node.isLeader()).toBe(true);
  expect(follower.count("become")).toBe(0);
  proxy.filterToClient(null);
  const before = heard.items.length;
  await heard.until((items) => items.length >= before + 2);
  expect(leader.node).toMatchObject({ epoch: 1, role: "leader" });
  expect(leader.count("become")).toBe(1);
});

describe.each(MODES)("an answer that is lost (crashDetection: %s)", (crashDetection) => {
  test("to a renewal: the same term goes on, with no second become", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const a = await startLeader(proxy, { ...CALM, clusterId, nodeId: "a", crashDetection });
    const operator = await operatorOf(server, clusterId);
    const heard = await operator.hear();
    await proxy.takeReplyTo(writes(clusterId));
    await heard.until((items) => items.length >= 3);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect([a.count("become"), a.count("lose"), a.count("suspended")]).toEqual([1, 0, 0]);
    expect(a.warnings("STORE_FAILING")).toHaveLength(1);
  });

  test("to a renewal, again and again: the same term, as long as reads tell that it was applied", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const a = await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a", crashDetection });
    for (let lost = 0; lost < 4; lost++) await proxy.takeReplyTo(writes(clusterId));
    await pause(QUICK.leaseTtlMs);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(a.count("become")).toBe(1);
  });

  test("to the acquiring write: one become, with epoch 1, and no waiting for W", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const taking = proxy.takeReplyTo(writes(clusterId));
    const a = await startNode(proxy, { ...CALM, clusterId, nodeId: "a", crashDetection });
    const before = performance.now();
    await taking;
    expect((await a.becomes()).epoch).toBe(1);
    expect(performance.now() - before).toBeLessThan(1500);
    await pause(CALM.leaseTtlMs / 2);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(a.count("become")).toBe(1);
  });

  test("to the release: the stop resolves, and the next leader does not wait for W", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const a = await startLeader(proxy, { ...CALM, clusterId, nodeId: "a", crashDetection });
    const b = await startNode(server, { ...CALM, clusterId, nodeId: "b", crashDetection });
    await b.sees(a);
    const isRelease = (frame: Frame): boolean => writes(clusterId)(frame) && frame.text.includes("KV-Operation");
    const taking = proxy.takeReplyTo(isRelease);
    const before = performance.now();
    const stopped = a.node.stop();
    await taking;
    await b.until(() => b.node.isLeader());
    await within(stopped);
    expect(performance.now() - before).toBeLessThan(2000);
  });
});

describe("a request that is lost", () => {
  test("a renewal is repeated, and the term goes on", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const a = await startLeader(proxy, { ...CALM, clusterId, nodeId: "a" });
    await proxy.takeNextToServer(writes(clusterId));
    await pause(CALM.leaseTtlMs);
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(a.count("become")).toBe(1);
  });

  test("an acquiring write that arrives when its node has given it up does not disturb the term", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const taking = proxy.takeNextToServer(writes(clusterId));
    const a = await startNode(proxy, { ...CALM, clusterId, nodeId: "a" });
    const late = await taking;
    const term = await a.becomes(); // by its second try
    late.release();
    await pause(CALM.leaseTtlMs);
    expect(a.node).toMatchObject({ role: "leader", epoch: term.epoch });
    expect(a.count("become")).toBe(1);
  });

  test("an acquiring write that is applied after the node has stopped is nobody's lease for longer than W", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const taking = proxy.takeNextToServer(writes(clusterId));
    const a = await startNode(proxy, { ...QUICK, clusterId, nodeId: "a", crashDetection: "lease" });
    const late = await taking;
    const stopping = a.node.stop();
    late.release();
    await stopping;
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    await b.until(() => b.node.isLeader());
    expect(a.count("become")).toBe(0);
  });
});

describe("a slow network", () => {
  test("below the request timeout changes nothing", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    proxy.delay(40);
    const a = await startLeader(proxy, { ...CALM, clusterId, nodeId: "a" });
    const b = await startNode(proxy, { ...CALM, clusterId, nodeId: "b" });
    await b.sees(a);
    await pause(CALM.leaseTtlMs);
    expect(a.types()).toEqual(["started", "become", "leader"]);
    expect(b.types()).toEqual(["started", "leader"]);
  });

  test("above the span makes no leader, and never two", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const a = await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a", crashDetection: "lease" });
    const b = await startNode(proxy, { ...QUICK, clusterId, nodeId: "b", crashDetection: "lease" });
    const overlapped = overlaps(a, b);
    proxy.delay(500);
    await a.next("lose");
    await pause(2 * QUICK.leaseTtlMs);
    expect([a.node.isLeader(), b.node.isLeader()]).toEqual([false, false]);
    proxy.delay(0);
    await Promise.race([a, b].map((node) => node.until(() => node.node.isLeader())));
    expect(overlapped()).toBe(0);
  });
});

describe("a connection that drops and comes back", () => {
  test("does not end the term (crashDetection: lease), nor suspend it", async () => {
    const proxy = await proxied();
    const a = await startLeader(proxy, { clusterId: freshId(), nodeId: "a", crashDetection: "lease" });
    const term = a.node.term;
    for (let times = 1; times <= 3; times++) {
      proxy.cut();
      await a.called("onNatsDisconnect", times);
      expect(a.node.isLeader()).toBe(true);
      await a.called("onNatsReconnect", times);
    }
    expect(a.node.isLeader()).toBe(true);
    expect(a.node.term).toBe(term);
    expect([a.count("become"), a.count("lose"), a.count("suspended")]).toEqual([1, 0, 0]);
  });

  test("suspends the term (crashDetection: presence) until a renewal has said so, and does not end it", async () => {
    const proxy = await proxied();
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
    expect([a.node.isLeader(), term?.held]).toEqual([true, true]);
    expect(a.node.term).toBe(term);
    expect([a.count("become"), a.count("lose")]).toEqual([1, 0]);
    expect(a.hooks.items.map((call) => call.name)).toEqual([
      "onBecomeLeader",
      "onLeaderChange",
      "onNatsDisconnect",
      "onNatsReconnect",
    ]);
  });

  test("lets another lead at once (crashDetection: presence) while the old one knows that it may not", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const shared = { leaseTtlMs: 10_000, clusterId };
    const a = await startLeader(proxy, { ...shared, nodeId: "a" });
    const b = await startNode(server, { ...shared, nodeId: "b" });
    await b.sees(a);
    const overlapped = overlaps(a, b);
    proxy.refuse(true);
    const before = performance.now();
    proxy.cut();
    expect((await b.becomes()).epoch).toBe(2);
    expect(performance.now() - before).toBeLessThan(1500);
    proxy.refuse(false);
    expect(await a.next("lose")).toMatchObject({ reason: "superseded", by: { nodeId: "b", epoch: 2 } });
    await a.sees(b);
    expect(overlapped()).toBe(0);
  });

  test("does not make a follower take over from a leader that is fine", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
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
    expect(a.count("suspended") + b.count("become")).toBe(0);
  });

  test("finds a follower that learns of a change it has missed", async () => {
    const clusterId = freshId();
    const proxy = await proxied();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const c = await startNode(server, { clusterId, nodeId: "c" });
    const b = await startNode(proxy, { clusterId, nodeId: "b", observer: true });
    await Promise.all([b.sees(a), c.sees(a)]);
    proxy.refuse(true);
    proxy.cut();
    await b.next("disconnected");
    await a.node.stepDown();
    await c.until(() => c.node.isLeader());
    expect(b.node.leader?.nodeId).toBe("a");
    proxy.refuse(false);
    await b.sees(c);
  });
});

test("a leader whose server forgets its connection is suspended or stopped within the ping time", async () => {
  const clusterId = freshId();
  const proxy = await proxied();
  const a = await startLeader(proxy, { leaseTtlMs: 10_000, clusterId, nodeId: "a" });
  const before = performance.now();
  proxy.resetServerSide(); // its own side stays open and silent
  await a.next("suspended");
  expect(performance.now() - before).toBeLessThan(4000);
  await a.next("resumed");
  expect(a.node.epoch).toBe(1);
});
