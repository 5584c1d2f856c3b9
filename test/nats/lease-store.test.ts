import { describe, expect, test } from "vitest";
import { within } from "../../scripts/shared/wait.ts";
import { ClusterError } from "../../src/errors.ts";
import { isAtLeast, REPUBLISH_UPDATE_SINCE } from "../../src/nats/api/server-version.ts";
import type { NatsLink } from "../../src/nats/connection/connection.ts";
import { leaseSubject, streamName } from "../../src/nats/names.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  api,
  applied,
  entryAt,
  link,
  noAbort,
  put,
  record,
  snapshot,
  storeOn,
  watching,
} from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function openStore() {
  const clusterId = freshId();
  const nats = await link(server);
  const opened = await storeOn(nats, clusterId);
  const info = await opened.store.open(noAbort());
  return { ...opened, clusterId, nats, info };
}

/** Writes to the key like any other client. */
async function rawPut(nats: NatsLink, clusterId: string, data: string, headers: Record<string, string> = {}) {
  const { headers: newHeaders } = await import("@nats-io/transport-node");
  const hdrs = newHeaders();
  for (const [name, value] of Object.entries(headers)) hdrs.set(name, value);
  const answer = await nats.connection.request(leaseSubject(clusterId), data, {
    timeout: 2000,
    headers: hdrs,
  });
  return answer.json<{ seq: number }>().seq;
}

describe("a write", () => {
  test("to an empty bucket is applied once, and the other writer gets a conflict", async () => {
    const { store } = await openStore();
    const outcomes = await Promise.all(
      [1, 2, 3, 4].map((nonce) => store.write(put({ emptyAtSequence: 0 }, { nonce }), 2000)),
    );
    expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual([
      "applied",
      "conflict",
      "conflict",
      "conflict",
    ]);
    const { entry, lastSequence } = await snapshot(store);
    expect(entry).toMatchObject({ kind: "record", revision: 1 });
    expect(lastSequence).toBe(1);
  });

  test("against a revision is applied only while that is the last one", async () => {
    const { store } = await openStore();
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    const second = applied(await store.write(put({ revision: first }, { nonce: 2 }), 2000));
    expect(second).toBe(first + 1);
    expect(await store.write(put({ revision: first }, { nonce: 3 }), 2000)).toEqual({ kind: "conflict" });
    expect((await snapshot(store)).entry).toEqual({
      kind: "record",
      revision: second,
      record: record({ nonce: 2 }),
    });
  });

  test("to an empty key requires the last sequence of the stream, not only the empty key", async () => {
    const { store, clusterId, nats } = await openStore();
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    await nats.connection.request(`$KV.KV_CLUSTER_${clusterId}.cooldown.n1`, "1");
    await api(nats, `STREAM.PURGE.${streamName(clusterId)}`, { filter: leaseSubject(clusterId) });
    expect(await snapshot(store)).toMatchObject({ entry: null, lastSequence: first + 1 });
    expect(await store.write(put({ emptyAtSequence: first }), 2000)).toEqual({ kind: "conflict" });
    expect(await store.write(put({ emptyAtSequence: 0 }), 2000)).toEqual({ kind: "conflict" });
    const second = applied(await store.write(put({ emptyAtSequence: first + 1 }), 2000));
    expect(second).toBe(first + 2);
    expect(await store.write(put({ emptyAtSequence: second }), 2000)).toEqual({ kind: "conflict" });
  });

  test("to a deleted bucket is unknown, with the reason", async () => {
    const { store, clusterId, nats } = await openStore();
    await api(nats, `STREAM.DELETE.${streamName(clusterId)}`);
    const outcome = await store.write(put({ emptyAtSequence: 0 }), 2000);
    expect(outcome).toMatchObject({
      kind: "unknown",
      error: { code: "JETSTREAM_UNAVAILABLE", recoverable: true },
    });
    expect(await store.read(2000)).toEqual({ kind: "no-bucket" });
  });

  test("that exceeds the bucket's limits is unknown, with a hint what to do", async () => {
    const { clusterId, nats, store } = await openStore();
    await api(nats, `STREAM.PURGE.${streamName(clusterId)}`);
    const { config } = await api(nats, `STREAM.INFO.${streamName(clusterId)}`);
    await api(nats, `STREAM.UPDATE.${streamName(clusterId)}`, { ...(config as object), max_msg_size: 10 });
    const outcome = await store.write(put({ emptyAtSequence: 0 }), 2000);
    expect(outcome).toMatchObject({
      kind: "unknown",
      error: { code: "INSUFFICIENT_RESOURCES", recoverable: true },
    });
  });
});

