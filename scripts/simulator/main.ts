// Plays random histories of faults on the real election core and driver, on all cores:
// npm run sim -- --seeds 100000 --seed 1 --nodes 3
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Command, Option } from "commander";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { searchOnThreads } from "../shared/search-on-threads.ts";
import { wholeNumberParser } from "../shared/whole-number.ts";
import { type Counts, TRANSITIONS, unseenTransitions } from "./check/tally.ts";
import { History } from "./history.ts";
import { type NodesFlag, nodesOption, planOptionsOf } from "./nodes-option.ts";
import type { Pinned } from "./pinned.ts";
import { type Plan, type PlanOptions, planOf } from "./plan.ts";
import { type RecipeName, recipes } from "./recipes.ts";
import { merge, type SearchResult } from "./search.ts";
import { shrink, traceOf } from "./shrink.ts";

endWhenOutputFails();

interface Flags extends NodesFlag {
  readonly seeds: number;
  readonly seed: number;
  readonly threads: number;
  readonly json: boolean;
  readonly plan?: string;
  readonly recipe?: RecipeName;
}

const command = new Command("sim")
  .description("Plays one random history of faults per seed and checks the invariants in each.")
  .option("--seeds <n>", "number of seeds", wholeNumberParser(), 10_000)
  .option("--seed <s>", "the first seed; with --seeds 1 its trace is printed", wholeNumberParser(0), 1)
  .addOption(nodesOption())
  .addOption(
    new Option("--recipe <name>", "faults that aim at one rule, in as many nodes as the recipe wants")
      .choices(Object.keys(recipes))
      .conflicts("nodes"),
  )
  .option("--threads <t>", "worker threads", wholeNumberParser(), availableParallelism())
  .option("--plan <file>", "only play a pinned plan (test/simulator/pinned) and print its trace")
  .option("--json", "print only one JSON object", false)
  .parse();
const flags = command.opts<Flags>();
const options: PlanOptions = flags.recipe === undefined ? planOptionsOf(flags) : { recipe: flags.recipe };

if (flags.plan !== undefined) {
  const { plan, what } = JSON.parse(await readFile(flags.plan, "utf8")) as Pinned;
  console.log(what);
  process.exit((await printHistory(plan)) === null ? 0 : 1);
}
const began = performance.now();
const worker = new URL("./search-worker.js", import.meta.url);
const range = { from: flags.seed, seeds: flags.seeds };
const result = merge(await searchOnThreads<SearchResult>({ worker, range, threads: flags.threads, options }));
const seconds = (performance.now() - began) / 1000;

if (flags.json) {
  console.log(
    JSON.stringify({
      seeds: result.seeds,
      violations: result.failures.length,
      faults: total(result.tally.faults),
      elections: result.terms,
      seedsPerSecond: Math.round(result.seeds / seconds),
      traceHash: result.traceHash,
      threads: flags.threads,
      seconds: Math.round(seconds * 10) / 10,
      strayed: result.strayed,
      faultsByKind: result.tally.faults,
      electionsByKind: result.tally.elections,
      transitions: result.tally.transitions,
      unseenTransitions: unseenTransitions(result.tally),
      failures: result.failures,
    }),
  );
} else {
  report(result);
}
const [first] = result.failures;
if (!flags.json && (first !== undefined || flags.seeds === 1)) await printSeed(first?.seed ?? flags.seed);
process.exitCode = first === undefined ? 0 : 1;

function report({ seeds, failures, terms, tally, traceHash, strayed }: SearchResult): void {
  const rate = Math.round(seeds / seconds);
  console.log(
    `${seeds} seeds from ${flags.seed}: ${failures.length} violations, ${total(tally.faults)} faults, ${terms} terms, ` +
      `${strayed} ended early; ${rate} seeds/s on ${flags.threads} threads; trace ${traceHash}`,
  );
  table("faults", tally.faults);
  table("elections", tally.elections);
  table("transitions of the core", tally.transitions, TRANSITIONS);
  const unseen = unseenTransitions(tally);
  if (unseen.length > 0) console.log(`transitions that did not occur: ${unseen.join(", ")}`);
  for (const { seed, violation } of failures) console.log(`seed ${seed}: ${violation}`);
}

/** Shrinks the seed's history if it fails, and prints its trace and the command that replays it. */
async function printSeed(seed: number): Promise<void> {
  const plan = await shrink(planOf(seed, options));
  const nodes = flags.nodes === undefined ? "" : ` --nodes ${flags.nodes}`;
  const recipe = flags.recipe === undefined ? "" : ` --recipe "${flags.recipe}"`;
  console.log(`\nseed ${seed}`);
  await printHistory(plan);
  console.log(`replay: npm run sim -- --seed ${seed} --seeds 1${nodes}${recipe}`);
}

/** Prints the trace of a plan. Returns the violation, or `null`. */
async function printHistory(plan: Plan): Promise<string | null> {
  const faults = plan.faults.map(({ at, name, host }) => `${name} (host ${host}, ${at} ms)`).join(", ");
  console.log(`${plan.hosts.length} nodes; faults: ${faults || "none"}`);
  for (const line of await traceOf(plan)) console.log(line);
  const { violation } = await new History(plan).run();
  console.log(violation === null ? "no violation" : `VIOLATION ${violation}`);
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
