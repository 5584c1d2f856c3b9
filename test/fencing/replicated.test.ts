import { headers } from "@nats-io/transport-node";
import { beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { FencedKv, FencedStream, type WriteOutcome } from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection, contents, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsCluster } from "../support/use-server.ts";

const cluster = useNatsCluster();
beforeAll(async () => {
  const nats = await connection(cluster.urls);
  const config = { name: "READY", subjects: ["ready"], num_replicas: 3 };
  const ready = () =>
    api(nats, "STREAM.CREATE.READY", config).then(
      () => true,
      () => false,
    );
  await waitFor(ready, { timeoutMs: 20_000, intervalMs: 200 });
});

async function ledger(lanes?: number, stream = freshId("L")) {
  const nats = await connection(cluster.urls);
  const options = lanes === undefined ? {} : { lanes };
  const store = await FencedStream.connect(nats, { stream, subjects: [`${stream}.>`], ...options });
  atEnd(() => store.close());
  return { nats, store, stream };
}

describe("a fence on three replicas", () => {
  test("needs lanes, because the server refuses a second write under one condition while the first is in flight", async () => {
    const { store, stream, nats } = await ledger(1);
    const a = await store.open(termOf(1));
    const hdrs = headers();
    hdrs.set("Nats-Expected-Last-Subject-Sequence", String(a.token));
    const { state } = (await api(nats, `STREAM.INFO.${stream}`, { subjects_filter: ">" })) as {
      state: { subjects: Record<string, number> };
    };
    const lane = Object.keys(state.subjects).find((subject) => !subject.endsWith(`.${stream}.0`)) ?? "";
    hdrs.set("Nats-Expected-Last-Subject-Sequence-Subject", lane);
    const writes = Array.from({ length: 20 }, () =>
      nats
        .request(`${stream}.x`, "", { timeout: 2000, headers: hdrs })
        .then((answer) => answer.json<object>()),
    );
    expect(await Promise.all(writes)).toContainEqual(
      expect.objectContaining({ error: expect.objectContaining({ err_code: 10164 }) }),
    );
  });

  test("admits many writes in flight, and refuses all of them once a newer term holds it", async () => {
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
    const first = await b.publish(`${stream}.b`, "from b");
    await running;
    const codes = new Set(
      outcomes.flatMap((outcome) => (outcome.kind === "written" ? [] : [outcome.error.code])),
    );
    expect([...codes].filter((code) => code !== "CONFLICT")).toEqual(["STALE_EPOCH"]);
    const written = outcomes.filter((outcome) => outcome.kind === "written");
    expect(Math.max(...written.map(({ sequence }) => sequence))).toBeLessThan(first.sequence);
    expect(await contents(nats, stream, (subject) => subject === `${stream}.x`)).toHaveLength(written.length);
  });

  test("is moved on all lanes, including those that only another configuration asked for", async () => {
    const { store, stream } = await ledger(32);
    const a = await store.open(termOf(1));
    const small = await ledger(2, stream);
    await small.store.open(termOf(2));
    const late = await Promise.allSettled(Array.from({ length: 32 }, () => a.publish(`${stream}.x`)));
    expect(late.map((result) => result.status)).toEqual(Array(32).fill("rejected"));
    expect(await contents(small.nats, stream, (subject) => subject === `${stream}.x`)).toEqual([]);
  });

  test("holds for batches and conditions on a key", async () => {
    const nats = await connection(cluster.urls);
    const kv = await FencedKv.connect(nats, { bucket: freshId("B") });
    atEnd(() => kv.close());
    const a = await kv.open(termOf(1));
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) => a.create(`k${i}`, "1")));
    await expect(a.update("k0", "2", (many[0] ?? 0) + 1)).rejects.toMatchObject({ code: "CONFLICT" });
    await a.update("k0", "2", many[0] ?? 0);
    await kv.open(termOf(2));
    const late = a.batch([
      { put: "k1", value: "late" },
      { put: "k2", value: "late", revision: many[2] ?? 0 },
    ]);
    await expect(late).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 2 });
    expect(await kv.get("k1")).toMatchObject({ revision: many[1], epoch: 1 });
  });
});
