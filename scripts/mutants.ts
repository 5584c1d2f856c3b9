// Puts one fault after another into the compiled election and looks how many seeds the simulator takes to notice:
// npm run mutants -- [--seeds 1000000] [--only TEXT] [--json]
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { Command, InvalidArgumentError } from "commander";
import type { Findings } from "../src/sim/search.ts";
import { type Mutant, mutants } from "./mutants/list.ts";
import { progressBar } from "./sim/progress.ts";

interface Verdict {
  readonly name: string;
  readonly equivalent: boolean;
  readonly foundAtSeed: number | null;
  readonly violation: string | null;
  /** Seeds that were played. */
  readonly seeds: number;
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
  .option("--only <text>", "only mutants whose name contains this", "")
  .option("--threads <t>", "worker threads", whole, availableParallelism())
  .option("--json", "print one JSON array and nothing else", false)
  .parse()
  .opts<{ seeds: number; only: string; threads: number; json: boolean }>();

const compiled = new URL("../src/", import.meta.url);
const chosen = mutants.filter(({ name }) => name.includes(flags.only));
const bar = progressBar(chosen.length);
const verdicts = new Map<string, Verdict>();
const queue = [...chosen.entries()];
await Promise.all(
  Array.from({ length: Math.min(flags.threads, queue.length) }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, mutant] = next;
      verdicts.set(mutant.name, await judge(mutant, index));
      bar.advance(1);
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
  const folder = new URL(`../mutant-${index}/`, compiled);
  try {
    await mkdir(folder, { recursive: true });
    await cp(compiled, new URL("src/", folder), { recursive: true });
    const file = new URL(`src/${mutant.file}`, folder);
    await writeFile(file, mutate(await readFile(file, "utf8"), mutant));
    return await hunt(mutant, new URL("src/sim/search.js", folder).href);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function hunt({ name, equivalent }: Mutant, module: string): Promise<Verdict> {
  const limit = equivalent === undefined ? flags.seeds : Math.min(flags.seeds, EQUIVALENT_SEEDS);
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./mutants/mutant-worker.js", import.meta.url), { workerData: module });
    let from = 1;
    let alarm: NodeJS.Timeout;
    const end = (foundAtSeed: number | null, violation: string | null): void => {
      clearTimeout(alarm);
      const verdict = { name, equivalent: equivalent !== undefined, foundAtSeed, violation, seeds: from - 1 };
      void worker.terminate().then(() => resolve(verdict));
    };
    const play = (): void => {
      alarm = setTimeout(() => end(from, "it goes round in circles"), BATCH_LIMIT_MS);
      worker.postMessage({ from, seeds: Math.min(BATCH, limit - from + 1), maxFailures: 1 });
    };
    worker.on("message", ({ failures: [failure], seeds }: Findings) => {
      clearTimeout(alarm);
      from += seeds;
      if (failure !== undefined) end(failure.seed, failure.violation);
      else if (from > limit) end(null, null);
      else play();
    });
    worker.on("error", (error) => reject(new Error(`mutant "${name}" does not run`, { cause: error })));
    play();
  });
}

/** The file with the fault in it. */
function mutate(text: string, { name, file, from, to, occurrence }: Mutant): string {
  const pattern = from
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("\\s+");
  const found = [...text.matchAll(new RegExp(pattern, "g"))];
  const one = occurrence === undefined && found.length === 1 ? found[0] : found[(occurrence ?? 0) - 1];
  if (one === undefined) {
    throw new Error(
      `mutant "${name}": ${file} has ${found.length} places like "${from}"; adapt scripts/mutants/list.ts`,
    );
  }
  return text.slice(0, one.index) + to + text.slice(one.index + one[0].length);
}

function report(): void {
  for (const { name, equivalent, foundAtSeed, violation, seeds } of all) {
    const where = foundAtSeed === null ? `not in ${seeds}` : String(foundAtSeed);
    console.log(
      `${where.padStart(14)}  ${equivalent ? "(equivalent) " : ""}${name}${violation === null ? "" : `: ${brief(violation)}`}`,
    );
  }
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
