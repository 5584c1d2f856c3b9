// Plays random histories of faults on the core of groups, on all cores: npm run sim:group -- --seeds 100000 --seed 1
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Command } from "commander";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { searchOnThreads } from "../shared/search-on-threads.ts";
import { wholeNumberParser } from "../shared/whole-number.ts";
import { History } from "./history.ts";
import type { PinnedGroup } from "./pinned.ts";
import { type GroupPlan, planOf } from "./plan.ts";
import { type GroupSearchResult, merge } from "./search.ts";
import { shrink, traceOf } from "./shrink.ts";
import type { Counts } from "./tally.ts";

endWhenOutputFails();

interface Flags {
  readonly seeds: number;
  readonly seed: number;
  readonly threads: number;
  readonly lines: number;
  readonly whole: boolean;
  readonly json: boolean;
  readonly plan?: string;
}

const flags = new Command("sim:group")
  .description("Plays one random history of faults per seed on a group and checks the invariants in each.")
  .option("--seeds <n>", "number of seeds", wholeNumberParser(), 5_000)
  .option("--seed <s>", "the first seed; with --seeds 1 its trace is printed", wholeNumberParser(0), 1)
  .option("--threads <t>", "worker threads", wholeNumberParser(), availableParallelism())
  .option("--lines <n>", "last lines of a trace that are printed", wholeNumberParser(), 250)
  .option("--whole", "do not shrink a history before its trace is printed", false)
  .option("--plan <file>", "only play a pinned plan (test/sim/pinned) and print its trace")
  .option("--json", "print only one JSON object", false)
  .parse()
  .opts<Flags>();

if (flags.plan !== undefined) {
  const { plan, what } = JSON.parse(await readFile(flags.plan, "utf8")) as PinnedGroup;
  console.log(what);
  process.exit((await printHistory(plan)) === null ? 0 : 1);
}
const began = performance.now();
const worker = new URL("./search-worker.js", import.meta.url);
const range = { from: flags.seed, seeds: flags.seeds };
const result = merge(
  await searchOnThreads<GroupSearchResult>({ worker, range, threads: flags.threads, options: {} }),
);
const seconds = (performance.now() - began) / 1000;
const { seeds, failures, terms, tally, traceHash } = result;
const seedsPerSecond = Math.round((10 * seeds) / seconds) / 10;

if (flags.json) {
  console.log(
    JSON.stringify({
      seeds,
      violations: failures.length,
      faults: total(tally.faults),
      terms,
      seedsPerSecond,
      traceHash,
      threads: flags.threads,
      seconds: Math.round(seconds * 10) / 10,
      faultsByKind: tally.faults,
      commitsByKind: tally.commits,
      effectsByKind: tally.effects,
      failures,
    }),
  );
} else {
  console.log(
    `${seeds} seeds from ${flags.seed}: ${failures.length} violations, ${total(tally.faults)} faults, ${terms} terms; ` +
      `${seedsPerSecond} seeds/s on ${flags.threads} threads; trace ${traceHash}`,
  );
  table("faults", tally.faults);
  table("commits", tally.commits);
  table("effects", tally.effects);
  for (const { seed, violation } of failures) console.log(`seed ${seed}: ${violation}`);
}
const [first] = failures;
if (!flags.json && (first !== undefined || flags.seeds === 1)) await printSeed(first?.seed ?? flags.seed);
process.exitCode = first === undefined ? 0 : 1;

/** Shrinks the seed's history if it fails, and prints its trace and the command that replays it. */
async function printSeed(seed: number): Promise<void> {
  const plan = flags.whole ? planOf(seed) : await shrink(planOf(seed));
  console.log(`\nseed ${seed}`);
  await printHistory(plan);
  console.log(`replay: npm run sim:group -- --seed ${seed} --seeds 1`);
}

/** Prints the trace of a plan. Returns the violation, or `null`. */
async function printHistory(plan: GroupPlan): Promise<string | null> {
  const faults = plan.faults.map(({ at, name, host }) => `${name} (host ${host}, ${at} ms)`).join(", ");
  console.log(
    `${plan.recipe ?? plan.scenario}: ${plan.hosts.length} members, ${plan.resources} resources; faults: ${faults || "none"}`,
  );
  for (const line of await traceOf(plan, flags.lines)) console.log(line);
  const { violation } = await new History(plan).run();
  console.log(violation === null ? "no violation" : `VIOLATION ${violation}`);
  return violation;
}

function table(title: string, counts: Counts): void {
  console.log(`${title}:`);
  for (const [name, times] of Object.entries(counts).sort((one, other) => other[1] - one[1]))
    console.log(`  ${String(times).padStart(10)}  ${name}`);
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, times) => sum + times, 0);
}
