/** docs/architecture.md names files and functions: they exist, and the folders that it lists by file are complete. */
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

test.each(["election", "inquiry", "application", "runtime", "node"])(
  "every file of %s is named",
  (folder) => {
    const missing = readdirSync(join(root, "src", folder))
      .filter((file) => file.endsWith(".ts"))
      .filter((file) => !text.includes(`${basename(file)}\``));
    expect(missing).toEqual([]);
  },
);

test("every file that it names exists", () => {
  const all = ["src", "scripts", "examples", "deploy"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
      join("/", folder, file),
    ),
  );
  const paths = [...text.matchAll(/`([\w/.-]*)(?:\{([\w,-]+)\})?([\w/.-]*\.(?:ts|mjs|sh))`/g)].flatMap(
    ([, before = "", among = "", after = ""]) => among.split(",").map((one) => before + one + after),
  );
  expect(paths.length).toBeGreaterThan(200);
  // The placeholder of a new command.
  const named = paths.filter((path) => !path.endsWith("/NAME.ts"));
  expect(named.filter((path) => !all.some((file) => file.endsWith(`/${path}`)))).toEqual([]);
});

test.each(["src", "scripts"])("every folder of %s is in a table", (parent) => {
  const cells = text.split("\n").flatMap((line) => /^(?:\| |### ).*/.exec(line)?.[0].split(" | ")[0] ?? []);
  const named = new Set(cells.flatMap((cell) => [...cell.matchAll(/([\w*-]+)\//g)].map(([, name]) => name)));
  const folders = readdirSync(join(root, parent), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  const missing = folders.filter(
    ({ name }) => !named.has(name) && !(name.startsWith("benchmark-") && named.has("benchmark-*")),
  );
  expect(missing.map(({ name }) => name)).toEqual([]);
});

/** The rows of a folder's table: the names in the first cell, the whole row. */
function rowsOf(folder: string): { readonly files: readonly string[]; readonly row: string }[] {
  const [, section = ""] = text.split(`### ${folder}/`);
  const rows = (section.split("\n### ")[0] ?? "").split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) => ({
    files: [...(row.split(" | ")[0] ?? "").matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name),
    row,
  }));
}

function filesIn(folder: string): string[] {
  return readdirSync(join(root, "src", folder)).filter((file) => file.endsWith(".ts"));
}

test.each(["core", "plan", "application", ""])(
  "the rows of group/%s name its files, each of them once",
  (folder) => {
    const named: string[] = [];
    for (const { files } of rowsOf("group")) {
      const [first = ""] = files;
      const [before = ""] = first.includes("/") ? first.split("/") : [];
      if (before === folder) named.push(...files.map((file) => basename(file)));
    }
    expect(named.sort()).toEqual(filesIn(join("group", folder)).sort());
  },
);

test.each(["group", "bucket", "presence", "consumer"])("the row of nats/%s names its files", (folder) => {
  const row = rowsOf("nats").find(({ files }) => files[0] === `${folder}/`)?.row ?? "";
  const files = [...row.matchAll(/`([\w-]+\.ts)`/g)].map(([, name = ""]) => name);
  expect(files.sort()).toEqual(filesIn(join("nats", folder)).sort());
});
