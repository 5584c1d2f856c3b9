/** A leader connected to a leaf node, which answers inquiries through the hub, or cannot be reached. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { confirmsDeath } from "../../scripts/shared/presence-questions.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { openSession } from "../../src/nats/presence/session.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { freshId } from "../support/fresh-id.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import { hearQuestions, oldest, presenceIn, sessionIn } from "../support/node/presence.ts";
import { overlaps } from "../support/node/proxy.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";

const APP = { user: "app", pass: "p" };

/** Accounts of the leaf node that are bound to the hub's account. 2.9 refuses the second. */
const bound = oldest ? ["APP"] : ["OTHER", "APP"];

let hub: NatsServer;
let leaf: NatsServer;
let folder: string;
beforeAll(async () => {
  const port = await freePort("127.0.0.1");
  folder = mkdtempSync(join(tmpdir(), "nats-leader-hub-"));
  hub = await startNatsServer({
    config: `jetstream { store_dir: ${JSON.stringify(folder)}, domain: hub }
      accounts { APP { jetstream: enabled, users: [{ user: app, password: p }] } }
      leafnodes { listen: "127.0.0.1:${port}" }`,
  });
  leaf = await startNatsServer({
    jetstream: false,
    config: `default_js_domain: { APP: hub }
      accounts { APP { users: [{ user: app, password: p }] }, OTHER { users: [{ user: other, password: p }] } }
      leafnodes { remotes: [${bound.map((account) => `{ url: "nats-leaf://app:p@127.0.0.1:${port}", account: ${account} }`).join(", ")}] }`,
  });
  await waitFor(async () => {
    const leafz = await fetch(`${hub.monitorUrl}/leafz`, { headers: { connection: "close" } });
    return ((await leafz.json()) as { leafnodes: number }).leafnodes === bound.length;
  });
});
afterAll(async () => {
  await leaf.dispose();
  await hub.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test.each([
  ["the same one", () => leaf],
  ["the hub", () => hub],
])(
  "a leader on a leaf node is replaced at once by a node on %s: the leaf node answers both",
  async (_, place) => {
    const shared = { ...LONG, ...APP, clusterId: freshId() };
    const dead = await startChildNode(leaf, { ...shared, nodeId: "dead" });
    await dead.next("become");
    const b = await startNode(place(), { ...shared, nodeId: "b" });
    await b.until(() => b.node.epoch === 1);
    await presenceIn(await operatorOf(hub, shared.clusterId, APP));
    dead.child.kill("SIGKILL");
    expect((await b.becomes()).epoch).toBe(2);
  },
);

test.skipIf(oldest)(
  "a leader on a leaf node is alive: the answer for another account of the leaf node does not list it, and confirms nothing (2.9 refuses the other account)",
  async () => {
    const clusterId = freshId();
    await startLeader(leaf, { ...LONG, ...APP, clusterId, nodeId: "leader" });
    const operator = await operatorOf(hub, clusterId, APP);
    const presence = await presenceIn(operator);
    const { server_id, client_id } = await sessionIn(operator);
    const binding = { serverId: server_id, clientId: client_id, presence };
    const asker = openSession(operator.connection);
    for (let question = 0; question < 20; question += 1) {
      expect(await confirmsDeath(asker, binding, 1000)).toBe(false);
    }
    await asker.release();
  },
);

test("the leaf node itself is killed: the node on the hub suspects, inquires, gets no answer, and waits for W", async () => {
  const shared = { leaseTtlMs: 1500, ...APP, clusterId: freshId() };
  const leader = await startLeader(leaf, { ...shared, nodeId: "leader" });
  const b = await startNode(hub, { ...shared, nodeId: "b" });
  await b.sees(leader);
  const operator = await operatorOf(hub, shared.clusterId, APP);
  await presenceIn(operator);
  const [questions, heard] = [await hearQuestions(operator), await operator.hear()];
  await heard.next(() => true);
  const overlapped = overlaps(leader, b);
  await leaf.kill();
  await leader.next("suspended");
  await questions.next(() => true);
  expect(b.node.leader?.nodeId).toBe("leader");
  const become = await b.called("onBecomeLeader");
  const last = heard.items.findLast(({ record }) => record?.["node_id"] === "leader");
  expect(become.atMs - (last?.atMs ?? Number.NaN)).toBeGreaterThanOrEqual(shared.leaseTtlMs - 20);
  await leaf.start();
  await leader.sees(b, 15_000);
  expect(overlapped()).toBe(0);
});
