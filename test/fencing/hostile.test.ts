/**
 * What could move, lose or bypass the fence of a stream: headers, subjects, changes of the stream, and its limits. The table in
 * docs/fencing.md lists these cases.
 */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import {
  FencedKv,
  FencedStream,
  type FencedStreamOptions,
  type FencedWriter,
  KvFence,
} from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection, contents, deleteStream, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function ledger(over: Partial<FencedStreamOptions> = {}) {
  const nats = await connection(server);
  const stream = over.stream ?? freshId("H");
  const store = await FencedStream.connect(nats, { stream, subjects: [`${stream}.>`], ...over });
  atEnd(() => store.close());
  const data = () => contents(nats, stream, (subject) => subject.startsWith(`${stream}.`));
  return { nats, stream, store, data, fence: `nats_leader.fence.${stream}` };
}

/** A stream that another tool created, with the subjects of the fence. */
async function foreign(config: Record<string, unknown>) {
  const nats = await connection(server);
  const stream = freshId("F");
  const subjects = [`${stream}.>`, `nats_leader.fence.${stream}.>`];
  await api(nats, `STREAM.CREATE.${stream}`, { name: stream, subjects, ...config });
  return ledger({ stream });
}

async function update(nats: NatsConnection, stream: string, change: Record<string, unknown>): Promise<void> {
  const { config } = (await api(nats, `STREAM.INFO.${stream}`)) as { config: object };
  await api(nats, `STREAM.UPDATE.${stream}`, { ...config, ...change });
}

function withHeaders(fields: Readonly<Record<string, string>>) {
  const own = headers();
  for (const [name, value] of Object.entries(fields)) own.append(name, value);
  return { headers: own };
}

