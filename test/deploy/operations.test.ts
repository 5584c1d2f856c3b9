/** What operators do with a running cluster: failover test, scaling, backups, restores, rollback. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { expired, nameAt, partial } from "../../scripts/deploy-nats-cluster/backup/archive.ts";
import { findNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { readStream } from "../support/deploy/streams.ts";
import { startLeader } from "../support/node/test-node.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

/** Servers are started, stopped and scaled to five: half a minute, or minutes on a busy machine. */
const LONG_MS = 300_000;

test("up --failover-test: the leader keeps its term and no message is lost; then five servers, and three again", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster", 5);
  const tested = await place.must("up --failover-test");
  expect(tested["failoverTest"]).toMatchObject({
    passed: true,
    rounds: 1,
    stops: 5,
    leaderChanges: 0,
    termsLost: 0,
    lost: 0,
  });
  const { acknowledged, received } = tested["failoverTest"] as Record<string, number>;
  expect(received).toBe(acknowledged);

  const urls = urlsOf(tested);
  const nats = await connectTo(urls);
  const jsm = await jetstreamManager(nats);
  expect(await jsm.streams.names().next()).toEqual([]); // the test leaves nothing
  const leader = await startLeader({ servers: urls }, { clusterId: "billing", nodeId: "a" });
  const { term } = leader.node;

  expect(urlsOf(await place.must("scale 5"))).toHaveLength(5);
  await jsm.streams.add({ name: "WIDE", subjects: ["wide"], num_replicas: 5 });
  await jetstream(nats).publish("wide", "kept");
  const refused = await place.run("scale 3");
  expect(refused.stderr).toBe(
    "error: nothing was changed, because data would be lost:\n  stream WIDE (account $G) has 5 replicas: nats stream edit WIDE --replicas 3",
  );
  await jsm.streams.update("WIDE", { num_replicas: 3 });
  // Its only replica is on a server that leaves.
  await jsm.streams.add({
    name: "LONE",
    subjects: ["lone"],
    placement: { cluster: "", tags: ["server:n5"] },
  });
  expect((await place.run("scale 3")).stderr).toMatch(/LONE \(account \$G\) has its only replica on n5/);
  await jsm.streams.delete("LONE");
  expect(urlsOf(await place.must("scale 3"))).toEqual(urls);
  expect(await place.healthy()).toMatchObject({ ok: true, servers: [{}, {}, {}] });
  const { cluster } = await jsm.streams.info("WIDE");
  expect([cluster?.leader, ...(cluster?.replicas ?? []).map((one) => one.name)].sort()).toEqual([
    "n1",
    "n2",
    "n3",
  ]);
  expect((await readStream(nats, "WIDE")).messages).toHaveLength(1);
  // One server after the other was stopped, and the meta group changed: the leader kept its term.
  await leader.leads();
  expect(leader.node.term).toBe(term);

  const { connections } = await place.must("status");
  expect(await place.must(`status --expect-connections ${connections}`)).toMatchObject({ ok: true });
  const unexpected = await place.run("status --expect-connections 99");
  expect([unexpected.code, unexpected.result["missing"]]).toEqual([
    1,
    expect.stringMatching(
      /^99 client connections were expected, and there are \d+ \(n1 \d+, n2 \d+, n3 \d+\)$/,
    ),
  ]);
  expect((await place.run("up --size 5")).stderr).toMatch(/has a cluster of 3 servers, not 5: "scale 5"/);
});

test("a backup is proven by a drill, restored into the cluster, and an interrupted restore is rolled back", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  const urls = urlsOf(await place.must("up"));
  const nats = await connectTo(urls);
  const leader = await startLeader({ servers: urls }, { clusterId: "billing", nodeId: "a" });
  const jsm = await jetstreamManager(nats);
  await fill(nats);
  const orders = await readStream(nats, "ORDERS");

  const backups = join(place.state, "backups");
  for (const left of ["nats-2026-01-01T00-00-00-000Z", "notes", "nats-2026-01-02T00-00-00-000Z.partial"])
    mkdirSync(join(backups, left), { recursive: true });
  const saved = await place.must("backup --drill --keep 1");
  expect(saved).toMatchObject({
    proven: true,
    deleted: ["nats-2026-01-01T00-00-00-000Z"],
    streams: expect.arrayContaining([
      { name: "ORDERS", messages: 49, lastSequence: 50, bytes: expect.any(Number), exact: true },
      expect.objectContaining({ name: "KV_KV_CLUSTER_billing", messages: 1 }),
    ]),
  });
  const folder = String(saved["folder"]);
  expect(readdirSync(backups).sort()).toEqual([folder.slice(backups.length + 1), "notes"].sort());
  await leader.node.stop();

  expect((await place.run("restore")).stderr).toMatch(/already exist in the cluster: .*ORDERS.*not changed/);
  for (const name of ["ORDERS", "JOBS"]) await jsm.streams.delete(name);
  // Killed when one of two streams is in the cluster.
  await using script = spawnChild<{ text?: string }>("scripts/deploy-nats-cluster/main.ts", {
    args: ["restore", "--stream", "JOBS", "ORDERS", "--state", place.state],
  });
  await script.next(({ text }) => /^JOBS: verified/.test(text ?? ""), 120_000);
  script.kill("SIGKILL");
  await script.exit;
  expect((await place.run("restart")).stderr).toMatch(/a restore in .* was interrupted: run "rollback"/);
  const planned = await place.must("rollback --dry-run");
  expect(planned).toMatchObject({
    dryRun: true,
    steps: [expect.stringMatching(/^undo the interrupted restore: delete JOBS(, ORDERS)?$/)],
  });
  expect(await jsm.streams.names().next()).toContain("JOBS");
  await place.must("rollback");
  expect(await jsm.streams.names().next()).not.toContain("JOBS");

  const restored = await place.must("restore --stream JOBS ORDERS");
  expect(restored["streams"]).toMatchObject([
    { name: "JOBS", messages: 2, consumers: 1, replicas: 3 },
    { name: "ORDERS", messages: 49, replicas: 3 },
  ]);
  expect(await readStream(nats, "ORDERS")).toEqual(orders);

  // A drill notices a changed backup.
  const file = join(folder, "ORDERS", "contents.json");
  copyFileSync(join(folder, "JOBS", "contents.json"), join(folder, "kept.json"));
  rmSync(file);
  copyFileSync(join(folder, "kept.json"), file);
  expect((await place.run("drill")).code).toBe(1);
});

