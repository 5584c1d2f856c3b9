/** Numbers and headings that are written by hand, and comments that an editor may have torn. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as ofGroups from "../../scripts/group-simulator/faults/names.ts";
import * as ofElections from "../../scripts/simulator/faults/names.ts";

const root = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");

test("the invariants of docs/simulator.md are numbered without a gap", () => {
  const numbers = [...read("docs/simulator.md").matchAll(/^\| (\d+) [a-z]/gm)].map(([, number]) =>
    Number(number),
  );
  expect(numbers.length).toBeGreaterThan(10);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test("docs/simulator.md has the number of kinds of faults, of elections and of groups", () => {
  const text = read("docs/simulator.md").replaceAll("\n", " ");
  const numbers = [...text.matchAll(/faults,? out of (\d+) kinds/g)].map(([, number]) => Number(number));
  const kinds = [ofElections, ofGroups].map(
    ({ commonFaultNames, operatorFaultNames, deletionFaultNames }) =>
      commonFaultNames.length + operatorFaultNames.length + deletionFaultNames.length,
  );
  expect(numbers).toEqual(kinds);
});

test("every test that a document names exists", () => {
  const documents = ["README.md", ...readdirSync(join(root, "docs")).map((file) => `docs/${file}`)];
  const named = documents
    .filter((file) => file.endsWith(".md"))
    .flatMap((file) => [...read(file).matchAll(/`(test\/[\w./-]+)`/g)].map(([, path = ""]) => path));
  expect(named.length).toBeGreaterThan(30);
  // The placeholder of a pinned history.
  expect(named.filter((path) => !path.includes("NAME") && !existsSync(join(root, path)))).toEqual([]);
});

/** Runs git in this repository. */
function git(...args: string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync("git", args, { cwd: root, encoding: "utf8" });
}

const hasHistory = git("rev-parse", "--is-shallow-repository").stdout.trim() === "false";

// A rebase gives a commit another hash.
test.skipIf(!hasHistory)(
  "the commit that a pinned history names is in the history of this repository",
  () => {
    const wrong = ["test/simulator/pinned", "test/sim/pinned"].flatMap((folder) =>
      readdirSync(join(root, folder)).flatMap((file) => {
        const { fixedBy } = JSON.parse(read(`${folder}/${file}`)) as { readonly fixedBy: string };
        return git("merge-base", "--is-ancestor", fixedBy, "HEAD").status === 0
          ? []
          : [`${file}: ${fixedBy}`];
      }),
    );
    expect(wrong).toEqual([]);
  },
);

test("CHANGELOG.md has one heading for each version, and one of them for what is not released", () => {
  const headings = [...read("CHANGELOG.md").matchAll(/^## (.+)$/gm)].map(([, text = ""]) => text);
  const unreleased = headings.filter((text) => /unreleased/i.test(text));
  expect(unreleased).toEqual([headings[0]]);
  expect(new Set(headings).size).toBe(headings.length);
});

const sources = ["src", "scripts", "test", "examples"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(?:ts|tsx|mjs)$/.test(file) && !file.includes("node_modules"))
    .map((file) => join(folder, file)),
);

/** Lines of the documentation comments of a source, each with its number. */
function documentation(source: string): (readonly [number, string])[] {
  const found: (readonly [number, string])[] = [];
  let inside = false;
  for (const [at, line] of source.split("\n").entries()) {
    if (inside) found.push([at + 1, line.trim()]);
    if (inside ? line.includes("*/") : /^\s*\/\*\*(?!.*\*\/)/.test(line)) inside = !inside;
  }
  return found;
}

test("no line of a documentation comment is code", () => {
  const wrong = sources.flatMap((file) =>
    documentation(read(file))
      .filter(([, line]) => !line.startsWith("*"))
      .map(([number, line]) => `${file}:${number}: ${line}`),
  );
  expect(sources.length).toBeGreaterThan(500);
  expect(wrong).toEqual([]);
});

test("numbered lists in documentation comments have no gap", () => {
  const wrong = sources.flatMap((file) => {
    let before = 0;
    return documentation(read(file)).flatMap(([number, line]) => {
      const item = /^\* {1,2}(\d{1,2})\. /.exec(line)?.[1];
      if (line === "*/") before = 0;
      if (item === undefined) return [];
      const isNext = Number(item) === before + 1 || item === "1";
      before = Number(item);
      return isNext ? [] : [`${file}:${number}: ${line}`];
    });
  });
  expect(wrong).toEqual([]);
});
