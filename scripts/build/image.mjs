// npm run image: packs the package, installs it with what it depends on, and builds the image of deploy/Dockerfile from that.
//
//   npm run image                                        tag nats-leader:VERSION
//   npm run image -- --tag registry.example/nl:1 --node-image node:22-bookworm-slim
//   npm run image -- --context FOLDER                    only writes what "docker build" needs to FOLDER
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const USAGE = `usage: npm run image -- [--tag TAG] [--node-image IMAGE] [--context FOLDER]
  --tag TAG           tag of the image (default: nats-leader:${version})
  --node-image IMAGE  image with Node.js that it is built on (default: that of deploy/Dockerfile)
  --context FOLDER    only write what "docker build" needs to FOLDER`;
const values = optionsOf();

const folder = mkdtempSync(join(tmpdir(), "nats-leader-image-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const context = values.context ?? join(folder, "context");
mkdirSync(context, { recursive: true });

run(process.execPath, [join(root, "scripts/build/build.mjs")], root);
run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], root);
const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
const quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"];
run(
  "npm",
  ["install", "--omit=dev", "--omit=optional", "--omit=peer", ...quiet, join(folder, tarball)],
  context,
);
for (const file of ["Dockerfile", "entrypoint.sh"])
  copyFileSync(join(root, "deploy", file), join(context, file));
if (values.context !== undefined) process.exit(0);

const nodeImage = values["node-image"];
const base = nodeImage === undefined ? [] : ["--build-arg", `NODE_IMAGE=${nodeImage}`];
run("docker", ["build", "--tag", values.tag ?? `nats-leader:${version}`, ...base, context], root);

function optionsOf() {
  const string = { type: "string" };
  const options = {
    tag: string,
    "node-image": string,
    context: string,
    help: { type: "boolean", short: "h" },
  };
  try {
    const { values } = parseArgs({ options });
    if (values.help !== true) return values;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`error: ${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (error !== undefined) console.error(`${command} cannot be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}
