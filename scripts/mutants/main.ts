// Tests the simulator's checker: for each mutant of the compiled code, searches the first seed whose history violates an
// invariant. npm run mutants -- [--seed 1] [--seeds 1000000] [--count 1000] [--only TEXTS] [--nodes K] [--pin FOLDER] [--json]
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Command } from "commander";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import type { GroupPlan } from "../group-simulator/plan.ts";
import { progressBar } from "../shared/progress-bar.ts";
import { resourceLimits } from "../shared/resource-limits.ts";
import { wholeNumberParser } from "../shared/whole-number.ts";
import { type NodesFlag, nodesOption, planOptionsOf } from "../simulator/nodes-option.ts";
import type { Pinned } from "../simulator/pinned.ts";
import type { Plan, PlanOptions } from "../simulator/plan.ts";
import type { Mutant } from "./catalogue/mutant.ts";
import { mutants, simulatorOf } from "./list.ts";
import type { Progress, WorkerAnswer, WorkerData, WorkerTask } from "./mutant-worker.ts";
import { COPIED_PARTS, mutate } from "./mutate.ts";

endWhenOutputFails();

interface Verdict {
  readonly name: string;
  readonly equivalent: boolean;
  readonly foundAtSeed: number | null;
  readonly violation: string | null;
  /** Number of seeds that were played. */
  readonly seeds: number;
  /** In how many of the first `counted` seeds it is found. */
  readonly foundIn: number;
  readonly counted: number;
}

/** Number of seeds in which an equivalent mutant must not be found. */
const EQUIVALENT_SEEDS = 5_000;
const BATCH = 250;
/** A mutant may loop endlessly. If no history ends while each thread has computed for so long, it counts as found. */
const STUCK_CPU_MS = 60_000;
const CHECK_EVERY_MS = 5_000;
const ENDLESS_LOOP = "a history does not end";

const flags = new Command("mutants")
  .description("Tests the simulator's checker with mutants of the code that it must find.")
  .option("--seeds <n>", "give up after this many seeds", wholeNumberParser(), 1_000_000)
  .option("--seed <s>", "the first seed", wholeNumberParser(), 1)
  .option("--count <n>", "count in how many of the first n seeds each is found", wholeNumberParser(), 1_000)
  .option("--pin <folder>", "write the shrunk plan that finds each into that folder")
  .option(
    "--only <texts>",
    "only mutants whose name contains one of these texts, separated by semicolons",
    "",
  )
  .addOption(nodesOption())
  .option("--threads <t>", "worker threads", wholeNumberParser(), availableParallelism())
  .option("--json", "print only one JSON array to stdout, and each verdict to stderr as it comes", false)
  .parse()
  .opts<
    NodesFlag & {
      readonly seeds: number;
      readonly seed: number;
      readonly count: number;
      readonly pin?: string;
      readonly only: string;
      readonly threads: number;
      readonly json: boolean;
    }
  >();

/** Root of the compiled tree. A mutant is a copy of the parts that the simulator needs. */
const compiled = new URL("../../", import.meta.url);
const wanted = flags.only.split(";").map((text) => text.trim());
const chosen = mutants.filter(({ name }) => wanted.some((text) => name.includes(text)));
const bar = progressBar(chosen.length);
const verdicts = new Map<string, Verdict>();
const queue = [...chosen.entries()];
await Promise.all(
  Array.from({ length: Math.min(flags.threads, queue.length) }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, mutant] = next;
      const verdict = await judge(mutant, index);
      verdicts.set(mutant.name, verdict);
      bar.advance(1);
      // At once: a complete run takes minutes, and one that is interrupted must not lose its verdicts.
      if (flags.json) console.error(JSON.stringify(verdict));
      else console.log(lineOf(verdict));
    }
  }),
);
bar.end();

const all = chosen.flatMap(({ name }) => verdicts.get(name) ?? []);
const wrong = all.filter(({ equivalent, foundAtSeed }) => equivalent === (foundAtSeed !== null));
if (flags.json) console.log(JSON.stringify(all));
else report();
process.exitCode = wrong.length === 0 ? 0 : 1;

