/**
 * One of the competing writers. The leader repeatedly adds an entry to three ledgers: a JetStream stream and a PostgreSQL table with
 * fences, and, for comparison, a stream without one.
 *
 * In your project, import from "nats-leader" and "nats-leader/fencing" instead of the two source files below.
 */
import { setTimeout as pause } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import {
  ClusterError,
  FencedStream,
  type FencedWriter,
  PostgresFence,
  withFence,
} from "../../src/fencing.ts";
import { Node, type Term } from "../../src/index.ts";
import type { Report, Store } from "./report.ts";

const [nodeId = "", servers = "", postgres = "null"] = process.argv.slice(2);
const say = (report: Report): void => console.log(JSON.stringify(report));
process.stdin.on("end", () => process.exit()).resume(); // ends with its parent

const nats = await connect({ servers, maxReconnectAttempts: -1 });
const ledger = await FencedStream.connect(nats, { stream: "LEDGER", subjects: ["ledger.>"] });
const sql = await openPostgres(JSON.parse(postgres) as object | null);
const shadow = jetstream(nats);

/** The writers of one term. They exist only once every fence has been moved to this term. */
interface Writers {
  readonly stream: FencedWriter;
}

const fences = {
  async open(term: Term): Promise<Writers> {
    await sql?.fence.take(sql.pool, term);
    return { stream: await ledger.open(term) };
  },
};

let working: Promise<void> = Promise.resolve();

const node: Node = new Node(
  { clusterId: "singleton-writer", nodeId, servers, leaseTtlMs: 2000, logger: false },
  withFence(fences, {
    onBecomeLeader(term, writers) {
      say({ node: nodeId, event: "leads", epoch: term.epoch });
      working = work(term, writers);
    },
    async onLoseLeadership(term, _writers, reason) {
      say({ node: nodeId, event: "lost", epoch: term.epoch, reason });
      await working; // on a stop, the lease is released after the last write
    },
  }),
);
process.once("SIGTERM", () => void node.stop().then(() => process.exit()));
await node.start();
say({ node: nodeId, event: "started" });

async function work(term: Term, writers: Writers): Promise<void> {
  for (let n = 1; await canAct(term); n++) {
    // The check has passed. Between here and the write the process can be frozen for any length of time.
    const entry = JSON.stringify({ epoch: term.epoch, node: nodeId, n });
    say({ node: nodeId, event: "composing", epoch: term.epoch, n });
    await pause(250);
    await attempt("stream", term, n, () => writers.stream.publish("ledger.entry", entry));
    await attempt("postgres", term, n, async () => sql?.insert(term, entry));
    await attempt("unfenced", term, n, () => shadow.publish("shadow.entry", entry));
  }
}

/** Waits for the end of a suspension; `false` when the term has ended. */
async function canAct(term: Term): Promise<boolean> {
  return term.untilHeld().then(
    () => true,
    () => false,
  );
}

async function attempt(store: Store, term: Term, n: number, write: () => Promise<unknown>): Promise<void> {
  if (store === "postgres" && sql === null) return;
  try {
    await write();
    say({ node: nodeId, event: "wrote", store, epoch: term.epoch, n });
  } catch (error) {
    const code = error instanceof ClusterError ? error.code : "ERROR";
    say({
      node: nodeId,
      event: "refused",
      store,
      epoch: term.epoch,
      n,
      code,
      message: (error as Error).message,
    });
  }
}

async function openPostgres(connection: object | null) {
  if (connection === null) return null;
  const { default: pg } = await import("pg");
  const pool = new pg.Pool({ ...connection, max: 2 });
  // The server ends a connection that idles in its transaction during a freeze; the pool then opens another one.
  pool.on("error", () => {});
  const fence = new PostgresFence({ resource: "ledger", idleTimeoutMs: 1000 });
  return {
    pool,
    fence,
    async insert(term: Term, entry: string): Promise<void> {
      await fence.transaction(pool, term, async (client) => {
        await client.query("INSERT INTO ledger (entry) VALUES ($1)", [entry]);
      });
    },
  };
}
