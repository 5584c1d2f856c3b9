/**
 * What an operator or an unfenced client can do to a stream while a fence is held. None of it makes the write of a deposed term
 * acceptable, with one exception, which the last test states. docs/fencing.md has the table.
 */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { FencedStream, type FencedWriter } from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection, deleteStream, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Held {
  readonly nats: NatsConnection;
  readonly stream: string;
  readonly root: string;
  readonly lane: string;
  readonly store: FencedStream;
  /** The writer of epoch 7, which does not know yet that it is deposed. */
  readonly deposed: FencedWriter;
  /** The writer of epoch 8, which holds the fence. */
  readonly holder: FencedWriter;
}

/** A fence that has moved from epoch 7 to 8. */
async function held(config: Record<string, unknown>): Promise<Held> {
  const nats = await connection(server);
  const stream = freshId("OP");
  const fence = `nats_leader.fence.${stream}`;
  const subjects = [`${stream}.>`, `${fence}.>`];
  await api(nats, `STREAM.CREATE.${stream}`, { name: stream, subjects, ...config });
  const store = await FencedStream.connect(nats, { stream });
  atEnd(() => store.close());
  const deposed = await store.open(termOf(7));
  await deposed.publish(`${stream}.x`, "7");
  const holder = await store.open(termOf(8));
  const { state } = (await api(nats, `STREAM.INFO.${stream}`, { subjects_filter: `${fence}.*.*` })) as {
    state: { subjects: Record<string, number> };
  };
  const [lane = ""] = Object.keys(state.subjects);
  return { nats, stream, root: `${fence}.0`, lane, store, deposed, holder };
}

const purge = (it: Held, body: object) => api(it.nats, `STREAM.PURGE.${it.stream}`, body);

async function put(it: Held, subject: string, body = "", fields: Record<string, string> = {}): Promise<void> {
  const hdrs = headers();
  for (const [name, value] of Object.entries(fields)) hdrs.set(name, value);
  const answer = (await it.nats.request(subject, body, { timeout: 2000, headers: hdrs })).json<object>();
  expect(answer).not.toHaveProperty("error");
}

async function update(it: Held, change: object): Promise<void> {
  const { config } = (await api(it.nats, `STREAM.INFO.${it.stream}`)) as { config: object };
  await api(it.nats, `STREAM.UPDATE.${it.stream}`, { ...config, ...change });
}

async function deleteNewest(it: Held, subject: string): Promise<void> {
  const found = await api(it.nats, `STREAM.MSG.GET.${it.stream}`, { last_by_subj: subject });
  const { seq } = (found as { message: { seq: number } }).message;
  expect(await api(it.nats, `STREAM.MSG.DELETE.${it.stream}`, { seq })).toMatchObject({ success: true });
}

const old = JSON.stringify({ epoch: 7, node_id: "g", incarnation: "inc-7" });
const outcome = (doing: Promise<unknown>): Promise<string> =>
  doing.then(
    () => "fine",
    (error: { code: string }) => error.code,
  );

