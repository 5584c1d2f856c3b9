/** `migrate` turns a single server into a cluster without losing data. migrate-interrupted.test.ts has what happens if it is killed. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startNatsServer } from "../../src/testing.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { addMemoryStream, connectTo, fillStreams, readAll } from "../support/deploy/streams.ts";
import { operatorOf } from "../support/node/operator.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";

/** Three servers are started, filled, stopped and started again: a minute, or several on a busy machine. */
const LONG_MS = 300_000;

test("a single server becomes a cluster while nodes run: all streams are kept, and epochs continue", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  const [url = ""] = urlsOf(await place.must("up --single"));
  const single = await connectTo(url);
  const names = await fillStreams(single, 400);
  const before = await readAll(single, names);
  const urls = [0, 1, 2].map((index) => `nats://127.0.0.1:${place.portBase + index}`);
  const nodes = [
    await startNode({ servers: urls }, { clusterId: "billing", nodeId: "a" }),
    await startNode({ servers: urls }, { clusterId: "billing", nodeId: "b" }),
  ];
  await nodes[0]?.until(() => nodes.some(({ node }) => node.isLeader()));

  const led = Math.max(...nodes.map(({ node }) => node.epoch));

  // Streams in memory would be lost: the migration does not begin.
  await addMemoryStream(single);
  const refused = await place.run("migrate");
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/takes no snapshot: CACHE\. Delete them, or .* --leave-memory/),
  ]);
  expect(await place.healthy()).toMatchObject({ ok: true, servers: [{ name: "single" }] });

  await single.close();
  const backup = join(place.state, "backup");
  const result = await place.must("migrate --leave-memory", "--keep-backup", backup);
  expect(urlsOf(result)).toEqual(urls);
  expect(result["streams"]).toEqual(
    expect.arrayContaining([
      { name: "ORDERS", messages: 53, firstSequence: 4, lastSequence: 60, consumers: 1, replicas: 3 },
      { name: "JOBS", messages: 5, firstSequence: 4, lastSequence: 8, consumers: 1, replicas: 3 },
    ]),
  );
  expect(readdirSync(backup).sort()).toEqual([...names, "KV_KV_CLUSTER_billing"].sort());
  expect(existsSync(join(place.state, "single/jetstream"))).toBe(true);

  // The nodes have connected to the cluster, where the bucket is new to them: the term ends, epochs continue.
  await nodes[0]?.until(() => nodes.some(({ node }) => node.isLeader()), 30_000);
  expect(Math.max(...nodes.map(({ node }) => node.epoch))).toBeGreaterThan(led);
  const cluster = await connectTo(urls);
  expect(await readAll(cluster, names)).toEqual(before);
  const moved = await operatorOf({ url: urls }, "billing");
  expect(await moved.config()).toMatchObject({ num_replicas: 3 });

  await consumersResume(cluster);
  expect(await place.healthy()).toMatchObject({ ok: true });
});

/** Ten messages were delivered and five of them acknowledged; three jobs are done. Mirrors and sources follow. */
async function consumersResume(nats: NatsConnection): Promise<void> {
  const [js, jsm] = [jetstream(nats), await jetstreamManager(nats)];
  const { seq } = await js.publish("orders.new", "after the move");
  expect(seq).toBe(61);
  expect(await jsm.consumers.info("ORDERS", "billing")).toMatchObject({
    delivered: { consumer_seq: 10, stream_seq: 13 },
    num_ack_pending: 5,
    num_pending: 44,
  });
  const worker = await js.consumers.get("JOBS", "worker");
  const jobs: string[] = [];
  for await (const message of await worker.fetch({ max_messages: 5, expires: 10_000 })) {
    jobs.push(message.string());
    await message.ackAck();
  }
  expect(jobs).toEqual([4, 5, 6, 7, 8].map((job) => `job ${job}`));
  for (const follower of ["MIRROR", "ALL"]) {
    const consumer = await js.consumers.get(follower);
    for await (const message of await consumer.consume()) if (message.string() === "after the move") break;
  }
}

