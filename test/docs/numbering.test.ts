/** Numbers and headings that are written by hand. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const read = (file: string): string => readFileSync(join(import.meta.dirname, "../..", file), "utf8");

test("the invariants of docs/simulator.md are numbered without a gap", () => {
  const numbers = [...read("docs/simulator.md").matchAll(/^\| (\d+) [a-z]/gm)].map(([, number]) =>
    Number(number),
  );
  expect(numbers.length).toBeGreaterThan(10);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test("CHANGELOG.md has one heading for each version, and one of them for what is not released", () => {
  const headings = [...read("CHANGELOG.md").matchAll(/^## (.+)$/gm)].map(([, text = ""]) => text);
  const unreleased = headings.filter((text) => /unreleased/i.test(text));
  expect(unreleased).toEqual([headings[0]]);
  expect(new Set(headings).size).toBe(headings.length);
});
