/** Which transactions a guard of PostgreSQL holds, with each client, and what becomes of them when the server ends the connection. */
import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import { Client, Pool, type PoolClient, Query } from "pg";
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

const missing = findPostgres() === null;
const title = missing
  ? "PostgreSQL transactions (SKIPPED, not installed: apt-get install postgresql)"
  : "PostgreSQL transactions";

describe.skipIf(missing)(title, () => {
  let server: PostgresServer;
  let connection: { host: string; port: number; user: string; database: string };
  let pool: Pool;
  let fence: PostgresFence;
  let ledger: string;

  beforeAll(async () => {
    server = await startPostgres();
    const { host, port, user, database } = server;
    connection = { host, port, user, database };
  });
  afterAll(() => server?.stop());
  beforeEach(async () => {
    pool = new Pool({ ...connection, max: 10 });
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {})); // as docs/fencing.md recommends
    atEnd(() => pool.end());
    fence = new PostgresFence({ resource: freshId("ledger") });
    ledger = freshId("entries");
    await fence.setup(pool);
    await pool.query(`CREATE TABLE ${ledger} (id serial, entry text)`);
    await fence.take(pool, termOf(1));
  });

  async function lent(): Promise<PoolClient> {
    const client = await pool.connect();
    client.on("error", () => {});
    atEnd(() => client.release(true));
    return client;
  }
  const insert = (on: Pick<PoolClient, "query">, entry: string) =>
    on.query(`INSERT INTO ${ledger} (entry) VALUES ($1)`, [entry]);
  const entries = async () =>
    (await pool.query<{ entry: string }>(`SELECT entry FROM ${ledger} ORDER BY id`)).rows.map(
      (row) => row.entry,
    );
  const waiting = (n: number) =>
    expect
      .poll(async () => {
        const sql =
          "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        return (await pool.query<{ n: number }>(sql)).rows[0]?.n;
      })
      .toBe(n);
  const postgresJs = (options: postgres.Options<Record<string, never>> = {}) => {
    const sql = postgres({ ...connection, max: 2, onnotice: () => {}, ...options });
    atEnd(() => sql.end());
    return sql;
  };
  const on =
    (sql: { unsafe: ReturnType<typeof postgres>["unsafe"] }): SqlRunner =>
    (text, values) =>
      sql.unsafe(text, values);

  describe("takeovers", () => {
    test("guards that arrive after a takeover wait behind it, and are refused", async () => {
      const [inside, later] = [await lent(), await lent()];
      await inside.query("BEGIN");
      await fence.guard(inside, termOf(1));
      const taking = fence.take(pool, termOf(2));
      await waiting(1);
      await later.query("BEGIN");
      const guarding = fence.guard(later, termOf(1)).catch((error: { code: string }) => error.code);
      await waiting(2);
      await insert(inside, "in flight");
      await inside.query("COMMIT");
      await taking;
      expect(await guarding).toBe("STALE_EPOCH");
    });

    test("the guard of a single statement waits behind a takeover, too", async () => {
      const inside = await lent();
      await inside.query("BEGIN");
      await fence.guard(inside, termOf(1));
      const taking = fence.take(pool, termOf(2));
      await waiting(1);
      const guard = fence.guardCte(termOf(1));
      const late = pool.query(`WITH ${guard.text} INSERT INTO ${ledger} (entry) SELECT 'late' FROM fence`, [
        ...guard.values,
      ]);
      await waiting(2);
      await inside.query("COMMIT");
      await taking;
      expect((await late).rowCount).toBe(0);
    });

    test("a takeover gives up at its time limit or signal, and names what it waited for", async () => {
      const inside = await lent();
      await inside.query("BEGIN");
      await fence.guard(inside, termOf(1));
      const late = fence.take(pool, termOf(2), { timeoutMs: 20 });
      await expect(late).rejects.toMatchObject({ code: "TIMEOUT", recoverable: true });
      await expect(late).rejects.toThrow(/has passed the guard did not end within 20 ms/);
      const ended = new AbortController();
      const aborted = fence.take(pool, { ...termOf(2), signal: ended.signal });
      await waiting(1);
      ended.abort();
      await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
      await inside.query("COMMIT");
      await fence.take(pool, termOf(3));
      await expect(fence.take(pool, termOf(2))).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 3 });
    });

    test.each(["repeatable read", "serializable"])(
      "a takeover behind another one succeeds also if the session's default is %s",
      async (isolation) => {
        const strict = new Client({
          ...connection,
          options: `-c default_transaction_isolation=${isolation.replace(" ", "\\ ")}`,
        });
        await strict.connect();
        atEnd(() => strict.end());
        const behind = async (take: () => Promise<void>): Promise<void> => {
          const other = await lent();
          await other.query("BEGIN");
          await fence.take(other, termOf(2));
          const taking = take().then(
            () => null,
            (thrown: unknown) => thrown,
          );
          await waiting(1);
          await other.query("COMMIT");
          const thrown = await taking;
          if (thrown !== null) throw thrown;
        };
        await strict.query("BEGIN");
        await expect(behind(() => fence.take(strict, termOf(3)))).rejects.toMatchObject({ code: "40001" });
        await strict.query("ROLLBACK");
        await expect(behind(() => fence.take(strict, termOf(1)))).rejects.toMatchObject({
          code: "STALE_EPOCH",
          newest: 2,
        });
        await behind(() => fence.take(strict, termOf(3), { timeoutMs: 60_000 }));
        await expect(fence.take(pool, termOf(2))).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 3 });
      },
    );

    test("a takeover accepts a time limit above the largest one of PostgreSQL", async () => {
      const client = await lent();
      for (const [timeoutMs, setting] of [
        [2 ** 31 - 1, `${2 ** 31 - 1}ms`],
        [2 ** 31, "0"],
        [2 ** 40, "0"],
        [Number.POSITIVE_INFINITY, "7s"],
      ] as const) {
        await client.query("BEGIN; SET LOCAL lock_timeout = '7s'");
        await fence.take(client, termOf(1), { timeoutMs });
        const { rows } = await client.query<{ v: string }>("SELECT current_setting('lock_timeout') AS v");
        expect(rows[0]?.v, String(timeoutMs)).toBe(setting);
        await client.query("ROLLBACK");
      }
    });

    test("a takeover is durable and ends when it idles, also inside a transaction", async () => {
      const client = await lent();
      await client.query("BEGIN; SET LOCAL synchronous_commit = off");
      await fence.take(client, termOf(2));
      const setting = async (name: string) =>
        (await client.query<{ v: string }>(`SELECT current_setting('${name}') AS v`)).rows[0]?.v;
      expect(await setting("synchronous_commit")).toBe("on");
      expect(await setting("idle_in_transaction_session_timeout")).toBe("5s");
    });

    test("processes that set the table up at the same time do not disturb each other", async () => {
      const table = freshId("fences").replaceAll("-", "_");
      const fences = Array.from({ length: 8 }, () => new PostgresFence({ resource: "any", table }));
      await Promise.all(fences.map((one) => one.setup(pool)));
      await fences[0]?.take(pool, termOf(1));
    });
  });

  describe("a guard that would guard nothing is refused", () => {
    const refused = { code: "INVALID_CONFIG", message: expect.stringMatching(/guards nothing: /) };

    test("on a pool", async () => {
      await expect(fence.guard(pool, termOf(1))).rejects.toMatchObject(refused);
      await expect(fence.guard(pool, termOf(1))).rejects.toThrow(/on a pool/);
    });

    test("on a client of pg outside a transaction, and after its end", async () => {
      const client = await lent();
      await expect(fence.guard(client, termOf(1))).rejects.toMatchObject(refused);
      await client.query("BEGIN");
      await fence.guard(client, termOf(1));
      await client.query("COMMIT");
      await expect(fence.guard(client, termOf(1))).rejects.toThrow(/there is no transaction/);
    });

    test("on an older client of pg, which does not report its state", async () => {
      const client = await lent();
      const old = { query: client.query.bind(client) as PoolClient["query"] };
      await expect(fence.guard(old, termOf(1))).rejects.toMatchObject(refused);
      await client.query("BEGIN");
      await fence.guard(old, termOf(1));
      await fence.guard(old, termOf(1));
    });

    test("with postgres.js and Kysely outside a transaction", async () => {
      const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
      const run: SqlRunner = async (text, values) =>
        (await db.executeQuery<Record<string, unknown>>(CompiledQuery.raw(text, values))).rows;
      await expect(fence.guard(run, termOf(1))).rejects.toMatchObject(refused);
      await expect(fence.guard(on(postgresJs()), termOf(1))).rejects.toMatchObject(refused);
    });

    test("if the client does not return rows, or renames their columns", async () => {
      const forgetful: SqlRunner = async (text, values) => (await pool.query(text, values)) as never;
      await expect(fence.guard(forgetful, termOf(1))).rejects.toThrow(
        /the function that runs SQL did not resolve with an array of rows/,
      );
      const sql = postgresJs({ transform: postgres.toPascal });
      await expect(fence.guard(on(sql), termOf(1))).rejects.toThrow(/renames columns \(Epoch/);
      const camel = postgresJs({ transform: postgres.camel });
      await expect(fence.take(on(camel), termOf(1, "twin"))).rejects.toThrow(/of node "a", but of incarn/);
    });
  });

  test("a connection that the server ends fails a transaction of Kysely, not the process", async () => {
    const hasty = new PostgresFence({ resource: fence.resource, idleTimeoutMs: 50 });
    const ended = new Promise((resolve) => {
      pool.once("acquire", (client) => client.once("end", resolve));
    });
    const db = new Kysely<Record<string, { entry: string }>>({ dialect: new PostgresDialect({ pool }) });
    const lost = db.transaction().execute(async (tx) => {
      const run: SqlRunner = async (text, values) =>
        (await tx.executeQuery<Record<string, unknown>>(CompiledQuery.raw(text, values))).rows;
      await hasty.guard(run, termOf(1));
      await tx.insertInto(ledger).values({ entry: "undone" }).execute();
      await ended;
      await tx.insertInto(ledger).values({ entry: "late" }).execute();
    });
    await expect(lost).rejects.toThrow(/not queryable/);
    await fence.transaction(pool, termOf(1), (client) => insert(client, "next"));
    expect(await entries()).toEqual(["next"]);
  });

  describe("a table that requires the fence", () => {
    const unguarded = { code: "55000", message: expect.stringMatching(/is not guarded by fence/) };
    beforeEach(async () => {
      await pool.query(fence.requireSql(ledger));
      await pool.query(fence.requireSql(ledger));
    });

    test("refuses a write whose guard was rolled back with its savepoint", async () => {
      const client = await lent();
      await client.query("BEGIN; SAVEPOINT s");
      await fence.guard(client, termOf(1));
      await insert(client, "inside");
      await client.query("ROLLBACK TO SAVEPOINT s");
      await fence.take(pool, termOf(2));
      await expect(insert(client, "late")).rejects.toMatchObject(unguarded);
    });

    const insertOnce = (on: Pick<PoolClient, "query">, epoch: number, by = fence) => {
      const guard = by.guardCte(termOf(epoch));
      const text = `WITH ${guard.text} INSERT INTO ${ledger} (entry) SELECT 'one' FROM fence`;
      return on.query(text, [...guard.values]);
    };

    test.each([
      ["an earlier term", (client: PoolClient) => fence.guard(client, termOf(1))],
      ["a later term", (client: PoolClient) => fence.guard(client, termOf(3))],
      ["another incarnation", (client: PoolClient) => fence.guard(client, termOf(2, "twin"))],
    ])("refuses a write after the guard of %s was refused", async (_, guard) => {
      await fence.take(pool, termOf(2));
      const client = await lent();
      await client.query("BEGIN");
      await expect(guard(client)).rejects.toMatchObject({ code: "STALE_EPOCH" });
      await expect(insert(client, "late")).rejects.toMatchObject(unguarded);
    });

    test("refuses a write after a guard of a single statement that was refused, or rolled back", async () => {
      const client = await lent();
      await client.query("BEGIN; SAVEPOINT s");
      expect((await insertOnce(client, 1)).rowCount).toBe(1);
      await client.query("ROLLBACK TO SAVEPOINT s");
      await fence.take(pool, termOf(2));
      expect((await insertOnce(client, 1)).rowCount).toBe(0);
      await expect(insert(client, "late")).rejects.toMatchObject(unguarded);
    });

    test("refuses a write after a guard that waited for a takeover", async () => {
      const [old, next] = [await lent(), await lent()];
      await next.query("BEGIN");
      await fence.take(next, termOf(2));
      await old.query("BEGIN");
      const guarding = fence.guard(old, termOf(1)).catch((error: { code: string }) => error.code);
      await waiting(1);
      await next.query("COMMIT");
      expect(await guarding).toBe("STALE_EPOCH");
      await expect(insert(old, "late")).rejects.toMatchObject(unguarded);
    });

    test("refuses a write before the fence was taken once", async () => {
      const untaken = new PostgresFence({ resource: freshId("untaken") });
      await pool.query(untaken.requireSql(ledger));
      const client = await lent();
      await client.query("BEGIN");
      await expect(untaken.guard(client, termOf(1))).rejects.toThrow(/call take\(\) first/);
      await expect(insert(client, "early")).rejects.toMatchObject(unguarded);
    });

    test("refuses a write with the guard of another resource, or of the same resource in another table", async () => {
      const table = freshId("fences").replaceAll("-", "_");
      for (const other of [
        new PostgresFence({ resource: freshId("other") }),
        new PostgresFence({ resource: fence.resource, table }),
      ]) {
        await other.setup(pool);
        await other.take(pool, termOf(1));
        const client = await lent();
        await client.query("BEGIN");
        await other.guard(client, termOf(1));
        await client.query("SAVEPOINT s");
        await expect(insert(client, "foreign")).rejects.toMatchObject(unguarded);
        await client.query("ROLLBACK TO SAVEPOINT s");
        await expect(insertOnce(client, 1, other)).rejects.toMatchObject(unguarded);
        await client.query("ROLLBACK TO SAVEPOINT s");
        await fence.guard(client, termOf(1));
        await insert(client, "guarded by both");
      }
    });

    test("finds its fence whatever the search path and the spelling of the table's name", async () => {
      const schema = freshId("elsewhere").replaceAll("-", "_");
      await pool.query(
        `CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.nats_leader_fence (LIKE nats_leader_fence)`,
      );
      const client = await lent();
      await client.query(`BEGIN; SET LOCAL search_path = ${schema}`);
      const qualified = new PostgresFence({ resource: fence.resource, table: "public.nats_leader_fence" });
      await qualified.guard(client, termOf(1));
      await client.query(`INSERT INTO public.${ledger} (entry) VALUES ('guarded')`);
      await client.query("ROLLBACK; BEGIN");
      await client.query(`SET LOCAL search_path = ${schema}`);
      await client.query("INSERT INTO nats_leader_fence SELECT * FROM public.nats_leader_fence");
      await fence.guard(client, termOf(1)); // of the fence in the other schema
      const foreign = client.query(`INSERT INTO public.${ledger} (entry) VALUES ('foreign')`);
      await expect(foreign).rejects.toMatchObject(unguarded);
    });

    test("refuses a write after COMMIT AND CHAIN, and in the next transaction", async () => {
      const client = await lent();
      await client.query("BEGIN");
      await fence.guard(client, termOf(1));
      await insert(client, "guarded");
      await client.query("COMMIT AND CHAIN");
      await expect(insert(client, "late")).rejects.toMatchObject(unguarded);
      await client.query("ROLLBACK");
      await client.query("BEGIN");
      await expect(client.query(`DELETE FROM ${ledger}`)).rejects.toMatchObject(unguarded);
      await client.query("ROLLBACK");
      await expect(client.query(`TRUNCATE ${ledger}`)).rejects.toMatchObject(unguarded);
      expect(await entries()).toEqual(["guarded"]);
    });

    test("accepts guarded statements and released savepoints", async () => {
      expect((await insertOnce(pool, 1)).rowCount).toBe(1);
      await fence.transaction(pool, termOf(1), async (client) => {
        await client.query("SAVEPOINT s");
        await insert(client, "undone");
        await client.query("ROLLBACK TO SAVEPOINT s");
        await insert(client, "two");
        await client.query(`DELETE FROM ${ledger} WHERE entry = 'one'`);
      });
      expect(await entries()).toEqual(["two"]);
    });
  });

  describe("transaction()", () => {
    test("commits what its work writes, and returns its result", async () => {
      const other = new PostgresFence({ resource: freshId("other") });
      await other.take(pool, termOf(1));
      const result = await fence.transaction(pool, termOf(1), async (client) => {
        await fence.guard(client, termOf(1));
        await other.guard(client, termOf(1));
        await insert(client, "one");
        return 7;
      });
      expect([result, await entries()]).toEqual([7, ["one"]]);
    });

    test("rolls back if the term is deposed or the work rejects, and gives the connection back", async () => {
      const failure = new Error("no");
      const work = async (client: PoolClient) => {
        await insert(client, "undone");
        throw failure;
      };
      for (let i = 0; i < 12; i++)
        await expect(fence.transaction(pool, termOf(1), work)).rejects.toBe(failure);
      await fence.take(pool, termOf(2));
      let called = false;
      const stale = fence.transaction(pool, termOf(1), async () => {
        called = true;
      });
      await expect(stale).rejects.toMatchObject({ code: "STALE_EPOCH" });
      expect([called, await entries(), pool.idleCount === pool.totalCount]).toEqual([false, [], true]);
    });

    test("refuses work that ends the transaction, or that hides an error of it", async () => {
      for (const statement of ["COMMIT", "COMMIT AND CHAIN", "ROLLBACK"]) {
        const ended = fence.transaction(pool, termOf(1), async (client) => {
          await client.query(statement);
        });
        await expect(ended, statement).rejects.toMatchObject({ code: "INVALID_CONFIG" });
      }
      const hidden = fence.transaction(pool, termOf(1), async (client) => {
        await client.query("SELECT 1/0").catch(() => {});
      });
      await expect(hidden).rejects.toMatchObject({ code: "25P02" });
      await expect(
        fence.transaction(pool, termOf(1), async () => {}, { isolation: "none" as never }),
      ).rejects.toThrow(/isolation "none" is invalid/);
    });

    test.each([
      ["ends an idle transaction", async () => {}],
      [
        "terminates the connection for an administrator",
        async (pid: number) => void (await pool.query("SELECT pg_terminate_backend($1)", [pid])),
      ],
    ])("rejects with NO_CONNECTION when the server %s", async (_, act) => {
      const hasty = new PostgresFence({ resource: fence.resource, idleTimeoutMs: 100 });
      const bare = new Pool(connection); // without a listener for errors of its connections
      atEnd(() => bare.end());
      const lost = hasty.transaction(bare, termOf(1), async (client) => {
        await insert(client, "undone");
        const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
        const ended = new Promise((resolve) => client.once("end", resolve));
        await act(rows[0]?.pid ?? 0);
        await ended;
        await insert(client, "late");
      });
      await expect(lost).rejects.toMatchObject({ code: "NO_CONNECTION", recoverable: true });
      await expect(lost).rejects.toThrow(/terminating connection due to .*; nothing was written/);
      await fence.transaction(bare, termOf(1), (client) => insert(client, "next"), {
        isolation: "serializable",
      });
      expect(await entries()).toEqual(["next"]);
    });

    test("rejects with OUTCOME_UNKNOWN when the connection ends during COMMIT", async () => {
      await pool.query(`CREATE FUNCTION ${ledger}_slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ${ledger} DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION ${ledger}_slow()`);
      const lost = expect(
        fence.transaction(pool, termOf(1), (client) => insert(client, "slow")),
      ).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN", recoverable: true });
      const terminate =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'";
      await expect.poll(async () => (await pool.query(terminate)).rowCount).toBe(1);
      await lost;
      const late = fence.transaction(pool, termOf(1), (client) => insert(client, "slow"), { timeoutMs: 300 });
      await expect(late).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    });

    test("ends its connection at the time limit or signal", async () => {
      const late = fence.transaction(pool, termOf(1), (client) => client.query("SELECT pg_sleep(60)"), {
        timeoutMs: 50,
      });
      await expect(late).rejects.toMatchObject({ code: "TIMEOUT", recoverable: true });
      const controller = new AbortController();
      let after: Promise<unknown> = Promise.resolve();
      const aborted = fence.transaction(
        pool,
        termOf(1),
        async (client) => {
          controller.abort("enough");
          after = insert(client, "late");
          await after;
        },
        { signal: controller.signal },
      );
      await expect(aborted).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
      await expect(after).rejects.toThrow();
      await expect(
        fence.transaction(pool, termOf(1), async () => {}, { signal: controller.signal }),
      ).rejects.toMatchObject({ code: "ABORTED" });
      expect(await entries()).toEqual([]);
    });

    test("refuses statements that come after the work has settled, and a release of the connection", async () => {
      const late: Promise<unknown>[] = [];
      const go = deferred<void>();
      const work = async (client: PoolClient) => {
        const later = go.promise
          .then(() => insert(client, "late"))
          .catch((error: { code: string }) => error.code);
        late.push(later);
        await insert(client, "one");
      };
      await fence.transaction(pool, termOf(1), work);
      const failing = fence.transaction(pool, termOf(1), (client) =>
        Promise.all([work(client), client.query("SELECT 1/0")]),
      );
      await expect(failing).rejects.toMatchObject({ code: "22012" });
      go.resolve();
      expect(await Promise.all(late)).toEqual(["INVALID_CONFIG", "INVALID_CONFIG"]);
      expect(await entries()).toEqual(["one"]);
      const released = fence.transaction(pool, termOf(1), async (client) => client.release());
      await expect(released).rejects.toThrow(/must not release its connection/);
      await fence.transaction(pool, termOf(1), (client) => insert(client, "two"));
    });

    test("refuses late statements in the style of their call, and also those of a query() that was read before", async () => {
      const late = { code: "INVALID_CONFIG", message: expect.stringMatching(/was not sent/) };
      const text = `INSERT INTO ${ledger} (entry) VALUES ('late')`;
      const [client, query] = await fence.transaction(pool, termOf(1), async (lentClient) => {
        await new Promise((resolve) => lentClient.query("SELECT 1", resolve));
        return [lentClient, lentClient.query.bind(lentClient)] as const;
      });
      const refusal = (send: (callback: (error: Error) => void) => unknown) =>
        new Promise((resolve, reject) => {
          if (send(resolve) !== undefined) reject(new Error("returned a value besides the callback"));
        });
      expect(await refusal((callback) => client.query(text, callback))).toMatchObject(late);
      expect(await refusal((callback) => client.query(text, [], callback))).toMatchObject(late);
      expect(await refusal((callback) => client.query({ text, callback } as never))).toMatchObject(late);
      const [silent, heard] = [new Query(text), new Query(text)];
      expect(client.query(silent)).toBe(silent);
      expect(await new Promise((resolve) => silent.once("error", resolve))).toMatchObject(late);
      const called = new Promise((resolve) => client.query(heard as never, resolve as never));
      expect(await called).toMatchObject(late);
      await expect(query(text)).rejects.toMatchObject(late);
      expect(await entries()).toEqual([]);
    });

    test("needs a pool of pg", async () => {
      const needs = /transaction\(\) needs a pool of pg/;
      await expect(fence.transaction(postgresJs() as never, termOf(1), async () => {})).rejects.toThrow(
        needs,
      );
      const single = new Client(connection);
      atEnd(() => single.end());
      await expect(fence.transaction(single as never, termOf(1), async () => {})).rejects.toThrow(needs);
    });

    test("waits for a connection of the pool no longer than its time limit", async () => {
      const small = new Pool({ ...connection, max: 1 });
      atEnd(() => small.end());
      const only = await small.connect();
      const late = fence.transaction(small, termOf(1), async () => {}, { timeoutMs: 20 });
      await expect(late).rejects.toMatchObject({ code: "TIMEOUT" });
      only.release();
      await fence.transaction(small, termOf(1), async () => {});
    });
  });
});
