/** The application on 200 bad days: npx vitest run examples/simulated-job */
import { expect, test } from "vitest";
import { SimulatedCluster } from "../../src/testing.ts";
import { Database } from "./database.ts";
import { type Job, serve, writeInvoices } from "./invoices.ts";
import { doesNotLookAgain, type Takeable, takesFirst } from "./wrong-jobs.ts";

const SEEDS = 200;
const ORDERS = 60;
const BAD_MS = 60_000;
/** Long enough after the last fault for an election and all orders that are left. */
const QUIET_MS = 60_000;

/** One bad day. Returns what was wrong with it, as lines for people; none if all was well. */
async function play(seed: number, job: Job<Takeable>): Promise<readonly string[]> {
  const cluster = new SimulatedCluster({ seed });
  const database = new Database();
  for (const nodeId of ["a", "b", "c"]) {
    cluster.process(nodeId, (process) =>
      serve({ ...process, nodeId, servers: "simulated", orders: database.seenBy(process) }, job),
    );
  }
  cluster.injectFaults({ count: 20, withinMs: BAD_MS });
  for (let order = 1; order <= ORDERS; order += 1) {
    database.order(`order ${order}`);
    await cluster.advance(BAD_MS / ORDERS);
  }
  await cluster.advance(QUIET_MS);
  const lost = database.open.map((order) => `${order} has no invoice`);
  const wrong = [...database.wrong, ...lost];
  return wrong.length === 0 ? [] : [`seed ${seed}:`, ...wrong, ...cluster.story];
}

/** The first bad day of many that is one too many for this job. */
async function firstFailure(job: Job<Takeable>): Promise<readonly string[]> {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const wrong = await play(seed, job);
    if (wrong.length > 0) return wrong;
  }
  return [];
}

test(`in ${SEEDS} bad days no run goes on beside the next one, and no order is lost`, {
  timeout: 300_000,
}, async () => {
  expect((await firstFailure(writeInvoices)).join("\n")).toBe("");
});

test("a job that does not look again after waiting is found out", { timeout: 300_000 }, async () => {
  expect((await firstFailure(doesNotLookAgain)).join("\n")).toContain("goes on with its run of epoch");
});

test("a job that takes an order off the list first is found out", { timeout: 300_000 }, async () => {
  expect((await firstFailure(takesFirst)).join("\n")).toContain("has no invoice");
});
