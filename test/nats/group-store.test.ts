import { headers } from "@nats-io/transport-node";
import { describe, expect, test, vi } from "vitest";
import type { GroupEntry } from "../../src/group/core/types.ts";
import { MAX_PLAN_BYTES } from "../../src/group/plan/plan-codec.ts";
import { FIRST_SEQUENCE_SINCE, isAtLeast } from "../../src/nats/api/server-version.ts";
import type { NatsLink } from "../../src/nats/connection/connection.ts";
import { readBulk } from "../../src/nats/group/bulk-read.ts";
import { groupRepublishSubject, groupStreamName, groupSubject, streamName } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  claim,
  claimOf,
  entriesOf,
  groupStoreOn,
  inFlight,
  owner,
  revisionsIn,
  sessionRecord,
  watchingGroup,
} from "../support/nats/group-store.ts";
import { api, applied, link, noAbort, storeOn } from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function openStore() {
  const groupId = freshId();
  const nats = await link(server);
  const opened = await groupStoreOn(nats, groupId);
  const info = await opened.store.open(noAbort(), 0);
  return { ...opened, groupId, nats, info, stream: groupStreamName(groupId) };
}

/** Writes to a key like any other client. */
async function rawPut(
  nats: NatsLink,
  groupId: string,
  key: string,
  data: string,
  hdr: Record<string, string> = {},
) {
  const hdrs = headers();
  for (const [name, value] of Object.entries(hdr)) hdrs.set(name, value);
  const answer = await nats.connection.request(groupSubject(groupId, key), data, {
    headers: hdrs,
    timeout: 5000,
  });
  return answer.json<{ seq: number; error?: { err_code: number } }>();
}

const names = (entries: readonly GroupEntry[]) =>
  entries.map(({ key }) => (key.kind === "owner" ? key.resource : key.kind));

