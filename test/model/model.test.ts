import { readdir, readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { runs } from "../../scripts/model/runs.ts";
import { missingTools, verify } from "../../scripts/model/spin.ts";

const missing = await missingTools();
const why = missing === null ? "" : ` (skipped: ${missing})`;
const quick = runs.filter((run) => run.size === "quick");
/** What holds and what is reached, and one broken variant of each model. `.ci/run` has all broken variants. */
const chosen = quick.filter(
  (run) =>
    run.expect !== "violated" ||
    run === quick.find(({ model, expect }) => model === run.model && expect === "violated"),
);

describe.skipIf(missing !== null).concurrent(`the models of the protocols${why}`, () => {
  for (const run of chosen) {
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

describe.each([
  { model: "lease", document: "README.md", folders: ["src/election", "src/runtime"] },
  { model: "silence", document: "silence.md", folders: ["src/election", "src/inquiry", "src/runtime"] },
  { model: "group", document: "group.md", folders: ["src/group/core"] },
])("the documentation of the model of $model", ({ model, document, folders }) => {
  const at = (path: string): URL => new URL(`../../${path}`, import.meta.url);

  test("covers every macro: each broken variant and probe is run, and each rule that can be spared", async () => {
    const source = await readFile(at(`model/${model}.pml`), "utf8");
    const known = new Set([...source.matchAll(/\b(?:BUG|PROBE|SPARE)_\w+/g)].map(([name]) => name));
    const run = new Set(
      runs
        .filter((one) => one.model === model)
        .flatMap(({ macros }) => macros)
        .filter((name) => name !== "PROBES" && name !== "ONLY_OVERLAP"),
    );
    expect([...run].sort()).toEqual([...known].sort());
  });

  test("has a row for every run", async () => {
    const readme = await readFile(at(`model/${document}`), "utf8");
    const rows = new Set([...readme.matchAll(/^\| ([^|]+?) \|/gm)].map(([, name]) => name));
    const names = runs
      .filter((one) => one.model === model)
      .map(({ name }) => name.replace(/^(?:silence|group): /, "").replace(/^the protocol, /, ""));
    expect(names.filter((name) => !rows.has(name))).toEqual([]);
  });

  test("maps every step, to functions that exist", async () => {
    const readme = await readFile(at(`model/${document}`), "utf8");
    const source = await readFile(at(`model/${model}.pml`), "utf8");
    const files = await Promise.all(
      folders.map(async (folder) =>
        Promise.all(
          (await readdir(at(folder)))
            .filter((name) => name.endsWith(".ts"))
            .map((name) => readFile(at(`${folder}/${name}`), "utf8")),
        ),
      ),
    );
    const code = files.flat().join("\n");
    const table = readme.slice(readme.indexOf("| step of the model |"));
    const rows = [...table.matchAll(/^\| (`.+`) \| (.+?) \|/gm)];
    const mapped = new Set(
      rows.flatMap(([, steps = ""]) => [...steps.matchAll(/`(.+?)`/g)].map(([, one]) => one)),
    );
    const steps = [...source.matchAll(/^ {2}:: (?:d_step|atomic) \{ \/\* (.+) \*\//gm)].map(
      ([, label]) => label,
    );
    expect([...mapped].sort()).toEqual([...new Set(steps)].sort());
    for (const [, , functions = ""] of rows) {
      for (const [, name = ""] of functions.matchAll(/`(\w+)`/g))
        expect(code).toMatch(new RegExp(`\\b${name}\\b`));
    }
  });
});
