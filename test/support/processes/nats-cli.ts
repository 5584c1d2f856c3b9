/** The real `nats` command. */

import { findProgram } from "../../../src/system/find-program.ts";
import { runCommand } from "../../../src/system/run-command.ts";
import { goTool, type Tool } from "./go-tools.ts";

/** The version that the tests are written against. */
export const NATS_CLI_VERSION = "v0.5.0";
const MODULE = "github.com/nats-io/natscli";

/** `NATS_CLI`, the one on PATH, the cache, or built by Go. */
export async function findNatsCli(): Promise<Tool> {
  const named = process.env["NATS_CLI"];
  for (const path of named === undefined ? [findProgram("nats")] : [named]) {
    if (path !== null && (await isNatsCli(path))) return { path };
  }
  if (named !== undefined) return { missing: `NATS_CLI=${named} does not run` };
  return goTool({
    name: "nats",
    version: NATS_CLI_VERSION,
    module: MODULE,
    build: { package: `${MODULE}/nats` },
  });
}

async function isNatsCli(path: string): Promise<boolean> {
  return runCommand(path, ["micro", "--help"], { timeoutMs: 10_000 }).then(
    () => true,
    () => false,
  );
}
