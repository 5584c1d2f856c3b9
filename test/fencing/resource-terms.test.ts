/** The terms of a group's resources, of real members, at every kind of fence. */
import type { NatsConnection } from "@nats-io/transport-node";
import { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  findPostgres,
  type PostgresServer,
  startPostgres,
} from "../../examples/singleton-writer/private-postgres.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import {
  type Fence,
  FencedKv,
  FencedStream,
  type FencedWriter,
  fencedCallback,
  KvFence,
  MemoryFence,
  natsHeaders,
  PostgresFence,
  throwIfRefused,
} from "../../src/fencing.ts";
import type { Group, GroupHooks, ResourceTerm } from "../../src/group.ts";
import { atEnd } from "../support/at-end.ts";
import { apply, begin, SINK_TABLES } from "../support/fencing/position-sink.ts";
import { api, connection, contents } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** Names that are no tokens of a subject, no keys of a bucket and no names of a stream; with quotes for SQL. */
const RESOURCES = ["Zürich / 1.>", 'it\'s * "two"\n$1'];

/** The name of a resource as a token of a subject, a key or the name of a stream. */
function token(resource: string): string {
  return Buffer.from(resource).toString("base64url");
}

interface Moved {
  /** The term of the earlier owner. It has ended. */
  readonly old: ResourceTerm;
  /** The running term of the same resource. */
  readonly next: ResourceTerm;
  /** The running term of the other resource. */
  readonly other: ResourceTerm;
}

/** Member a owns both resources, then b joins and gets one of them. `whileOld` runs before. */
async function moveOne(
  hooks: GroupHooks = {},
  whileOld: (terms: readonly ResourceTerm[]) => Promise<void> = async () => {},
): Promise<Moved> {
  const group = new RealGroup(server.url, { resources: RESOURCES });
  const a = await group.start("a", {}, hooks);
  await group.untilShares({ a: 2 });
  await workOf(group, 2);
  const before = new Map(a.owned);
  await whileOld([...before.values()]);
  const b = await group.start("b", {}, hooks);
  await group.untilShares({ a: 1, b: 1 });
  await workOf(group, 3);
  const [[resource, next]] = [...b.owned] as [[string, ResourceTerm]];
  const [other] = [...a.owned.values()];
  const old = before.get(resource);
  if (old === undefined || other === undefined) throw new Error("the resources are not shared");
  expect(other.resource).not.toBe(resource);
  expect(old.epoch).toBeLessThan(next.epoch);
  expect(old.signal.aborted).toBe(true);
  return { old, next, other };
}

/** Resolves when so many runs of work have begun. Each begins after the hook `onOwn` of its term has returned. */
async function workOf(group: RealGroup, count: number): Promise<void> {
  await waitFor(() => group.runs.length === count, {
    timeoutMs: PATIENCE_MS,
    message: () => `${count} runs of work, not ${group.runs.join(", ")}`,
  });
}

/** What a fence stores of a term: without the signal, which would end a call of a term that is over. */
function identity({ epoch, nodeId, incarnation, clusterId }: ResourceTerm) {
  return { epoch, nodeId, incarnation, clusterId };
}

describe("a stream", () => {
  test("has one fence for each resource, which only the terms of that resource move", async () => {
    const nats = await connection(server);
    const stream = freshId("LEDGER");
    const fences = `${stream}_fence`;
    await api(nats, `STREAM.CREATE.${stream}`, {
      name: stream,
      subjects: [`${stream}.>`, `${fences}.>`],
      storage: "file",
      allow_rollup_hdrs: true,
      deny_delete: true,
      allow_msg_ttl: true,
      allow_atomic: true,
    });
    const fenceOf = async (on: NatsConnection, resource: string): Promise<FencedStream> => {
      const made = await FencedStream.connect(on, { stream, fence: `${fences}.${token(resource)}` });
      atEnd(() => made.close());
      return made;
    };
    const writers = new Map<number, FencedWriter>();
    const hooks: GroupHooks = {
      async onOwn(term) {
        writers.set(term.epoch, await (await fenceOf(nats, term.resource)).open(term));
      },
    };
    const write = async (term: ResourceTerm, data: string): Promise<void> => {
      const writer = writers.get(term.epoch);
      if (writer === undefined) throw new Error(`epoch ${term.epoch} has no writer`);
      await writer.publish(`${stream}.entry`, data);
    };
    const { old, next, other } = await moveOne(hooks, async (terms) => {
      for (const term of terms) await write(term, "first owner");
    });
    await write(next, "second owner");
    const late = write(old, "late");
    await expect(late).rejects.toMatchObject({ code: "STALE_EPOCH", token: old.epoch, newest: next.epoch });
    await write(other, "unmoved");
    const fence = await fenceOf(await connection(server), next.resource);
    expect(await fence.holder()).toEqual(identity(next));
    await expect(fence.open(identity(old))).rejects.toMatchObject({ code: "STALE_EPOCH" });
    const foreign = fence.open(other);
    await expect(foreign).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
    await expect(foreign).rejects.toThrow(`a term of cluster "${other.clusterId}" cannot open it`);
    await write(next, "last");
    expect(await contents(nats, stream, (subject) => subject === `${stream}.entry`)).toEqual(
      ["first owner", "first owner", "second owner", "unmoved", "last"].map(
        (data) => `${stream}.entry=${data}`,
      ),
    );
  });
});