describe("a bucket of a group", () => {
  test("keeps the last message of each key, lets no client remove one, and republishes all keys", async () => {
    const { nats, stream, groupId, info, warnings } = await openStore();
    const { config, created } = (await api(nats, `STREAM.INFO.${stream}`)) as {
      config: Record<string, unknown>;
      created: string;
    };
    expect(config).toMatchObject({
      subjects: [`$KV.GROUP_${groupId}.>`],
      max_msgs_per_subject: 1,
      max_age: 0,
      storage: "file",
      discard: "new",
      deny_delete: true,
      deny_purge: true,
      num_replicas: 1,
      republish: { src: `$KV.GROUP_${groupId}.>`, dest: `nats_leader.group.${groupId}.>` },
    });
    expect(config["allow_rollup_hdrs"] ?? false).toBe(false);
    expect(info).toEqual({ generation: created, maxAgeMs: 0, replicas: 1, republish: true });
    expect(warnings).toEqual([]);
    const revision = (await rawPut(nats, groupId, "owner.r", "x")).seq;
    await expect(api(nats, `STREAM.PURGE.${stream}`)).rejects.toThrow(/purge/i);
    await expect(api(nats, `STREAM.MSG.DELETE.${stream}`, { seq: revision })).rejects.toThrow(/delete/i);
    const purge = await rawPut(nats, groupId, "owner.r", "", {
      "KV-Operation": "PURGE",
      "Nats-Rollup": "sub",
    });
    expect(purge.error).toBeDefined();
  });

  test("is made by several members at once, and all of them use it", async () => {
    const groupId = freshId();
    const stores = await Promise.all([1, 2, 3, 4].map(() => groupStoreOn(server, groupId)));
    const infos = await Promise.all(stores.map(({ store }) => store.open(noAbort(), 0)));
    expect(new Set(infos.map(({ generation }) => generation)).size).toBe(1);
  });

  test("is another one than the bucket of a cluster with the same id", async () => {
    const { groupId, nats, store } = await openStore();
    const cluster = await storeOn(nats, groupId);
    await cluster.store.open(noAbort());
    expect(streamName(groupId)).not.toBe(groupStreamName(groupId));
    applied(await store.write(claimOf("r", 0), 2000));
    expect(await cluster.store.read(2000)).toMatchObject({ snapshot: { entry: null, lastSequence: 0 } });
  });

  test("begins above what is known, where the server can", async () => {
    const groupId = freshId();
    const { store, monitor } = await groupStoreOn(server, groupId);
    await store.open(noAbort(), 4_000);
    const can = isAtLeast(monitor.connection.info?.version ?? "", FIRST_SEQUENCE_SINCE);
    // A bulk read of the empty bucket has read what the stream calls its last sequence.
    const { lastSequence } = (await store.read(owner("r"), 2000)) as { lastSequence: number };
    expect([lastSequence, entriesOf(await store.readAfter(0, 2000)).upTo]).toEqual(
      can ? [4_000, 4_000] : [0, 0],
    );
    expect(applied(await store.write(claimOf("r", 0), 2000))).toBe(can ? 4_001 : 1);
    expect(entriesOf(await store.readAfter(0, 2000)).upTo).toBe(can ? 4_001 : 1);
  });

  test.each<[string, Record<string, unknown>]>([
    ["history is 5", { max_msgs_per_subject: 5 }],
    ["max-age is 60000 ms", { max_age: 60e9, duplicate_window: 60e9 }],
    ["deny_delete is off", { deny_delete: false }],
    ["deny_purge is off", { deny_purge: false }],
    ["allow_rollup_hdrs", { allow_rollup_hdrs: true, deny_purge: false }],
    ["max_bytes is 1000000", { max_bytes: 1_000_000 }],
    ["max_msg_size is 10000", { max_msg_size: 10_000 }],
  ])("that exists is refused if %s", async (problem, changed) => {
    const { nats, stream, groupId } = await openStore();
    const { config } = (await api(nats, `STREAM.INFO.${stream}`)) as { config: object };
    await api(nats, `STREAM.DELETE.${stream}`);
    await api(nats, `STREAM.CREATE.${stream}`, { ...config, ...changed });
    const { store } = await groupStoreOn(nats, groupId);
    await expect(store.open(noAbort(), 0)).rejects.toMatchObject({
      code: "BUCKET_INCOMPATIBLE",
      message: expect.stringMatching(
        new RegExp(`^bucket GROUP_${groupId} \\(stream ${stream}\\) exists and cannot be used: .*${problem}`),
      ),
    });
  });
});

describe("a write", () => {
  test("to a key without a message is applied once, and the others get a conflict", async () => {
    const { store } = await openStore();
    const outcomes = await Promise.all(
      [1, 2, 3, 4].map((nonce) => store.write(claimOf("r", 0, { nonce }), 2000)),
    );
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["applied", "conflict", "conflict", "conflict"]);
  });

  test("depends on its own key only", async () => {
    const { store } = await openStore();
    const first = applied(await store.write(claimOf("r", 0), 2000));
    for (const other of ["s", "t", "u"]) applied(await store.write(claimOf(other, 0), 2000));
    expect(await store.write(claimOf("r", 0), 2000)).toEqual({ kind: "conflict" });
    expect(await store.write(claimOf("r", first + 1), 2000)).toEqual({ kind: "conflict" });
    expect(applied(await store.write(claimOf("r", first, { nonce: 2 }), 2000))).toBe(first + 4);
  });

  test("to a bucket that was deleted is unknown, and a read says that there is none", async () => {
    const { store, nats, stream } = await openStore();
    await api(nats, `STREAM.DELETE.${stream}`);
    expect(await store.write(claimOf("r", 0), 2000)).toMatchObject({
      kind: "unknown",
      error: { code: "JETSTREAM_UNAVAILABLE", recoverable: true },
    });
    expect(await store.read(owner("r"), 2000)).toEqual({ kind: "no-bucket" });
    expect(await store.readAfter(0, 2000)).toEqual({ kind: "no-bucket" });
  });

  test("that exceeds the limits of the bucket is unknown, with a hint what to do", async () => {
    const { store, nats, stream } = await openStore();
    const { config } = (await api(nats, `STREAM.INFO.${stream}`)) as { config: object };
    await api(nats, `STREAM.UPDATE.${stream}`, { ...config, max_msg_size: 10 });
    expect(await store.write(claimOf("r", 0), 2000)).toMatchObject({
      kind: "unknown",
      error: { code: "INSUFFICIENT_RESOURCES", recoverable: true },
    });
  });

  test("to a resource without a valid name is unknown, and nothing is sent", async () => {
    const { store } = await openStore();
    expect(await store.write(claimOf("", 0), 2000)).toMatchObject({
      kind: "unknown",
      error: { message: expect.stringContaining("the name of a resource is empty") },
    });
  });

  test("of a plan of the largest size is applied and read back", async () => {
    const { store, info } = await openStore();
    const plan = new Uint8Array(MAX_PLAN_BYTES).map((_, index) => index * 7);
    const record = { ...claim({ generation: info.generation }), kind: "plan", coordinator: 3, plan } as const;
    const revision = applied(await store.write({ key: { kind: "plan" }, record, expect: 0 }, 5000));
    const read = await store.read({ kind: "plan" }, 5000);
    expect(read).toMatchObject({
      entry: { kind: "record", revision, record: { kind: "plan", coordinator: 3 } },
    });
    const stored = read.kind === "snapshot" && read.entry?.kind === "record" ? read.entry.record : null;
    expect(stored?.kind === "plan" && Buffer.compare(stored.plan, plan)).toBe(0);
  });
});

