// Which files of dist can be reached from package.json's exports and bin: by import, by import type, or as a child process
// that is started by its URL, or as a file of the page that is read by its URL.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

// The compiler's output has double quotes and no other forms.
const REFERENCES = [
  /\b(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g,
  /\bnew URL\(\s*(?:\w+ \? "[^"]+" : )?"(\.{1,2}\/[^"]+\.(?:js|css))"[^)]*import\.meta\.url/g,
];

/** The files that package.json names as exports and commands. */
function entriesOf(root) {
  const { exports, bin = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const targets = Object.values(exports).flatMap((entry) =>
    typeof entry === "string" ? [entry] : Object.values(entry),
  );
  return [...targets, ...Object.values(bin)].map((path) => path.replace(/^\.\//, ""));
}

/** Paths relative to `root`, with `/`. */
export function reachableFiles(root) {
  const reached = new Set();
  const waiting = entriesOf(root).filter((path) => path.startsWith("dist/"));
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    const text = readFileSync(join(root, path), "utf8");
    for (const pattern of REFERENCES) {
      for (const [, reference] of text.matchAll(pattern)) waiting.push(resolve(path, reference));
    }
  }
  return reached;
}

/** A reference in a declaration names the `.js` file; its types are in the `.d.ts` file. */
function resolve(from, reference) {
  const target = join(from, "..", reference).replaceAll("\\", "/");
  return from.endsWith(".d.ts") ? target.replace(/(?<!\.d)\.(js|ts)$/, ".d.ts") : target;
}

/** The files of `root`/dist that cannot be reached, sorted. */
export function unreachableFiles(root) {
  const reached = reachableFiles(root);
  return readdirSync(join(root, "dist"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .filter((path) => !reached.has(path))
    .sort();
}
