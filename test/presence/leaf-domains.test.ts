/** Two sites joined by a leaf node, each with JetStream of its own: one cluster in the hub's domain, or one with the same id in each. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { FencedStream, KvFence } from "../../src/fencing.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { NatsLeaseStore } from "../../src/nats/lease/lease-store.ts";
import { republishSubject, streamName } from "../../src/nats/names.ts";
import { permissionsFor } from "../../src/nats/permissions.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, contents, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { link, storeOn } from "../support/nats/store-and-session.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import { oldest } from "../support/node/presence.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { LONG, PATIENCE_MS } from "../support/patience.ts";
import { Recorder } from "../support/recorder.ts";

const APP = { user: "app", pass: "p" };

/** A user that may do what a node needs whose bucket is in the hub's domain, and nothing else. */
const LIMITED_CLUSTER = "limited";
const limited = permissionsFor({ clusterId: LIMITED_CLUSTER, createBucket: true, domain: "hub" });
const USERS = `{ user: app, password: p }, { user: limited, password: p, permissions {
  publish { allow: ${JSON.stringify(limited.publish)} }, subscribe { allow: ${JSON.stringify(limited.subscribe)} } } }`;
const ACCOUNTS = `accounts { APP { jetstream: enabled, users: [${USERS}] } }`;

