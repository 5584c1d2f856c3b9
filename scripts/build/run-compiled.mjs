// Runs one of this folder's benchmarks as plain JavaScript, as it runs where it is installed: a process under tsx takes
// milliseconds longer to die. node scripts/build/run-compiled.mjs benchmark-failover --mode kill
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
// Works on a fresh clone, too. What it has to say goes to stderr: stdout may be JSON.
const setup = fileURLToPath(new URL("./setup.mjs", import.meta.url));
if (spawnSync(process.execPath, [setup], { stdio: ["ignore", 2, 2] }).status !== 0) process.exit(1);
// Inside node_modules packages are found as from here, and nothing else looks at it. One folder per run.
const out = new URL(`node_modules/.cache/nats-leader-bench-${process.pid}/`, root);
process.on("exit", () => rmSync(out, { recursive: true, force: true }));

const tsc = fileURLToPath(new URL("node_modules/typescript/bin/tsc", root));
const off = ["noEmit", "declaration", "isolatedDeclarations"].flatMap((name) => [`--${name}`, "false"]);
const options = [...off, "--noCheck", "--rootDir", fileURLToPath(root)];
const { status } = spawnSync(
  process.execPath,
  [tsc, "-p", fileURLToPath(new URL("tsconfig.json", root)), ...options, "--outDir", fileURLToPath(out)],
  { stdio: ["ignore", 2, 2] },
);
if (status !== 0) process.exit(1);

const [name] = process.argv.splice(2, 1);
await import(new URL(`scripts/${name}/main.js`, out).href);