describe("a release", () => {
  test("is a delete marker with term and successor, in a read and in the watch", async () => {
    const { store } = await openStore();
    const seen = watching(store);
    const first = applied(await store.write(put({ emptyAtSequence: 0 }, { epoch: 8 }), 2000));
    const release = { kind: "release", epoch: 8, incarnation: "inc-a", successor: "b" } as const;
    const revision = applied(await store.write({ ...release, expect: { revision: first } }, 2000));
    const expected = { kind: "released", revision, epoch: 8, incarnation: "inc-a", successor: "b" };
    expect((await snapshot(store)).entry).toEqual(expected);
    expect(await entryAt(seen, revision)).toEqual(expected);
    expect(applied(await store.write(put({ revision }, { epoch: 9 }), 2000))).toBe(revision + 1);
  });

  test("never deletes a successor's lease", async () => {
    const { store } = await openStore();
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    const second = applied(await store.write(put({ revision: first }, { nodeId: "b" }), 2000));
    const release = { kind: "release", epoch: 1, incarnation: "inc-a", expect: { revision: first } } as const;
    expect(await store.write(release, 2000)).toEqual({ kind: "conflict" });
    expect((await snapshot(store)).entry).toMatchObject({ kind: "record", revision: second });
  });

  test("by another client is a plain delete, and so is a purge", async () => {
    const { store, clusterId, nats } = await openStore();
    const seen = watching(store);
    const deleted = await rawPut(nats, clusterId, "", { "KV-Operation": "DEL" });
    expect((await snapshot(store)).entry).toEqual({ kind: "deleted", revision: deleted });
    expect(await entryAt(seen, deleted)).toEqual({ kind: "deleted", revision: deleted });
    const purged = await rawPut(nats, clusterId, "", { "KV-Operation": "PURGE", "Nats-Rollup": "sub" });
    expect((await snapshot(store)).entry).toEqual({ kind: "deleted", revision: purged });
    expect(await entryAt(seen, purged)).toEqual({ kind: "deleted", revision: purged });
  });
});

describe("reading and watching", () => {
  test("return what any client wrote, garbage included", async () => {
    const { store, clusterId, nats } = await openStore();
    const seen = watching(store);
    const go = await rawPut(nats, clusterId, '{"node_id":"go1","epoch":2,"acquired_at":1700000000000}');
    const goEntry = { kind: "record", record: { nodeId: "go1", epoch: 2, acquiredAt: 1_700_000_000_000 } };
    expect((await snapshot(store)).entry).toEqual({ ...goEntry, revision: go });
    expect(await entryAt(seen, go)).toEqual({ ...goEntry, revision: go });
    const garbage = await rawPut(nats, clusterId, "\u0000not json");
    expect((await snapshot(store)).entry).toMatchObject({ kind: "garbage", revision: garbage });
    expect(await entryAt(seen, garbage)).toMatchObject({ kind: "garbage", revision: garbage });
  });

  test("an empty bucket has no entry, and its generation is its creation time", async () => {
    const { store, info, clusterId, nats } = await openStore();
    expect(await snapshot(store)).toEqual({ generation: info.generation, lastSequence: 0, entry: null });
    expect((await api(nats, `STREAM.INFO.${streamName(clusterId)}`))["created"]).toBe(info.generation);
  });

  test("a rejected write is not reported by the watch", async () => {
    const { store } = await openStore();
    const seen = watching(store);
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    await store.write(put({ revision: first + 5 }, { nonce: 2 }), 2000);
    const second = applied(await store.write(put({ revision: first }, { nonce: 3 }), 2000));
    await entryAt(seen, second);
    expect(seen.items.map((item) => item.type === "entry" && item.entry.revision)).toEqual([first, second]);
  });

  test("a deleted bucket is reported, and a recreated one has another generation", async () => {
    const { store, clusterId, nats, info } = await openStore();
    const seen = watching(store);
    applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    await api(nats, `STREAM.DELETE.${streamName(clusterId)}`);
    await seen.next((item) => item.type === "gone");
    expect(await store.read(2000)).toEqual({ kind: "no-bucket" });
    const again = await store.open(noAbort());
    expect(again.generation).not.toBe(info.generation);
    const revision = applied(await store.write(put({ emptyAtSequence: 0 }, { nonce: 7 }), 2000));
    expect(await entryAt(seen, revision)).toMatchObject({ record: { nonce: 7 } });
  });

  test("a listener that throws affects no other listener", async () => {
    const { store } = await openStore();
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    let calls = 0;
    store.watch({
      entry: () => {
        calls += 1;
        throw new Error("a listener's bug");
      },
      gone: () => {},
    });
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    expect((await within(warned)).message).toBe("a listener's bug");
    applied(await store.write(put({ revision: first }), 2000));
    await store.read(2000);
    expect(calls).toBe(2);
  });
});

