import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import { Client, Pool } from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  findPostgres,
  type PostgresServer,
  startPostgres,
} from "../../examples/singleton-writer/private-postgres.ts";
import { PostgresFence, type SqlRunner } from "../../src/fencing.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { atEnd } from "../support/at-end.ts";
import { termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

const missing = findPostgres() === null;
const title = missing ? "PostgreSQL (SKIPPED, not installed: apt-get install postgresql)" : "PostgreSQL";

describe.skipIf(missing)(title, () => {
  let server: PostgresServer;
  let pool: Pool;
  let fence: PostgresFence;
  let ledger: string;

  beforeAll(async () => {
    server = await startPostgres();
    pool = new Pool({ ...connectionOf(server), max: 10 });
    await new PostgresFence({ resource: "any" }).setup(pool);
    await new PostgresFence({ resource: "any" }).setup(pool);
  });
  afterAll(async () => {
    await pool?.end();
    await server?.stop();
  });
  beforeEach(async () => {
    fence = new PostgresFence({ resource: freshId("ledger") });
    ledger = freshId("entries");
    await pool.query(`CREATE TABLE ${ledger} (id serial, entry text)`);
  });

  async function client(): Promise<Client> {
    const made = new Client(connectionOf(server));
    made.on("error", () => {});
    await made.connect();
    atEnd(() => made.end().catch(() => {}));
    return made;
  }
  const entries = async () =>
    (await pool.query<{ entry: string }>(`SELECT entry FROM ${ledger} ORDER BY id`)).rows.map(
      (row) => row.entry,
    );

  test("writes of the newest term commit, and older ones are refused with both tokens", async () => {
    const [a, b] = [await client(), await client()];
    await fence.take(a, termOf(1));
    await write(a, fence, 1, ledger, "from a");
    await fence.take(b, termOf(2));
    await write(b, fence, 2, ledger, "from b");
    const late = write(a, fence, 1, ledger, "late");
    await expect(late).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 2 });
    await expect(late).rejects.toThrow(
      `fence "${fence.resource}" in PostgreSQL refuses epoch 1 of node "a": the fence is at epoch 2 of node "b"`,
    );
    expect(await entries()).toEqual(["from a", "from b"]);
  });

  test("an older term, or another one with the same epoch, cannot take the fence", async () => {
    const a = await client();
    await fence.take(a, termOf(2));
    await fence.take(a, termOf(2));
    await expect(fence.take(a, termOf(1))).rejects.toMatchObject({
      code: "STALE_EPOCH",
      token: 1,
      newest: 2,
    });
    await expect(fence.take(a, termOf(2, "twin"))).rejects.toMatchObject({ code: "STALE_EPOCH" });
    await expect(fence.guard(a, termOf(3))).rejects.toMatchObject({
      code: "STALE_EPOCH",
      token: 3,
      newest: 2,
    });
  });

  test("nothing is written before the fence was taken once", async () => {
    const a = await client();
    await expect(write(a, fence, 1, ledger, "early")).rejects.toThrow(/call take\(\) first/);
    expect(await entries()).toEqual([]);
  });

  test("a takeover waits for a transaction that has passed the guard, which then commits first", async () => {
    const [a, b] = [await client(), await client()];
    await fence.take(a, termOf(1));
    await a.query("BEGIN");
    await fence.guard(a, termOf(1));
    let taken = false;
    const taking = fence.take(b, termOf(2)).then(() => {
      taken = true;
    });
    await waitingForLock(pool);
    await a.query(`INSERT INTO ${ledger} (entry) VALUES ('in flight')`);
    expect(taken).toBe(false);
    await a.query("COMMIT");
    await taking;
    expect(await entries()).toEqual(["in flight"]);
  });

  test.each(["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])(
    "a guard that waited for a takeover refuses, at isolation level %s",
    async (isolation) => {
      const [a, b] = [await client(), await client()];
      await fence.take(a, termOf(1));
      await b.query("BEGIN");
      await fence.take(b, termOf(2));
      await a.query(`BEGIN ISOLATION LEVEL ${isolation}`);
      await a.query(`INSERT INTO ${ledger} (entry) VALUES ('late')`);
      const guarding = fence.guard(a, termOf(1)).then(
        () => "passed",
        (error: { code: string }) => error.code,
      );
      await waitingForLock(pool);
      await b.query("COMMIT");
      expect(await guarding).toBe(isolation === "READ COMMITTED" ? "STALE_EPOCH" : "40001");
      await a.query("ROLLBACK");
      await expect(write(a, fence, 1, ledger, "again")).rejects.toMatchObject({ code: "STALE_EPOCH" });
      expect(await entries()).toEqual([]);
    },
  );

  test("a writer frozen inside its transaction blocks the next leader for the idle timeout at most", async () => {
    const impatient = new PostgresFence({ resource: fence.resource, idleTimeoutMs: 300 });
    const child = spawnChild("test/support/fencing/children/postgres-writer.ts", {
      args: [JSON.stringify(connectionOf(server)), fence.resource, ledger],
    });
    atEnd(() => child[Symbol.asyncDispose]());
    await impatient.take(pool, termOf(1));
    child.send({ begin: 1 });
    await child.next((line) => "guarded" in line);
    child.kill("SIGSTOP");
    await impatient.take(pool, termOf(2));
    child.kill("SIGCONT");
    child.send({ commit: true });
    expect(await child.next((line) => "outcome" in line)).not.toMatchObject({ outcome: "committed" });
    expect(await entries()).toEqual([]);
  });

  test("a single statement carries its own guard", async () => {
    const a = await client();
    await fence.take(a, termOf(1));
    const insert = async (epoch: number, entry: string) => {
      const guard = fence.guardCte(termOf(epoch), 2);
      const text = `WITH ${guard.text} INSERT INTO ${ledger} (entry) SELECT $1::text FROM fence`;
      return (await a.query(text, [entry, ...guard.values])).rowCount;
    };
    expect(await insert(1, "one")).toBe(1);
    await fence.take(a, termOf(2));
    expect(await insert(1, "late")).toBe(0);
    expect(await entries()).toEqual(["one"]);
  });

  test("the guard of a single statement waits for a takeover in progress, and then writes nothing", async () => {
    const [a, b] = [await client(), await client()];
    await fence.take(a, termOf(1));
    await b.query("BEGIN");
    await fence.take(b, termOf(2));
    const guard = fence.guardCte(termOf(1));
    const late = a.query(`WITH ${guard.text} INSERT INTO ${ledger} (entry) SELECT 'late' FROM fence`, [
      ...guard.values,
    ]);
    await waitingForLock(pool);
    await b.query("COMMIT");
    expect((await late).rowCount).toBe(0);
  });

  test("with concurrent writers and takeovers no entry follows one of a larger epoch", async () => {
    const epochs = [1, 2, 3, 4, 5];
    let over = false;
    const writers: Promise<void>[] = [];
    for (const epoch of epochs) {
      const own = await client();
      await fence.take(own, termOf(epoch));
      const written = deferred<void>();
      const writing = async () => {
        for (let count = 0; !over; ) {
          await write(own, fence, epoch, ledger, String(epoch)).then(
            () => ++count,
            (error: { code: string }) => expect(error).toMatchObject({ code: "STALE_EPOCH" }),
          );
          if (count === 5) written.resolve();
        }
      };
      const running = writing();
      running.catch(written.reject);
      writers.push(running);
      await written.promise; // the writers of all earlier epochs go on, and are refused
    }
    over = true;
    await Promise.all(writers);
    const stored = (await entries()).map(Number);
    expect(stored).toEqual([...stored].sort((x, y) => x - y));
    expect([...new Set(stored)]).toEqual(epochs);
  });

  test("works with postgres.js", async () => {
    const sql = postgres({ ...connectionOf(server), max: 3, onnotice: () => {} });
    atEnd(() => sql.end());
    const on =
      (tx: { unsafe: typeof sql.unsafe }): SqlRunner =>
      (text, values) =>
        tx.unsafe(text, values);
    await fence.take(on(sql), termOf(1));
    const insert = (epoch: number) =>
      sql.begin(async (tx) => {
        await fence.guard(on(tx), termOf(epoch));
        await tx`INSERT INTO ${tx(ledger)} (entry) VALUES (${String(epoch)})`;
      });
    await insert(1);
    await fence.take(on(sql), termOf(2));
    await expect(insert(1)).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 2 });
    expect(await entries()).toEqual(["1"]);
  });

  test("works with Kysely", async () => {
    const db = new Kysely<Record<string, { entry: string }>>({ dialect: new PostgresDialect({ pool }) });
    const on =
      (tx: Pick<typeof db, "executeQuery">): SqlRunner =>
      async (text, values) =>
        (await tx.executeQuery<Record<string, unknown>>(CompiledQuery.raw(text, values))).rows;
    await fence.take(on(db), termOf(1));
    const insert = (epoch: number) =>
      db.transaction().execute(async (tx) => {
        await fence.guard(on(tx), termOf(epoch));
        await tx
          .insertInto(ledger)
          .values({ entry: String(epoch) })
          .execute();
      });
    await insert(1);
    await fence.take(on(db), termOf(2));
    await expect(insert(1)).rejects.toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 2 });
    expect(await entries()).toEqual(["1"]);
  });
});

