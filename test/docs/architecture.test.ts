/** docs/architecture.md names files and functions: they exist, and the rooms that it lists by file are complete. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const text = readFileSync(join(root, "docs/architecture.md"), "utf8");
const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => join("src", file));
const code = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));

/** Does this code declare a function, a method or a field of this name? */
function declares(source: string, name: string): boolean {
  return new RegExp(`(?:function |^ +(?:(?:async|get|readonly) )*#?)${name}\\b[(:<= ]`, "m").test(source);
}

function named(path: string): string[] {
  return files.filter((file) => file === `src/${path}` || file.endsWith(`/${path}`));
}

test("every function that it names is declared in the file that it names", () => {
  const wrong: string[] = [];
  let count = 0;
  for (const [, path = "", names = ""] of text.matchAll(
    /`([\w/.-]+\.ts)`:((?:(?:,| and)?\s`#?\w+(?:\(\))?`)+)/g,
  )) {
    for (const [, name = ""] of names.matchAll(/`#?(\w+)(?:\(\))?`/g)) {
      count += 1;
      if (!named(path).some((file) => declares(code.get(file) ?? "", name))) wrong.push(`${path}: ${name}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(count).toBeGreaterThan(40);
});

test("every other function that it names is declared somewhere", () => {
  const all = [...code.values()].join("\n");
  const names = [...text.matchAll(/`(?:[A-Za-z]+\.)?#?(\w+)\(\)`/g)].map(([, name = ""]) => name);
  expect([...new Set(names)].filter((name) => !declares(all, name))).toEqual([]);
});

test.each(["election", "application", "runtime", "node", "nats/presence"])(
  "every file of %s is named",
  (room) => {
    const missing = readdirSync(join(root, "src", room))
      .filter((file) => file.endsWith(".ts"))
      .filter((file) => !text.includes(`${basename(file)}\``));
    expect(missing).toEqual([]);
  },
);
