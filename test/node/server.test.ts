/** A server that is frozen, stopped or killed, for a moment or for longer than the lease. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { within } from "../../scripts/shared/wait.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { CALM, makeNode, QUICK, settled, startLeader, startNode } from "../support/node/test-node.ts";
import { LONG, PATIENCE_MS } from "../support/patience.ts";

const MODES = ["lease", "presence"] as const;

/** A server for one test, which stops or kills it. */
async function ownServer(): Promise<NatsServer> {
  const server = await startNatsServer();
  atEnd(() => server.dispose());
  return server;
}

describe.each(MODES)("a server that is gone (crashDetection: %s)", (crashDetection) => {
  test("for good: isLeader() is false by the deadline, and the term is lost as expired", async () => {
    const server = await ownServer();
    const a = await startLeader(server, { ...QUICK, clusterId: freshId(), nodeId: "a", crashDetection });
    const term = a.node.term;
    await server.kill();
    const lost = await a.next("lose-leadership");
    expect(lost).toMatchObject({ reason: "expired", term: { epoch: 1 } });
    expect([a.node.isLeader(), term?.held, term?.signal.aborted]).toEqual([false, false, true]);
    expect((await a.called("onLoseLeadership")).reason).toBe("expired");
    await pause(2 * QUICK.leaseTtlMs);
    expect(a.node.isLeader()).toBe(false);
    expect(a.node).toMatchObject({ role: "follower", leader: null, connected: false });
    expect([a.count("become-leader"), a.count("lose-leadership")]).toEqual([1, 1]);
    await a.node.stop();
  });

  test("while its node is stopped: the stop does not wait for it", async () => {
    const server = await ownServer();
    const a = await startLeader(server, {
      ...LONG,
      clusterId: freshId(),
      nodeId: "a",
      crashDetection,
    });
    await server.kill();
    await a.next("nats-disconnect");
    await within(a.node.stop(), { timeoutMs: PATIENCE_MS });
    expect(a.warnings("RELEASE_FAILED")).toHaveLength(1);
    expect(a.calls("onLoseLeadership")).toMatchObject([{ reason: "stopped" }]);
  });

  test("and back before the deadline keeps its term, and no node takes over", async () => {
    const server = await ownServer();
    const clusterId = freshId();
    const shared = { leaseTtlMs: 10_000, clusterId, crashDetection };
    const a = await startLeader(server, { ...shared, nodeId: "a" });
    const b = await startNode(server, { ...shared, nodeId: "b" });
    await b.sees(a);
    const { term } = a.node;
    await server.restart();
    await Promise.all([a.called("onNatsReconnect"), b.called("onNatsReconnect")]);
    if (crashDetection === "presence") await a.next("resumed");
    expect(a.node.term).toBe(term);
    await a.leads();
    const heard = await (await operatorOf(server, clusterId)).hear();
    await heard.next((write) => write.record?.["node_id"] === "a");
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
    expect([a.count("become-leader"), a.count("lose-leadership"), b.count("become-leader")]).toEqual([
      1, 0, 0,
    ]);
    expect(a.calls("onNatsDisconnect")).toHaveLength(1);
    expect(a.calls("onNatsReconnect")).toHaveLength(1);
    expect(a.count("suspended")).toBe(crashDetection === "presence" ? 1 : 0);
  });

  test("and back after the deadline: the term has ended, and a node leads with a larger epoch", async () => {
    const server = await ownServer();
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a", crashDetection });
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b", crashDetection });
    await b.sees(a);
    await server.stop();
    expect((await a.next("lose-leadership")).reason).toBe("expired");
    await Promise.all([a.called("onNatsDisconnect"), b.called("onNatsDisconnect")]);
    await server.start();
    const [leader] = await settled([a, b], 1);
    expect(leader.node.epoch).toBe(2);
    await Promise.all([a.called("onNatsReconnect"), b.called("onNatsReconnect")]);
  });
});

