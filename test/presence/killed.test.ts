/** The leader's process is killed. Leases are so long that a node can lead at once only after a confirmation. */
import { describe, expect, test } from "vitest";
import { within } from "../../scripts/shared/wait.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import {
  deletePresence,
  hearQuestions,
  presenceIn,
  sharedConnection,
  watched,
} from "../support/node/presence.ts";
import { proxied } from "../support/node/proxy.ts";
import { QUICK, settled, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const ACCOUNTS = `accounts {
  A { jetstream: enabled, users: [{ user: a, password: p }] }
  B { jetstream: enabled, users: [{ user: b, password: p }] } }`;

const server = useNatsServer();
const withAccounts = useNatsServer({ config: ACCOUNTS });

describe.each([
  ["the global account", () => server, {}],
  ["an account", () => withAccounts, { user: "a", pass: "p" }],
])("in %s", (_, place, login) => {
  test("the next leader has the next epoch, and the other nodes follow it", async () => {
    const shared = { ...LONG, ...login, clusterId: freshId() };
    const dead = await startChildNode(place(), { ...shared, nodeId: "dead" });
    await dead.next("become");
    const nodes = await Promise.all(
      ["b", "c", "d"].map((nodeId) => startNode(place(), { ...shared, nodeId })),
    );
    await Promise.all(nodes.map((node) => node.until(() => node.node.epoch === 1)));
    dead.child.kill("SIGKILL");
    const [leader] = await settled(nodes, 1);
    expect(leader.node.epoch).toBe(2);
    expect(nodes.map((node) => node.count("become-leader")).reduce((sum, n) => sum + n)).toBe(1);
  });

  test("a new node without any other leads at once, if the connection in the record is confirmed closed", async () => {
    const shared = { ...LONG, ...login, clusterId: freshId() };
    const dead = await startChildNode(place(), { ...shared, nodeId: "dead" });
    await dead.next("become");
    dead.child.kill("SIGKILL");
    await dead.child.exit;
    const fresh = await startNode(place(), { ...shared, nodeId: "fresh" });
    expect((await fresh.becomes()).epoch).toBe(2);
  });
});

test("three leaders at the same time are replaced in their clusters, although one connection follows all three", async () => {
  const clusterIds = [freshId(), freshId(), freshId()];
  const dead = await Promise.all(
    clusterIds.map((clusterId) => startChildNode(server, { ...LONG, clusterId, nodeId: "dead" })),
  );
  await Promise.all(dead.map((one) => one.next("become")));
  const connection = await sharedConnection(server);
  const nodes = await Promise.all(
    clusterIds.map((clusterId) => startNode({ connection }, { ...LONG, clusterId, nodeId: "b" })),
  );
  await Promise.all(nodes.map((node) => node.until(() => node.node.epoch === 1)));
  for (const one of dead) one.child.kill("SIGKILL");
  expect((await Promise.all(nodes.map((node) => node.becomes()))).map(({ epoch }) => epoch)).toEqual([
    2, 2, 2,
  ]);
});

test("after its presence was deleted by an operator: the followers know its new name", async () => {
  const shared = { ...LONG, clusterId: freshId() };
  const dead = await startChildNode(server, { ...shared, nodeId: "dead" });
  await dead.next("become");
  const b = await startNode(server, { ...shared, nodeId: "b" });
  await b.until(() => b.node.epoch === 1);
  const operator = await operatorOf(server, shared.clusterId);
  const questions = await hearQuestions(operator);
  const before = await presenceIn(operator);
  await watched(server, before);
  await deletePresence(operator, before);
  await questions.until((asked) => asked.length > 0);
  await watched(server, await presenceIn(operator, before));
  expect(b.node.leader).toMatchObject({ nodeId: "dead", epoch: 1 });
  dead.child.kill("SIGKILL");
  expect((await b.becomes()).epoch).toBe(2);
});

test("while its followers were disconnected: they detect it after reconnecting", async () => {
  const shared = { ...LONG, clusterId: freshId() };
  const dead = await startChildNode(server, { ...shared, nodeId: "dead" });
  await dead.next("become");
  const proxy = await proxied(server);
  const nodes = await Promise.all(["b", "c"].map((nodeId) => startNode(proxy, { ...shared, nodeId })));
  await Promise.all(nodes.map((node) => node.until(() => node.node.epoch === 1)));
  proxy.refuse(true);
  proxy.cut();
  await Promise.all(nodes.map((node) => node.next("nats-disconnect")));
  dead.child.kill("SIGKILL");
  await dead.child.exit;
  proxy.refuse(false);
  const [leader] = await settled(nodes, 1);
  expect(leader.node.epoch).toBe(2);
});

describe("a new node without any other waits for W if the death cannot be confirmed:", () => {
  test("the server was restarted, and is not the one that held the connection", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const shared = { ...QUICK, clusterId: freshId() };
    const dead = await startChildNode(own, { ...shared, nodeId: "dead" });
    await dead.next("become");
    await own.kill();
    dead.child.kill("SIGKILL");
    await dead.child.exit;
    await own.start();
    const begun = performance.now();
    const fresh = await startNode(own, { ...shared, nodeId: "fresh" });
    expect((await fresh.becomes()).epoch).toBe(2);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(shared.leaseTtlMs);
  });

  test("the record names no presence, so its holder does not suspend itself", async () => {
    const shared = { ...QUICK, clusterId: freshId() };
    const dead = await startChildNode(server, { ...shared, nodeId: "dead", crashDetection: "lease" });
    await dead.next("become");
    dead.child.kill("SIGKILL");
    await dead.child.exit;
    const begun = performance.now();
    const fresh = await startNode(server, { ...shared, nodeId: "fresh" });
    expect((await fresh.becomes()).epoch).toBe(2);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(shared.leaseTtlMs);
  });
});

test("a stop before the end of the process is no crash: its release is followed, and the connection is asked about once at most", async () => {
  // Without a promise of silence: on a busy machine a beat may be late, which is worth a question.
  const shared = { ...LONG, silenceMs: 0, clusterId: freshId() };
  const a = await startChildNode(server, { ...shared, nodeId: "a" });
  await a.next("become");
  const b = await startNode(server, { ...shared, nodeId: "b" });
  await b.until(() => b.node.epoch === 1);
  const questions = await hearQuestions(await operatorOf(server, shared.clusterId));
  a.child.kill("SIGTERM");
  await b.until(() => b.node.isLeader());
  await within(a.child.exit);
  expect(b.node.epoch).toBe(2);
  // The end of the presence may be announced before b has read the release.
  expect(questions.items.length).toBeLessThanOrEqual(1);
});
