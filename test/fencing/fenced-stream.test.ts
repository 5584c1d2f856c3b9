import { headers } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import {
  FencedStream,
  type FencedStreamOptions,
  StaleEpochError,
  type WriteOutcome,
} from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import {
  api,
  connection,
  contents,
  FENCING_VERSIONS,
  serverOf,
  termOf,
} from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useForAll } from "../support/use-server.ts";

for (const version of FENCING_VERSIONS) {
  const found = await serverOf(version);
  if ("missing" in found) {
    test.skip(`a fenced stream on ${version} (${found.missing})`, () => {});
    continue;
  }
  describe(`a fenced stream on nats-server ${version}`, () => {
    const server = useForAll(found.start);

    async function ledger(over: Partial<FencedStreamOptions> = {}) {
      const nats = await connection(server);
      const stream = over.stream ?? freshId("LEDGER");
      const store = await FencedStream.connect(nats, { stream, subjects: [`${stream}.>`], ...over });
      atEnd(() => store.close());
      const data = () => contents(nats, stream, (subject) => subject.startsWith(`${stream}.`));
      return { nats, stream, store, data };
    }
    const batches = version.startsWith("2.11") ? test.skip : test;

    test("accepts writes of the newest term only, and refuses others with both tokens", async () => {
      const { store, stream, data } = await ledger();
      const a = await store.open(termOf(1));
      expect(await a.publish(`${stream}.x`, "from a")).toEqual({ sequence: a.token + 2, duplicate: false });
      const b = await store.open(termOf(2));
      const refused = await a.publish(`${stream}.x`, "late").catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(StaleEpochError);
      expect(refused).toMatchObject({
        name: "StaleEpochError",
        code: "STALE_EPOCH",
        token: 1,
        newest: 2,
        recoverable: false,
      });
      expect((refused as Error).message).toMatch(
        /^stream .* refuses epoch 1 of node "a": the fence is at epoch 2 of node "b" \(fence sequence 1, the stream has 5\)$/,
      );
      await b.publish(`${stream}.x`, "from b");
      expect(await data()).toEqual([`${stream}.x=from a`, `${stream}.x=from b`]);
    });

    test("refuses every write after the first refusal without a request", async () => {
      const { store, stream, nats } = await ledger();
      const a = await store.open(termOf(1));
      await store.open(termOf(2));
      await expect(a.publish(`${stream}.x`)).rejects.toMatchObject({ code: "STALE_EPOCH" });
      const before = nats.stats().outMsgs;
      await expect(a.publish(`${stream}.x`)).rejects.toMatchObject({ code: "STALE_EPOCH" });
      expect(nats.stats().outMsgs).toBe(before);
      expect(a.ended).toMatchObject({ code: "STALE_EPOCH" });
    });

    test("refuses to open an older term, or another one with the same epoch", async () => {
      const { store } = await ledger();
      await store.open(termOf(2));
      await expect(store.open(termOf(1))).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 2 });
      const twin = store.open(termOf(2, "another"));
      await expect(twin).rejects.toMatchObject({ code: "STALE_EPOCH", token: 2, newest: 2 });
      await expect(twin).rejects.toThrow(/the same epoch 2 of node "b", but of incarnation inc-2/);
    });

    test("returns the same token for a second open of a term, whatever was written between the two", async () => {
      const { store, stream } = await ledger();
      const first = await store.open(termOf(3));
      await first.publish(`${stream}.x`, "1");
      const second = await store.open(termOf(3));
      expect(second.token).toBe(first.token);
      await Promise.all([first.publish(`${stream}.x`, "2"), second.publish(`${stream}.x`, "3")]);
      expect(await store.holder()).toEqual({
        epoch: 3,
        nodeId: "c",
        incarnation: "inc-3",
        clusterId: null,
      });
    });

    test("has one winner, the largest epoch, when many terms take over at once", async () => {
      const { store, stream, data } = await ledger();
      const opened = await Promise.allSettled([5, 3, 8, 1, 6].map((epoch) => store.open(termOf(epoch))));
      const written = await Promise.allSettled(
        opened.flatMap((result) =>
          result.status === "fulfilled"
            ? [result.value.publish(`${stream}.x`, `e${result.value.epoch}`)]
            : [],
        ),
      );
      expect(written.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect(await data()).toEqual([`${stream}.x=e8`]);
    });

    test("has many writes in flight; each of them is stored before the fence moves, or refused", async () => {
      const { store, stream, nats } = await ledger();
      const a = await store.open(termOf(1));
      const outcomes: WriteOutcome[] = [];
      const running = (async () => {
        const endless = (function* () {
          for (let i = 0; ; i++) yield { subject: `${stream}.x`, data: String(i) };
        })();
        for await (const outcome of a.pipeline(endless)) outcomes.push(outcome);
      })();
      while (outcomes.length < 500) await new Promise((resolve) => setImmediate(resolve));
      const b = await store.open(termOf(2));
      await running;
      const written = outcomes.filter((outcome) => outcome.kind === "written");
      expect(Math.max(...written.map(({ sequence }) => sequence))).toBeLessThan(b.token);
      const refused = outcomes.filter((outcome) => outcome.kind === "refused");
      expect(new Set(refused.map(({ error }) => error.code))).toEqual(new Set(["STALE_EPOCH"]));
      expect(written.length + refused.length).toBe(outcomes.length);
      const stored = await contents(nats, stream, (subject) => subject === `${stream}.x`);
      expect(stored).toHaveLength(written.length);
    });

    test("checks a second condition on the whole stream", async () => {
      const { store, stream } = await ledger();
      const a = await store.open(termOf(1));
      const { sequence } = await a.publish(`${stream}.x`, "1", { expectStreamLast: a.token + 1 });
      await expect(a.publish(`${stream}.y`, "2", { expectStreamLast: a.token + 1 })).rejects.toMatchObject({
        code: "CONFLICT",
      });
      await a.publish(`${stream}.y`, "2", { expectStreamLast: sequence });
      await store.open(termOf(2));
      const late = a.publish(`${stream}.y`, "3", { expectStreamLast: sequence + 2 });
      await expect(late).rejects.toMatchObject({ code: "STALE_EPOCH" });
    });

    test("stores the writer's epoch and the application's headers", async () => {
      const { store, stream, nats } = await ledger();
      const a = await store.open(termOf(7));
      const own = headers();
      own.append("x", "1");
      own.append("x", "2");
      own.set("nats-leader-epoch", "987654321");
      const { sequence } = await a.publish(`${stream}.x`, "1", { headers: own });
      const { message } = (await api(nats, `STREAM.MSG.GET.${stream}`, { seq: sequence })) as {
        message: { hdrs: string };
      };
      const text = Buffer.from(message.hdrs, "base64").toString();
      expect(text).toMatch(/x: 1\r\nx: 2\r\n/i);
      expect(text).toContain("Nats-Leader-Epoch: 7\r\n");
      expect(text).not.toContain("987654321");
    });

    test("distinguishes a repeated message id from a new message", async () => {
      const { store, stream } = await ledger();
      const a = await store.open(termOf(1));
      const own = headers();
      own.set("Nats-Msg-Id", "once");
      const first = await a.publish(`${stream}.x`, "1", { headers: own });
      expect(await a.publish(`${stream}.x`, "1", { headers: own })).toEqual({
        sequence: first.sequence,
        duplicate: true,
      });
    });

    test("refuses to write when its fence was purged, because the holder is unknown then", async () => {
      const { store, stream, nats } = await ledger();
      const a = await store.open(termOf(1));
      await api(nats, `STREAM.PURGE.${stream}`);
      const refused = a.publish(`${stream}.x`);
      await expect(refused).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: null });
      await expect(refused).rejects.toThrow(/the fence does not exist/);
    });

    test("keeps the fence when max_age has removed all other messages", async () => {
      const { store, stream, data } = await ledger({
        config: { max_age: 1_000_000_000, duplicate_window: 1_000_000_000 },
      });
      const a = await store.open(termOf(1));
      await a.publish(`${stream}.x`, "1");
      await expect.poll(data, { interval: 100 }).toEqual([]);
      await a.publish(`${stream}.x`, "2");
      await expect(store.open(termOf(1, "other"))).rejects.toMatchObject({ code: "STALE_EPOCH" });
    });

    batches("writes the whole batch, or none of it when the fence has moved", async () => {
      const { store, stream, data } = await ledger();
      const a = await store.open(termOf(1));
      const three = ["1", "2", "3"].map((text) => ({ subject: `${stream}.${text}`, data: text }));
      expect(await a.batch(three)).toEqual({ sequence: a.token + 4, count: 3 });
      await store.open(termOf(2));
      await expect(a.batch(three)).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 2 });
      expect(await data()).toEqual(three.map(({ subject, data }) => `${subject}=${data}`));
    });

    batches("checks every condition of a batch, and writes nothing if one does not hold", async () => {
      const { store, stream, data } = await ledger();
      const a = await store.open(termOf(1));
      const x = await a.publish(`${stream}.x`, "1", { expectLast: 0 });
      const change = (expectLast: number) => [
        { subject: `${stream}.x`, data: "2", options: { expectLast } },
        { subject: `${stream}.y`, data: "2", options: { expectLast: 0 } },
      ];
      await expect(a.batch(change(x.sequence + 9))).rejects.toMatchObject({ code: "CONFLICT" });
      expect(await data()).toEqual([`${stream}.x=1`]);
      await a.batch(change(x.sequence));
      expect(await data()).toEqual([`${stream}.x=1`, `${stream}.x=2`, `${stream}.y=2`]);
      const taken = a.publish(`${stream}.x`, "3", { expectLast: 0 });
      await expect(taken).rejects.toThrow(`cannot write to ${stream}.x: `);
      await store.open(termOf(2));
      await expect(a.publish(`${stream}.z`, "3", { expectLast: 0 })).rejects.toMatchObject({
        code: "STALE_EPOCH",
      });
    });

    batches("refuses a message that is too large, or a batch with one, and writes nothing", async () => {
      const { store, stream, data } = await ledger();
      const a = await store.open(termOf(1));
      const large = { subject: `${stream}.large`, data: new Uint8Array(2_000_000) };
      await expect(a.publish(large.subject, large.data)).rejects.toMatchObject({ code: "INVALID_CONFIG" });
      const batch = a.batch([
        { subject: `${stream}.x`, data: "1" },
        large,
        { subject: `${stream}.x`, data: "2" },
      ]);
      await expect(batch).rejects.toMatchObject({ code: "INVALID_CONFIG" });
      await a.publish(`${stream}.x`, "3");
      expect(await data()).toEqual([`${stream}.x=3`]);
    });

    batches("accepts at most 1000 messages in a batch", async () => {
      const { store, stream, data } = await ledger();
      const a = await store.open(termOf(1));
      const many = Array.from({ length: 1001 }, (_, i) => ({ subject: `${stream}.x`, data: String(i) }));
      await expect(a.batch(many)).rejects.toMatchObject({ code: "INVALID_CONFIG" });
      expect(await a.batch(many.slice(1))).toMatchObject({ count: 1000 });
      expect(await data()).toHaveLength(1000);
    });

    if (version.startsWith("2.11")) {
      test("names the version that batches and a second condition on a subject need", async () => {
        const { store, stream } = await ledger();
        const a = await store.open(termOf(1));
        const problem = { code: "SERVER_TOO_OLD", message: expect.stringContaining("2.12.0") };
        await expect(a.batch([{ subject: `${stream}.x` }])).rejects.toMatchObject(problem);
        await expect(a.publish(`${stream}.x`, "", { expectLast: 0 })).rejects.toMatchObject(problem);
      });
    }
  });
}