describe("a takeover that PostgreSQL does not serialize", () => {
  const fence = new PostgresFence({ resource: "x" });
  const failure = (code: string) => Object.assign(new Error(`error ${code}`), { code });

  test("is repeated until its time limit or its signal", async () => {
    const never: SqlRunner = () => Promise.reject(failure("40001"));
    const late = fence.take(never, termOf(1), { timeoutMs: 1 });
    await expect(late).rejects.toMatchObject({ code: "TIMEOUT", recoverable: true });
    await expect(late).rejects.toThrow(/other takeovers did not end within 1 ms/);
    const controller = new AbortController();
    let calls = 0;
    const aborting: SqlRunner = async () => {
      if (++calls === 3) controller.abort();
      throw failure("40001");
    };
    const aborted = fence.take(aborting, termOf(1), { signal: controller.signal });
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
    expect(calls).toBe(3);
  });

  test("rejects with the first error in a transaction of the caller, which has failed", async () => {
    const failures = ["40001", "25P02"].map(failure);
    const failed: SqlRunner = () => Promise.reject(failures.shift());
    await expect(fence.take(failed, termOf(1))).rejects.toMatchObject({ code: "40001" });
    expect(failures).toEqual([]);
    const other: SqlRunner = () => Promise.reject(failure("40P01"));
    await expect(fence.take(other, termOf(1))).rejects.toMatchObject({ code: "40P01" });
  });
});