describe("a write", () => {
  test("is refused with a header on which the server acts, and nothing is sent", async () => {
    const { store, stream, nats, fence, data } = await ledger();
    const a = await store.open(termOf(1));
    await a.publish(`${stream}.x`, "1");
    const { outMsgs } = nats.stats();
    for (const [name, value] of [
      ["Nats-Rollup", "all"],
      ["nats-rollup", "ALL"],
      ["Nats-Rollup", ""],
      ["Nats-Schedule", "@at 2030-01-01T00:00:00Z"],
      ["Nats-Schedule-Target", `${fence}.0`],
      ["Nats-Schedule-Next", "purge"],
      ["Nats-Scheduler", `${fence}.0`],
      ["Nats-Marker-Reason", "Purge"],
      ["Nats-Expected-Last-Sequence", "1"],
      ["nats-expected-last-subject-sequence", "0"],
      ["Nats-Batch-Id", "b"],
      ["Nats-Incr", "+1"],
      ["Nats-Stream-Source", "S"],
      ["Nats-Trace-Only", "true"],
      ["Nats-Anything-New", "1"],
    ] as const) {
      const refused = { code: "INVALID_CONFIG", message: expect.stringContaining(`header ${name}`) };
      const options = withHeaders({ [name]: value });
      await expect(a.publish(`${stream}.x`, "2", options), name).rejects.toMatchObject(refused);
      const batch = a.batch([{ subject: `${stream}.x` }, { subject: `${stream}.y`, options }]);
      await expect(batch, name).rejects.toMatchObject(refused);
    }
    expect(nats.stats().outMsgs).toBe(outMsgs);
    expect(await data()).toEqual([`${stream}.x=1`]);
  });

  test("may have an id, a time to live and a rollup of its own subject", async () => {
    const { store, stream, data } = await ledger();
    const a = await store.open(termOf(1));
    await a.publish(`${stream}.x`, "1");
    await a.publish(`${stream}.y`, "1");
    const own = withHeaders({ "Nats-Msg-Id": "m", "Nats-TTL": "1h", "Nats-Rollup": "sub" });
    await a.publish(`${stream}.x`, "2", own);
    expect(await data()).toEqual([`${stream}.y=1`, `${stream}.x=2`]);
    await a.publish(`${stream}.x`, "3");
  });

  test("is refused with a subject that is not of the stream, and the writer goes on", async () => {
    const { store, stream, nats, fence, data } = await ledger();
    const other = freshId("OTHER");
    await api(nats, `STREAM.CREATE.${other}`, { name: other, subjects: [`${other}.>`] });
    const a = await store.open(termOf(1));
    for (const subject of [
      `${other}.x`,
      "no.stream",
      stream,
      `${stream}.*`,
      `${stream}.>`,
      `${stream}..x`,
      `${stream}.a b`,
      `${stream}.q 0\r\n\r\nPUB ${stream}.INJECTED 0\r\n`,
      `${fence}.0`,
      `${fence}.guard`,
      "",
    ]) {
      await expect(a.publish(subject, "1"), subject).rejects.toMatchObject({ code: "INVALID_CONFIG" });
      const batch = a.batch([{ subject: `${stream}.x` }, { subject }]);
      await expect(batch, subject).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    }
    expect(a.ended).toBeNull();
    await a.publish(`${stream}.x`, "2");
    expect(await data()).toEqual([`${stream}.x=2`]);
  });

  test("is refused with values of other types and conditions that are no sequence, and nothing is sent", async () => {
    const { store, stream, nats, data } = await ledger();
    const a = await store.open(termOf(1));
    const subject = `${stream}.x`;
    const { outMsgs } = nats.stats();
    const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["publish without a subject", () => a.publish(undefined as unknown as string)],
      ["publish of a number", () => a.publish(subject, 5 as unknown as string)],
      ["publish with null options", () => a.publish(subject, "", null as unknown as object)],
      ["batch without messages", () => a.batch(undefined as unknown as [])],
      ["batch of null", () => a.batch([null as unknown as { subject: string }])],
      ["batch without a subject", () => a.batch([{} as { subject: string }])],
      ...[Number.NaN, 1.5, -1, 2 ** 53].flatMap(
        (value) =>
          [
            [`expectLast ${value}`, () => a.publish(subject, "", { expectLast: value })],
            [`expectLast ${value} in a batch`, () => a.batch([{ subject, options: { expectLast: value } }])],
            [`expectStreamLast ${value}`, () => a.publish(subject, "", { expectStreamLast: value })],
          ] as const,
      ),
    ];
    for (const [what, call] of calls)
      await expect(call(), what).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    const outcomes: unknown[] = [];
    for await (const outcome of a.pipeline([null as unknown as { subject: string }])) outcomes.push(outcome);
    expect(outcomes).toMatchObject([{ kind: "refused", error: { code: "INVALID_CONFIG" } }]);
    expect(nats.stats().outMsgs).toBe(outMsgs);
    expect(await data()).toEqual([]);
  });

  test("has a subject, key or name of any length, and keeps the connection", async () => {
    const { store, stream, nats } = await ledger();
    const a = await store.open(termOf(1));
    const kv = await FencedKv.connect(nats, { bucket: "b".repeat(252) });
    atEnd(() => kv.close());
    const writer = await kv.open(termOf(1));
    const { outMsgs } = nats.stats();
    const long = { code: "INVALID_CONFIG" };
    for (const length of [3801, 4096, 100_000]) {
      const text = `${"é".repeat(length / 2)}x`;
      await expect(a.publish(`${stream}.${text}`)).rejects.toMatchObject(long);
      await expect(a.publish(`${stream}.${text}`)).rejects.toThrow(/bytes: it must have at most 3800/);
      await expect(writer.put("k".repeat(length), "1")).rejects.toMatchObject(long);
      await expect(kv.get("k".repeat(length))).rejects.toMatchObject(long);
      await expect(KvFence.open(nats, { key: "k".repeat(length) })).rejects.toMatchObject(long);
      await expect(KvFence.open(nats, { key: "k", bucket: "b".repeat(length) })).rejects.toMatchObject(long);
      await expect(FencedKv.connect(nats, { bucket: "b".repeat(length) })).rejects.toMatchObject(long);
      await expect(FencedStream.connect(nats, { stream: "s".repeat(length) })).rejects.toMatchObject(long);
      const fence = { stream: "S", fence: "f".repeat(length) };
      await expect(FencedStream.connect(nats, fence)).rejects.toMatchObject(long);
    }
    expect(nats.stats().outMsgs).toBe(outMsgs);
    // The longest ones are stored.
    await a.publish(`${stream}.`.padEnd(3800, "x"));
    await writer.put("k".repeat(3500), "1");
    expect(nats.stats().inBytes).toBeGreaterThan(0);
    expect(a.ended).toBeNull();
  });

  test("that the stream refuses for its size or its rollup has a certain outcome", async () => {
    const { store, stream } = await foreign({ allow_atomic: true, max_msg_size: 1000 });
    const a = await store.open(termOf(1));
    const large = a.publish(`${stream}.x`, "x".repeat(2000));
    await expect(large).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(large).rejects.toThrow(/nothing was written; write a smaller message or raise max_msg_size/);
    const options = withHeaders({ "Nats-Rollup": "sub" });
    for (const write of [
      () => a.publish(`${stream}.x`, "1", options),
      () => a.batch([{ subject: `${stream}.x`, options }, { subject: `${stream}.y` }]),
    ])
      await expect(write()).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
    expect(a.ended).toBeNull();
    await a.publish(`${stream}.x`, "1");
  });

  test("reaches a subject that the stream was given after it was opened", async () => {
    const { store, stream, nats, fence } = await ledger();
    const a = await store.open(termOf(1));
    const added = freshId("added");
    await expect(a.publish(added)).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await update(nats, stream, { subjects: [`${stream}.>`, added, `${fence}.>`] });
    await a.publish(added);
  });

  test("is refused with a header that cannot be encoded, and nothing is sent", async () => {
    const { store, stream, nats } = await ledger();
    const a = await store.open(termOf(1));
    const { outMsgs } = nats.stats();
    const bad = headers();
    (bad as unknown as { headers: Map<string, string[]> }).headers.set("x", ["1\r\nNats-Rollup: all"]);
    await expect(a.publish(`${stream}.x`, "", { headers: bad })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
    });
    expect(nats.stats().outMsgs).toBe(outMsgs);
  });
});

