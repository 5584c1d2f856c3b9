/** Numbers and headings that are written by hand. */
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

test("CHANGELOG.md has one heading for each version, and one of them for what is not released", () => {
  const headings = [...read("CHANGELOG.md").matchAll(/^## (.+)$/gm)].map(([, text = ""]) => text);
  const unreleased = headings.filter((text) => /unreleased/i.test(text));
  expect(unreleased).toEqual([headings[0]]);
  expect(new Set(headings).size).toBe(headings.length);
});
