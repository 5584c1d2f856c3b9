/**
 * Repeats what an application does over years, on a real server, and checks that nothing grows: nodes that start and stop on one
 * shared connection, campaigns that end by their limits, terms, event iterators, withdrawals.
 *
 *   npm run --silent soak -- [--minutes 5] [--cycles 2000] [--campaigns 20000] [--terms 20000] [--json]
 *
 * Without numbers, `--minutes` scales them: 5 minutes are 2000 cycles, 20 000 campaigns and 20 000 terms. It does not end earlier or
 * later by the clock. `cycles` are starts and stops of one node each. The heap is measured after the first tenth, and at the end while
 * the nodes that lead and follow all the time still run.
 *
 * `--json` prints one line: `{cycles, campaigns, terms, rssStartMb, rssEndMb, heapStartMb, heapEndMb, heapLimitMb, handles,
 * listeners, violations, server, seconds, load}`. The heap is that after a garbage collection. `handles` and `listeners` are what is
 * left at the end beyond the start: active resources of the process, and listeners, status loops, subscriptions and requests of the
 * connection. Exits with 1 if `violations` is not empty: the heap has grown by more than 3 MB, or something is left.
 */
import { loadavg } from "node:os";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { startNatsServer } from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";
import { collectGarbage } from "../shared/kept.ts";
import { wholeNumber } from "../shared/whole-number.ts";
import { type Plan, Soak } from "./soak.ts";

endWhenOutputFails();

/** A leak of 160 bytes per term or campaign exceeds it in a run of 5 minutes. */
const HEAP_GROWTH_MB = 3;
const FULL_MINUTES = 5;

const values = readArguments(
  [
    "npm run soak --",
    "Repeats what an application does over years, on a real server, and checks that nothing grows.",
  ],
  {
    minutes: { type: "string", default: String(FULL_MINUTES), value: "n", help: "scales the numbers below" },
    cycles: { type: "string", value: "n", help: "starts and stops of a node (default: 2000 in 5 minutes)" },
    campaigns: {
      type: "string",
      value: "n",
      help: "campaigns that end by their limits (default: 20000 in 5 minutes)",
    },
    terms: { type: "string", value: "n", help: "terms (default: 20000 in 5 minutes)" },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes must be a number above 0, not ${values.minutes}`);
const plan: Plan = {
  cycles: amount("cycles", values.cycles, 2_000),
  campaigns: amount("campaigns", values.campaigns, 20_000),
  terms: amount("terms", values.terms, 20_000),
};

const server = await startNatsServer();
const [loadBefore = 0] = loadavg();
const began = performance.now();
try {
  const soak = await Soak.on(server.url);
  const before = await soak.leftovers();
  await soak.startNodes();
  const warmUp = part(0.1);
  await soak.run(warmUp);
  const start = await memory();
  await soak.run({
    cycles: plan.cycles - warmUp.cycles,
    campaigns: plan.campaigns - warmUp.campaigns,
    terms: plan.terms - warmUp.terms,
  });
  const end = await memory();
  await soak.stopNodes();
  const after = await soak.leftovers();
  await soak.close();
  const handles = after.resources.length - before.resources.length;
  const listeners = sum(after.listeners) - sum(before.listeners);
  const heapLimitMb = round(start.heapMb + HEAP_GROWTH_MB);
  const violations = [
    ...(end.heapMb > heapLimitMb ? [`the heap has grown from ${start.heapMb} to ${end.heapMb} MB`] : []),
    ...(handles > 0 ? [`handles are left: ${after.resources.join(", ")}`] : []),
    ...(listeners > 0 ? [`listeners are left: ${JSON.stringify(after.listeners)}`] : []),
  ];
  const report = {
    ...soak.done,
    rssStartMb: start.rssMb,
    rssEndMb: end.rssMb,
    heapStartMb: start.heapMb,
    heapEndMb: end.heapMb,
    heapLimitMb,
    handles,
    listeners,
    violations,
    server: server.version,
    seconds: Math.round((performance.now() - began) / 1000),
    load: [loadBefore, loadavg()[0]],
  };
  console.log(JSON.stringify(report, null, values.json ? undefined : 2));
  if (violations.length > 0) process.exitCode = 1;
} finally {
  await server.dispose();
}

function amount(option: string, text: string | undefined, full: number): number {
  return text === undefined ? Math.ceil((full * minutes) / FULL_MINUTES) : wholeNumber(option, text);
}

function part(share: number): Plan {
  return {
    cycles: Math.ceil(plan.cycles * share),
    campaigns: Math.ceil(plan.campaigns * share),
    terms: Math.ceil(plan.terms * share),
  };
}

/** After a garbage collection. */
async function memory(): Promise<{ readonly rssMb: number; readonly heapMb: number }> {
  await collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  return { rssMb: round(rss / 1e6), heapMb: round(heapUsed / 1e6) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
