// Builds dist from src: JavaScript, and the declarations that users can reach.
//
// The JavaScript has neither source maps nor comments. It is the source without its types, line by line nearly the same, and
// the comments for users are in the declarations. Both together were 2.6 MB of an installed package.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPage } from "./page.mjs";
import { unreachableFiles } from "./reachable.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
rmSync(join(root, "dist"), { recursive: true, force: true });
compile("--emitDeclarationOnly");
compile("--declaration", "false", "--isolatedDeclarations", "false", "--removeComments", "--noCheck");

const page = join(root, "dist/ui/page");
mkdirSync(page, { recursive: true });
for (const [kind, text] of Object.entries(buildPage())) writeFileSync(join(page, `page.${kind}`), text);

// The compiler also writes the declarations of internal modules, and an empty module for each file of types. Other
// unreachable files stay: `npm run size` reports them.
for (const path of unreachableFiles(root)) {
  const file = join(root, path);
  if (path.endsWith(".d.ts") || isEmptyModule(file)) rmSync(file);
}

const { bin = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const path of Object.values(bin)) {
  const file = join(root, path);
  if (existsSync(file)) chmodSync(file, 0o755);
}

function compile(...options) {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", "tsconfig.build.json", ...options];
  if (spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" }).status !== 0) process.exit(1);
}

function isEmptyModule(file) {
  return readFileSync(file, "utf8").trim() === "export {};";
}
