// Sets up what is missing, and nothing else. Runs on a bare Node: imports no package before it is installed.
//
//   node scripts/build/setup.mjs [--build] [--nats]
//
//   --build  also builds dist if the sources are newer
//   --nats   also finds or obtains nats-server (NATS_TEST_VERSION: that version)
import "./check-node.mjs";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installAll } from "./install.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));

installAll();
if (process.argv.includes("--build")) build();
if (process.argv.includes("--nats")) await findNats();

function build() {
  const sources = ["src", "tsconfig.json", "tsconfig.build.json", "package.json"];
  if (existsSync(join(root, "dist")) && newest("dist") >= Math.max(...sources.map(newest))) return;
  const { status } = spawnSync(process.execPath, [join(root, "scripts/build/build.mjs")], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(1);
}

async function findNats() {
  const { tsImport } = await import("tsx/esm/api");
  const { findNatsServer } = await tsImport("../../src/testing/server/find/find.ts", import.meta.url);
  const version = process.env.NATS_TEST_VERSION;
  try {
    await findNatsServer({ ...(version ? { version } : {}), onProgress: (line) => console.log(line) });
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
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
