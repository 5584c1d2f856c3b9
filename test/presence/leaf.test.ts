/** A leaf node has its connections to itself: who is on another server can't have a death there confirmed. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { freePort } from "../../src/testing/ports.ts";
import { startChildNode } from "../node/support/child-node.ts";
import { startNode } from "../node/support/node.ts";
import { freshId, operatorOf } from "../node/support/operator.ts";
import { waitFor } from "../support/wait.ts";
import { hearQuestions, LONG, presenceIn } from "./support.ts";

const APP = { user: "app", pass: "p" };

let hub: NatsServer;
let leaf: NatsServer;
beforeAll(async () => {
  const port = await freePort("127.0.0.1");
  const accounts = `accounts {
    APP { jetstream: JS, users: [{ user: app, password: p }] }
    SYS { users: [{ user: sys, password: p }] } }
  system_account: SYS`;
  hub = await startNatsServer({
    config: `${accounts.replace("JS", "enabled")}\nleafnodes { listen: "127.0.0.1:${port}" }`,
  });
  leaf = await startNatsServer({
    jetstream: false,
    config: `${accounts.replace("jetstream: JS,", "")}\nleafnodes { remotes: [
      { url: "nats-leaf://app:p@127.0.0.1:${port}", account: APP }
      { url: "nats-leaf://sys:p@127.0.0.1:${port}", account: SYS } ] }`,
  });
  await waitFor(async () => {
    const leafz = await fetch(`${hub.monitorUrl}/leafz`, { headers: { connection: "close" } });
    return ((await leafz.json()) as { leafnodes: number }).leafnodes === 2;
  });
});
afterAll(async () => {
  await leaf.dispose();
  await hub.dispose();
});

test("a leader on a leaf node is replaced at once by a node on the same one", async () => {
  const shared = { ...LONG, ...APP, clusterId: freshId() };
  const dead = await startChildNode(leaf, { ...shared, nodeId: "dead" });
  await dead.next("become");
  const b = await startNode(leaf, { ...shared, nodeId: "b" });
  await b.until(() => b.node.epoch === 1);
  await presenceIn(await operatorOf(hub, shared.clusterId, APP));
  dead.child.kill("SIGKILL");
  expect((await b.becomes()).epoch).toBe(2);
});

test("a node on the hub hears of its end, asks, is told nothing, and waits for W", async () => {
  const shared = { leaseTtlMs: 1500, ...APP, clusterId: freshId() };
  const dead = await startChildNode(leaf, { ...shared, nodeId: "dead" });
  await dead.next("become");
  const b = await startNode(hub, { ...shared, nodeId: "b" });
  await b.until(() => b.node.epoch === 1);
  const operator = await operatorOf(hub, shared.clusterId, APP);
  await presenceIn(operator);
  const [questions, heard] = [await hearQuestions(operator), await operator.hear()];
  await heard.next(() => true);
  dead.child.kill("SIGKILL");
  await questions.next(() => true);
  expect(b.node.leader?.nodeId).toBe("dead");
  const become = await b.called("onBecomeLeader");
  const last = heard.items.findLast(({ record }) => record?.["node_id"] === "dead");
  expect(become.atMs - (last?.atMs ?? Number.NaN)).toBeGreaterThanOrEqual(shared.leaseTtlMs - 20);
});