describe("a stream that was deleted and created again", () => {
  async function recreated(
    create: () => Promise<FencedStream>,
    a: FencedWriter,
    nats: NatsConnection,
    stream: string,
  ) {
    await deleteStream(nats, stream);
    const again = await create();
    atEnd(() => again.close());
    const b = await again.open(termOf(8));
    expect(b.token).toBe(a.token);
    const late = a.publish(`${stream}.x`, "late");
    await expect(late).rejects.toMatchObject({ code: "STALE_EPOCH", token: 7, newest: 8 });
    await b.publish(`${stream}.x`, "from b");
  }

  test("stores no write of a term that held its fence before, although the sequences are the same", async () => {
    const { store, stream, nats, data } = await ledger();
    const a = await store.open(termOf(7));
    await a.publish(`${stream}.x`, "1");
    const create = () => FencedStream.connect(nats, { stream, subjects: [`${stream}.>`] });
    await recreated(create, a, nats, stream);
    expect(await data()).toEqual([`${stream}.x=from b`]);
  });

  test("stores none either if another tool created it", async () => {
    const { store, stream, nats, data, fence } = await foreign({});
    const a = await store.open(termOf(7));
    const create = async () => {
      const config = { name: stream, subjects: [`${stream}.>`, `${fence}.>`] };
      await api(nats, `STREAM.CREATE.${stream}`, config);
      return FencedStream.connect(nats, { stream });
    };
    await recreated(create, a, nats, stream);
    expect(await data()).toEqual([`${stream}.x=from b`]);
  });

  test("keeps none of the writes in flight of a bucket's old leader", async () => {
    const nats = await connection(server);
    const bucket = freshId("B");
    const before = await FencedKv.connect(nats, { bucket });
    atEnd(() => before.close());
    const a = await before.open(termOf(7));
    await a.put("x", "1");
    await deleteStream(nats, `KV_${bucket}`);
    const after = await FencedKv.connect(nats, { bucket });
    atEnd(() => after.close());
    const b = await after.open(termOf(8));
    expect(b.token).toBe(a.token);
    await expect(a.put("x", "late")).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 8 });
  });
});

describe("a purge", () => {
  test("of the root does not hide the lanes of an earlier term from the next one", async () => {
    const { store, stream, nats, fence, data } = await ledger({ lanes: 8 });
    const a = await store.open(termOf(7));
    await api(nats, `STREAM.PURGE.${stream}`, { filter: `${fence}.0` });
    const next = await FencedStream.connect(nats, { stream });
    atEnd(() => next.close());
    await next.open(termOf(8));
    const late = await Promise.allSettled(Array.from({ length: 8 }, () => a.publish(`${stream}.x`, "late")));
    expect(new Set(late.map(({ status }) => status))).toEqual(new Set(["rejected"]));
    expect(await data()).toEqual([]);
  });

  test("of the root does not let an older term in: the lanes have their epochs", async () => {
    const { store, stream, nats, fence } = await ledger();
    await store.open(termOf(8));
    await api(nats, `STREAM.PURGE.${stream}`, { filter: `${fence}.0` });
    await expect(store.open(termOf(7))).rejects.toMatchObject({ code: "STALE_EPOCH", token: 7, newest: 8 });
    await store.open(termOf(9));
  });

  test("of the whole fence ends the writers of all earlier terms", async () => {
    const { store, stream, nats, fence, data } = await ledger({ lanes: 3 });
    const a = await store.open(termOf(7));
    await api(nats, `STREAM.PURGE.${stream}`, { filter: `${fence}.>` });
    await store.open(termOf(8));
    await expect(a.publish(`${stream}.x`, "late")).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 8 });
    expect(await data()).toEqual([]);
  });

  test("of a lane ends the writer, and the term can open the fence again", async () => {
    const { store, stream, nats, fence } = await ledger();
    const a = await store.open(termOf(7));
    await api(nats, `STREAM.PURGE.${stream}`, { filter: `${fence}.*.0` });
    await expect(a.publish(`${stream}.x`)).rejects.toMatchObject({ code: "STALE_EPOCH", newest: null });
    await (await store.open(termOf(7))).publish(`${stream}.x`);
  });

  test("or deletion of the newest message of a lane does not make an earlier one valid again", async () => {
    const { store, stream, nats } = await foreign({ allow_rollup_hdrs: true });
    const a = await store.open(termOf(7));
    const b = await store.open(termOf(8));
    await api(nats, `STREAM.MSG.DELETE.${stream}`, { seq: b.token });
    await expect(a.publish(`${stream}.x`, "late")).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 8 });
  });
});

