/** The application in 100 simulations with random faults: npx vitest run examples/simulated-job */
import { expect, test } from "vitest";
import { SimulatedCluster } from "../../src/testing.ts";
import { Database } from "./database.ts";
import { type Job, serve, writeInvoices } from "./invoices.ts";
import { skipsHeldCheck, type Takeable, takesFirst } from "./wrong-jobs.ts";

const SEEDS = 100;
const ORDERS = 60;
const FAULTY_MS = 60_000;
/** Enough time after the last fault for an election and the remaining orders. */
const QUIET_MS = 60_000;

/** Runs one simulation. Returns the problems and the trace, or nothing if there is no problem. */
async function play(seed: number, job: Job<Takeable>): Promise<readonly string[]> {
  const cluster = new SimulatedCluster({ seed });
  const database = new Database();
  for (const nodeId of ["a", "b", "c"]) {
    cluster.process(nodeId, (process) =>
      serve({ ...process, nodeId, servers: "simulated", orders: database.seenBy(process) }, job),
    );
  }
  cluster.injectFaults({ count: 20, withinMs: FAULTY_MS });
  for (let order = 1; order <= ORDERS; order += 1) {
    database.order(`order ${order}`);
    await cluster.advance(FAULTY_MS / ORDERS);
  }
  await cluster.advance(QUIET_MS);
  const lost = database.open.map((order) => `${order} has no invoice`);
  const problems = [...database.problems, ...lost];
  return problems.length === 0 ? [] : [`seed ${seed}:`, ...problems, ...cluster.trace];
}

/** The result of the first seed with a problem. */
async function firstFailure(job: Job<Takeable>): Promise<readonly string[]> {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const problems = await play(seed, job);
    if (problems.length > 0) return problems;
  }
  return [];
}

test(`in ${SEEDS} simulations no job continues beside the next one, and no order is lost`, {
  timeout: 300_000,
}, async () => {
  expect((await firstFailure(writeInvoices)).join("\n")).toBe("");
});

test("a job that skips term.held after waiting is detected", { timeout: 300_000 }, async () => {
  expect((await firstFailure(skipsHeldCheck)).join("\n")).toContain("continues the job of epoch");
});

test("a job that takes an order off the list first is detected", { timeout: 300_000 }, async () => {
  expect((await firstFailure(takesFirst)).join("\n")).toContain("has no invoice");
});
