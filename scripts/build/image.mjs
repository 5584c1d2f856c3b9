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
const { values } = parseArgs({
  options: { tag: { type: "string" }, "node-image": { type: "string" }, context: { type: "string" } },
});

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

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (error !== undefined) console.error(`${command} cannot be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}
