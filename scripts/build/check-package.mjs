// Checks what would be published: builds, packs into a temporary folder, and lets publint, attw and knip judge it.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nats-leader-pack-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

must(process.execPath, ["scripts/build/build.mjs"]);
must("npm", ["pack", "--silent", "--pack-destination", folder]);
const tarball = join(
  folder,
  readdirSync(folder).find((name) => name.endsWith(".tgz")),
);

const checks = {
  publint: ["publint", "--strict", tarball],
  attw: [
    "attw",
    tarball,
    "--profile",
    "esm-only",
    "--no-definitely-typed",
    "--no-emoji",
    "--format",
    "ascii",
  ],
  knip: ["knip", "--no-progress"],
};
const verdicts = await Promise.all(Object.entries(checks).map(([name, command]) => check(name, command)));
if (verdicts.includes(false)) process.exit(1);

function must(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(1);
}

/** Runs a tool of node_modules; its output is printed in one piece. */
function check(name, [tool, ...args]) {
  return new Promise((resolve) => {
    let output = "";
    const child = spawn(join(root, "node_modules/.bin", tool), args, { cwd: root });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
    child.on("close", (code) => {
      console.log(`--- ${name}: ${code === 0 ? "fine" : `failed (${code})`}\n${output.trimEnd()}`);
      resolve(code === 0);
    });
  });
}
