/** The leader loses its connection: it is suspended at once, and resumes only by a renewal that names the new connection. */
import { expect, test } from "vitest";
import type { TcpProxy } from "../../scripts/shared/proxy-types.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { freshId } from "../support/fresh-id.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { isLeaseWrite, presenceIn, sessionIn, statusOf } from "../support/node/presence.ts";
import { overlaps, proxied } from "../support/node/proxy.ts";
import { startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Scene {
  readonly clusterId: string;
  readonly proxy: TcpProxy;
  /** Behind the proxy. No other node competes. */
  readonly leader: TestNode;
  readonly operator: Operator;
}

async function scene(options: object = {}): Promise<Scene> {
  const clusterId = freshId();
  const proxy = await proxied(server);
  const leader = await startLeader(proxy, { ...LONG, ...options, clusterId, nodeId: "leader" });
  const operator = await operatorOf(server, clusterId);
  await presenceIn(operator);
  return { clusterId, proxy, leader, operator };
}

test("it is suspended as soon as its connection ends, and emits the event before it can reconnect", async () => {
  const { proxy, leader, operator } = await scene();
  const { term } = leader.node;
  const atEvent: unknown[] = [];
  leader.onEvent(() => {
    if (leader.types().at(-1) === "suspended")
      atEvent.push(leader.node.isLeader(), term?.held, leader.node.role);
  });
  proxy.refuse(true);
  proxy.cut();
  expect((await leader.next("suspended")).term).toBe(term);
  expect(atEvent).toEqual([false, false, "suspended"]);
  expect([term?.signal.aborted, term?.lossReason]).toEqual([false, null]);
  expect(term?.remainingMs).toBe(0);
  expect(term?.leaseRemainingMs).toBeGreaterThan(0);
  expect(leader.node).toMatchObject({ term, connected: false, epoch: 1 });
  await expect(statusOf(operator, "leader")).rejects.toThrow();
  proxy.refuse(false);
  await leader.next("resumed");
});

test("it resumes only by a renewal that names the new connection, and its status shows it as suspended until then", async () => {
  const { clusterId, proxy, leader, operator } = await scene();
  const { term } = leader.node;
  const before = await sessionIn(operator);
  const renewal = proxy.takeNextToServer(isLeaseWrite(clusterId));
  proxy.cut();
  await leader.next("suspended");
  const held = await renewal;
  // Connected and with its service restored, it still may not act.
  const status = await waitFor(() => statusOf(operator, "leader").catch(() => null));
  expect(status).toMatchObject({
    state: "suspended",
    held: false,
    role: "PASSIVE",
    connected: true,
    epoch: 1,
    leader: "leader",
  });
  expect([leader.node.isLeader(), term?.held, term?.signal.aborted]).toEqual([false, false, false]);
  expect(await sessionIn(operator)).toEqual(before);
  held.release();
  await leader.next("resumed");
  expect([leader.node.isLeader(), term?.held]).toEqual([true, true]);
  expect((await sessionIn(operator)).client_id).not.toBe(before.client_id);
  expect(await presenceIn(operator, before.presence)).toBeDefined();
  expect(await statusOf(operator, "leader")).toMatchObject({ state: "leader", held: true, presence: "on" });
  expect(leader.node.term).toBe(term);
  expect(leader.types().filter((type) => !["warning", "leader-change"].includes(type))).toEqual([
    "started",
    "become-leader",
    "nats-disconnect",
    "suspended",
    "nats-reconnect",
    "resumed",
  ]);
  expect(leader.calls("onBecomeLeader").length + leader.calls("onLoseLeadership").length).toBe(1);
});

test("it loses its term as superseded if the record names another holder by then", async () => {
  const { clusterId, proxy, leader } = await scene();
  const { term } = leader.node;
  const b = await startNode(server, { ...LONG, clusterId, nodeId: "b" });
  await b.sees(leader);
  const overlapped = overlaps(leader, b);
  proxy.refuse(true);
  proxy.cut();
  expect((await b.becomes()).epoch).toBe(2);
  expect([leader.node.role, term?.signal.aborted]).toEqual(["suspended", false]);
  proxy.refuse(false);
  const lost = await leader.next("lose-leadership");
  expect(lost).toMatchObject({ reason: "superseded", by: { nodeId: "b", epoch: 2 } });
  expect(term).toMatchObject({ held: false, lossReason: "superseded" });
  expect(leader.count("resumed")).toBe(0);
  await leader.sees(b);
  expect(overlapped()).toBe(0);
});

test("it does not resume if the connection is cut again before the renewal is answered", async () => {
  const { clusterId, proxy, leader } = await scene();
  for (let times = 1; times <= 3; times++) {
    const answer = proxy.takeReplyTo(isLeaseWrite(clusterId));
    proxy.cut();
    await answer;
    expect(leader.node.role).toBe("suspended");
  }
  proxy.cut();
  await leader.next("resumed");
  expect(leader.count("resumed")).toBe(1);
  expect(leader.node).toMatchObject({ role: "leader", epoch: 1 });
});

test("a node that is stopped while suspended does not resume", async () => {
  const { proxy, leader } = await scene();
  proxy.refuse(true);
  proxy.cut();
  await leader.next("suspended");
  await leader.node.stop();
  const types = leader.types().filter((type) => type !== "warning");
  expect(types.slice(-4)).toEqual(["lose-leadership", "released", "leader-change", "stopped"]);
  expect(leader.count("resumed")).toBe(0);
  expect(leader.count("lose-leadership")).toBe(1);
});

test("it is not held while it hears nothing from its server, although the connection seems open, and the term goes on once it does", async () => {
  // A leader that promises silence is suspended after it.
  const { proxy, leader } = await scene({ silenceMs: 0 });
  const { node } = leader;
  const { term } = node;
  const aborted = new AbortController();
  proxy.toClient("hold");
  await waitFor(() => !node.isLeader());
  expect([node.connected, node.role, term?.held, term?.signal.aborted]).toEqual([
    true,
    "leader",
    false,
    false,
  ]);
  await expect(term?.untilHeld({ timeoutMs: 1 })).rejects.toMatchObject({ code: "TIMEOUT" });
  const waits = expect(term?.untilHeld({ signal: aborted.signal })).rejects.toMatchObject({
    code: "ABORTED",
  });
  aborted.abort();
  await waits;
  const again = term?.untilHeld();
  proxy.toClient("pass");
  await again;
  expect([node.isLeader(), node.term]).toEqual([true, term]);
});
