// Random histories of faults on the real election and driver, on all cores: npm run sim -- --seeds 100000 --seed 1 --nodes 3
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { Command, InvalidArgumentError } from "commander";
import { progressBar } from "../shared/progress-bar.ts";
import { type Counts, TRANSITIONS, unseenTransitions } from "./check/tally.ts";
import { History } from "./history.ts";
import type { Pinned } from "./pinned.ts";
import { type Plan, type PlanOptions, planOf } from "./plan.ts";
import { resourceLimits } from "./resource-limits.ts";
import { type Findings, merge, type SearchOptions } from "./search.ts";
import { retell, shrink } from "./shrink.ts";

interface Flags {
  readonly seeds: number;
  readonly seed: number;
  readonly nodes?: number;
  readonly threads: number;
  readonly json: boolean;
  readonly plan?: string;
}

/** Seeds a thread plays before it reports. */
const BATCH = 100;
const MAX_FAILURES = 5;

const whole =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number, ${least} or more.`);
  };

const command = new Command("sim")
  .description("Plays one random history of faults per seed and checks the invariants in each.")
  .option("--seeds <n>", "how many seeds", whole(1), 10_000)
  .option("--seed <s>", "the first one; with --seeds 1 its story is told", whole(0), 1)
  .option("--nodes <k>", "nodes in every history; without it one to five, mostly three", whole(1))
  .option("--threads <t>", "worker threads", whole(1), availableParallelism())
  .option("--plan <file>", "tell the story of a pinned plan (test/simulator/pinned) and nothing else")
  .option("--json", "print one JSON object and nothing else", false)
  .parse();
const flags = command.opts<Flags>();
const options: PlanOptions = flags.nodes === undefined ? {} : { nodes: flags.nodes };

if (flags.plan !== undefined) {
  const { plan, what } = JSON.parse(await readFile(flags.plan, "utf8")) as Pinned;
  console.log(what);
  process.exit((await tell(plan)) === null ? 0 : 1);
}
const began = performance.now();
const findings = await play();
const seconds = (performance.now() - began) / 1000;

if (flags.json) {
  console.log(
    JSON.stringify({
      seeds: findings.seeds,
      violations: findings.failures.length,
      faults: total(findings.tally.faults),
      elections: findings.terms,
      seedsPerSecond: Math.round(findings.seeds / seconds),
      traceHash: findings.traceHash,
      threads: flags.threads,
      seconds: Math.round(seconds * 10) / 10,
      strayed: findings.strayed,
      faultsByKind: findings.tally.faults,
      electionsByKind: findings.tally.elections,
      transitions: findings.tally.transitions,
      unseenTransitions: unseenTransitions(findings.tally),
      failures: findings.failures,
    }),
  );
} else {
  report(findings);
}
const [first] = findings.failures;
if (!flags.json && (first !== undefined || flags.seeds === 1)) await tellStory(first?.seed ?? flags.seed);
process.exitCode = first === undefined ? 0 : 1;

/** Batches in order of seeds, to whichever thread is free; ends early when enough has failed. */
async function play(): Promise<Findings> {
  const bar = progressBar(flags.seeds);
  const done: Findings[] = [];
  let next = flags.seed;
  let failed = 0;
  const end = flags.seed + flags.seeds;
  const batchOf = (): SearchOptions | null => {
    if (next >= end || failed >= MAX_FAILURES) return null;
    const seeds = Math.min(BATCH, end - next);
    next += seeds;
    return { ...options, from: next - seeds, seeds };
  };
  const thread = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./search-worker.js", import.meta.url), { resourceLimits });
      const send = (): void => {
        const batch = batchOf();
        if (batch === null) void worker.terminate().then(() => resolve());
        else worker.postMessage(batch);
      };
      worker.on("message", (found: Findings) => {
        done.push(found);
        failed += found.failures.length;
        bar.advance(found.seeds, failed);
        send();
      });
      worker.on("error", reject);
      send();
    });
  await Promise.all(Array.from({ length: flags.threads }, thread));
  bar.end();
  return merge(done);
}

function report({ seeds, failures, terms, tally, traceHash, strayed }: Findings): void {
  const rate = Math.round(seeds / seconds);
  console.log(
    `${seeds} seeds from ${flags.seed}: ${failures.length} violations, ${total(tally.faults)} faults, ${terms} terms, ` +
      `${strayed} cut short; ${rate} seeds/s on ${flags.threads} threads; trace ${traceHash}`,
  );
  table("faults", tally.faults);
  table("elections", tally.elections);
  table("transitions of the core", tally.transitions, TRANSITIONS);
  const unseen = unseenTransitions(tally);
  if (unseen.length > 0) console.log(`never seen: ${unseen.join(", ")}`);
  for (const { seed, violation } of failures) console.log(`seed ${seed}: ${violation}`);
}

async function tellStory(seed: number): Promise<void> {
  const plan = await shrink(planOf(seed, options));
  const nodes = flags.nodes === undefined ? "" : ` --nodes ${flags.nodes}`;
  console.log(`\nseed ${seed}`);
  await tell(plan);
  console.log(`replay: npm run sim -- --seed ${seed} --seeds 1${nodes}`);
}

/** Returns what went wrong, `null`: nothing. */
async function tell(plan: Plan): Promise<string | null> {
  const left = plan.faults.map(({ at, name, host }) => `${name} (host ${host}, ${at} ms)`).join(", ");
  console.log(`${plan.hosts.length} nodes; faults: ${left || "none"}`);
  for (const line of await retell(plan)) console.log(line);
  const { violation } = await new History(plan).run();
  console.log(violation === null ? "nothing went wrong" : `VIOLATION ${violation}`);
  return violation;
}

function table(title: string, counts: Counts, notes: Readonly<Record<string, string>> = {}): void {
  console.log(`${title}:`);
  for (const [name, times] of Object.entries(counts).sort((one, other) => other[1] - one[1])) {
    console.log(
      `  ${String(times).padStart(10)}  ${name}${notes[name] === undefined ? "" : `  (${notes[name]})`}`,
    );
  }
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, times) => sum + times, 0);
}
