/** `asKv`: each method of the standard `KV`, compared with a bucket of `@nats-io/kv`, and after another term has taken the fence. */
import { type KV, Kvm, type KvWatchEntry, type KvWatchOptions } from "@nats-io/kv";
import type { NatsConnection, QueuedIterator } from "@nats-io/transport-node";
import { describe, expect, test, vi } from "vitest";
import { FencedKv, withFence } from "../../src/fencing.ts";
import { Node } from "../../src/index.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { atEnd } from "../support/at-end.ts";
import { connection, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

const LIMITS = { history: 5, markerTTL: 60_000 };

/** A bucket of `@nats-io/kv` and a fenced one, with the same limits. */
async function both(): Promise<{ readonly plain: KV; readonly fenced: KV }> {
  const nats = await connection(server);
  const plain = await new Kvm(nats as never).create(freshId("P"), LIMITS);
  const kv = await fencedBucket(nats);
  return { plain, fenced: await kv.asKv(termOf(1)) };
}

async function fencedBucket(nats: NatsConnection, bucket = freshId("B")): Promise<FencedKv> {
  const config = {
    max_msgs_per_subject: LIMITS.history,
    allow_msg_ttl: true,
    subject_delete_marker_ttl: LIMITS.markerTTL * 1e6,
  };
  const kv = await FencedKv.connect(nats, { bucket, config, lanes: 4 });
  atEnd(() => kv.close());
  return kv;
}

/** "refused" for every error: a plain bucket rejects with errors of nats.js. */
const attempt = (call: () => Promise<unknown>): Promise<unknown> =>
  Promise.resolve()
    .then(call)
    .then(
      (value) => (typeof value === "number" ? "revision" : value),
      () => "refused",
    );

async function all<T>(iterator: Promise<QueuedIterator<T>>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of await iterator) values.push(value);
  return values;
}

const line = (entry: KvWatchEntry) =>
  `${entry.key} ${entry.operation} ${entry.string()} delta=${entry.delta} update=${entry.isUpdate}`;

/** Writes some keys, so that deleted, purged and overwritten ones are among them. */
async function fill(kv: KV): Promise<void> {
  for (const [key, value] of [
    ["a", "1"],
    ["b.x", "2"],
    ["b.y", "3"],
    ["a", "4"],
    ["gone", "5"],
    ["purged", "6"],
  ] as const) {
    await kv.put(key, value);
  }
  await kv.delete("gone");
  await kv.purge("purged");
}