test("a term that is incomplete is refused before any statement is sent", async () => {
  const fence = new PostgresFence({ resource: "x" });
  const never: SqlRunner = () => Promise.reject(new Error("a statement was sent"));
  for (const [wrong, message] of [
    [{ epoch: 1.5 }, /fencing token is an integer/],
    [{ incarnation: undefined }, /^incarnation of the term is undefined: /],
    [{ incarnation: "a\0b" }, /^incarnation of the term is "a\\u0000b": /],
    [{ nodeId: "" }, /^nodeId of the term is "": /],
    [{ nodeId: null }, /^nodeId of the term is null: /],
  ] as const) {
    const term = { ...termOf(1), ...wrong } as never;
    const refused = { code: "INVALID_CONFIG", message: expect.stringMatching(message) };
    await expect(fence.take(never, term)).rejects.toMatchObject(refused);
    await expect(fence.guard(never, term)).rejects.toMatchObject(refused);
    expect(() => fence.guardCte(term)).toThrow(message);
  }
});

test.each([5, "", null, {}])("a fence of cluster %j is refused", (clusterId) => {
  expect(() => new PostgresFence({ resource: "r", clusterId: clusterId as never })).toThrow(
    expect.objectContaining({
      code: "INVALID_CONFIG",
      message: "clusterId must be a string that is not empty",
    }),
  );
});

test("options that would allow SQL injection are refused", () => {
  for (const table of ["", "a b", "a;drop", 'a"b', "a.b.c", "1a"]) {
    expect(() => new PostgresFence({ resource: "x", table }), table).toThrow(/is not a plain name/);
  }
  expect(() => new PostgresFence({ resource: "" })).toThrow(/resource/);
  expect(() => new PostgresFence({ resource: "x", idleTimeoutMs: -1 })).toThrow(/idleTimeoutMs is -1/);
  expect(new PostgresFence({ resource: "x", table: "app.fences" }).setupSql()).toContain("app.fences");
});

function connectionOf({ host, port, user, database }: PostgresServer) {
  return { host, port, user, database };
}

async function write(
  on: Client,
  fence: PostgresFence,
  epoch: number,
  ledger: string,
  entry: string,
): Promise<void> {
  await on.query("BEGIN");
  try {
    await on.query(`INSERT INTO ${ledger} (entry) VALUES ($1)`, [entry]);
    await fence.guard(on, termOf(epoch));
    await on.query("COMMIT");
  } catch (error) {
    await on.query("ROLLBACK");
    throw error;
  }
}

async function waitingForLock(pool: Pool): Promise<void> {
  const sql = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
  await expect.poll(async () => (await pool.query<{ n: number }>(sql)).rows[0]?.n).toBeGreaterThan(0);
}