/** What a client without a fence can make of the root of a fence with four lanes. */
const ROOTS: readonly (readonly [string, (root: object) => string])[] = [
  ["another answer of the server", () => '{"type":"io.nats.jetstream.api.v1.stream_info_response"}'],
  ["other lanes", (root) => JSON.stringify({ ...root, epoch: 3, incarnation: "f", fence: "FORGED" })],
  ["fewer lanes", (root) => JSON.stringify({ ...root, epoch: 3, incarnation: "f", lane_count: 1 })],
];

describe("a root that another client wrote", () => {
  test.each(ROOTS)("with %s hides no lane of an earlier term from a takeover", async (_, forged) => {
    const { store, stream, nats, fence, data } = await ledger({ lanes: 4 });
    const a = await store.open(termOf(7));
    const { message } = (await api(nats, `STREAM.MSG.GET.${stream}`, { last_by_subj: `${fence}.0` })) as {
      message: { data: string };
    };
    const root = JSON.parse(Buffer.from(message.data, "base64").toString()) as object;
    await nats.request(`${fence}.0`, forged(root), { timeout: 2000 });
    const next = await FencedStream.connect(nats, { stream });
    atEnd(() => next.close());
    await expect(next.open(termOf(5))).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 7 });
    await (await next.open(termOf(8))).publish(`${stream}.x`, "8");
    const late = await Promise.allSettled(Array.from({ length: 4 }, () => a.publish(`${stream}.x`, "late")));
    expect(new Set(late.map(({ status }) => status))).toEqual(new Set(["rejected"]));
    expect(await next.holder()).toMatchObject({ epoch: 8 });
    expect(await data()).toEqual([`${stream}.x=8`]);
  });

  test("and that is no record makes holder() reject", async () => {
    const { store, nats, fence } = await ledger();
    await nats.request(`${fence}.0`, "garbage", { timeout: 2000 });
    const asking = store.holder();
    await expect(asking).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
    await expect(asking).rejects.toThrow(/another client has written it; the next term .* replaces it/);
  });
});

test("the fence of version 0.1 is taken over with all of its lanes", async () => {
  const { store, nats, fence, stream } = await ledger();
  const body = JSON.stringify({ epoch: 7, node_id: "g", incarnation: "inc-7", lanes: 3 });
  const tokens: number[] = [];
  for (const lane of [0, 1, 2]) {
    const { seq } = (await nats.request(`${fence}.${lane}`, body, { timeout: 2000 })).json<{ seq: number }>();
    tokens.push(seq);
  }
  await store.open(termOf(8));
  for (const [lane, token] of tokens.entries()) {
    const { headers: hdrs } = withHeaders({
      "Nats-Expected-Last-Subject-Sequence": String(token),
      "Nats-Expected-Last-Subject-Sequence-Subject": `${fence}.${lane}`,
    });
    const late = (await nats.request(`${stream}.x`, "late", { timeout: 2000, headers: hdrs })).json();
    expect(late).toMatchObject({ error: { err_code: 10071 } });
  }
});

test("terms of two clusters do not depose each other", async () => {
  const { store, stream, nats, fence } = await ledger();
  const one = await store.open({ ...termOf(3), clusterId: "one" });
  const two = store.open({ ...termOf(9), clusterId: "two" });
  await expect(two).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE", recoverable: false });
  await expect(two).rejects.toThrow('is fenced by cluster "one", so a term of cluster "two" cannot open it');
  const earlier = store.open({ ...termOf(2), clusterId: "two" });
  await expect(earlier).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
  await one.publish(`${stream}.x`);
  expect(await store.holder()).toMatchObject({ epoch: 3, clusterId: "one" });
  await api(nats, `STREAM.PURGE.${stream}`, { filter: `${fence}.0` });
  const later = store.open({ ...termOf(9), clusterId: "two" });
  await expect(later).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
});