const steps: Readonly<Record<string, (kv: KV) => Promise<unknown>>> = {
  "put and get": async (kv) => {
    const results: unknown[] = [];
    for (const value of ["text", "", '{"n":1}', new Uint8Array([0, 255])]) {
      const revision = await kv.put("k", value);
      const entry = await kv.get("k");
      const { key, rawKey, operation, delta, length, created } = entry ?? {};
      results.push([
        key,
        rawKey,
        operation,
        delta,
        length,
        created instanceof Date,
        [...(entry?.value ?? [])],
      ]);
      results.push(revision === entry?.revision, (await kv.get("k", { revision }))?.revision === revision);
    }
    const other = await kv.put("other", "1");
    results.push(
      await kv.get("never"),
      await kv.get("k", { revision: other }),
      (await kv.get("other"))?.json(),
    );
    return results;
  },
  "put with a condition": async (kv) => {
    const first = await kv.put("k", "1", { previousSeq: 0 });
    const stale = await attempt(() => kv.put("k", "2", { previousSeq: 0 }));
    await kv.put("k", "3", { previousSeq: first, timeout: 5000 });
    const again = await attempt(() => kv.put("k", "4", { previousSeq: first }));
    return [stale, again, (await kv.get("k"))?.string()];
  },
  create: async (kv) => {
    const results = [await attempt(() => kv.create("k", "1")), await attempt(() => kv.create("k", "2"))];
    await kv.delete("k");
    results.push(await attempt(() => kv.create("k", "3")), (await kv.get("k"))?.string());
    await kv.purge("k");
    results.push(await attempt(() => kv.create("k", "4", "60s")), (await kv.get("k"))?.string());
    return [...results, await attempt(() => kv.create("k", "5", "60s"))];
  },
  update: async (kv) => {
    const first = await kv.create("k", "1");
    const results = [
      await attempt(() => kv.update("k", "2", first)),
      await attempt(() => kv.update("k", "3", first)),
    ];
    for (const version of [0, -1]) results.push(await attempt(() => kv.update("k", "4", version)));
    return [...results, (await kv.get("k"))?.string()];
  },
  delete: async (kv) => {
    const first = await kv.put("k", "1");
    await kv.put("k", "2");
    const results = [
      await attempt(() => kv.delete("k", { previousSeq: first })),
      await attempt(() => kv.delete("k")),
      await attempt(() => kv.delete("never")),
    ];
    const marker = await kv.get("k");
    const again = await kv.put("k", "3");
    results.push(await attempt(() => kv.delete("k", { previousSeq: again })));
    return [...results, marker?.operation, marker?.string(), (await all(kv.history({ key: "k" }))).map(line)];
  },
  purge: async (kv) => {
    const first = await kv.put("k", "1");
    await kv.put("k", "2");
    const results = [
      await attempt(() => kv.purge("k", { previousSeq: first })),
      await attempt(() => kv.purge("k", { ttl: "60s" })),
    ];
    const history = (await all(kv.history({ key: "k" }))).map(line);
    const again = await kv.put("k", "3");
    results.push(await attempt(() => kv.purge("k", { previousSeq: again })));
    return [...results, history, (await kv.get("k"))?.operation];
  },
  "delete and purge with wildcards": async (kv) => {
    await fill(kv);
    await kv.delete("b.*");
    const some = (await all(kv.keys())).sort();
    await kv.purge(">");
    return [some, await all(kv.keys()), (await kv.get("b.x"))?.operation, (await kv.get("a"))?.operation];
  },
  keys: async (kv) => {
    const empty = await all(kv.keys());
    await fill(kv);
    const found = [
      await all(kv.keys()),
      await all(kv.keys("b.*")),
      await all(kv.keys(["a", "b.x", "never"])),
    ];
    return [empty, found.map((keys) => keys.sort())];
  },
  history: async (kv) => {
    const empty = await all(kv.history());
    await fill(kv);
    const some = [await all(kv.history()), await all(kv.history({ key: ["a", "gone"] }))];
    return [empty, some.map((entries) => entries.map(line))];
  },
  status: async (kv) => {
    await fill(kv);
    const status = await kv.status();
    const { values, history, ttl, markerTTL, replicas, storage, compression, description, max_bytes } =
      status;
    const { maxValueSize, republish, metadata, placement, size } = status;
    const own = Object.keys(metadata ?? {}).filter((name) => !name.startsWith("_nats."));
    return [
      [values, history, ttl, markerTTL, replicas, storage, compression, description, max_bytes],
      [maxValueSize, republish, own, placement, size > 0, status.streamInfo.config.name.startsWith("KV_")],
    ];
  },
  "invalid keys": async (kv) => {
    const results: unknown[] = [];
    for (const key of ["", "a b", ".a", "a.", "ä"]) {
      results.push(await attempt(() => kv.put(key, "1")), await attempt(() => kv.create(key, "1")));
      results.push(await attempt(() => kv.update(key, "1", 1)), await attempt(() => kv.get(key)));
      results.push(await attempt(() => kv.delete(key)), await attempt(() => kv.purge(key)));
    }
    for (const key of ["*", "a.>"]) results.push(await attempt(() => kv.put(key, "1")));
    return results;
  },
};

const watches: Readonly<Record<string, KvWatchOptions>> = {
  "the last values": {},
  "one key": { key: "a" },
  "several keys": { key: ["a", "b.*"] },
  "all history": { include: "history" },
  updates: { include: "updates" },
  "without deletes": { ignoreDeletes: true },
  "headers only": { headers_only: true },
};