describe("a bucket", () => {
  test("accepts the writes of the new owner only, and no term of another resource", async () => {
    const nats = await connection(server);
    const prefix = freshId("KV");
    const bucketOf = async (resource: string): Promise<FencedKv> => {
      const made = await FencedKv.connect(nats, { bucket: `${prefix}_${token(resource)}` });
      atEnd(() => made.close());
      return made;
    };
    const writers = new Map<number, Awaited<ReturnType<FencedKv["open"]>>>();
    const { old, next, other } = await moveOne({
      async onOwn(term) {
        const writer = await (await bucketOf(term.resource)).open(term);
        await writer.put("owner", `${term.memberId} of ${term.resource}`);
        writers.set(term.epoch, writer);
      },
    });
    await expect(writers.get(old.epoch)?.put("owner", "late")).rejects.toMatchObject({
      code: "STALE_EPOCH",
      token: old.epoch,
      newest: next.epoch,
    });
    const kv = await bucketOf(next.resource);
    await expect(kv.open(other)).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
    await expect(kv.asKv(identity(old))).rejects.toMatchObject({ code: "STALE_EPOCH" });
    const value = (await kv.get("owner"))?.value;
    expect(new TextDecoder().decode(value)).toBe(`b of ${next.resource}`);
    await writers.get(next.epoch)?.put("owner", "still b");
    await writers.get(other.epoch)?.put("owner", "still a");
  });
});

describe.each(["MemoryFence", "KvFence"])("receivers with a %s for each resource", (kind) => {
  test("handle the messages of the new owner only, whatever the epochs of the other resource are", async () => {
    const nats = await connection(server);
    const prefix = freshId("print");
    const handled: string[] = [];
    const fences = new Map<string, Fence>();
    for (const resource of RESOURCES) {
      const subject = `${prefix}.${token(resource)}`;
      const fence =
        kind === "MemoryFence"
          ? new MemoryFence(`the printer of ${resource}`)
          : await KvFence.open(nats, { key: subject });
      if (fence instanceof KvFence) atEnd(() => fence.close());
      fences.set(resource, fence);
      const callback = fencedCallback(fence, (message) => {
        handled.push(message.string());
        message.respond("printed");
      });
      nats.subscribe(subject, { callback });
    }
    const client = await connection(server);
    const print = async (term: ResourceTerm, text: string): Promise<void> => {
      const headers = natsHeaders(term);
      const subject = `${prefix}.${token(term.resource)}`;
      throwIfRefused(await client.request(subject, text, { timeout: 5000, headers }));
    };
    const { old, next, other } = await moveOne({}, async (terms) => {
      for (const term of terms) await print(term, "first owner");
    });
    await print(next, "second owner");
    await expect(print(old, "late")).rejects.toMatchObject({
      code: "STALE_EPOCH",
      token: old.epoch,
      newest: next.epoch,
    });
    await print(other, "unmoved");
    await print(next, "last");
    expect(handled).toEqual(["first owner", "first owner", "second owner", "unmoved", "last"]);
    expect(RESOURCES.map((resource) => fences.get(resource)?.highest)).toEqual(
      RESOURCES.map((resource) => (resource === next.resource ? next : other).epoch),
    );
  });
});

const missing = findPostgres() === null;
const title = missing ? "PostgreSQL (SKIPPED, not installed: apt-get install postgresql)" : "PostgreSQL";

