// Checks the package as npm would publish it: packs it into a temporary folder and runs publint, attw and knip on it.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nats-leader-pack-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const pack = ["pack", "--silent", "--pack-destination", folder];
if (spawnSync("npm", pack, { cwd: root, stdio: "inherit" }).status !== 0) process.exit(1);
const tarball = join(
  folder,
  readdirSync(folder).find((name) => name.endsWith(".tgz")),
);

const attw = ["--profile", "esm-only", "--no-definitely-typed", "--no-emoji", "--format", "ascii"];
const checks = {
  publint: ["publint", "--strict", tarball],
  attw: ["attw", tarball, ...attw],
  knip: ["knip", "--no-progress"],
  // Only what is published: a file or dependency that nothing but a test uses must not be.
  "knip --production": ["knip", "--production", "--no-progress"],
  size: ["node", "scripts/build/size.mjs"],
};
const passed = await Promise.all(Object.entries(checks).map(([name, command]) => check(name, command)));
if (passed.includes(false)) process.exitCode = 1;

/** Runs a tool of node_modules or node itself, and prints its output in one piece. */
function check(name, [tool, ...args]) {
  return new Promise((resolve) => {
    let output = "";
    const command = tool === "node" ? process.execPath : join(root, "node_modules/.bin", tool);
    const child = spawn(command, args, { cwd: root });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
    child.on("close", (code) => {
      console.log(`--- ${name}: ${code === 0 ? "passed" : `failed (${code})`}\n${output.trimEnd()}`);
      resolve(code === 0);
    });
  });
}
