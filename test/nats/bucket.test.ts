import { describe, expect, test } from "vitest";
import { isAtLeast } from "../../src/nats/api/server-version.ts";
import type { NatsLink } from "../../src/nats/connection/connection.ts";
import { bucketName, leaseSubject, republishSubject, streamName } from "../../src/nats/names.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  api,
  applied,
  entryAt,
  link,
  noAbort,
  put,
  snapshot,
  storeOn,
  watching,
} from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

const NANOS = 1_000_000;

async function configOf(nats: NatsLink, clusterId: string): Promise<Record<string, unknown>> {
  const { config } = await api(nats, `STREAM.INFO.${streamName(clusterId)}`);
  return config as Record<string, unknown>;
}

/** A bucket as go-cluster and the `nats` CLI create one. */
async function foreignBucket(over: Record<string, unknown> = {}) {
  const clusterId = freshId();
  const nats = await link(server);
  await api(nats, `STREAM.CREATE.${streamName(clusterId)}`, {
    name: streamName(clusterId),
    subjects: [`$KV.${bucketName(clusterId)}.>`],
    max_msgs_per_subject: 1,
    max_bytes: -1,
    max_age: 0,
    max_msg_size: -1,
    storage: "file",
    retention: "limits",
    discard: "new",
    duplicate_window: 0,
    num_replicas: 1,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
    ...over,
  });
  return { clusterId, nats };
}

