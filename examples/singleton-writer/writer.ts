/**
 * One of the processes that want to write the ledgers. Whoever leads adds an entry now and then, to three of them: a
 * JetStream stream and a PostgreSQL table behind fences, and a stream without one, to show the difference.
 *
 * In your project the two imports below read "nats-leader" and "nats-leader/fencing".
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
process.stdin.on("end", () => process.exit()).resume(); // goes with its parent

const nats = await connect({ servers, maxReconnectAttempts: -1 });
const ledger = await FencedStream.connect(nats, { stream: "LEDGER", subjects: ["ledger.>"] });
const sql = await openPostgres(JSON.parse(postgres) as object | null);
const shadow = jetstream(nats);

/** What a leader may write with. Exists only when every fence has been moved to its term. */
interface Writers {
  readonly stream: FencedWriter;
}

const fences = {
  async open(term: Term): Promise<Writers> {
    await sql?.fence.take(sql.pool, term);
    return { stream: await ledger.open(term) };
  },
};

const node: Node = new Node(
  { clusterId: "singleton-writer", nodeId, servers, leaseTtlMs: 2000, logger: false },
  withFence(fences, {
    onBecomeLeader(term, writers) {
      say({ node: nodeId, event: "leads", epoch: term.epoch });
      void work(term, writers);
    },
    onLoseLeadership(term, _writers, reason) {
      say({ node: nodeId, event: "lost", epoch: term.epoch, reason });
    },
  }),
);
await node.start();
say({ node: nodeId, event: "started" });

async function work(term: Term, writers: Writers): Promise<void> {
  for (let n = 1; term.held; n++) {
    // It asked, and was the leader. Between here and the write it can be frozen for as long as the machine likes.
    const entry = JSON.stringify({ epoch: term.epoch, node: nodeId, n });
    say({ node: nodeId, event: "composing", epoch: term.epoch, n });
    await pause(250);
    await attempt("stream", term, n, () => writers.stream.publish("ledger.entry", entry));
    await attempt("postgres", term, n, async () => sql?.insert(term, entry));
    await attempt("unfenced", term, n, () => shadow.publish("shadow.entry", entry));
  }
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
  // A connection that idled through a freeze may be gone; the pool makes another one.
  pool.on("error", () => {});
  const fence = new PostgresFence({ resource: "ledger", idleTimeoutMs: 1000 });
  return {
    pool,
    fence,
    async insert(term: Term, entry: string): Promise<void> {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        await client.query("BEGIN");
        await fence.guard(client, term);
        await client.query("INSERT INTO ledger (entry) VALUES ($1)", [entry]);
        await client.query("COMMIT");
      } catch (error) {
        await client.query("ROLLBACK").catch((failure: Error) => {
          broken = failure;
        });
        throw error;
      } finally {
        client.release(broken);
      }
    },
  };
}