/** What happens, whether epoch 8 still writes, whether epoch 7 can open the fence again, and whether epoch 9 can take over. */
const CASES: readonly (readonly [string, (it: Held) => Promise<unknown>, string, string, string])[] = [
  ["purge of the stream", (it) => purge(it, {}), "STALE_EPOCH", "fine", "fine"],
  ["purge of all but one message", (it) => purge(it, { keep: 1 }), "fine", "STALE_EPOCH", "fine"],
  ["purge of the root", (it) => purge(it, { filter: it.root }), "fine", "STALE_EPOCH", "fine"],
  ["purge of a lane", (it) => purge(it, { filter: it.lane }), "STALE_EPOCH", "STALE_EPOCH", "fine"],
  ["deletion of the newest root", (it) => deleteNewest(it, it.root), "fine", "STALE_EPOCH", "fine"],
  ["deletion of the newest lane", (it) => deleteNewest(it, it.lane), "STALE_EPOCH", "STALE_EPOCH", "fine"],
  [
    "a rollup of the stream by another client",
    (it) => put(it, `${it.stream}.s`, "", { "Nats-Rollup": "all" }),
    "STALE_EPOCH",
    "fine",
    "fine",
  ],
  [
    "another message on the root",
    (it) => put(it, it.root, "x", { "Nats-Rollup": "sub" }),
    "fine",
    "STALE_EPOCH",
    "fine",
  ],
  [
    "a root that names other lanes",
    (it) => put(it, it.root, JSON.stringify({ ...JSON.parse(old), fence: "other", lane_count: 1 })),
    "fine",
    "STALE_EPOCH",
    "fine",
  ],
  [
    "an old record on the root",
    (it) =>
      put(
        it,
        it.root,
        JSON.stringify({ ...JSON.parse(old), fence: it.lane.split(".").at(-2), lane_count: 1 }),
      ),
    "fine",
    "STALE_EPOCH",
    "fine",
  ],
  ["an old record on a lane", (it) => put(it, it.lane, old), "STALE_EPOCH", "STALE_EPOCH", "fine"],
  [
    "a limit that drops old messages",
    (it) => update(it, { max_msgs: 3, discard: "old" }),
    "fine",
    "STREAM_INCOMPATIBLE",
    "STREAM_INCOMPATIBLE",
  ],
  [
    "a limit of messages per subject",
    (it) => update(it, { max_msgs_per_subject: 1 }),
    "fine",
    "STALE_EPOCH",
    "fine",
  ],
  [
    "subjects without the fence",
    (it) => update(it, { subjects: [`${it.stream}.>`] }),
    "fine",
    "STREAM_INCOMPATIBLE",
    "STREAM_INCOMPATIBLE",
  ],
  [
    "a transform of subjects",
    (it) => update(it, { subject_transform: { src: `${it.stream}.>`, dest: `${it.stream}.t.>` } }),
    "fine",
    "STREAM_INCOMPATIBLE",
    "STREAM_INCOMPATIBLE",
  ],
  [
    "a seal",
    (it) => update(it, { sealed: true }),
    "STREAM_INCOMPATIBLE",
    "STREAM_INCOMPATIBLE",
    "STREAM_INCOMPATIBLE",
  ],
  [
    "deletion, and creation by another tool",
    async (it) => {
      const { config } = (await api(it.nats, `STREAM.INFO.${it.stream}`)) as { config: object };
      await deleteStream(it.nats, it.stream);
      await api(it.nats, `STREAM.CREATE.${it.stream}`, config);
    },
    "STALE_EPOCH",
    "fine",
    "fine",
  ],
];

describe("no write of a deposed term is stored after", () => {
  test.each(CASES)("%s", async (_, happen, holderWrites, oldOpens, nextOpens) => {
    const it = await held({ allow_rollup_hdrs: true });
    await happen(it);
    const subject = `${it.stream}.x`;
    const late = await outcome(it.deposed.publish(subject, "late"));
    expect(late).toBe(holderWrites === "STREAM_INCOMPATIBLE" ? "STREAM_INCOMPATIBLE" : "STALE_EPOCH");
    expect(await outcome(it.holder.publish(subject, "8"))).toBe(holderWrites);
    expect(await outcome(it.store.open(termOf(7), { timeoutMs: 300 }))).toBe(oldOpens);
    expect(await outcome(it.store.open(termOf(9), { timeoutMs: 300 }))).toBe(nextOpens);
    if (nextOpens === "fine") expect(await outcome(it.holder.publish(subject, "8"))).toBe("STALE_EPOCH");
  });
});

test("without allow_rollup_hdrs the deletion of a lane's newest message brings the earlier one back", async () => {
  const it = await held({ allow_rollup_hdrs: false });
  await deleteNewest(it, it.lane);
  expect(await outcome(it.deposed.publish(`${it.stream}.x`, "late"))).toBe("fine");
  const denied = await held({ allow_rollup_hdrs: false, deny_delete: true });
  const found = await api(denied.nats, `STREAM.MSG.GET.${denied.stream}`, { last_by_subj: denied.lane });
  const { seq } = (found as { message: { seq: number } }).message;
  await expect(api(denied.nats, `STREAM.MSG.DELETE.${denied.stream}`, { seq })).rejects.toThrow("10057");
});
