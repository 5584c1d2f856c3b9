import { readdir, readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { runs } from "../../scripts/model/runs.ts";
import { missingTools, verify } from "../../scripts/model/spin.ts";

const missing = await missingTools();
const why = missing === null ? "" : ` (skipped: ${missing})`;
const quick = runs.filter((run) => run.quick);

describe.skipIf(missing !== null).concurrent(`the model of the protocol${why}`, () => {
  for (const run of quick) {
    const title = {
      holds: `${run.name}: no invariant is violated`,
      reached: `${run.name}: is reached`,
      violated: `${run.name}: an invariant is violated`,
    }[run.expect];
    test(title, { timeout: 300_000 }, async ({ signal, expect }) => {
      const { asExpected, found, property, trace } = await verify(run, signal);
      expect({ asExpected, found, property, trace }).toMatchObject({
        asExpected: true,
        found: run.expect === "holds" ? "holds" : "violated",
      });
    });
  }
});

describe("the documentation of the model", () => {
  test("covers every macro: each broken variant and probe is run", async () => {
    const model = await readFile(new URL("../../model/lease.pml", import.meta.url), "utf8");
    const known = new Set([...model.matchAll(/\b(?:BUG|PROBE)_\w+/g)].map(([name]) => name));
    const run = new Set(runs.flatMap(({ macros }) => macros).filter((name) => name !== "PROBES"));
    expect([...run].sort()).toEqual([...known].sort());
  });

  test("maps every step, to functions that exist", async () => {
    const at = (path: string): URL => new URL(`../../${path}`, import.meta.url);
    const readme = await readFile(at("model/README.md"), "utf8");
    const model = await readFile(at("model/lease.pml"), "utf8");
    const folders = ["src/election", "src/runtime"];
    const files = await Promise.all(
      folders.map(async (folder) =>
        Promise.all((await readdir(at(folder))).map((name) => readFile(at(`${folder}/${name}`), "utf8"))),
      ),
    );
    const code = files.flat().join("\n");
    const table = readme.slice(readme.indexOf("| step of the model |"));
    const rows = [...table.matchAll(/^\| (`.+`) \| (.+?) \|/gm)];
    const mapped = new Set(
      rows.flatMap(([, steps = ""]) => [...steps.matchAll(/`(.+?)`/g)].map(([, one]) => one)),
    );
    const steps = [...model.matchAll(/^ {2}:: (?:d_step|atomic) \{ \/\* (.+) \*\//gm)].map(
      ([, label]) => label,
    );
    expect([...mapped].sort()).toEqual([...new Set(steps)].sort());
    for (const [, , functions = ""] of rows) {
      for (const [, name = ""] of functions.matchAll(/`(\w+)`/g))
        expect(code).toMatch(new RegExp(`\\b${name}\\b`));
    }
  });
});