test("rollback returns to the previous nats-server, one server after another; backup --every ends at a signal", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  const { path } = await findNatsServer();
  await place.must("up");
  expect((await place.run("rollback")).stderr).toMatch(/nothing to roll back/);
  // Another file is another nats-server.
  const other = join(place.state, "other-nats-server");
  copyFileSync(path, other);
  const before = process.env["NATS_SERVER"];
  process.env["NATS_SERVER"] = other;
  atEnd(() => {
    if (before === undefined) delete process.env["NATS_SERVER"];
    else process.env["NATS_SERVER"] = before;
  });
  await place.must("up");
  const planned = await place.must("rollback --dry-run");
  expect(planned["steps"]).toEqual([
    "check that every server runs and nothing is missing",
    expect.stringMatching(/^record nats-server .* in place of/),
    "restart n1, n2, n3, one after another; each must be complete before the next",
  ]);
  expect(recorded(place)["binary"]).toBe(other);
  await place.must("rollback");
  expect(recorded(place)).toMatchObject({ binary: path });
  expect(recorded(place)).not.toHaveProperty("previousBinary");
  expect(await place.healthy()).toMatchObject({ ok: true });

  await using script = spawnChild<{ ok?: boolean; folder?: string }>("scripts/deploy-nats-cluster/main.ts", {
    args: ["backup", "--every", "100ms", "--keep", "2", "--json", "--state", place.state],
  });
  for (let count = 0; count < 3; count++) {
    const { folder } = await script.next(({ ok }) => ok === true, 60_000);
    expect(folder).toMatch(/backups\/nats-\d{4}-/);
  }
  script.kill("SIGTERM");
  expect(await script.exit).toEqual({ code: 0, signal: null });
  const kept = readdirSync(join(place.state, "backups"));
  expect(kept.length).toBeLessThanOrEqual(2);
  expect(partial(kept)).toEqual([]);
  expect(existsSync(join(place.state, "backups", kept[0] ?? "", "manifest.json"))).toBe(true);
});

describe("the folders of backups", () => {
  test("have the time in their names, and sort by it", () => {
    expect(nameAt(Date.UTC(2026, 10, 30, 16, 5, 0, 7))).toBe("nats-2026-11-30T16-05-00-007Z");
  });

  test("beyond those that are kept are deleted, the oldest first, and no other folder is", () => {
    const names = [3, 1, 2].map((day) => nameAt(Date.UTC(2026, 0, day)));
    const others = ["notes", `${names[0]}.partial`, "nats-2026", `old-${names[0]}`];
    expect(expired([...names, ...others], 1)).toEqual([names[1], names[2]]);
    expect(expired([...names, ...others], 3)).toEqual([]);
    expect(partial([...names, ...others, "notes.partial"])).toEqual([`${names[0]}.partial`]);
  });
});

/** A stream with a deleted message, one that expires, a work queue with a consumer of three replicas, and one in memory. */
async function fill(nats: NatsConnection): Promise<void> {
  const [js, jsm] = [jetstream(nats), await jetstreamManager(nats)];
  await jsm.streams.add({ name: "ORDERS", subjects: ["orders"], num_replicas: 3 });
  for (let order = 1; order <= 50; order++) await js.publish("orders", `order ${order}`);
  await jsm.streams.deleteMessage("ORDERS", 7);
  await jsm.streams.add({ name: "RECENT", subjects: ["recent"], max_age: 3600e9, num_replicas: 3 });
  await js.publish("recent", "news");
  await jsm.streams.add({
    name: "JOBS",
    subjects: ["jobs"],
    retention: RetentionPolicy.Workqueue,
    num_replicas: 3,
  });
  await jsm.consumers.add("JOBS", {
    durable_name: "worker",
    ack_policy: AckPolicy.Explicit,
    num_replicas: 3,
  });
  for (const job of [1, 2, 3]) await js.publish("jobs", `job ${job}`);
  const worker = await js.consumers.get("JOBS", "worker");
  for await (const message of await worker.fetch({ max_messages: 1, expires: 5000 })) await message.ackAck();
  await jsm.streams.add({ name: "CACHE", subjects: ["cache"], storage: StorageType.Memory });
}

async function connectTo(servers: string[]): Promise<NatsConnection> {
  const connection = await connect({ servers, maxReconnectAttempts: -1 });
  atEnd(() => connection.close());
  return connection;
}

function recorded(place: Deployment): Record<string, unknown> {
  return JSON.parse(readFileSync(join(place.state, "deployment.json"), "utf8"));
}