describe("a missing bucket", () => {
  test("is created without max-age, with history 1, file storage and republish", async () => {
    const clusterId = freshId();
    const nats = await link(server);
    const { store, warnings } = await storeOn(nats, clusterId);
    const info = await store.open(noAbort());
    expect(info).toMatchObject({ maxAgeMs: 0, replicas: 1, republish: true });
    expect(await configOf(nats, clusterId)).toMatchObject({
      max_age: 0,
      max_msgs_per_subject: 1,
      storage: "file",
      discard: "new",
      num_replicas: 1,
      allow_direct: true,
      allow_rollup_hdrs: true,
      deny_delete: true,
      republish: { src: leaseSubject(clusterId), dest: republishSubject(clusterId) },
    });
    expect(await store.open(noAbort())).toEqual(info);
    expect(warnings).toEqual([]);
  });

  test("is a key-value bucket for every other client", async () => {
    const clusterId = freshId();
    const nats = await link(server);
    const { store } = await storeOn(nats, clusterId);
    await store.open(noAbort());
    applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    const { Kvm } = await import("@nats-io/kv");
    const kv = await new Kvm(nats.connection).open(bucketName(clusterId));
    const entry = await kv.get("leader");
    expect(entry?.json()).toMatchObject({ node_id: "a", epoch: 1 });
    const status = await kv.status();
    expect([status.history, status.ttl]).toEqual([1, 0]);
    await kv.delete("leader");
    expect((await snapshot(store)).entry).toMatchObject({ kind: "deleted", revision: 2 });
  });

  test("is created by several nodes at the same time, and all of them use it", async () => {
    const clusterId = freshId();
    const stores = await Promise.all(Array.from({ length: 6 }, () => storeOn(server, clusterId)));
    await Promise.all(stores.map(({ store }, remembered) => store.open(noAbort(), remembered)));
    // nats-server 2.9.10 has answered simultaneous requests with two creation times (1 of 30 runs). A node that was given the other one finds
    // it out at its next read, and opens the bucket again: all of them are given one then.
    const infos = await Promise.all(stores.map(({ store }) => store.open(noAbort())));
    expect(new Set(infos.map((info) => info.generation)).size).toBe(1);
  });

  test("is created by several nodes with different options: the first options apply if they are compatible with the others", async () => {
    const clusterId = freshId();
    const native = await storeOn(server, clusterId);
    const interop = await storeOn(server, clusterId, { interop: "go-cluster" });
    const infos = await Promise.all([native.store.open(noAbort()), interop.store.open(noAbort())]);
    expect(new Set(infos.map((info) => JSON.stringify(info))).size).toBe(1);
  });

  test("starts above the remembered revision when it is created, and only then; a server before 2.10 starts at 1", async () => {
    const clusterId = freshId();
    const nats = await link(server);
    const { store } = await storeOn(nats, clusterId);
    const { generation } = await store.open(noAbort(), 57);
    const lastSequence = isAtLeast(server.version, "2.10.0") ? 57 : 0;
    expect(await snapshot(store)).toEqual({ generation, lastSequence, entry: null });
    expect(await store.open(noAbort(), 99)).toMatchObject({ generation });
    expect(applied(await store.write(put({ emptyAtSequence: lastSequence }), 2000))).toBe(lastSequence + 1);
    const { Kvm } = await import("@nats-io/kv");
    const kv = await new Kvm(nats.connection).create(bucketName(clusterId), { history: 1 });
    expect((await kv.get("leader"))?.revision).toBe(lastSequence + 1);
  });

  test("has revisions left for years, however large the remembered revision", async () => {
    const { store } = await storeOn(server, freshId());
    await store.open(noAbort(), Number.MAX_SAFE_INTEGER);
    const seen = watching(store);
    const { lastSequence } = await snapshot(store);
    const revision = applied(await store.write(put({ emptyAtSequence: lastSequence }), 2000));
    expect(revision).toBeLessThan(Number.MAX_SAFE_INTEGER / 10);
    await entryAt(seen, revision);
  });

  test("gets the lease TTL as max-age when go-cluster's nodes share it", async () => {
    const clusterId = freshId();
    const nats = await link(server);
    const { store } = await storeOn(nats, clusterId, { interop: "go-cluster", leaseTtlMs: 7000 });
    expect(await store.open(noAbort())).toMatchObject({ maxAgeMs: 7000, republish: true });
    expect(await configOf(nats, clusterId)).toMatchObject({ max_age: 7000 * NANOS, max_msgs_per_subject: 1 });
  });

  test("is not created with replicas that a single server cannot place", async () => {
    const { store } = await storeOn(server, freshId(), { replicas: 3 });
    const code = isAtLeast(server.version, "2.9.21") ? "INVALID_CONFIG" : "SERVER_TOO_OLD";
    await expect(store.open(noAbort())).rejects.toMatchObject({ code, recoverable: false });
  });

  test("is not waited for after the caller aborts", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const { store } = await storeOn(own, freshId());
    await own.pause();
    const giveUp = new AbortController();
    const opening = store.open(giveUp.signal);
    giveUp.abort();
    await expect(opening).rejects.toMatchObject({ code: "ABORTED" });
    await own.resume();
  });

  test("times out on a frozen server with a recoverable error", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const { store } = await storeOn(own, freshId(), { apiTimeoutMs: 200 });
    await own.pause();
    await expect(store.open(noAbort())).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      recoverable: true,
    });
    await own.resume();
  });
});

