// Builds dist from src: JavaScript and the declarations that users can reach.
//
// No source maps: the JavaScript is the source without its types, formatted alike, and maps that carry the sources were
// 2.4 MB of an installed package.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unreachableFiles } from "./reachable.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
rmSync(join(root, "dist"), { recursive: true, force: true });
const tsc = join(root, "node_modules/typescript/bin/tsc");
const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (status !== 0) process.exit(1);

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

function isEmptyModule(file) {
  const code = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  return code.trim() === "export {};";
}
