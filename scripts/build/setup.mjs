// Sets up what is missing, and nothing else. Runs on a bare Node: it may import nothing that has to be installed.
//
//   node scripts/build/setup.mjs [--build] [--nats]
//
//   --build  also makes dist when the sources are newer
//   --nats   also finds nats-server, or downloads or builds it (NATS_TEST_VERSION: that version)
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const oldestNode = [20, 19];

checkNode();
installDependencies();
if (process.argv.includes("--build")) build();
if (process.argv.includes("--nats")) await findNats();

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  fail(
    `nats-leader needs Node ${oldestNode.join(".")} or newer; this is ${process.versions.node} (${process.execPath})`,
  );
}

function installDependencies() {
  if (installed()) return;
  const started = Date.now();
  console.log("installing the dependencies of package-lock.json (npm ci) …");
  // npm names itself when it runs a script; without it, the one on the path.
  const npm = process.env.npm_execpath;
  const args = ["ci", "--include=dev", "--no-progress", "--loglevel=error"];
  const command = npm?.endsWith("js") ? [process.execPath, [npm, ...args]] : ["npm", args];
  run(command[0], command[1], "npm ci failed");
  console.log(`installed in ${seconds(started)} s`);
}

/** Whether node_modules holds what the lockfile says, by npm's own note of what it installed. */
function installed() {
  const note = join(root, "node_modules/.package-lock.json");
  if (!existsSync(note)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const present = JSON.parse(readFileSync(note, "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, optional, peer }]) => {
    if (path === "") return true;
    // Optional ones are for other platforms, or failed to build.
    if (present[path] === undefined) return optional === true || peer === true;
    return present[path].version === version;
  });
}

function build() {
  const dist = join(root, "dist");
  const newestSource = Math.max(
    ...["src", "tsconfig.json", "tsconfig.build.json", "package.json"].map(newest),
  );
  if (existsSync(dist) && newest("dist") >= newestSource) return;
  run(process.execPath, [join(root, "scripts/build/build.mjs")], "the build failed");
}

async function findNats() {
  const { tsImport } = await import("tsx/esm/api");
  const { findNatsServer } = await tsImport("../../src/testing/server/find/find.ts", import.meta.url);
  const version = process.env.NATS_TEST_VERSION;
  const started = Date.now();
  try {
    const found = await findNatsServer({
      ...(version ? { version } : {}),
      onProgress: (line) => console.log(line),
    });
    if (Date.now() - started > 2000)
      console.log(`nats-server ${found.version} is there after ${seconds(started)} s`);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}

/** The newest modification time in a file or folder. */
function newest(path) {
  const full = join(root, path);
  if (!existsSync(full)) return 0;
  const stats = statSync(full);
  if (!stats.isDirectory()) return stats.mtimeMs;
  return Math.max(0, ...readdirSync(full).map((name) => newest(join(path, name))));
}

function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (status !== 0) fail(error === undefined ? failure : `${failure}: ${error.message}`);
}

function seconds(since) {
  return ((Date.now() - since) / 1000).toFixed(1);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