/** Writes the mutant beside the compiled code, plays seeds on it, and removes it. */
async function judge(mutant: Mutant, index: number): Promise<Verdict> {
  const folder = new URL(`mutant-${index}/`, compiled);
  try {
    await mkdir(folder, { recursive: true });
    for (const part of COPIED_PARTS) {
      await cp(new URL(part, compiled), new URL(part, folder), { recursive: true });
    }
    const file = new URL(mutant.file, folder);
    await writeFile(file, mutate(await readFile(file, "utf8"), mutant));
    return await hunt(mutant, folder.href);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function hunt(mutant: Mutant, copy: string): Promise<Verdict> {
  const { name, equivalent, recipe } = mutant;
  const options: PlanOptions = recipe === undefined ? planOptionsOf(flags) : { recipe };
  const limit = equivalent === undefined ? flags.seeds : Math.min(flags.seeds, EQUIVALENT_SEEDS);
  const counted = Math.min(flags.count, limit);
  const data: WorkerData = { copy, simulator: simulatorOf(mutant) };
  const worker = new Worker(new URL("./mutant-worker.js", import.meta.url), {
    workerData: data,
    resourceLimits,
  });
  let [foundAtSeed, violation, foundIn, played] = [null as number | null, null as string | null, 0, 0];
  try {
    while (played < limit && (foundAtSeed === null || played < counted)) {
      const seeds = Math.min(BATCH, (played < counted ? counted : limit) - played);
      // What is not counted ends with the first seed that finds it.
      const end = played < counted ? {} : { maxFailures: 1 };
      const answer = await ask(worker, name, { ...options, ...end, from: flags.seed + played, seeds });
      if (answer === "timed out") {
        foundAtSeed ??= flags.seed + played;
        violation ??= ENDLESS_LOOP;
        break;
      }
      if (!("result" in answer)) throw new Error("bug: the worker did not answer a search with its result");
      const [failure] = answer.result.failures;
      foundAtSeed ??= failure?.seed ?? null;
      violation ??= failure?.violation ?? null;
      if (played < counted) foundIn += answer.result.failures.length;
      played += answer.result.seeds;
    }
    if (flags.pin !== undefined && foundAtSeed !== null) {
      const answer = await ask(worker, name, { ...options, shrink: foundAtSeed });
      if (answer !== "timed out" && "plan" in answer) await pin(flags.pin, name, violation, answer.plan);
    }
  } finally {
    await worker.terminate();
  }
  const isEquivalent = equivalent !== undefined;
  const countedSeeds = Math.min(counted, played);
  return {
    name,
    equivalent: isEquivalent,
    foundAtSeed,
    violation,
    seeds: played,
    foundIn,
    counted: countedSeeds,
  };
}

function ask(worker: Worker, name: string, task: WorkerTask): Promise<WorkerAnswer | "timed out"> {
  return new Promise((resolve, reject) => {
    // Time on the clock says nothing: on a busy machine a history waits for its turn.
    let before = process.cpuUsage();
    const alarm = setInterval(() => {
      const { user, system } = process.cpuUsage(before);
      if (user + system > 1000 * STUCK_CPU_MS * flags.threads) end("timed out");
    }, CHECK_EVERY_MS);
    const onError = (error: unknown): void => {
      clearInterval(alarm);
      reject(new Error(`the worker of mutant "${name}" failed`, { cause: error }));
    };
    const end = (answer: WorkerAnswer | Progress | "timed out"): void => {
      if (answer === "progress") {
        before = process.cpuUsage();
        return;
      }
      clearInterval(alarm);
      worker.off("message", end).off("error", onError);
      resolve(answer);
    };
    worker.on("message", end).on("error", onError);
    worker.postMessage(task);
  });
}

/** Writes a plan for `test/simulator/pinned` or `test/sim/pinned`. `what` and `fixedBy` are filled in by hand. */
async function pin(
  folder: string,
  name: string,
  violation: string | null,
  plan: Plan | GroupPlan,
): Promise<void> {
  const file = join(folder, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.json`);
  const kept: Omit<Pinned, "plan"> & { readonly plan: Plan | GroupPlan } = {
    what: "",
    fixedBy: "",
    mutant: name,
    violation: brief(violation ?? ""),
    plan,
  };
  await writeFile(file, `${JSON.stringify(kept, null, 2)}\n`);
}

function lineOf({ name, equivalent, foundAtSeed, violation, seeds, foundIn, counted }: Verdict): string {
  const where = foundAtSeed === null ? `not in ${seeds}` : `${foundAtSeed}, ${foundIn} of ${counted}`;
  return `${where.padStart(20)}  ${equivalent ? "(equivalent) " : ""}${name}${violation === null ? "" : `: ${brief(violation)}`}`;
}

function report(): void {
  const found = all.filter(({ foundAtSeed }) => foundAtSeed !== null);
  const quick = found.filter(({ foundAtSeed }) => (foundAtSeed ?? 0) <= 1000);
  console.log(
    `${found.length} of ${all.filter(({ equivalent }) => !equivalent).length} found, ${quick.length} within 1000 seeds`,
  );
  for (const { name, equivalent } of wrong) {
    console.log(equivalent ? `FOUND, although declared equivalent: ${name}` : `NOT FOUND: ${name}`);
  }
}

function brief(violation: string): string {
  return (violation.split("\n")[0] ?? "").slice(0, 90);
}
