/** docs/simulator.md counts and names the mutants of the catalogue. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { applicationMutants } from "../../scripts/mutants/catalogue/application.ts";
import { forgeryMutants } from "../../scripts/mutants/catalogue/forgery.ts";
import type { Mutant } from "../../scripts/mutants/catalogue/mutant.ts";
import { silenceMutants } from "../../scripts/mutants/catalogue/silence.ts";
import { mutants, simulatorOf } from "../../scripts/mutants/list.ts";

const root = join(import.meta.dirname, "../..");
const text = readFileSync(join(root, "docs/simulator.md"), "utf8");
const prose = text.replaceAll(/\s+/g, " ");

const groupMutants = mutants.filter((mutant) => simulatorOf(mutant) === "group-simulator");
const apart = new Set([...applicationMutants, ...forgeryMutants, ...silenceMutants, ...groupMutants]);
const others = mutants.filter((mutant) => !apart.has(mutant));

function isEquivalent({ equivalent }: Mutant): boolean {
  return equivalent !== undefined;
}

/** Names in the first column of every table of mutants of the simulators; what a table adds in parentheses is left out. */
function rows(): string[] {
  const names: string[] = [];
  let prefix: string | null = null;
  for (const line of text.split("\n")) {
    const [first = "", second = ""] = line.split(" | ");
    const head = /^\| mutant(?:: `(\w+: )…`)?$/.exec(first);
    // The last table is about mutants that no simulator plays.
    if (head !== null) prefix = second === "test |" ? null : (head[1] ?? "");
    else if (!line.startsWith("| ")) prefix = line.startsWith("|") ? prefix : null;
    else if (prefix !== null) names.push(prefix + first.slice(2).replace(/ \([^()]*\)$/, ""));
  }
  return names;
}

test.each([
  [
    "the application side",
    /\d+ of the (\d+) mutants of the application side .*?: (\d+) are/,
    applicationMutants,
  ],
  ["forged messages", /The (\d+) mutants of forged messages .*?: (\d+) are/, forgeryMutants],
  ["silence", /The (\d+) mutants of silence .*?: (\d+) are/, silenceMutants],
] as const)("the mutants of %s are counted", (_what, pattern, list: readonly Mutant[]) => {
  expect(pattern.exec(prose)?.slice(1).map(Number)).toEqual([list.length, list.filter(isEquivalent).length]);
});

test.each([
  [
    "the rest of the election",
    /Of the mutants in the other files of the election (\d+) are equivalent/,
    others,
  ],
  ["groups", /Of the mutants of groups (\d+) are equivalent/, groupMutants],
] as const)("the equivalent mutants of %s are counted", (_what, pattern, list: readonly Mutant[]) => {
  expect(Number(pattern.exec(prose)?.[1])).toBe(list.filter(isEquivalent).length);
});

test("every row of a table is a mutant of the catalogue, once", () => {
  const names = new Set(mutants.map(({ name }) => name));
  expect(rows().length).toBeGreaterThan(200);
  expect(rows().filter((name, at) => !names.has(name) || rows().indexOf(name) !== at)).toEqual([]);
});

test("every mutant that has to be found is in a table or in the text; of those of the application side only the number", () => {
  const listed = new Set(rows());
  const missing = mutants
    .filter((mutant) => !isEquivalent(mutant) && !applicationMutants.includes(mutant))
    .map(({ name }) => name)
    .filter((name) => !listed.has(name) && !prose.toLowerCase().includes(`"${name}"`.toLowerCase()));
  expect(missing).toEqual([]);
});

test("the pinned histories of groups are counted", () => {
  const pinned = readdirSync(join(root, "test/sim/pinned")).length;
  expect(/history that finds each of (\d+) of them/.exec(prose)?.[1]).toBe(String(pinned));
  expect(/find their (\d+) mutants/.exec(prose)?.[1]).toBe(String(pinned));
});
