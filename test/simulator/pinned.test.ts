/**
 * Histories that once violated an invariant, kept as plans: the plan of a seed changes with the generator, these do not. Each
 * must pass on the library as it is and fail on a mutant without its fix.
 * `npm run sim -- --plan test/simulator/pinned/NAME.json` prints its trace.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile, compiledFolder } from "../../scripts/build/compile.mjs";
import { mutants } from "../../scripts/mutants/list.ts";
import { COPIED_PARTS, mutate } from "../../scripts/mutants/mutate.ts";
import { History } from "../../scripts/simulator/history.ts";
import type { Pinned } from "../../scripts/simulator/pinned.ts";

const folder = new URL("pinned/", import.meta.url);
const pinned = readdirSync(folder).map((name): [string, Pinned] => [
  name,
  JSON.parse(readFileSync(new URL(name, folder), "utf8")) as Pinned,
]);

let compiled: string;

beforeAll(() => {
  compiled = fileURLToPath(compiledFolder(`pinned-${process.pid}`));
  expect(compile(compiledFolder(`pinned-${process.pid}/plain`))).toBe(true);
}, 60_000);

afterAll(() => rm(compiled, { recursive: true, force: true }), 60_000); // thousands of files

describe.each(pinned)("%s", (name, { what, fixedBy, mutant: mutantName, violation, plan }) => {
  test("passes, and is described", async () => {
    expect(what.length).toBeGreaterThan(40);
    expect(fixedBy).toMatch(/^[0-9a-f]{7,40}$/);
    expect((await new History(plan).run()).violation).toBeNull();
  });

  test("fails without its fix", async () => {
    const mutant = mutants.find((one) => one.name === mutantName);
    if (mutant === undefined)
      throw new Error(`${name}: scripts/mutants/list.ts has no mutant "${mutantName}"`);
    const copy = await mkdtemp(`${compiled}/mutant-`);
    for (const part of COPIED_PARTS) {
      await cp(`${compiled}/plain/${part}`, `${copy}/${part}`, { recursive: true });
    }
    const file = `${copy}/${mutant.file}`;
    await writeFile(file, mutate(await readFile(file, "utf8"), mutant));
    const mutated = (await import(pathToFileURL(`${copy}/scripts/simulator/history.js`).href)) as {
      History: typeof History;
    };
    expect((await new mutated.History(plan).run()).violation).toContain(violation);
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
