/**
 * Demonstrates fencing with a frozen leader. Two processes compete for the right to write. The leader is frozen past its lease, the
 * other process takes over, and the former leader resumes and attempts its late write.
 *
 *   node --import tsx examples/singleton-writer/main.ts [--no-postgres]
 *
 * Exit code: 0 if every fenced ledger refused the late write, 1 if one accepted it.
 */
import { parseArgs } from "node:util";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { type PostgresServer, startPostgres } from "./private-postgres.ts";
import type { Report, Store } from "./report.ts";
import { startWriter, type Writer } from "./writer-process.ts";

const { values } = parseArgs({ options: { "no-postgres": { type: "boolean", default: false } } });
const began = performance.now();
const NAMES: Record<Store, string> = {
  stream: "JetStream, fenced  ",
  postgres: "PostgreSQL, fenced ",
  unfenced: "JetStream, unfenced",
};

// A frozen writer does not see that this process has ended: it is killed first.
const interrupted = new Promise<number>((resolve) => {
  process.once("SIGINT", () => resolve(130));
  process.once("SIGTERM", () => resolve(143));
});

const server = await startNatsServer();
const nats = await connect({ servers: server.url });
const sql = await tryPostgres();
const writers: Writer[] = [];
try {
  process.exitCode = await Promise.race([demonstrate(server, nats, sql), interrupted]);
} finally {
  await Promise.all(writers.map((writer) => writer.stop()));
  await nats.close();
  await sql?.stop();
  await server.dispose();
}
process.exit();

async function demonstrate(
  on: NatsServer,
  connection: NatsConnection,
  postgres: PostgresServer | null,
): Promise<number> {
  print(
    `nats-server ${on.version}${postgres === null ? "" : `, PostgreSQL ${postgres.version}`}; the lease is 2 s`,
  );
  await request(connection, "STREAM.CREATE.SHADOW", { name: "SHADOW", subjects: ["shadow.>"] });
  const args = [on.url, JSON.stringify(postgres === null ? null : connectionOf(postgres))];
  const start = async (id: string): Promise<Writer> => {
    const writer = startWriter([id, ...args], show);
    writers.push(writer);
    return writer;
  };
  const a = await start("a");
  await a.until((line) => line.event === "wrote" && line.n === 2);
  const b = await start("b");
  await b.until((line) => line.event === "started");

  a.skip();
  const { n } = await a.until((line) => line.event === "composing");
  a.freeze();
  print(`a is frozen (SIGSTOP) while it composes entry ${n}: it has checked that it leads`);
  await b.until((line) => line.event === "wrote" && line.n === 2, 15_000);
  a.thaw();
  print("a resumes (SIGCONT) and writes the entry");
  const stores: readonly Store[] =
    postgres === null ? ["stream", "unfenced"] : ["stream", "postgres", "unfenced"];
  const outcomes = new Map<Store, string>();
  for (const store of stores) {
    const line = await a.until((it) => "store" in it && it.store === store && it.n === n, 15_000);
    outcomes.set(store, line.event === "refused" ? line.code : line.event);
  }
  await b.until((line) => line.event === "wrote" && line.n >= 4);
  return verdict(stores, outcomes, {
    stream: await inStream(connection, "LEDGER", "ledger.entry"),
    postgres: postgres === null ? [] : await inPostgres(postgres),
    unfenced: await inStream(connection, "SHADOW", "shadow.entry"),
  });
}

function verdict(
  stores: readonly Store[],
  outcomes: Map<Store, string>,
  ledgers: Record<Store, number[]>,
): number {
  console.log("\nepochs of the entries in each ledger, in order:");
  let failed = false;
  for (const store of stores) {
    const epochs = ledgers[store];
    const stale = epochs.filter((epoch, i) => i > 0 && epoch < Math.max(...epochs.slice(0, i))).length;
    const correct = stale === 0 && outcomes.get(store) === "STALE_EPOCH";
    if (store !== "unfenced") failed ||= !correct;
    const note = stale === 0 ? "no entry of a deposed leader" : `${stale} entry of a deposed leader`;
    console.log(`  ${NAMES[store]}  ${epochs.join(" ")}   ${note}`);
  }
  console.log(
    failed
      ? "\nFAILED: a fenced ledger accepted the late write"
      : "\nOK: every fenced ledger refused the late write",
  );
  return failed ? 1 : 0;
}

function show(report: Report): void {
  switch (report.event) {
    case "started":
      return print(`${report.node} has started`);
    case "leads":
      return print(`${report.node} leads with epoch ${report.epoch}; the fences have been moved`);
    case "lost":
      return print(`${report.node} has lost epoch ${report.epoch} (${report.reason})`);
    case "composing":
      return;
    case "wrote":
      return print(
        `${report.node}   entry ${report.n} of epoch ${report.epoch}  ${NAMES[report.store]}  written`,
      );
    case "refused":
      return print(
        `${report.node}   entry ${report.n} of epoch ${report.epoch}  ${NAMES[report.store]}  ${report.code}: ${report.message}`,
      );
    default:
      report satisfies never;
  }
}

function print(text: string): void {
  const seconds = ((performance.now() - began) / 1000).toFixed(2).padStart(6);
  console.log(`${seconds} s  ${text}`);
}

async function tryPostgres(): Promise<PostgresServer | null> {
  if (values["no-postgres"]) return null;
  try {
    const { default: pg } = await import("pg");
    const postgres = await startPostgres();
    const { PostgresFence } = await import("../../src/fencing.ts");
    const client = new pg.Client(connectionOf(postgres));
    await client.connect();
    await new PostgresFence({ resource: "ledger" }).setup(client);
    await client.query("CREATE TABLE ledger (id bigserial PRIMARY KEY, entry text NOT NULL)");
    await client.end();
    return postgres;
  } catch (error) {
    print(`PostgreSQL is left out: ${(error as Error).message.split("\n")[0]}`);
    return null;
  }
}

async function inPostgres(postgres: PostgresServer): Promise<number[]> {
  const { default: pg } = await import("pg");
  const client = new pg.Client(connectionOf(postgres));
  await client.connect();
  const { rows } = await client.query<{ entry: string }>("SELECT entry FROM ledger ORDER BY id");
  await client.end();
  return rows.map((row) => epochOf(row.entry));
}

async function inStream(connection: NatsConnection, stream: string, subject: string): Promise<number[]> {
  const { state } = (await request(connection, `STREAM.INFO.${stream}`)) as { state: { last_seq: number } };
  const epochs: number[] = [];
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const { message } = (await request(connection, `STREAM.MSG.GET.${stream}`, { seq })) as {
      message?: { subject: string; data: string };
    };
    if (message?.subject === subject) epochs.push(epochOf(Buffer.from(message.data, "base64").toString()));
  }
  return epochs;
}

function epochOf(entry: string): number {
  return (JSON.parse(entry) as { epoch: number }).epoch;
}

async function request(connection: NatsConnection, name: string, body: object = {}): Promise<object> {
  const answer = await connection.request(`$JS.API.${name}`, JSON.stringify(body), { timeout: 5000 });
  return answer.json<object>();
}

function connectionOf({ host, port, user, database }: PostgresServer): object {
  return { host, port, user, database };
}