test("a server elsewhere is copied only while it is unused; no stream is overwritten, the source stays unchanged", {
  timeout: LONG_MS,
}, async () => {
  await using source = await startNatsServer();
  const from = `migrate --from ${source.url}`;
  const nats = await connectTo(source.url);
  const [js, jsm] = [jetstream(nats), await jetstreamManager(nats)];
  for (const name of ["A", "B"]) {
    await jsm.streams.add({ name, subjects: [name] });
    await jsm.consumers.add(name, { durable_name: "reader", ack_policy: AckPolicy.Explicit });
    await js.publish(name, "1");
  }
  const place = await Deployment.make("cluster");
  const leader = await startLeader({ url: source.url }, { clusterId: "billing", nodeId: "a" });
  const refused = await place.run(from);
  expect(refused.stderr).toMatch(/nodes run at the source, of cluster billing: a\. Stop them first/);
  await leader.node.stop();
  // This node does not answer requests; its renewals give it away.
  const silent = await startLeader(
    { url: source.url },
    { clusterId: "billing", nodeId: "silent", service: false },
  );
  const renewed = await place.run(from);
  expect(renewed.stderr).toMatch(/lease not released: billing by silent; waiting/);
  expect(renewed.stderr).toMatch(/is still in use: messages of KV_KV_CLUSTER_billing/);
  const { epoch } = silent.node;
  await silent.node.stop();
  const before = await readAll(nats, ["A", "B"]);

  const urls = urlsOf(await place.must("up"));
  const cluster = await connectTo(urls);
  const there = await jetstreamManager(cluster);
  await there.streams.add({ name: "B", subjects: ["mine"] });
  const taken = await place.run(from);
  expect(taken.stderr).toMatch(
    /streams with these names already exist in the cluster: B\. They were not changed/,
  );
  expect(await namesAt(cluster)).toEqual(["B"]);
  await there.streams.delete("B");

  // A client writes after a part has been copied.
  const written = new Promise((resolve) => {
    place.heard = (line) => {
      if (line.startsWith("A: verified")) resolve(js.publish("A", "2"));
    };
  });
  const changed = await place.run(from);
  await written;
  place.heard = () => {};
  expect(changed.stderr).toMatch(/is still in use: messages of A, last sequence 1, now 2\. Stop all clients/);
  expect(changed.stderr).toMatch(/Nothing is lost: the source is unchanged, and the cluster has none/);
  expect(await namesAt(cluster)).toEqual([]);

  // A leader that died without a release: its lease has to expire, to distinguish it from a silent leader.
  const operator = await operatorOf(source, "billing");
  await operator.put({ node_id: "dead", epoch: epoch + 1, acquired_at: 0, ttl_ms: 1000 });
  const done = await place.run(from);
  expect(done.stderr).toMatch(/lease not released: billing by dead; waiting 1 s/);
  expect([done.code, done.result["streams"]]).toMatchObject([
    0,
    [
      { name: "A", messages: 2, consumers: 1, replicas: 3 },
      { name: "B", messages: 1, consumers: 1, replicas: 3 },
      { name: "KV_KV_CLUSTER_billing", replicas: 3 },
    ],
  ]);
  const after = await readAll(nats, ["A", "B"]);
  expect(after["B"]).toEqual(before["B"]);
  expect(after["A"]?.messages.slice(0, 1)).toEqual(before["A"]?.messages);
  expect(await readAll(cluster, ["A", "B"])).toEqual(after);
  const next = await startNode({ servers: urls }, { clusterId: "billing", nodeId: "b" });
  await next.leads(30_000);
  expect(next.node.epoch).toBe(epoch + 2);
});

async function namesAt(nats: NatsConnection): Promise<string[]> {
  const names: string[] = [];
  for await (const name of (await jetstreamManager(nats)).streams.names()) names.push(name);
  return names;
}