describe("a fenced bucket as a standard KV", () => {
  test.each(Object.entries(steps))("gives the leader the results of a plain bucket: %s", async (_, step) => {
    const { plain, fenced } = await both();
    expect(await step(fenced)).toEqual(await step(plain));
  });

  test.each(Object.entries(watches))(
    "gives the leader the results of a plain bucket: watch %s",
    async (_, options) => {
      const seen = async (kv: KV) => {
        await fill(kv);
        const watch = await kv.watch(options);
        if (options.include === "updates") await kv.put("a", "after");
        const lines: string[] = [];
        for await (const entry of watch) {
          lines.push(line(entry));
          if (entry.length === "after".length) break;
          if (entry.delta === 0) await kv.put("a", "after");
        }
        return [lines, watch.getProcessed()];
      };
      const { plain, fenced } = await both();
      expect(await seen(fenced)).toEqual(await seen(plain));
    },
  );

  test("resumes a watch from a revision, and ends one that is stopped", async () => {
    const { fenced } = await both();
    await fenced.put("a", "1");
    const from = await fenced.put("a", "2");
    const watch = await fenced.watch({ resumeFromRevision: from });
    setImmediate(() => watch.stop());
    const entries: string[] = [];
    for await (const entry of watch) entries.push(entry.string());
    expect(["", "2"]).toContain(entries.join());
    expect(watch.getReceived()).toBe(watch.getProcessed() + watch.getPending());
  });

  test("the last entry has delta 0 although the fence was moved after it", async () => {
    const nats = await connection(server);
    const bucket = freshId("B");
    const first = await (await fencedBucket(nats, bucket)).asKv(termOf(1));
    await first.put("a", "1");
    await first.put("b", "2");
    const next = await (await fencedBucket(nats, bucket)).asKv(termOf(2));
    expect((await all(next.history())).map(line)).toEqual([
      "a PUT 1 delta=1 update=false",
      "b PUT 2 delta=0 update=true",
    ]);
    const watch = await next.watch();
    const lines: string[] = [];
    for await (const entry of watch) {
      lines.push(line(entry));
      if (entry.delta === 0) break;
    }
    expect(lines).toEqual(["a PUT 1 delta=1 update=false", "b PUT 2 delta=0 update=true"]);
  });

  test("hides the fence, does not delete it, and refuses to write to it", async () => {
    const { fenced } = await both();
    await fenced.put("a", "1");
    await fenced.delete(">");
    expect(await fenced.get("nats_leader_fence.0")).toBeNull();
    for (const call of [
      () => fenced.put("nats_leader_fence.0", "x"),
      () => fenced.create("nats_leader_fence.7", "x"),
      () => fenced.delete("nats_leader_fence.0"),
      () => fenced.purge("nats_leader_fence.guard"),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    }
    await fenced.create("a", "2");
  });

  const writes: Readonly<Record<string, (kv: KV, revision: number) => Promise<unknown>>> = {
    put: (kv) => kv.put("k", "late"),
    "put with a condition": (kv, revision) => kv.put("k", "late", { previousSeq: revision }),
    create: (kv) => kv.create("new", "late"),
    "create with a TTL": (kv) => kv.create("new", "late", "60s"),
    update: (kv, revision) => kv.update("k", "late", revision),
    delete: (kv) => kv.delete("k"),
    "delete with a condition": (kv, revision) => kv.delete("k", { previousSeq: revision }),
    "delete with a wildcard": (kv) => kv.delete("*"),
    purge: (kv) => kv.purge("k"),
    "purge with a condition": (kv, revision) => kv.purge("k", { previousSeq: revision, ttl: "60s" }),
    "purge with a wildcard": (kv) => kv.purge(">"),
  };

  test.each(Object.entries(writes))("refuses a deposed leader: %s", async (_, write) => {
    const nats = await connection(server);
    const bucket = freshId("B");
    const old = await (await fencedBucket(nats, bucket)).asKv(termOf(1));
    const revision = await old.put("k", "kept");
    const next = await (await fencedBucket(nats, bucket)).asKv(termOf(2));
    const { last_seq } = (await next.status()).streamInfo.state;
    await expect(write(old, revision)).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1 });
    expect((await next.status()).streamInfo.state.last_seq).toBe(last_seq);
    expect((await old.get("k"))?.string()).toBe("kept");
    await write(next, revision);
  });

  test("names what it cannot do", async () => {
    const nats = await connection(server);
    const { fenced } = await both();
    await expect(fenced.destroy()).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(fenced.destroy()).rejects.toThrow(/cannot be fenced: delete the bucket with Kvm/);
    await expect(fenced.delete("a.*", { previousSeq: 7 })).rejects.toThrow(
      /previousSeq is 7, and "a.\*" has a wild/,
    );
    await expect(fenced.put("k", "1", { timeout: -1 })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    const taken = await fenced.create("k", "1");
    await expect(fenced.create("k", "2")).rejects.toMatchObject({ code: "CONFLICT" });
    await expect(fenced.update("k", "2", taken + 1)).rejects.toMatchObject({ code: "CONFLICT" });

    const bucket = freshId("B");
    await new Kvm(nats as never).create(bucket); // without allow_atomic
    const kv = await FencedKv.connect(nats, { bucket });
    atEnd(() => kv.close());
    const plain = await kv.asKv(termOf(1));
    const revision = await plain.put("k", "1");
    for (const call of [
      () => plain.create("new", "1"),
      () => plain.update("k", "2", revision),
      () => plain.delete("k", { previousSeq: revision }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
      await expect(call()).rejects.toThrow(/allow_atomic/);
    }
    await expect(plain.purge("k", { ttl: "60s" })).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
    await plain.purge("k");
    expect((await plain.get("k"))?.operation).toBe("PURGE");
  });

  test("works in the hooks of a node", async () => {
    const nats = await connection(server);
    const kv = await fencedBucket(nats);
    const written = deferred<number>();
    const node = new Node(
      { clusterId: freshId("c"), nodeId: "a", servers: server.url, logger: false },
      withFence<KV>(
        { open: (term) => kv.asKv(term) },
        {
          onBecomeLeader: async (term, settings) =>
            written.resolve(await settings.create("by", `${term.epoch}`)),
        },
      ),
    );
    atEnd(() => node.stop());
    await node.start();
    expect(await written.promise).toBeGreaterThan(0);
  });

  test("without the package @nats-io/kv only asKv fails, and names it", async () => {
    vi.doMock("@nats-io/kv", () => {
      throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
    });
    atEnd(() => vi.doUnmock("@nats-io/kv"));
    const kv = await fencedBucket(await connection(server));
    await expect(kv.asKv(termOf(1))).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(kv.asKv(termOf(1))).rejects.toThrow(
      /needs the package @nats-io\/kv.*npm install @nats-io\/kv/,
    );
    await (await kv.open(termOf(1))).put("a", "1");
  });
});
