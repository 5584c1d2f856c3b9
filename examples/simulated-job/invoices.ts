/**
 * The application under test: a service in which one process at a time writes invoices. `main.ts` of a real project calls
 * `serve` with `sleep` from node:timers/promises, a database, and no `environment`.
 *
 * In your project, import from "nats-leader" instead of the path below.
 */
import type { setTimeout as pause } from "node:timers/promises";
import { ClusterError, Node, type NodeEnvironment, type Term } from "../../src/index.ts";

/** The database. A call that fails may have taken effect. */
export interface Orders {
  /** The oldest order without an invoice. */
  oldestOpen(): Promise<string | null>;
  /** No effect if the order has an invoice. Rejects an epoch below the largest one it has received. */
  writeInvoice(order: string, epoch: number): Promise<void>;
}

export interface ServiceOptions {
  readonly nodeId: string;
  readonly servers: string;
  readonly orders: Orders;
  readonly sleep: typeof pause;
  readonly terminated: AbortSignal;
  readonly environment?: NodeEnvironment;
}

export type Job<Database> = (term: Term, database: Database, sleep: typeof pause) => Promise<void>;

/** Writes one invoice after another until the term ends. */
export const writeInvoices: Job<Orders> = async (term, orders, sleep) => {
  while (!term.signal.aborted) {
    try {
      const order = await orders.oldestOpen();
      if (order !== null) await sleep(200); // typesetting
      // Each await may have taken longer than the lease, so check the term directly before the write.
      if (order === null || !term.held) await sleep(100, undefined, { signal: term.signal });
      else await orders.writeInvoice(order, term.epoch);
    } catch {
      // No answer, a rejected epoch, or the end of the term. The next query shows whether the invoice was written.
      await sleep(100);
    }
  }
};

/** Competes for the leadership until `terminated` aborts, and runs the job while it leads. */
export async function serve<Database extends Orders>(
  { nodeId, servers, orders, sleep, terminated, environment }: ServiceOptions & { readonly orders: Database },
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
