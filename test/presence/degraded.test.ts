/** Nodes whose presence, inquiry or advisory is denied, or that want none: silence or the lease decides, and one warning is emitted. */
import { describe, expect, test } from "vitest";
import { freshId } from "../support/fresh-id.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import {
  consumersLeft,
  hearQuestions,
  presenceIn,
  sessionIn,
  sharedConnection,
  statusOf,
} from "../support/node/presence.ts";
import { overlaps, proxied } from "../support/node/proxy.ts";
import { QUICK, settled, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER.DELETED";
const USERS = `accounts { A { jetstream: enabled, users: [
  { user: admin, password: p }
  { user: no_create, password: p, permissions { publish { deny: ["$JS.API.CONSUMER.>"] } } }
  { user: no_question, password: p, permissions { publish { deny: ["$SYS.REQ.ACCOUNT.PING.CONNZ"] } } }
  { user: no_advisory, password: p, permissions { subscribe { deny: ["${ADVISORY}.>"] } } }
] } }`;

const server = useNatsServer();
const restricted = useNatsServer({ config: USERS });

const ADMIN = { user: "admin", pass: "p" };
const admin = (clusterId: string): Promise<Operator> => operatorOf(restricted, clusterId, ADMIN);

/** A node's warnings about crash detection. */
function complaints(node: TestNode): string[] {
  return node.warnings("SESSION").filter((message) => message.includes("crash"));
}

describe.each([
  ["create consumers", "no_create", 'publish to "$JS.API.CONSUMER.CREATE.'],
  ["request CONNZ", "no_question", 'publish to "$SYS.REQ.ACCOUNT.PING.CONNZ"'],
  ["subscribe to the advisory", "no_advisory", `subscribe to "${ADVISORY}.`],
])("a user that may not %s", (_, user, hint) => {
  test("leads without presence, reports it in one warning and in its status, and is replaced after its lease", async () => {
    const clusterId = freshId();
    // What remains without presence and without a promise of silence.
    const options = { ...QUICK, silenceMs: 0, clusterId, user, pass: "p" };
    const proxy = await proxied(restricted);
    const leader = await startLeader(proxy, { ...options, nodeId: "leader" });
    const b = await startNode(restricted, { ...options, nodeId: "b" });
    await b.sees(leader);
    const operator = await admin(clusterId);
    const heard = await operator.hear();
    const questions = await hearQuestions(operator);
    expect((await sessionIn(operator)).presence).toBeUndefined();
    for (const node of [leader, b]) {
      expect(await statusOf(operator, node.id)).toMatchObject({ presence: "denied" });
    }
    await consumersLeft(operator, 0);
    const overlapped = overlaps(leader, b);
    proxy.refuse(true);
    proxy.cut();
    await leader.next("suspended");
    const become = await b.called("onBecomeLeader");
    expect(become.term?.epoch).toBe(2);
    const renewals = heard.items.filter(({ record }) => record?.["node_id"] === "leader");
    for (const { atMs } of renewals.slice(-1)) {
      expect(become.atMs - atMs).toBeGreaterThanOrEqual(QUICK.leaseTtlMs - 20);
    }
    proxy.refuse(false);
    await leader.sees(b);
    for (const node of [leader, b]) {
      expect(complaints(node)).toEqual([expect.stringContaining(`allow this user to ${hint}`)]);
    }
    // The subject to allow, not the subject of one attempt.
    expect(complaints(leader)[0]).not.toMatch(/presence_/);
    expect(overlapped()).toBe(0);
    expect(questions.items).toEqual([]);
  });

  test("follows a leader with presence, and leads at the latest after W", async () => {
    const clusterId = freshId();
    const proxy = await proxied(restricted);
    const shared = { ...QUICK, silenceMs: 0, clusterId };
    const leader = await startLeader(proxy, { ...shared, ...ADMIN, nodeId: "leader" });
    const b = await startNode(restricted, { ...shared, user, pass: "p", nodeId: "b" });
    await b.sees(leader);
    const operator = await admin(clusterId);
    await presenceIn(operator);
    proxy.refuse(true);
    proxy.cut();
    expect((await b.becomes()).epoch).toBe(2);
    expect(complaints(b)).toHaveLength(1);
    expect(complaints(leader)).toEqual([]);
    expect(await statusOf(operator, "b")).toMatchObject({ presence: "denied", held: true });
  });
});

test.each([
  ["the leader may not create a presence consumer", "no_create", "admin"],
  ["the follower may not subscribe to the advisory", "admin", "no_advisory"],
])(
  "a killed leader that promises silence is replaced long before its lease expires although %s",
  async (_, one, other) => {
    const shared = { ...LONG, clusterId: freshId(), pass: "p" };
    const proxy = await proxied(restricted);
    const leader = await startLeader(proxy, { ...shared, user: one, nodeId: "leader" });
    const b = await startNode(restricted, { ...shared, user: other, nodeId: "b" });
    await b.sees(leader);
    const session = await sessionIn(await admin(shared.clusterId));
    expect([session.presence !== undefined, session.silence !== undefined]).toEqual([one === "admin", true]);
    const overlapped = overlaps(leader, b);
    proxy.refuse(true);
    proxy.cut();
    expect((await b.becomes()).epoch).toBe(2);
    expect(overlapped()).toBe(0);
    expect(complaints(one === "admin" ? b : leader)).toHaveLength(1);
  },
);

test("two nodes on one connection whose presence is denied both emit a warning", async () => {
  const connection = await sharedConnection(restricted, { user: "no_create", pass: "p" });
  const nodes = [
    await startLeader({ connection }, { ...QUICK, clusterId: freshId(), nodeId: "a" }),
    await startLeader({ connection }, { ...QUICK, clusterId: freshId(), nodeId: "a" }),
  ];
  for (const node of nodes) {
    await node.until(() => complaints(node).length > 0);
    expect(complaints(node)).toHaveLength(1);
  }
});

describe('crashDetection: "lease"', () => {
  test("creates no consumer, names no presence, and does not suspend on a disconnect", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const options = { ...LONG, clusterId, crashDetection: "lease" } as const;
    const leader = await startLeader(proxy, { ...options, nodeId: "leader" });
    const b = await startNode(server, { ...options, nodeId: "b" });
    await b.sees(leader);
    const operator = await operatorOf(server, clusterId);
    const questions = await hearQuestions(operator);
    expect(await operator.consumers()).toEqual([]);
    expect((await sessionIn(operator)).presence).toBeUndefined();
    expect(await statusOf(operator, "leader")).toMatchObject({ presence: "off", held: true });
    const { term } = leader.node;
    proxy.refuse(true);
    proxy.cut();
    await leader.next("nats-disconnect");
    expect([leader.node.isLeader(), term?.held, leader.node.role]).toEqual([true, true, "leader"]);
    proxy.refuse(false);
    await leader.next("nats-reconnect");
    expect([leader.count("suspended"), leader.count("lose-leadership"), b.count("become-leader")]).toEqual([
      0, 0, 0,
    ]);
    expect(questions.items).toEqual([]);
  });
});

