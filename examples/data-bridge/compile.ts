/**
 * Compiles the program of the instances, once for all of them. Under tsx each process would compile the library and the example again: a
 * second of CPU time for every start, while the partitions of a killed instance wait for their share.
 */
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** @returns The path of a file that Node runs. A shell deletes it when this process ends, also if it is killed. */
export async function compileInstance(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "data-bridge-"));
  const args = ["-c", 'cat >/dev/null; rm -rf "$1"', "sh", folder];
  spawn("/bin/sh", args, { stdio: ["pipe", "ignore", "ignore"], detached: true }).unref();
  const outfile = join(folder, "instance-process.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("./instance-process.ts", import.meta.url))],
    tsconfig: fileURLToPath(new URL("../../tsconfig.json", import.meta.url)),
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    sourcemap: "inline",
    external: ["pg-native"],
    // Packages in CommonJS, such as pg, call require().
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
  return outfile;
}
