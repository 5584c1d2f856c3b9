/** Runs the code of docs/fencing.md. Each of its TypeScript blocks is repeated here literally. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { KV } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { findPostgres, startPostgres } from "../../examples/singleton-writer/private-postgres.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import {
  ClusterError,
  FencedKv,
  FencedStream,
  type FencedWriter,
  type FenceTerm,
  fencedCallback,
  httpHeaders,
  MemoryFence,
  natsHeaders,
  PostgresFence,
  throwIfRefused,
  tokenFromHttp,
  withFence,
} from "../../src/fencing.ts";
import { Group } from "../../src/group.ts";
import { Node } from "../../src/index.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection as connect, contents, termOf } from "../support/fencing/terms-and-servers.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

test("a stream and a node", async () => {
  const connection: NatsConnection = await connect(server);
  const servers = server.url;

  const ledger = await FencedStream.connect(connection, { stream: "LEDGER", subjects: ["ledger.>"] });

  const node = new Node(
    { clusterId: "billing", nodeId: "a", servers },
    withFence(ledger, {
      async onBecomeLeader(term, writer) {
        await writer.publish("ledger.opened", `by epoch ${term.epoch}`);
      },
    }),
  );
  atEnd(() => ledger.close());
  await node.start();
  const data = () => contents(connection, "LEDGER", (subject) => subject.startsWith("ledger."));
  await waitFor(async () => (await data()).length > 0);
  await node.stop();
  expect(await data()).toEqual(["ledger.opened=by epoch 1"]);

  const writer = await ledger.open(termOf(2));
  expect(await oneWrite(writer)).toBeUndefined();
  const entries = ["1", "2", "3"].map((data) => ({ subject: "ledger.entry", data }));
  for await (const outcome of writer.pipeline(entries)) {
    if (outcome.kind !== "written") console.error(outcome.kind, outcome.error.message);
  }
  const [lastOfAccount1, lastOfAccount2] = [0, 0];
  await writer.batch([
    { subject: "ledger.account.1", data: "-10", options: { expectLast: lastOfAccount1 } },
    { subject: "ledger.account.2", data: "+10", options: { expectLast: lastOfAccount2 } },
  ]);
  expect((await data()).map((line) => line.split("=")[1])).toEqual([
    "by epoch 1",
    ..."+10 1 2 3 -10 +10".split(" "),
  ]);
  await ledger.open(termOf(3));
  expect(await oneWrite(writer)).toBe("deposed");
});

async function oneWrite(writer: FencedWriter) {
  try {
    await writer.publish("ledger.entry", "+10");
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    if (error.code === "STALE_EPOCH") return "deposed"; // final for this term; the message has both epochs
    if (error.code === "OUTCOME_UNKNOWN") return "read first"; // it may be applied now, later or never
    throw error; // all other codes: nothing was written
  }
  return undefined;
}

test("a bucket", async () => {
  const connection = await connect(server);
  const term = termOf(1);
  const kv = await FencedKv.connect(connection, { bucket: "SETTINGS" });
  const settings = await kv.open(term);
  await settings.put("colour", "green");
  const entry = await kv.get("colour");
  if (entry !== null) await settings.update("colour", "blue", entry.revision);
  expect(new TextDecoder().decode((await kv.get("colour"))?.value)).toBe("blue");

  const standard: KV = await kv.asKv(term); // moves the fence, as open(term)
  await standard.put("colour", "green");
  for await (const key of await standard.keys()) console.log(key);

  expect((await standard.get("colour"))?.string()).toBe("green");
  kv.close();
});

const noSql = findPostgres() === null;
test.skipIf(noSql)(`PostgreSQL${noSql ? " (SKIPPED, not installed)" : ""}`, async () => {
  const sql = await startPostgres();
  atEnd(() => sql.stop());
  const { host, port, user, database } = sql;
  const term = termOf(1);
  atEnd(() => pool.end());

  const pool = new Pool({ host, port, user, database });
  pool.on("error", console.error); // without a listener, a connection that the server ends can end the process
  pool.on("connect", (client) => client.on("error", console.error));

  await pool.query("CREATE TABLE ledger (entry text)");

  const fence = new PostgresFence({ resource: "ledger" });
  await fence.setup(pool); // CREATE TABLE IF NOT EXISTS; or run fence.setupSql() as a migration
  await fence.take(pool, term, { timeoutMs: 10_000 }); // first in onBecomeLeader

  await pool.query(fence.requireSql("ledger")); // an unguarded write fails with PostgreSQL's error 55000

  const write = async (term: FenceTerm) => {
    await fence.transaction(pool, term, async (client) => {
      await client.query("INSERT INTO ledger (entry) VALUES ($1)", ["+10"]);
    });
  };
  await write(term);
  await fence.take(pool, termOf(2));
  await expect(write(term)).rejects.toMatchObject({ code: "STALE_EPOCH" });
  await expect(pool.query("INSERT INTO ledger (entry) VALUES ('late')")).rejects.toMatchObject({
    code: "55000",
  });
  expect((await pool.query("SELECT * FROM ledger")).rowCount).toBe(1);
});

test("the resources of a group", async () => {
  const connection = await connect(server);
  const servers = server.url;
  await api(connection, "STREAM.CREATE.ORDERS", {
    name: "ORDERS",
    subjects: ["orders.>", "ledger_fence.>"],
    storage: "file",
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_msg_ttl: true,
    allow_atomic: true,
  });
  const ledgers = new Map<string, { readonly ledger: FencedStream; readonly writer: FencedWriter }>();

  const token = (resource: string) => Buffer.from(resource).toString("base64url");

  const group = new Group(
    { groupId: "orders", memberId: "a", servers, resources: ["Zürich / 1", "2 > 1"] },
    {
      async onOwn(term) {
        const fence = `ledger_fence.${token(term.resource)}`;
        const ledger = await FencedStream.connect(connection, { stream: "ORDERS", fence });
        ledgers.set(term.resource, { ledger, writer: await ledger.open(term) });
      },
      onDisown({ resource }) {
        ledgers.get(resource)?.ledger.close();
        ledgers.delete(resource);
      },
    },
  );

  await group.start();
  const works = deferred<void>();
  const worked: string[] = [];
  void group.runOwned(async ({ resource }) => {
    await ledgers.get(resource)?.writer.publish("orders.entry", resource);
    if (worked.push(resource) === 2) works.resolve();
  });
  await works.promise;
  await group.stop();
  expect(ledgers.size).toBe(0);
  const data = await contents(connection, "ORDERS", (subject) => subject === "orders.entry");
  expect(data.sort()).toEqual(["orders.entry=2 > 1", "orders.entry=Zürich / 1"]);
});

test.skipIf(noSql)(`a position in PostgreSQL${noSql ? " (SKIPPED, not installed)" : ""}`, async () => {
  const postgres = await startPostgres();
  atEnd(() => postgres.stop());
  const { host, port, user, database } = postgres;
  const pool = new Pool({ host, port, user, database });
  atEnd(() => pool.end());
  pool.on("error", console.error); // without a listener, a connection that the server ends can end the process
  pool.on("connect", (client) => client.on("error", console.error));
  await new PostgresFence({ resource: "any" }).setup(pool);
  await pool.query(
    "CREATE TABLE positions (resource text PRIMARY KEY, seq bigint); CREATE TABLE effects (data text)",
  );
  const group = new Group({ groupId: "sink", memberId: "a", servers: server.url, resources: ["Zürich / 1"] });
  atEnd(() => group.stop());
  await group.start();
  const term = await group.untilOwned("Zürich / 1");

  const own = new PostgresFence({ resource: term.clusterId, clusterId: term.clusterId });
  await own.take(pool, term, { timeoutMs: 10_000 }); // first in onOwn
  const sql = "INSERT INTO positions (resource, seq) VALUES ($1, 0) ON CONFLICT DO NOTHING";
  await pool.query(sql, [term.clusterId]);
  const stored = await pool.query("SELECT seq FROM positions WHERE resource = $1", [term.clusterId]);
  let position = Number(stored.rows[0].seq);

  const write = async (batch: readonly string[], last: number) => {
    await own.transaction(pool, term, async (client) => {
      for (const data of batch) await client.query("INSERT INTO effects (data) VALUES ($1)", [data]);
      const move = "UPDATE positions SET seq = $1 WHERE resource = $2 AND seq = $3";
      const { rowCount } = await client.query(move, [last, term.clusterId, position]);
      if (rowCount !== 1) throw new Error("this batch does not begin at the stored position: read it again");
    });
    position = last;
  };
  await write(["a", "b"], 2);
  position = 0;
  await expect(write(["a", "b"], 2)).rejects.toThrow("read it again");
  expect((await pool.query("SELECT * FROM effects")).rowCount).toBe(2);
});

test("receivers, over NATS and HTTP", async () => {
  const connection = await connect(server);
  const worker = new MemoryFence("the printer");
  connection.subscribe("print", {
    callback: fencedCallback(worker, (message) => {
      message.respond("printed");
    }),
  });
  const print = async (term: FenceTerm) => {
    const answer = await connection.request("print", "page 1", { timeout: 1000, headers: natsHeaders(term) });
    throwIfRefused(answer); // STALE_EPOCH if the printer has seen a larger epoch
    return answer.string();
  };
  expect(await print(termOf(2))).toBe("printed");
  await expect(print(termOf(1))).rejects.toMatchObject({ code: "STALE_EPOCH" });

  const fence = new MemoryFence();
  const http = createServer(async (request, response) => {
    try {
      await fence.admit(tokenFromHttp(request.headers)); // rejects with STALE_EPOCH: respond with 409
      response.end("fine");
    } catch {
      response.writeHead(409).end();
    }
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  atEnd(() => new Promise((resolve) => http.close(resolve)));
  const { port } = http.address() as AddressInfo;
  const get = async (epoch: number) => {
    const headers = { ...httpHeaders(epoch), connection: "close" };
    return (await fetch(`http://127.0.0.1:${port}`, { headers })).status;
  };
  expect([await get(2), await get(1), await get(2)]).toEqual([200, 409, 200]);
});

test("every TypeScript block of docs/fencing.md is in this file", () => {
  const docs = readFileSync(new URL("../../docs/fencing.md", import.meta.url), "utf8");
  const here = normal(readFileSync(new URL(import.meta.url), "utf8"));
  const blocks = [...docs.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
  expect(blocks.length).toBeGreaterThan(8);
  for (const block of blocks) {
    for (const part of normal(block).split("\n\n")) expect(here).toContain(part);
  }
});

/** Removes indentation and imports: this file merges the imports of all blocks. */
function normal(code: string): string {
  return code
    .replaceAll(/^import .*\n\n?/gm, "")
    .split("\n")
    .map((line) => line.trim())
    .join("\n")
    .trim();
}