let hub: NatsServer;
let leaf: NatsServer;
let folder: string;
beforeAll(async () => {
  const port = await freePort("127.0.0.1");
  folder = mkdtempSync(join(tmpdir(), "nats-leader-domains-"));
  const jetstream = (domain: string): string =>
    `jetstream { store_dir: ${JSON.stringify(join(folder, domain))}, domain: ${domain} }\n${ACCOUNTS}`;
  hub = await startNatsServer({
    config: `${jetstream("hub")}\nleafnodes { listen: "127.0.0.1:${port}" }`,
  });
  leaf = await startNatsServer({
    config: `${jetstream("leaf")}
      leafnodes { remotes: [{ url: "nats-leaf://app:p@127.0.0.1:${port}", account: APP }] }`,
  });
  await waitFor(async () => {
    const leafz = await fetch(`${hub.monitorUrl}/leafz`, { headers: { connection: "close" } });
    return ((await leafz.json()) as { leafnodes: number }).leafnodes === 1;
  });
});
afterAll(async () => {
  await leaf.dispose();
  await hub.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function domainOfBucket(at: NatsServer, clusterId: string): Promise<unknown> {
  const { connection } = await operatorOf(at, clusterId, APP);
  const answer = await connection.request(`$JS.API.STREAM.INFO.${streamName(clusterId)}`);
  return (answer.json() as { domain?: string }).domain;
}

test("option domain: a leader on the leaf node uses the bucket of the hub, and a node on the hub replaces it at once", async () => {
  const shared = { ...LONG, ...APP, clusterId: freshId() };
  const dead = await startChildNode(leaf, { ...shared, domain: "hub", nodeId: "dead" });
  await dead.next("become");
  expect(await domainOfBucket(hub, shared.clusterId)).toBe("hub");
  expect(await domainOfBucket(leaf, shared.clusterId)).toBeUndefined();
  const b = await startNode(hub, { ...shared, nodeId: "b" });
  await b.until(() => b.node.epoch === 1);
  dead.child.kill("SIGKILL");
  expect((await b.becomes()).epoch).toBe(2);
  const c = await startNode(leaf, { ...shared, domain: "hub", nodeId: "c" });
  await c.sees(b);
  await b.node.stepDown();
  expect((await c.becomes()).epoch).toBe(3);
});

test("option domain: permissionsFor() with the domain lets a node lead, with presence and without a refusal", async () => {
  const { inboxPrefix } = limited;
  const options = {
    ...LONG,
    clusterId: LIMITED_CLUSTER,
    domain: "hub",
    user: "limited",
    pass: "p",
    inboxPrefix,
  };
  const a = await startLeader(leaf, { ...options, nodeId: "a" });
  const problems = a.log.filter(({ level }) => level === "warn" || level === "error");
  // A node that creates a bucket on an old server warns that it gets one replica.
  expect(problems.map(({ message }) => message)).toEqual(
    oldest ? [expect.stringContaining("gets 1 replica")] : [],
  );
  expect(await domainOfBucket(hub, LIMITED_CLUSTER)).toBe("hub");
  expect(() => permissionsFor({ clusterId: "c", domain: "a.b" })).toThrow(/domain is "a.b": it must be/);
});

test("the same cluster id in both domains: a node follows the leader of its own, and replaces it at once", async () => {
  const shared = { ...LONG, ...APP, clusterId: freshId() };
  // Renewals of the hub's leader, and a higher epoch there, cross the leaf node all the time.
  const h1 = await startChildNode(hub, { ...shared, heartbeatIntervalMs: 100, nodeId: "h1" });
  await h1.next("become");
  const dead = await startChildNode(leaf, { ...shared, nodeId: "l1" });
  await dead.next("become");
  const l2 = await startNode(leaf, { ...shared, nodeId: "l2" });
  await l2.until(() => l2.node.leader?.nodeId === "l1");
  const { connection } = await operatorOf(leaf, shared.clusterId, APP);
  const foreign = new Recorder<string>();
  connection.subscribe(republishSubject(shared.clusterId), {
    callback: (_, message) => foreign.push((message.json() as { node_id: string }).node_id),
  });
  let crossed = 0;
  await foreign.next((nodeId) => nodeId === "h1" && ++crossed === 5);
  expect(l2.events.items.filter(({ type }) => type === "leader-change")).toHaveLength(1);
  dead.child.kill("SIGKILL");
  expect((await l2.becomes()).epoch).toBe(2);
  await foreign.next((nodeId) => nodeId === "h1");
  expect(l2.node.isLeader()).toBe(true);
});

test("the error of a server without JetStream names the option domain", async () => {
  const plain = await startNatsServer({ jetstream: false });
  atEnd(() => plain.dispose());
  const { store } = await storeOn(plain, freshId());
  await expect(store.open(AbortSignal.timeout(PATIENCE_MS))).rejects.toMatchObject({
    code: "JETSTREAM_UNAVAILABLE",
    message: expect.stringMatching(
      /JetStream is off on this server.*behind a leaf node, set the option domain/,
    ),
  });
});

test("a domain that does not exist is named, with what to check", async () => {
  const own = await link(leaf, APP);
  const monitor = ConnectionMonitor.acquire(own.connection, "nope");
  atEnd(() => monitor.release());
  const store = new NatsLeaseStore(monitor, {
    clusterId: freshId(),
    leaseTtlMs: 10_000,
    replicas: "auto",
    interop: "native",
  });
  await expect(store.open(AbortSignal.timeout(PATIENCE_MS))).rejects.toMatchObject({
    code: "JETSTREAM_UNAVAILABLE",
    message: expect.stringMatching(/JetStream domain "nope" does not answer \(check the option domain/),
  });
});

test.skipIf(oldest)(
  "a fence on the leaf node creates its stream and bucket with one replica, and a second stream of the hub makes outcomes unknown only (fences need 2.11)",
  async () => {
    const { connection: onLeaf } = await operatorOf(leaf, freshId(), APP);
    const { connection: onHub } = await operatorOf(hub, freshId(), APP);
    const stream = freshId("FENCED");
    const subject = `${stream}.x`;
    const fence = await KvFence.open(onLeaf, { key: "printer", bucket: stream });
    atEnd(() => fence.close());
    await fence.admit(1);
    const store = await FencedStream.connect(onLeaf, { stream, subjects: [subject] });
    atEnd(() => store.close());
    const writer = await store.open(termOf(1));
    const other = { name: `OTHER_${stream}`, subjects: [subject] };
    expect(await api(onHub, `STREAM.CREATE.${other.name}`, other)).not.toHaveProperty("error");
    const outcomes: string[] = [];
    for (let i = 0; i < 20; i++) {
      const write = writer.publish(subject, String(i));
      outcomes.push(
        await write.then(
          () => "written",
          (error: { code: string }) => error.code,
        ),
      );
    }
    expect(["written", "OUTCOME_UNKNOWN"]).toEqual(expect.arrayContaining([...new Set(outcomes)]));
    expect(await contents(onLeaf, stream, (name) => name === subject)).toHaveLength(20);
  },
);