describe.skipIf(missing)(title, () => {
  let postgres: PostgresServer;
  let pool: Pool;

  beforeAll(async () => {
    postgres = await startPostgres();
    // One connection, so that no test opens another.
    pool = new Pool({ ...connectionOf(postgres), max: 1 });
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {}));
    await new PostgresFence({ resource: "any" }).setup(pool);
    await pool.query(SINK_TABLES);
  });
  afterAll(async () => {
    await pool?.end();
    await postgres?.stop();
  });

  function fenceOf({ clusterId }: Pick<ResourceTerm, "clusterId">): PostgresFence {
    return new PostgresFence({ resource: clusterId, clusterId });
  }

  async function effectsOf(clusterId: string): Promise<number[]> {
    const sql = "SELECT seq FROM effects WHERE resource = $1 ORDER BY id";
    return (await pool.query<{ seq: string }>(sql, [clusterId])).rows.map(({ seq }) => Number(seq));
  }

  test("commits the transactions of the new owner only, and refuses the terms of another resource", async () => {
    const { old, next, other } = await moveOne({
      async onOwn(term) {
        const prev = await begin(pool, fenceOf(term), term);
        await apply(pool, fenceOf(term), term, { prev, last: prev + 1 });
      },
    });
    const fence = fenceOf(next);
    await expect(apply(pool, fence, old, { prev: 2, last: 3 })).rejects.toMatchObject({
      code: "STALE_EPOCH",
      token: old.epoch,
      newest: next.epoch,
    });
    await expect(fence.take(pool, identity(old))).rejects.toMatchObject({ code: "STALE_EPOCH" });
    const above = { ...identity(other), epoch: next.epoch + 1 };
    const refused = {
      code: "INVALID_CONFIG",
      message: expect.stringContaining(JSON.stringify(other.clusterId)),
    };
    await expect(fence.take(pool, above)).rejects.toMatchObject(refused);
    await expect(apply(pool, fence, other, { prev: 2, last: 3 })).rejects.toMatchObject(refused);
    expect(() => fence.guardCte(other)).toThrow("cannot be compared");
    const { clusterId: _, ...unnamed } = above;
    await expect(fence.take(pool, unnamed)).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await apply(pool, fence, next, { prev: 2, last: 3 });
    expect(await effectsOf(next.clusterId)).toEqual([1, 2, 3]);
    expect(await effectsOf(other.clusterId)).toEqual([1]);
  });

  test("a batch that is delivered again has no effect", async () => {
    const term = await soleOwner(freshId("g"), "again");
    const prev = await begin(pool, fenceOf(term), term);
    await apply(pool, fenceOf(term), term, { prev, last: prev + 3 });
    await expect(apply(pool, fenceOf(term), term, { prev, last: prev + 3 })).rejects.toThrow(
      "the position is not 0",
    );
    expect(await effectsOf(term.clusterId)).toEqual([1, 2, 3]);
  });

  test.each([
    { point: "effects", position: 3 },
    { point: "position", position: 3 },
    { point: "commit", position: 6 },
  ])("an owner that is killed after $point leaves no effect twice and none out", async (at) => {
    const groupId = freshId("g");
    const resource = "Zürich / 1.>";
    const child = spawnChild<{ readonly reached?: string; readonly epoch?: number }>(
      "test/support/fencing/children/position-writer.ts",
      { args: [JSON.stringify(connectionOf(postgres)), server.url, groupId, resource, "2", at.point] },
    );
    atEnd(() => child[Symbol.asyncDispose]());
    const { epoch = 0 } = await child.next(({ reached }) => reached === at.point);
    child.kill("SIGKILL");
    await child.exit;
    const term = await soleOwner(groupId, resource);
    expect(term.epoch).toBeGreaterThan(epoch);
    const prev = await begin(pool, fenceOf(term), term);
    expect(prev).toBe(at.position);
    await apply(pool, fenceOf(term), term, { prev, last: 9 });
    expect(await effectsOf(term.clusterId)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  async function soleOwner(groupId: string, resource: string): Promise<ResourceTerm> {
    const member: Group = new RealGroup(server.url).make("b", { groupId, resources: [resource] });
    await member.start();
    return member.untilOwned(resource);
  }
});

function connectionOf({ host, port, user, database }: PostgresServer) {
  return { host, port, user, database };
}
