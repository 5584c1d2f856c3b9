// Installs the packages of package-lock.json that are missing. Runs on a bare Node: imports no package.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const QUIET = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];

/** Installs everything, for tests and tools: 355 packages. */
export function installAll() {
  const { packages } = readJson("package-lock.json");
  if (isInstalled(packages, Object.keys(packages))) return;
  install("npm ci", ["ci", "--include=dev", ...QUIET]);
}

/** Installs the dependencies of the library and tsx, which runs TypeScript: 15 packages, a tenth of the time. */
export function installForStart() {
  const { packages } = readJson("package-lock.json");
  const { dependencies } = packages[""];
  const wanted = new Set();
  for (const name of [...Object.keys(dependencies), "tsx"]) addWithDependencies(packages, name, wanted);
  if (isInstalled(packages, [...wanted])) return;
  // tsx is installed as if it were a dependency, because --omit=dev would leave it out. Nothing is saved.
  const tsx = `tsx@${packages["node_modules/tsx"].version}`;
  install("npm install, runtime dependencies only", [
    "install",
    "--omit=dev",
    "--no-save",
    "--save-prod",
    ...QUIET,
    tsx,
  ]);
}

function addWithDependencies(packages, name, wanted) {
  const path = `node_modules/${name}`;
  if (wanted.has(path) || packages[path] === undefined) return;
  wanted.add(path);
  for (const dependency of Object.keys(packages[path].dependencies ?? {}))
    addWithDependencies(packages, dependency, wanted);
}

/** Whether node_modules has the versions of the lockfile at these paths, by npm's own list of what it installed. */
function isInstalled(packages, paths) {
  if (!existsSync(join(root, "node_modules/.package-lock.json"))) return false;
  const present = readJson("node_modules/.package-lock.json").packages;
  return paths.every((path) => {
    const { version, optional, peer } = packages[path];
    // An optional package is for another platform, or could not be built.
    if (path === "" || (present[path] === undefined && (optional || peer))) return true;
    return present[path]?.version === version;
  });
}

function install(what, args) {
  const startedAt = Date.now();
  console.log(`installing dependencies (${what}) …`);
  // npm sets npm_execpath for the scripts that it runs; otherwise npm is on PATH.
  const npm = process.env.npm_execpath;
  const [command, before] = npm?.endsWith("js") ? [process.execPath, [npm]] : ["npm", []];
  const shell = process.platform === "win32";
  const { status, error } = spawnSync(command, [...before, ...args], { cwd: root, stdio: "inherit", shell });
  if (status !== 0) {
    console.error(`${what} failed${error === undefined ? "" : `: ${error.message}`}`);
    process.exit(1);
  }
  console.log(`installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), "utf8"));
}
