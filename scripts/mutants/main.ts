// Puts one fault after another into the compiled election and looks how many seeds the simulator takes to notice:
// npm run mutants -- [--seeds 1000000] [--count 1000] [--only TEXT] [--nodes K] [--pin FOLDER] [--json]
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Command, InvalidArgumentError } from "commander";
import { progressBar } from "../shared/progress-bar.ts";
import type { Pinned } from "../simulator/pinned.ts";
import type { Plan, PlanOptions } from "../simulator/plan.ts";
import { resourceLimits } from "../simulator/resource-limits.ts";
import type { Mutant } from "./catalogue/mutant.ts";
import { mutants } from "./list.ts";
import type { Answer, Task } from "./mutant-worker.ts";
import { COPIED_PARTS, mutate } from "./mutate.ts";

interface Verdict {
  readonly name: string;
  readonly equivalent: boolean;
  readonly foundAtSeed: number | null;
  readonly violation: string | null;
  /** Seeds that were played. */
  readonly seeds: number;
  /** How many of the first `counted` seeds find it. */
  readonly foundIn: number;
  readonly counted: number;
}

/** Equivalent mutants are given this much to prove the contrary. */
const EQUIVALENT_SEEDS = 5_000;
const BATCH = 250;
/** A fault may send the election round in circles; that is found, too. */
const BATCH_LIMIT_MS = 120_000;

const whole = (text: string): number => {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be a whole number, 1 or more.");
};
const flags = new Command("mutants")
  .description("Proves the simulator's checker by faults it must find.")
  .option("--seeds <n>", "give up after so many seeds", whole, 1_000_000)
  .option("--count <n>", "count in how many of the first n seeds each is found", whole, 1_000)
  .option("--pin <folder>", "write the least that finds each as a plan into that folder")
  .option("--only <texts>", "only mutants whose name contains one of these, with semicolons between", "")
  .option("--nodes <k>", "nodes in every history; without it one to five, mostly three", whole)
  .option("--threads <t>", "worker threads", whole, availableParallelism())
  .option("--json", "print one JSON array and nothing else", false)
  .parse()
  .opts<{
    seeds: number;
    count: number;
    pin?: string;
    only: string;
    nodes?: number;
    threads: number;
    json: boolean;
  }>();
const options: PlanOptions = flags.nodes === undefined ? {} : { nodes: flags.nodes };

/** Root of the compiled tree; a mutant is a copy of what the simulator needs of it. */
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
      // One line each as it comes: the whole takes long.
      if (!flags.json) console.log(lineOf(verdict));
    }
  }),
);
bar.end();

const all = chosen.flatMap(({ name }) => verdicts.get(name) ?? []);
const wrong = all.filter(({ equivalent, foundAtSeed }) => equivalent === (foundAtSeed !== null));
if (flags.json) console.log(JSON.stringify(all));
else report();
process.exitCode = wrong.length === 0 ? 0 : 1;

/** Builds the mutant beside the real thing, plays seed after seed on it, and removes it. */
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

async function hunt({ name, equivalent }: Mutant, copy: string): Promise<Verdict> {
  const limit = equivalent === undefined ? flags.seeds : Math.min(flags.seeds, EQUIVALENT_SEEDS);
  const counted = Math.min(flags.count, limit);
  const worker = new Worker(new URL("./mutant-worker.js", import.meta.url), {
    workerData: copy,
    resourceLimits,
  });
  let [foundAtSeed, violation, foundIn, played] = [null as number | null, null as string | null, 0, 0];
  try {
    while (played < limit && (foundAtSeed === null || played < counted)) {
      const seeds = Math.min(BATCH, (played < counted ? counted : limit) - played);
      const answer = await ask(worker, name, { ...options, from: played + 1, seeds });
      if (answer === "round in circles") {
        foundAtSeed ??= played + 1;
        violation ??= "it goes round in circles";
        break;
      }
      if (!("findings" in answer)) throw new Error("bug: no findings");
      const [failure] = answer.findings.failures;
      foundAtSeed ??= failure?.seed ?? null;
      violation ??= failure?.violation ?? null;
      if (played < counted) foundIn += answer.findings.failures.length;
      played += seeds;
    }
    if (flags.pin !== undefined && foundAtSeed !== null) {
      const answer = await ask(worker, name, { ...options, shrink: foundAtSeed });
      if (answer !== "round in circles" && "plan" in answer)
        await pin(flags.pin, name, violation, answer.plan);
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

function ask(worker: Worker, name: string, task: Task): Promise<Answer | "round in circles"> {
  return new Promise((resolve, reject) => {
    const alarm = setTimeout(() => end("round in circles"), BATCH_LIMIT_MS);
    const onError = (error: unknown): void => {
      clearTimeout(alarm);
      reject(new Error(`mutant "${name}" does not run`, { cause: error }));
    };
    const end = (answer: Answer | "round in circles"): void => {
      clearTimeout(alarm);
      worker.off("message", end).off("error", onError);
      resolve(answer);
    };
    worker.on("message", end).on("error", onError);
    worker.postMessage(task);
  });
}

/** What `test/simulator/pinned.test.ts` plays; who keeps it says in `what` what it is. */
async function pin(folder: string, name: string, violation: string | null, plan: Plan): Promise<void> {
  const file = join(folder, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.json`);
  const kept: Pinned = { what: "", fixedBy: "", mutant: name, violation: brief(violation ?? ""), plan };
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
    console.log(equivalent ? `FOUND, though called equivalent: ${name}` : `NOT FOUND: ${name}`);
  }
}

function brief(violation: string): string {
  return (violation.split("\n")[0] ?? "").slice(0, 90);
}
