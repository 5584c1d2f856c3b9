/**
 * A service of which one process at a time writes invoices: the application under test. `main.ts` of a real project calls
 * `serve` with `sleep` from node:timers/promises, a database, and no `environment`.
 *
 * In your project the import below reads "nats-leader".
 */
import type { setTimeout as pause } from "node:timers/promises";
import { ClusterError, Node, type NodeEnvironment, type Term } from "../../src/index.ts";

/** The database. Every call may fail, and take effect all the same. */
export interface Orders {
  /** The oldest order without an invoice. */
  oldestOpen(): Promise<string | null>;
  /** Does nothing where the order has one; rejects an epoch smaller than one that was here before. */
  writeInvoice(order: string, epoch: number): Promise<void>;
}

export interface Surroundings {
  readonly nodeId: string;
  readonly servers: string;
  readonly orders: Orders;
  readonly sleep: typeof pause;
  readonly terminated: AbortSignal;
  readonly environment?: NodeEnvironment;
}

export type Job<Database> = (term: Term, database: Database, sleep: typeof pause) => Promise<void>;

/** One invoice after another, while the term lasts. */
export const writeInvoices: Job<Orders> = async (term, orders, sleep) => {
  while (!term.signal.aborted) {
    try {
      const order = await orders.oldestOpen();
      if (order !== null) await sleep(200); // typesetting
      // Whatever was awaited may have taken longer than the lease: only now is it known whether to go on.
      if (order === null || !term.held) await sleep(100, undefined, { signal: term.signal });
      else await orders.writeInvoice(order, term.epoch);
    } catch {
      // No answer, refused, or told to end: what became of it, the next look at the database tells.
      await sleep(100);
    }
  }
};

/** Competes for the leadership until the process is told to end, and does the job while it leads. */
export async function serve<Database extends Orders>(
  { nodeId, servers, orders, sleep, terminated, environment }: Surroundings & { readonly orders: Database },
  job: Job<Database>,
): Promise<void> {
  const node = new Node({ clusterId: "invoices", nodeId, servers, logger: false }, {}, environment);
  while (!(await started(node, terminated))) {
    if (terminated.aborted) return;
    await sleep(1_000);
  }
  const stop = (): void => void node.stop();
  if (terminated.aborted) stop();
  else terminated.addEventListener("abort", stop, { once: true });
  await node.runWhileLeader((term) => job(term, orders, sleep));
}

async function started(node: Node, signal: AbortSignal): Promise<boolean> {
  try {
    await node.start({ signal });
    return true;
  } catch (error) {
    if (error instanceof ClusterError && (error.recoverable || error.code === "ABORTED")) return false;
    throw error;
  }
}
