/**
 * Before the real-server tests: finds the nats-server that they use, prints its version, and compiles the programs that they start.
 * Afterwards: fails the run if it left a process behind.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile, compiledFolder } from "../../scripts/build/compile.mjs";
import { waitFor } from "../../scripts/shared/wait.ts";
import { findNatsServer } from "../../src/testing.ts";
import { COMPILED } from "./processes/node-command.ts";

const compiled = compiledFolder(`tests-${process.pid}`);
const runMark = "NATS_LEADER_TEST_RUN";

export async function setup(): Promise<void> {
  const version = process.env["NATS_TEST_VERSION"];
  const server = await findNatsServer({
    ...(version === undefined ? {} : { version }),
    onProgress: (line) => console.log(line),
  });
  console.log(`nats-server ${server.version} (${server.source})`);
  for (const note of server.notes) console.log(`  ${note}`);
  process.env["NATS_SERVER"] = server.path;
  process.env["NATS_TEST_VERSION"] = server.version;
  process.env[runMark] = randomUUID();
  if (!compile(compiled))
    throw new Error("cannot compile the programs that the tests start; the compiler's output is above");
  process.env[COMPILED] = fileURLToPath(compiled);
}

export async function teardown(): Promise<void> {
  rmSync(compiled, { recursive: true, force: true });
  const mark = `${runMark}=${process.env[runMark]}`;
  // Workers and watchdogs of the last file may still be exiting.
  const gone = await waitFor(() => marked(mark).length === 0, { timeoutMs: 3000, intervalMs: 100 }).catch(
    () => false,
  );
  if (gone) return;
  const left = marked(mark);
  for (const { pid } of left) process.kill(pid, "SIGKILL");
  process.exitCode = 1; // vitest only logs an error of a teardown
  throw new Error(
    `processes left behind by the tests:\n${left.map((p) => `  ${p.pid} ${p.command}`).join("\n")}`,
  );
}

interface LeftProcess {
  readonly pid: number;
  readonly command: string;
}

/** The processes that inherited this run's mark, except vitest's workers. The mark survives a change of parent. */
function marked(mark: string): LeftProcess[] {
  if (process.platform !== "linux") return [];
  const found: LeftProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(mark)) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (!/[\\/]vitest[\\/]dist[\\/]workers[\\/]/.test(command)) found.push({ pid, command });
    } catch {
      // it has ended, or belongs to another user
    }
  }
  return found;
}