describe("a read", () => {
  test("returns one key with the generation and the last sequence of the stream", async () => {
    const { store, info } = await openStore();
    expect(await store.read(owner("r"), 2000)).toEqual({
      kind: "snapshot",
      generation: info.generation,
      lastSequence: 0,
      entry: null,
    });
    const revision = applied(await store.write(claimOf("r", 0), 2000));
    applied(await store.write(claimOf("s", 0), 2000));
    expect(await store.read(owner("r"), 2000)).toEqual({
      kind: "snapshot",
      generation: info.generation,
      lastSequence: revision + 1,
      entry: { kind: "record", key: owner("r"), revision, record: claim() },
    });
  });
});

describe("a bulk read", () => {
  test("returns every key, or those that have changed after a sequence, in the order of the stream", async () => {
    const { store, info } = await openStore();
    expect(await store.readAfter(0, 2000)).toEqual({
      kind: "entries",
      generation: info.generation,
      upTo: 0,
      entries: [],
    });
    for (const resource of ["r", "s", "t"]) applied(await store.write(claimOf(resource, 0), 2000));
    applied(await store.write(claimOf("r", 1, { nonce: 2 }), 2000));
    const all = entriesOf(await store.readAfter(0, 2000));
    expect([all.upTo, names(all.entries)]).toEqual([4, ["s", "t", "r"]]);
    const some = entriesOf(await store.readAfter(2, 2000));
    expect([some.upTo, names(some.entries)]).toEqual([4, ["t", "r"]]);
    expect(some.entries[1]).toMatchObject({ kind: "record", revision: 4, record: { nonce: 2 } });
    expect(entriesOf(await store.readAfter(4, 2000))).toMatchObject({ upTo: 4, entries: [] });
    expect(entriesOf(await store.readAfter(999, 2000))).toMatchObject({ upTo: 999, entries: [] });
  });

  test("skips keys that are none of ours, and counts their sequences", async () => {
    const { store, nats, groupId } = await openStore();
    applied(await store.write(claimOf("r", 0), 2000));
    await rawPut(nats, groupId, "notes", "by an operator");
    await rawPut(nats, groupId, "owner.a.b", "by an operator");
    await rawPut(nats, groupId, "owner.s", "no record");
    const read = entriesOf(await store.readAfter(0, 2000));
    expect([read.upTo, names(read.entries)]).toEqual([4, ["r", "s"]]);
    expect(read.entries[1]).toMatchObject({ kind: "garbage", reason: "the value is not JSON" });
    await rawPut(nats, groupId, "notes", "again");
    expect(entriesOf(await store.readAfter(4, 2000))).toMatchObject({ upTo: 5, entries: [] });
  });

  test("of thousands of keys, while they change, misses none", async () => {
    const { store } = await openStore();
    const resources = Array.from({ length: 3_000 }, (_, index) => `r${index}`);
    const claims = await inFlight(resources, 64, (resource) => store.write(claimOf(resource, 0), 10_000));
    const revisions = claims.map(applied);
    const renewing = inFlight(resources.slice(0, 500), 16, (resource) =>
      store.write(claimOf(resource, revisions[resources.indexOf(resource)] ?? 0, { nonce: 2 }), 10_000),
    );
    const first = entriesOf(await store.readAfter(0, 20_000));
    await renewing;
    const rest = entriesOf(await store.readAfter(first.upTo, 20_000));
    const last = new Map([...first.entries, ...rest.entries].map((entry) => [entry.key, entry]));
    const byName = new Map([...last.values()].map((entry) => [names([entry])[0], entry]));
    expect(byName.size).toBe(3_000);
    const nonces = [...byName.values()].map((entry) =>
      entry.kind === "record" && entry.record.kind === "claim" ? entry.record.nonce : 0,
    );
    expect(nonces.filter((nonce) => nonce === 2)).toHaveLength(500);
    expect(rest.upTo).toBe(3_500);
  });

  test("of more messages or bytes than allowed fails, and says which limits there are", async () => {
    const { store, monitor, groupId } = await openStore();
    for (const resource of ["r", "s", "t"]) applied(await store.write(claimOf(resource, 0), 2000));
    let bytes = 0;
    const read = (limits: { readonly messages: number; readonly bytes: number }): Promise<number> =>
      readBulk(monitor, {
        stream: groupStreamName(groupId),
        filter: groupSubject(groupId, ">"),
        after: 0,
        timeoutMs: 5000,
        signal: noAbort(),
        created: () => {},
        message: ({ data }) => {
          bytes += data.length;
        },
        limits,
      });
    expect(await read({ messages: 3, bytes: 100_000 })).toBe(3);
    const all = { messages: 3, bytes };
    expect(await read(all)).toBe(3);
    await expect(read({ ...all, messages: 2 })).rejects.toThrow("it has more than 2 messages or");
    await expect(read({ ...all, bytes: all.bytes - 1 })).rejects.toThrow(`or ${all.bytes - 1} bytes`);
  });

  test("asks again while the server does not know the consumer's subject yet, and not without end", async () => {
    const { store, nats } = await openStore();
    applied(await store.write(claimOf("r", 0), 2000));
    const { connection } = nats;
    const publish = connection.publish.bind(connection);
    let requests = 0;
    let unknown = 3;
    // As in a cluster: the consumer exists, and nothing subscribes to its subject where this connection is.
    const spy = vi.spyOn(connection, "publish").mockImplementation((subject, ...rest) => {
      const isRequest = subject.includes(".CONSUMER.MSG.NEXT.");
      if (isRequest) requests += 1;
      publish(isRequest && requests <= unknown ? `nothing.${subject}` : subject, ...rest);
    });
    try {
      expect(names(entriesOf(await store.readAfter(0, 5000)).entries)).toEqual(["r"]);
      expect(requests).toBe(4);
      unknown = Number.POSITIVE_INFINITY;
      requests = 0;
      expect(await store.readAfter(0, 20_000)).toMatchObject({ kind: "failed" });
      expect(requests).toBe(9);
    } finally {
      spy.mockRestore();
    }
  });

  test("leaves no consumer behind", async () => {
    const { store, nats, stream } = await openStore();
    applied(await store.write(claimOf("r", 0), 2000));
    await store.readAfter(0, 2000);
    await expect
      .poll(async () => (await api(nats, `CONSUMER.NAMES.${stream}`))["total"], { timeout: 20_000 })
      .toBe(0);
  });

  test("of a bucket that has replaced the known one has the new generation", async () => {
    const { store, nats, stream, groupId } = await openStore();
    applied(await store.write(claimOf("r", 0), 2000));
    await api(nats, `STREAM.DELETE.${stream}`);
    const other = await groupStoreOn(nats, groupId);
    const { generation } = await other.store.open(noAbort(), 7);
    applied(await other.store.write(claimOf("s", 0, { generation }), 2000));
    const read = entriesOf(await store.readAfter(0, 2000));
    expect([read.generation, names(read.entries)]).toEqual([generation, ["s"]]);
  });
});

