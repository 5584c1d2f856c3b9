// Runs a tool of scripts/ as plain JavaScript, as an installed package runs: a process under tsx takes milliseconds longer
// to exit. node scripts/build/run-compiled.mjs benchmark-failover --mode kill
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile, compiledFolder } from "./compile.mjs";

// For a fresh clone. Its output goes to stderr, because stdout may be JSON.
const setup = fileURLToPath(new URL("./setup.mjs", import.meta.url));
if (spawnSync(process.execPath, [setup], { stdio: ["ignore", 2, 2] }).status !== 0) process.exit(1);
const out = compiledFolder(`run-${process.pid}`);
process.on("exit", () => rmSync(out, { recursive: true, force: true }));
if (!compile(out)) process.exit(1);

const [name] = process.argv.splice(2, 1);
await import(new URL(`scripts/${name}/main.js`, out).href);