describe("without republish", () => {
  test("a consumer watches, markers and their headers included", async () => {
    const { store, clusterId, nats } = await plainBucket();
    const { warnings, store: ours } = store;
    const info = await ours.open(noAbort());
    const canUpdate = !server.version.startsWith("2.9.");
    expect(info).toMatchObject({ republish: canUpdate, maxAgeMs: 0 });
    expect(warnings.some((text) => text.includes("does not republish"))).toBe(!canUpdate);
    const seen = watching(ours);
    const first = applied(await ours.write(put({ emptyAtSequence: 0 }), 2000));
    await entryAt(seen, first);
    const release = { kind: "release", epoch: 1, incarnation: "inc-a", expect: { revision: first } } as const;
    const second = applied(await ours.write(release, 2000));
    expect(await entryAt(seen, second)).toMatchObject({ kind: "released", epoch: 1 });
    expect(await api(nats, `STREAM.INFO.${streamName(clusterId)}`)).toBeTruthy();
  });

  test("if republish is removed from the stream, a consumer watches after the next read", async () => {
    const { store, clusterId, nats } = await openStore();
    const { config } = await api(nats, `STREAM.INFO.${streamName(clusterId)}`);
    const { republish, ...rest } = config as Record<string, unknown>;
    const update = api(nats, `STREAM.UPDATE.${streamName(clusterId)}`, rest);
    if (!isAtLeast(server.version, REPUBLISH_UPDATE_SINCE)) {
      await expect(update).rejects.toThrow("can not change RePublish");
      return;
    }
    await update;
    expect(republish).toBeDefined();
    const seen = watching(store);
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    await snapshot(store);
    expect(await entryAt(seen, first)).toMatchObject({ kind: "record" });
    const second = applied(await store.write(put({ revision: first }), 2000));
    expect(await entryAt(seen, second)).toMatchObject({ kind: "record" });
  });

  async function plainBucket() {
    const clusterId = freshId();
    const nats = await link(server);
    await api(nats, `STREAM.CREATE.${streamName(clusterId)}`, {
      name: streamName(clusterId),
      subjects: [`$KV.KV_CLUSTER_${clusterId}.>`],
      max_msgs_per_subject: 1,
      discard: "new",
      allow_rollup_hdrs: true,
      num_replicas: 1,
      storage: "file",
      retention: "limits",
    });
    return { clusterId, nats, store: await storeOn(nats, clusterId) };
  }
});

describe("errors", () => {
  test("have a code that a program can handle", async () => {
    const { store, monitor, nats } = await openStore();
    atEnd(() => {});
    await nats.connection.close();
    expect(monitor.connected).toBe(false);
    const outcome = await store.write(put({ emptyAtSequence: 0 }), 2000);
    expect(outcome.kind === "unknown" && outcome.error).toBeInstanceOf(ClusterError);
    expect(outcome).toMatchObject({ kind: "unknown", error: { code: "NO_CONNECTION", recoverable: true } });
    expect(await store.read(2000)).toMatchObject({ kind: "failed", error: { code: "NO_CONNECTION" } });
  });
});