describe.each(MODES)("a server that is frozen (crashDetection: %s)", (crashDetection) => {
  test("until the client notices, and not past the deadline: disconnect, reconnect, the same term", async () => {
    const server = await ownServer();
    const a = await startLeader(server, {
      leaseTtlMs: 10_000,
      clusterId: freshId(),
      nodeId: "a",
      crashDetection,
    });
    const { term } = a.node;
    await server.pause();
    await a.called("onNatsDisconnect");
    expect(a.node.isLeader()).toBe(crashDetection === "lease");
    await server.resume();
    await a.called("onNatsReconnect");
    await a.until(() => a.node.isLeader());
    expect(a.node.term).toBe(term);
    expect(a.node.epoch).toBe(1);
    expect([a.count("become-leader"), a.count("lose-leadership")]).toEqual([1, 0]);
  });

  test("past the deadline ends the term at the deadline, and it leads again afterwards with a larger epoch", async () => {
    const server = await ownServer();
    const a = await startLeader(server, {
      leaseTtlMs: 2000,
      clusterId: freshId(),
      nodeId: "a",
      crashDetection,
    });
    await server.pause();
    expect((await a.next("lose-leadership")).reason).toBe("expired");
    await a.called("onNatsDisconnect");
    expect(a.node.isLeader()).toBe(false);
    await server.resume();
    await a.called("onNatsReconnect");
    await a.next("become-leader", ({ term }) => term.epoch > 1);
    await a.leads();
  });
});

test("a server that is frozen for a moment causes no event", async () => {
  const server = await ownServer();
  const a = await startLeader(server, { ...CALM, clusterId: freshId(), nodeId: "a" });
  await server.pause();
  await pause(500);
  await server.resume();
  await pause(CALM.leaseTtlMs);
  expect(a.types()).toEqual(["started", "become-leader", "leader-change"]);
  await a.leads();
});

test("several leases on one server survive its restart, each with its leader", async () => {
  const server = await ownServer();
  const nodes = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      startLeader(server, { leaseTtlMs: 10_000, clusterId: freshId(), nodeId: `node-${index}` }),
    ),
  );
  await server.restart();
  await Promise.all(nodes.map((node) => node.next("resumed")));
  await Promise.all(nodes.map((node) => node.leads()));
  expect(nodes.map((node) => node.node.epoch)).toEqual(nodes.map(() => 1));
});

test("a server that lost its store: the term ends with a warning, and the next epoch is above all that were seen", async () => {
  const server = await ownServer();
  const a = await startLeader(server, { ...QUICK, clusterId: freshId(), nodeId: "a", cooldownMs: 0 });
  for (let epoch = 2; epoch <= 3; epoch++) {
    await a.node.stepDown();
    await a.next("become-leader", ({ term }) => term.epoch === epoch);
  }
  const { port } = server;
  await server.dispose();
  await a.next("lose-leadership", ({ term }) => term.epoch === 3);
  const empty = await startNatsServer({ port });
  atEnd(() => empty.dispose());
  expect((await a.next("become-leader", ({ term }) => term.epoch > 3, 10_000)).term.epoch).toBeGreaterThan(3);
  const codes = a.events.items.flatMap((event) => (event.type === "warning" ? [event.code] : []));
  expect(codes.some((code) => code === "BUCKET_MISSING" || code === "BUCKET_RECREATED")).toBe(true);
});

describe("several server urls", () => {
  test("of which the first is dead: the node starts on another", async () => {
    const server = await ownServer();
    const dead = `nats://127.0.0.1:${await freePort("127.0.0.1")}`;
    const a = await startLeader({ servers: [dead, server.url] }, { clusterId: freshId(), nodeId: "a" });
    expect(a.node.connected).toBe(true);
  });

  test("all dead: start rejects with NO_CONNECTION, names them, and leaves nothing behind", async () => {
    const dead = await Promise.all([freePort("127.0.0.1"), freePort("127.0.0.1")]);
    const servers = dead.map((port) => `nats://127.0.0.1:${port}`);
    const a = makeNode({ servers }, { clusterId: freshId(), nodeId: "a" });
    const error: unknown = await a.start().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "NO_CONNECTION", recoverable: true });
    for (const port of dead) expect(String(error)).toContain(`127.0.0.1:${port}`);
    expect(a.node.role).toBe("stopped");
    await within(a.node.stop());
  });
});
