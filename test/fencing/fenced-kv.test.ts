import { Kvm } from "@nats-io/kv";
import { describe, expect, test } from "vitest";
import { FencedKv, type FencedKvOptions } from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection, FENCING_VERSIONS, serverOf, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useForAll } from "../support/use-server.ts";

for (const version of FENCING_VERSIONS) {
  const found = await serverOf(version);
  if ("missing" in found) {
    test.skip(`a fenced bucket on ${version} (${found.missing})`, () => {});
    continue;
  }
  describe(`a fenced bucket on nats-server ${version}`, () => {
    const server = useForAll(found.start);

    async function bucket(over: Partial<FencedKvOptions> = {}) {
      const nats = await connection(server);
      const name = over.bucket ?? freshId("B");
      const kv = await FencedKv.connect(nats, { bucket: name, ...over });
      atEnd(() => kv.close());
      const text = async (key: string) => {
        const entry = await kv.get(key);
        return entry === null ? null : new TextDecoder().decode(entry.value);
      };
      return { nats, name, kv, text };
    }
    const batches = version.startsWith("2.11") ? test.skip : test;

    test("accepts puts and deletes of the newest term only", async () => {
      const { kv, text } = await bucket();
      const a = await kv.open(termOf(1));
      await a.put("x", "1");
      await a.put("gone", "1");
      await a.delete("gone");
      const b = await kv.open(termOf(2));
      await expect(a.put("x", "late")).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 2 });
      await expect(a.delete("x")).rejects.toMatchObject({ code: "STALE_EPOCH" });
      const revision = await b.put("x", "2");
      expect(await kv.get("x")).toMatchObject({ key: "x", revision, epoch: 2 });
      expect([await text("x"), await text("gone"), await text("never")]).toEqual(["2", null, null]);
    });

    test("is an ordinary bucket for readers", async () => {
      const { kv, nats, name } = await bucket();
      const a = await kv.open(termOf(1));
      await a.put("x", "1");
      await a.put("gone", "1");
      await a.delete("gone");
      const other = await new Kvm(nats as never).open(name);
      expect((await other.get("x"))?.string()).toBe("1");
      expect((await other.get("gone"))?.operation).toBe("DEL");
      expect((await other.get("nats_leader_fence.0"))?.json()).toMatchObject({ epoch: 1, node_id: "a" });
    });

    test("fences a bucket that another client created", async () => {
      const nats = await connection(server);
      const name = freshId("B");
      await new Kvm(nats as never).create(name, { history: 3 });
      const { kv, text } = await bucket({ bucket: name });
      const a = await kv.open(termOf(1));
      await a.put("x", "1");
      expect(await text("x")).toBe("1");
      if (!version.startsWith("2.11")) {
        const problem = { code: "STREAM_INCOMPATIBLE", message: expect.stringContaining("allow_atomic") };
        await expect(a.update("x", "2", 1)).rejects.toMatchObject(problem);
      }
    });

    test("refuses a bucket whose values expire, because the fence would expire, too", async () => {
      const nats = await connection(server);
      const name = freshId("B");
      await api(nats, `STREAM.CREATE.KV_${name}`, {
        name: `KV_${name}`,
        subjects: [`$KV.${name}.>`],
        max_msgs_per_subject: 1,
        max_age: 60_000_000_000,
        allow_rollup_hdrs: true,
      });
      const opening = FencedKv.connect(nats, { bucket: name });
      await expect(opening).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
      await expect(opening).rejects.toThrow(/max_age would drop the fence; set allow_msg_ttl/);
    });

    test("refuses invalid keys and the keys of the fence", async () => {
      const { kv } = await bucket();
      const a = await kv.open(termOf(1));
      for (const key of ["", "a b", "a..b", ".a", "a.", "a*", "a.>", "nats_leader_fence.0"]) {
        await expect(a.put(key, ""), key).rejects.toMatchObject({ code: "INVALID_CONFIG" });
      }
    });

    batches("updates, creates and deletes by revision, under the fence", async () => {
      const { kv, text } = await bucket();
      const a = await kv.open(termOf(1));
      const first = await a.create("x", "1");
      await expect(a.create("x", "again")).rejects.toMatchObject({ code: "CONFLICT" });
      const second = await a.update("x", "2", first);
      await expect(a.update("x", "3", first)).rejects.toMatchObject({ code: "CONFLICT" });
      await expect(a.delete("x", first)).rejects.toMatchObject({ code: "CONFLICT" });
      await a.delete("x", second);
      expect(await text("x")).toBeNull();
      const third = await a.create("x", "3");
      await kv.open(termOf(2));
      await expect(a.update("x", "late", third)).rejects.toMatchObject({
        code: "STALE_EPOCH",
        token: 1,
        newest: 2,
      });
      expect(await text("x")).toBe("3");
    });

    batches("treats a write that bypassed the fence as a conflict", async () => {
      const { kv, nats, name, text } = await bucket();
      const a = await kv.open(termOf(1));
      const first = await a.put("x", "1");
      await nats.request(`$KV.${name}.x`, "by an operator", { timeout: 2000 });
      await expect(a.update("x", "2", first)).rejects.toMatchObject({ code: "CONFLICT" });
      expect(await text("x")).toBe("by an operator");
    });

    batches("changes all keys of a batch or none", async () => {
      const { kv, text } = await bucket();
      const a = await kv.open(termOf(1));
      const x = await a.put("x", "1");
      const last = await a.batch([
        { put: "x", value: "2", revision: x },
        { put: "y", value: "2", revision: 0 },
        { put: "z", value: "2" },
      ]);
      expect(await kv.get("z")).toMatchObject({ revision: last });
      expect(await kv.get("x")).toMatchObject({ revision: last - 2, epoch: 1 });
      const half = a.batch([{ delete: "z" }, { put: "y", value: "3", revision: 1 }]);
      await expect(half).rejects.toMatchObject({ code: "CONFLICT" });
      expect([await text("y"), await text("z")]).toEqual(["2", "2"]);
      await kv.open(termOf(2));
      await expect(a.batch([{ delete: "x" }, { delete: "y" }])).rejects.toMatchObject({
        code: "STALE_EPOCH",
      });
      expect([await text("x"), await text("y")]).toEqual(["2", "2"]);
    });
  });
}
