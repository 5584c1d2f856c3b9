// Measures the package as npm would publish it, and fails if it exceeds its limits:
//
//   npm run size                     a line for each figure
//   npm run --silent size -- --json  {"bundleBytes", "installedBytes", "tarballBytes", "unreachableFiles"}
//
// bundleBytes       import { Node } from "nats-leader", bundled with all dependencies and minified by esbuild
// installedBytes    node_modules after npm install of the tarball: the sum of its files (du --apparent-size). On a disk with
//                   blocks of 4 KiB it takes about 30 % more, because most files are small.
// tarballBytes      the file that is uploaded
// unreachableFiles  files of dist that no export or command reaches
import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { unreachableFiles } from "./reachable.mjs";

// A third of the bundle is this library, the rest NATS and zod: 147 kB are a second copy of nats-core, since @nats-io/services names another
// version of it than the client. It was 431 kB before silence, 462 before channels. Installed, 1.5 MB are prom-client with the API of
// OpenTelemetry, for /metrics.
const LIMITS = { bundleBytes: 478_000, installedBytes: 14_000_000, unreachableFiles: 0 };
/** Packages that a bundle of the library must not contain: the command line's, and what only tests use. */
const NOT_IN_BUNDLE = /node_modules\/(commander|pino|zod\/.*locales)\//;

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nats-leader-size-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const tarball = pack();
const project = install(tarball);
const bundle = await bundled(project);
const unreachable = unreachableFiles(join(project, "node_modules/nats-leader"));
const sizes = {
  bundleBytes: bundle.bytes,
  installedBytes: sizeOf(join(project, "node_modules")),
  tarballBytes: statSync(tarball).size,
  unreachableFiles: unreachable.length,
};
if (process.argv.includes("--json")) console.log(JSON.stringify(sizes));
else for (const [name, value] of Object.entries(sizes)) console.log(`${name.padEnd(17)} ${value}`);

const problems = [
  ...Object.entries(LIMITS)
    .filter(([name, limit]) => sizes[name] > limit)
    .map(([name, limit]) => `${name} is ${sizes[name]}, over its limit of ${limit}`),
  ...unreachable.map((path) => `${path} is reached by no export or command`),
  ...bundle.unwanted.map((path) => `${path} is in the bundle of { Node }`),
];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;

function pack() {
  run("npm", ["pack", "--silent", "--pack-destination", folder], root);
  return join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".tgz")),
  );
}

function install(file) {
  const path = join(folder, "project");
  mkdirSync(path);
  writeFileSync(
    join(path, "package.json"),
    JSON.stringify({ name: "consumer", private: true, type: "module" }),
  );
  run("npm", ["install", "--silent", "--prefer-offline", "--no-package-lock", file], path);
  return path;
}

async function bundled(path) {
  const { metafile } = await build({
    stdin: { contents: 'import { Node } from "nats-leader"; console.log(Node);', resolveDir: path },
    bundle: true,
    minify: true,
    platform: "node",
    format: "esm",
    write: false,
    metafile: true,
    absWorkingDir: path,
    logLevel: "error",
  });
  const [{ bytes, inputs }] = Object.values(metafile.outputs);
  return { bytes, unwanted: Object.keys(inputs).filter((name) => NOT_IN_BUNDLE.test(name)) };
}

function sizeOf(path) {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  console.error(`${command} ${args.join(" ")} failed${error === undefined ? "" : `: ${error.message}`}`);
  process.exit(1);
}