describe("nodes with and without presence in one cluster:", () => {
  const cut = async (leads: "presence" | "lease", follows: "presence" | "lease") => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const leaseTtlMs = leads === "presence" && follows === "presence" ? 30_000 : 1500;
    const shared = { leaseTtlMs, clusterId };
    const leader = await startLeader(proxy, { ...shared, nodeId: "leader", crashDetection: leads });
    const b = await startNode(server, { ...shared, nodeId: "b", crashDetection: follows });
    await b.sees(leader);
    const heard = await (await operatorOf(server, clusterId)).hear();
    await heard.next(() => true);
    const overlapped = overlaps(leader, b);
    proxy.refuse(true);
    proxy.cut();
    await leader.next("nats-disconnect");
    const begunMs = performance.now();
    const become = await b.called("onBecomeLeader");
    const last = heard.items.findLast(({ record }) => record?.["node_id"] === "leader");
    const waited = become.atMs - (last?.atMs ?? begunMs) >= leaseTtlMs - 20;
    proxy.refuse(false);
    await leader.sees(b);
    expect(overlapped()).toBe(0);
    expect(leader.count("suspended")).toBe(leads === "presence" ? 1 : 0);
    return { waited, reason: (await leader.next("lose-leadership")).reason };
  };

  test("a follower without crash detection waits for the lease of a leader with presence, even while that is suspended", async () => {
    expect(await cut("presence", "lease")).toEqual({ waited: true, reason: "expired" });
  });

  test("a follower with crash detection waits for the lease of a leader that does not suspend itself", async () => {
    expect(await cut("lease", "presence")).toEqual({ waited: true, reason: "expired" });
  });

  test("of three nodes, one with presence takes over from another at once", async () => {
    const shared = { ...LONG, clusterId: freshId() };
    const proxy = await proxied(server);
    const leader = await startLeader(proxy, { ...shared, nodeId: "leader" });
    const lease = await startNode(server, { ...shared, nodeId: "lease", crashDetection: "lease" });
    const presence = await startNode(server, { ...shared, nodeId: "presence" });
    await Promise.all([lease.sees(leader), presence.sees(leader)]);
    proxy.refuse(true);
    proxy.cut();
    expect((await settled([presence, lease], 1))[0]).toBe(presence);
    proxy.refuse(false);
    expect(await leader.next("lose-leadership")).toMatchObject({
      reason: "superseded",
      by: { nodeId: "presence" },
    });
  });
});

test("the presence of a node that stops is deleted on the server, whether it led or not", async () => {
  const shared = { ...LONG, clusterId: freshId() };
  const leader = await startLeader(server, { ...shared, nodeId: "a" });
  const follower = await startNode(server, { ...shared, nodeId: "b" });
  const operator = await operatorOf(server, shared.clusterId);
  await consumersLeft(operator, 2);
  await follower.node.stop();
  await consumersLeft(operator, 1);
  await leader.node.stop();
  await consumersLeft(operator, 0);
});

test("nodes of several clusters on one connection share one presence, which moves when its cluster's node stops", async () => {
  const connection = await sharedConnection(server);
  const clusterIds = [freshId(), freshId(), freshId()];
  const nodes: TestNode[] = [];
  for (const clusterId of clusterIds) {
    nodes.push(await startLeader({ connection }, { ...LONG, clusterId, nodeId: "a" }));
  }
  const operators = await Promise.all(clusterIds.map((clusterId) => operatorOf(server, clusterId)));
  const counts = () => Promise.all(operators.map(async (operator) => (await operator.consumers()).length));
  const named = () => Promise.all(operators.map(async (operator) => (await sessionIn(operator)).presence));
  expect(await counts()).toEqual([1, 0, 0]);
  const [first, ...others] = await named();
  expect(others).toEqual([first, first]);
  await nodes[0]?.node.stop();
  const [, second, third] = operators as [Operator, Operator, Operator];
  const moved = await presenceIn(second, first);
  expect(await presenceIn(third, first)).toBe(moved);
  expect(await counts()).toEqual([0, 1, 0]);
  expect(nodes.slice(1).every((node) => node.node.isLeader() && node.count("suspended") === 0)).toBe(true);
});