test("data subjects that include the fence are refused", async () => {
  const nats = await connection(server);
  const cases: readonly (readonly [string, string | undefined])[] = [
    [">", undefined],
    ["nats_leader.>", undefined],
    ["a.>", "a.fence"],
    ["a.*.*", "a.fence"],
    ["a.fence.0", "a.fence"],
  ];
  for (const [subject, fence] of cases) {
    const options = { stream: "APART", subjects: [subject], ...(fence === undefined ? {} : { fence }) };
    const opening = FencedStream.connect(nats, options);
    await expect(opening, subject).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(opening, subject).rejects.toThrow(/which includes the fence/);
  }
});

describe("a stream that is changed while it is in use", () => {
  test("is checked again when the fence is opened", async () => {
    const { store, nats, stream } = await ledger();
    await store.open(termOf(1));
    await update(nats, stream, { max_msgs: 1000, discard: "old" });
    const opening = store.open(termOf(2));
    await expect(opening).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
    await expect(opening).rejects.toThrow(/discard old can drop the fence/);
    await api(nats, `STREAM.DELETE.${stream}`);
    const gone = store.open(termOf(2));
    await expect(gone).rejects.toMatchObject({
      code: "STREAM_INCOMPATIBLE",
      message: expect.stringContaining("does not exist"),
    });
  });

  test("keeps the fence when it is given a max_age, because the fence was written without expiry", async () => {
    const { store, nats, stream, data } = await ledger();
    const a = await store.open(termOf(7));
    await a.publish(`${stream}.x`, "1");
    await update(nats, stream, { max_age: 1_000_000_000, duplicate_window: 1_000_000_000 });
    await expect.poll(data, { interval: 100 }).toEqual([]);
    await a.publish(`${stream}.x`, "2");
    await expect(store.open(termOf(6))).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 7 });
  });

  test("gets and loses batches", async () => {
    const { store, nats, stream } = await foreign({});
    const a = await store.open(termOf(1));
    expect(store.noBatches).toMatch(/allow_atomic/);
    await update(nats, stream, { allow_atomic: true });
    await store.open(termOf(1));
    expect(store.noBatches).toBeNull();
    await a.batch([{ subject: `${stream}.x` }]);
  });
});

describe("a full stream", () => {
  test("refuses a write and a takeover, says why, and serves both when there is room", async () => {
    for (const limit of [{ max_msgs: 4 }, { max_bytes: 2000 }]) {
      const { store, stream, nats } = await ledger({ config: { ...limit, discard: "new" } });
      const a = await store.open(termOf(1));
      const subject = `${stream}.x`;
      const full = { code: "INSUFFICIENT_RESOURCES", recoverable: true };
      const fill = async (): Promise<never> => {
        for (;;) await a.publish(subject, new Uint8Array(300));
      };
      await expect(fill()).rejects.toMatchObject(full);
      await expect(a.publish(subject, new Uint8Array(300))).rejects.toThrow(
        /stream is full .*nothing was written/,
      );
      expect(a.ended).toBeNull();
      if ("max_msgs" in limit) {
        const opening = store.open(termOf(2), { timeoutMs: 100 });
        await expect(opening).rejects.toMatchObject(full);
        await expect(opening).rejects.toThrow(/remove messages or raise max_msgs or max_bytes/);
        await api(nats, `STREAM.PURGE.${stream}`, { filter: subject });
        const b = await store.open(termOf(2));
        await expect(a.publish(subject)).rejects.toMatchObject({ code: "STALE_EPOCH" });
        expect(b.epoch).toBe(2);
      }
    }
  });
});

test("a batch whose message id is stored already has an unknown outcome, because it may be stored itself", async () => {
  const { store, stream, data } = await ledger();
  const a = await store.open(termOf(1));
  const batch = () => [
    { subject: `${stream}.x`, data: "1", options: withHeaders({ "Nats-Msg-Id": "m1" }) },
    { subject: `${stream}.y`, data: "1", options: withHeaders({ "Nats-Msg-Id": "m2" }) },
  ];
  await a.batch(batch());
  const again = a.batch(batch());
  await expect(again).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  await expect(again).rejects.toThrow(/this attempt wrote nothing, and an earlier attempt/);
  expect(await data()).toEqual([`${stream}.x=1`, `${stream}.y=1`]);
});