describe("go-cluster's bucket", () => {
  test("is used unchanged, with its records, deletes and other keys", async () => {
    const { clusterId, nats } = await foreignBucket({ max_age: 10_000 * NANOS });
    const { Kvm } = await import("@nats-io/kv");
    const kv = await new Kvm(nats.connection).open(bucketName(clusterId));
    const { store } = await storeOn(nats, clusterId);
    const info = await store.open(noAbort());
    expect(info).toMatchObject({ maxAgeMs: 10_000, replicas: 1 });
    await kv.put("cooldown.n1", "1700000000000");
    const revision = await kv.create("leader", '{"node_id":"n1","epoch":3,"acquired_at":1700000000000}');
    const goRecord = { nodeId: "n1", epoch: 3, acquiredAt: 1_700_000_000_000 };
    expect(await snapshot(store)).toEqual({
      generation: info.generation,
      lastSequence: revision,
      entry: { kind: "record", revision, record: goRecord },
    });
    await kv.delete("leader");
    expect((await snapshot(store)).entry).toEqual({ kind: "deleted", revision: revision + 1 });
    const mine = applied(await store.write(put({ revision: revision + 1 }, { epoch: 4 }), 2000));
    // go-cluster reads a JSON object with its three fields, and its own create must fail now.
    expect((await kv.get("leader"))?.json()).toMatchObject({
      node_id: "a",
      epoch: 4,
      acquired_at: 1_700_000_000_000,
    });
    await expect(kv.create("leader", "{}")).rejects.toThrow();
    const release = { kind: "release", epoch: 4, incarnation: "inc-a", expect: { revision: mine } } as const;
    applied(await store.write(release, 2000));
    expect((await kv.get("leader"))?.operation).toBe("DEL");
    await kv.create("leader", '{"node_id":"n1","epoch":5,"acquired_at":1700000000001}');
    expect((await snapshot(store)).entry).toMatchObject({ kind: "record", record: { epoch: 5 } });
  });

  test("gets republish if the server can add it, and is otherwise not changed", async () => {
    const { clusterId, nats } = await foreignBucket({ max_age: 10_000 * NANOS });
    const before = await configOf(nats, clusterId);
    const { store, warnings } = await storeOn(nats, clusterId);
    const { republish } = await store.open(noAbort());
    const { republish: added, ...rest } = await configOf(nats, clusterId);
    expect(republish).toBe(isAtLeast(server.version, "2.10.0"));
    expect(added !== undefined).toBe(republish);
    expect(warnings).toHaveLength(republish ? 0 : 1);
    expect(rest).toEqual(before);
    await store.open(noAbort());
    expect(warnings).toHaveLength(republish ? 0 : 1);
  });

  test("with a max-age below the lease TTL is rejected with both numbers in the error", async () => {
    const { clusterId } = await foreignBucket({ max_age: 5000 * NANOS });
    const { store } = await storeOn(server, clusterId);
    await expect(store.open(noAbort())).rejects.toMatchObject({
      code: "BUCKET_INCOMPATIBLE",
      recoverable: false,
      message: expect.stringMatching(/max-age is 5000 ms and leaseTtlMs is 10000/),
    });
    const fitting = await storeOn(server, clusterId, { leaseTtlMs: 5000 });
    expect(await fitting.store.open(noAbort())).toMatchObject({ maxAgeMs: 5000 });
  });
});

describe("an incompatible bucket", () => {
  test.each([
    ["history", { max_msgs_per_subject: 5 }, /history is 5, it must be 1/],
    ["discard old with a limit", { discard: "old", max_bytes: 1_000_000 }, /discard policy is old/],
    ["a tiny max_bytes", { max_bytes: 4096 }, /max_bytes is 4096/],
    ["a tiny max_msg_size", { max_msg_size: 100 }, /max_msg_size is 100/],
    ["a work queue", { retention: "workqueue" }, /retention is "workqueue"/],
    ["no acks", { no_ack: true }, /no_ack/],
    ["other subjects", { subjects: [`other.${process.pid}.>`] }, /subjects \["other/],
  ])("is rejected: %s", async (_name, over, message) => {
    const { clusterId } = await foreignBucket(over);
    const { store } = await storeOn(server, clusterId);
    await expect(store.open(noAbort())).rejects.toMatchObject({
      code: "BUCKET_INCOMPATIBLE",
      recoverable: false,
      message: expect.stringMatching(message),
    });
  });

  test("is rejected: delete markers on expiry", async () => {
    if (!isAtLeast(server.version, "2.11.0")) return;
    const { clusterId } = await foreignBucket({
      max_age: 10_000 * NANOS,
      allow_msg_ttl: true,
      subject_delete_marker_ttl: 5000 * NANOS,
    });
    const { store } = await storeOn(server, clusterId);
    await expect(store.open(noAbort())).rejects.toMatchObject({
      message: expect.stringMatching(/markerTTL/),
    });
  });

  test("causes warnings: memory storage, other replicas, a republish with another purpose", async () => {
    const { clusterId } = await foreignBucket({
      storage: "memory",
      republish: { src: ">", dest: `elsewhere.${process.pid}.>` },
    });
    const { store, warnings } = await storeOn(server, clusterId, { replicas: 3 });
    expect(await store.open(noAbort())).toMatchObject({ republish: false });
    expect(warnings.join("\n")).toMatch(/has 1 replicas[\s\S]*kept in memory[\s\S]*used for another purpose/);
  });
});
