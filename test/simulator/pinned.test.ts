/**
 * Histories that once violated an invariant, kept as plans: the plan of a seed changes with the generator, these do not. Each
 * must pass on the library as it is and fail on a mutant without its fix. Those of groups, and some of the election, are the shortest ones
 * that find a mutant.
 * `npm run sim -- --plan test/simulator/pinned/NAME.json` and `npm run sim:group -- --plan test/sim/pinned/NAME.json` print their traces.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile, compiledFolder } from "../../scripts/build/compile.mjs";
import { History as GroupHistory } from "../../scripts/group-simulator/history.ts";
import type { PinnedGroup } from "../../scripts/group-simulator/pinned.ts";
import { mutants, simulatorOf } from "../../scripts/mutants/list.ts";
import { COPIED_PARTS, mutate } from "../../scripts/mutants/mutate.ts";
import { violationKind } from "../../scripts/shared/shrink-plan.ts";
import { History } from "../../scripts/simulator/history.ts";
import type { Pinned } from "../../scripts/simulator/pinned.ts";

/** A plan of either simulator. */
interface Kept {
  readonly pinned: Omit<Pinned, "plan"> | Omit<PinnedGroup, "plan">;
  readonly simulator: string;
  /** The violation of its plan by the library, or by a mutant whose compiled code is in this folder; `null`: none. */
  readonly play: (mutant?: string) => Promise<string | null>;
}

function keptIn<P>(folder: URL, simulator: string, own: new (plan: P) => PlayedHistory): [string, Kept][] {
  return readdirSync(folder).map((name) => {
    const text = readFileSync(new URL(name, folder), "utf8");
    const pinned = JSON.parse(text) as Kept["pinned"] & { readonly plan: P };
    const play = async (mutant?: string): Promise<string | null> => {
      const History = mutant === undefined ? own : await historyIn<P>(`${mutant}/scripts/${simulator}`);
      return (await new History(pinned.plan).run()).violation;
    };
    return [name, { pinned, simulator, play }];
  });
}

interface PlayedHistory {
  run(): Promise<{ readonly violation: string | null }>;
}

async function historyIn<P>(folder: string): Promise<new (plan: P) => PlayedHistory> {
  const module = (await import(pathToFileURL(`${folder}/history.js`).href)) as {
    readonly History: new (plan: P) => PlayedHistory;
  };
  return module.History;
}

/** Links are made in a moment; the file that differs is replaced. */
async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory()) await linkTree(source, target);
    else await link(source, target);
  }
}

const kept = [
  ...keptIn(new URL("pinned/", import.meta.url), "simulator", History),
  ...keptIn(new URL("../sim/pinned/", import.meta.url), "group-simulator", GroupHistory),
];

let compiled: string;

beforeAll(() => {
  compiled = fileURLToPath(compiledFolder(`pinned-${process.pid}`));
  expect(compile(compiledFolder(`pinned-${process.pid}/plain`))).toBe(true);
}, 60_000);

afterAll(() => rm(compiled, { recursive: true, force: true }), 60_000); // thousands of files

describe.each(kept)("%s", (name, { pinned, simulator, play }) => {
  test("passes, and is described", async () => {
    expect(pinned.what.length).toBeGreaterThan(40);
    expect(pinned.fixedBy).toMatch(/^[0-9a-f]{7,40}$/);
    expect(await play()).toBeNull();
  });

  test("fails without its fix", async () => {
    const mutant = mutants.find((one) => one.name === pinned.mutant);
    if (mutant === undefined)
      throw new Error(`${name}: scripts/mutants/list.ts has no mutant "${pinned.mutant}"`);
    expect(simulatorOf(mutant)).toBe(simulator);
    const copy = await mkdtemp(`${compiled}/mutant-`);
    for (const part of COPIED_PARTS) await linkTree(`${compiled}/plain/${part}`, `${copy}/${part}`);
    const file = `${copy}/${mutant.file}`;
    const text = mutate(await readFile(file, "utf8"), mutant);
    await rm(file);
    await writeFile(file, text);
    expect(violationKind(await play(copy))).toContain(violationKind(pinned.violation));
  });
});

test("the text of every mutant occurs in the compiled code", async () => {
  const lost: string[] = [];
  for (const mutant of mutants) {
    const text = await readFile(`${compiled}/plain/${mutant.file}`, "utf8");
    try {
      expect(mutate(text, mutant)).not.toBe(text);
    } catch (error) {
      lost.push((error as Error).message);
    }
  }
  expect(lost).toEqual([]);
});

test("the number of threads does not change the histories", { timeout: 300_000 }, () => {
  const hashes = [1, 3].map((threads) => {
    const program = `${compiled}/plain/scripts/simulator/main.js`;
    const run = [program, "--json", "--seeds", "100", "--threads", String(threads)];
    const { stdout, stderr } = spawnSync(process.execPath, run, { encoding: "utf8" });
    expect(stderr).toBe("");
    const found = JSON.parse(stdout) as { seeds: number; violations: number; traceHash: string };
    expect(found).toMatchObject({
      seeds: 100,
      violations: 0,
      traceHash: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    return found.traceHash;
  });
  expect(new Set(hashes).size).toBe(1);
});