describe("the watch", () => {
  test("reports every committed write once, in order and without a gap, and no refused one", async () => {
    const { store, info, nats } = await openStore();
    const { generation } = info;
    const seen = watchingGroup(store);
    await nats.connection.flush();
    const resources = Array.from({ length: 200 }, (_, index) => `r${index % 50}`);
    const outcomes = await inFlight(resources, 16, (resource) =>
      store.write(claimOf(resource, 0, { generation }), 5000),
    );
    expect(outcomes.filter(({ kind }) => kind === "conflict")).toHaveLength(150);
    await seen.until((items) => items.length >= 50);
    expect(revisionsIn(seen)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(seen.items[0]).toEqual({
      type: "entry",
      entry: { kind: "record", key: owner("r0"), revision: 1, record: claim({ generation }) },
    });
  });

  test("reports what others store under our keys, and the deletion of the bucket", async () => {
    const { store, nats, groupId, stream } = await openStore();
    const seen = watchingGroup(store);
    await nats.connection.flush();
    await rawPut(nats, groupId, "session.a", "?");
    await rawPut(nats, groupId, "notes", "?");
    await rawPut(nats, groupId, "plan", "", { "KV-Operation": "DEL" });
    await seen.until((items) => items.length >= 2);
    expect(seen.items).toMatchObject([
      { entry: { kind: "garbage", key: { kind: "session", memberId: "a" }, revision: 1 } },
      { entry: { kind: "deleted", key: { kind: "plan" }, revision: 3 } },
    ]);
    await api(nats, `STREAM.DELETE.${stream}`);
    await seen.next(({ type }) => type === "gone");
  });

  test("takes a record of another generation for a sign that the bucket was replaced, until a read shows that it was not", async () => {
    const { store, info, nats, groupId } = await openStore();
    const seen = watchingGroup(store);
    await nats.connection.flush();
    const write = async (memberId: string, generation: string): Promise<void> => {
      const record = sessionRecord({ memberId, generation });
      applied(await store.write({ key: { kind: "session", memberId }, record, expect: 0 }, 2000));
    };
    await write("a", "2001-01-01T00:00:00Z");
    await seen.next(({ type }) => type === "gone");
    await store.read(owner("r"), 2000);
    await write("b", "2001-01-01T00:00:00Z");
    await write("c", info.generation);
    await seen.next((item) => item.type === "entry");
    expect(seen.items.map((item) => (item.type === "entry" ? item.entry.revision : item.type))).toEqual([
      "gone",
      3,
    ]);
    expect(groupRepublishSubject(groupId, ">")).toBe(`nats_leader.group.${groupId}.>`);
  });

  test("goes on by a consumer if the bucket does not republish", async () => {
    const { nats, stream, groupId } = await openStore();
    const { config } = (await api(nats, `STREAM.INFO.${stream}`)) as { config: Record<string, unknown> };
    await api(nats, `STREAM.DELETE.${stream}`);
    await api(nats, `STREAM.CREATE.${stream}`, {
      ...config,
      republish: { src: ">", dest: `other.${groupId}.>` },
    });
    const { store, warnings } = await groupStoreOn(nats, groupId);
    const seen = watchingGroup(store);
    const { republish, generation } = await store.open(noAbort(), 0);
    expect(republish).toBe(false);
    expect(warnings).toEqual([
      `bucket GROUP_${groupId} does not republish its records, a consumer watches it instead: its republish is used for another purpose`,
    ]);
    await expect
      .poll(async () => {
        const read = await store.read(owner("r"), 2000);
        const expects = read.kind === "snapshot" ? (read.entry?.revision ?? 0) : 0;
        await store.write(claimOf("r", expects, { generation }), 2000);
        return seen.items.length;
      })
      .toBeGreaterThan(0);
    expect(seen.items[0]).toMatchObject({ entry: { kind: "record", key: owner("r") } });
  });
});
