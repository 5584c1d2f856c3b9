/** Every message that docs/operations.md quotes and every command and file that it names exists. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const FILE = join(ROOT, "docs/operations.md");
const text = readFileSync(FILE, "utf8");

function sources(): string {
  const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(join(ROOT, "src", file), "utf8"))
    .join("\n")
    .replaceAll(/["`] \+\n\s*["`]/g, ""); // a text over several lines
}

test("every message in the troubleshooting table is printed by the library", () => {
  const table = text.slice(text.indexOf("## Troubleshooting"));
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| message"));
  const firstCells = rows.map((row) => row.split(" | ")[0] ?? "");
  const messages = firstCells.flatMap((cell) =>
    [...cell.matchAll(/`([^`]*)`/g)].map(([, span = ""]) => span).filter((span) => span.includes(" ")),
  );
  expect(messages.length).toBeGreaterThan(15);
  const all = sources();
  const missing = messages.filter((message) => {
    const parts = message.split("…").map((part) => part.trim());
    return !parts.every((part) => all.includes(part)) || Math.max(...parts.map(({ length }) => length)) < 12;
  });
  expect(missing).toEqual([]);
});

test("every script, file and link in the document exists", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const named = [...text.matchAll(/npm run (?:--silent )?([a-z-]+(?::[a-z]+)*)/g)].map(
    ([, script = ""]) => script,
  );
  expect(named.length).toBeGreaterThan(4);
  expect(named.filter((script) => !(script in scripts))).toEqual([]);
  const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, link = ""]) =>
    join(dirname(FILE), link),
  );
  const paths = [...text.matchAll(/`((?:test|examples|docs)\/[\w./-]+)`/g)].map(([, path = ""]) =>
    join(ROOT, path),
  );
  expect(links.length + paths.length).toBeGreaterThan(8);
  expect([...links, ...paths].filter((path) => !existsSync(path))).toEqual([]);
  const headings = [...text.matchAll(/^## (.*)$/gm)].map(([, title = ""]) =>
    title.toLowerCase().replaceAll(" ", "-"),
  );
  const inside = [...text.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = ""]) => anchor);
  expect(inside.filter((anchor) => !headings.includes(anchor))).toEqual([]);
});
