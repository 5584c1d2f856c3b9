// Checks the protocols with the model checker Spin: they must hold, and every broken variant must be violated. See model/README.md.
import { availableParallelism } from "node:os";
import { Command, Option } from "commander";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { progressBar } from "../shared/progress-bar.ts";
import { wholeNumberParser } from "../shared/whole-number.ts";
import type { Run } from "./run.ts";
import { runs } from "./runs.ts";
import { missingTools, type Verdict, verify } from "./spin.ts";

endWhenOutputFails();

const flags = new Command("model")
  .description(
    "Checks the protocols in model/lease.pml, model/silence.pml and model/group.pml: they hold, their probes are reached, their broken variants are violated.",
  )
  .option("--quick", "only the runs that take seconds; the test suite has some of them", false)
  .option("--full", "the largest runs, too", false)
  .option("--only <text>", "only runs whose name contains this text", "")
  .addOption(
    new Option("--expect <result>", "only runs that expect this").choices(["holds", "reached", "violated"]),
  )
  .option("--trace", "print how each probe is reached and each variant is violated", false)
  .option(
    "--jobs <n>",
    "parallel runs; each may need up to 8 GB",
    wholeNumberParser(),
    Math.min(2, availableParallelism()),
  )
  .option("--json", "print only one JSON array", false)
  .parse()
  .opts<{
    quick: boolean;
    full: boolean;
    only: string;
    expect?: Run["expect"];
    trace: boolean;
    jobs: number;
    json: boolean;
  }>();

const problem = await missingTools();
if (problem !== null) {
  console.error(`model: ${problem}`);
  process.exit(2);
}
const chosen = runs.filter(({ name, size, expect }) => {
  const isAsked = flags.quick ? size === "quick" : flags.full || size !== "full";
  return isAsked && name.includes(flags.only) && (flags.expect ?? expect) === expect;
});
if (chosen.length === 0) {
  console.error(`model: --only: no run of those asked for has a name that contains "${flags.only}"`);
  process.exit(2);
}

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    interrupted.abort();
    process.exitCode = 130;
  });
}
const verdicts = await verifyAll(chosen).catch((error: unknown) => {
  if (interrupted.signal.aborted) process.exit();
  throw error;
});
if (flags.json) console.log(JSON.stringify(verdicts));
else report();
process.exitCode = verdicts.every(({ asExpected }) => asExpected) ? 0 : 1;

async function verifyAll(selected: readonly Run[]): Promise<Verdict[]> {
  const bar = progressBar(selected.length);
  const done: Verdict[] = [];
  const queue = [...selected.entries()];
  await Promise.all(
    Array.from({ length: flags.jobs }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const [index, run] = next;
        done[index] = await verify(run, interrupted.signal);
        bar.advance(1, done.filter(({ asExpected }) => !asExpected).length);
      }
    }),
  );
  bar.end();
  return done;
}

function report(): void {
  const row = (...cells: string[]): string =>
    cells.map((cell, at) => (at < 2 ? cell.padEnd([62, 10][at] ?? 0) : cell.padStart(11))).join(" ");
  console.log(row("run", "found", "states", "depth", "CPU s", "memory MB"));
  for (const { name, expect, found, states, depth, seconds, memoryMb } of verdicts) {
    const shown = found === "violated" && expect === "reached" ? "reached" : found;
    console.log(row(name, shown, String(states), String(depth), seconds.toFixed(1), String(memoryMb)));
  }
  for (const verdict of verdicts) {
    if (verdict.asExpected && !(flags.trace && verdict.trace.length > 0)) continue;
    const { name, property, macros, trace, found, expect, asExpected } = verdict;
    console.log(`\n${asExpected ? "" : `NOT AS EXPECTED (${expect}, but ${found}): `}${name}`);
    console.log(`  ${macros.join(" ")}`);
    for (const [at, step] of trace.entries()) console.log(`  ${String(at + 1).padStart(3)} ${step}`);
    if (property !== null) console.log(`      ${property}`);
  }
}
