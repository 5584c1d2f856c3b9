/** Shared parts of the validation scripts: checks with a result, daemons of the command line, a server. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { FileConfig } from "../../src/config/file/types.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { type CommandOutput, runToExit } from "../../src/system/run-command.ts";
import { startNatsServer } from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const TSX = fileURLToPath(new URL("../../node_modules/tsx/dist/loader.mjs", import.meta.url));
const PATIENCE_MS = 15_000;
const COMMAND_TIMEOUT_MS = 60_000;

export interface CheckResult {
  readonly script: string;
  readonly check: string;
  readonly ok: boolean;
  /** Set if the check failed: the error, or the observed value. */
  readonly detail?: string;
}

/** A daemon in a separate process. */
export interface Daemon {
  readonly nodeId: string;
  readonly config: string;
  readonly log: readonly string[];
  readonly exited: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

/** One run of a validation script. `close()` ends everything that it started. */
export class Validation {
  readonly results: CheckResult[] = [];
  readonly clusterId: string;
  readonly #script: string;
  readonly #say: (line: string) => void;
  readonly #folder: string = mkdtempSync(join(tmpdir(), "nats-leader-validate-"));
  readonly #children = new Set<ChildProcess>();

  constructor(script: string, say: (line: string) => void) {
    this.#script = script;
    this.#say = say;
    this.clusterId = `${script}-test-${Date.now()}`;
    say(`=== nats-leader ${script} validation ===\nCluster: ${this.clusterId}\n`);
  }

  /**
   * Polls `probe` until it returns true or the time is up, and records the result. Never throws.
   * @param observed The value to report when the check fails.
   */
  async check(
    what: string,
    probe: () => Promise<boolean> | boolean,
    observed: () => unknown = () => "",
  ): Promise<boolean> {
    const giveUpAt = Date.now() + PATIENCE_MS;
    let error = "";
    let ok = false;
    while (!ok) {
      try {
        ok = await probe();
        error = "";
      } catch (thrown) {
        error = thrown instanceof Error ? thrown.message : String(thrown);
      }
      if (ok || Date.now() >= giveUpAt) break;
      await pause(50);
    }
    const detail = ok ? undefined : error || JSON.stringify(observed()) || "false";
    this.results.push({ script: this.#script, check: what, ok, ...(detail === undefined ? {} : { detail }) });
    this.#say(ok ? `✓ ${what}` : `✗ ${what}: ${detail}`);
    return ok;
  }

  daemon(nodeId: string, natsUrl: string, more: Partial<FileConfig> = {}): Daemon {
    const config = join(this.#folder, `${nodeId}.json`);
    const election = { leaseTtlMs: 5_000, heartbeatIntervalMs: 1_000, cooldownMs: 1_000 };
    const content = { clusterId: this.clusterId, nodeId, nats: { servers: [natsUrl] }, election, ...more };
    writeFileSync(config, JSON.stringify(content));
    const child = spawn(process.execPath, ["--import", TSX, MAIN, "daemon", "--config", config], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.add(child);
    const log: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => void log.push(line));
    }
    const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    return { nodeId, config, log, exited, kill: (signal) => void child.kill(signal) };
  }

  async close(): Promise<void> {
    const open = [...this.#children].filter((child) => child.exitCode === null && child.signalCode === null);
    await Promise.all(
      open.map((child) => {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        return ended;
      }),
    );
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Runs `nats-leader` with these arguments. */
export function cli(...args: readonly string[]): Promise<CommandOutput> {
  return runToExit(process.execPath, ["--import", TSX, MAIN, ...args], { timeoutMs: COMMAND_TIMEOUT_MS });
}

/** `status --json` of a daemon. */
export async function status(daemon: Daemon): Promise<Record<string, unknown>> {
  return JSON.parse((await cli("status", "--config", daemon.config, "--json")).stdout) as Record<
    string,
    unknown
  >;
}

export interface Place extends AsyncDisposable {
  readonly url: string;
}

/** The server at NATS_URL, or a new one. */
export async function place(say: (line: string) => void): Promise<Place> {
  const url = process.env["NATS_URL"];
  if (url !== undefined && url !== "") {
    say(`NATS: ${url}`);
    return { url, async [Symbol.asyncDispose]() {} };
  }
  const server = await startNatsServer({ onProgress: say });
  say(`NATS: ${server.url} (nats-server ${server.version}, started by this script)`);
  return server;
}

export type Script = (say: (line: string) => void) => Promise<readonly CheckResult[]>;

/** Runs scripts, prints the results and sets the exit code: 0 only if every check passed. */
export async function main(scripts: readonly Script[]): Promise<void> {
  endWhenOutputFails();
  const { json } = readArguments(
    [
      "npm run validate --",
      "Runs validation scripts against real daemons, on the server at NATS_URL or one of its own.",
    ],
    { json: { type: "boolean", default: false, help: "print {checks, failed, results} on stdout" } },
  );
  const say = (line: string): void => void (json ? process.stderr : process.stdout).write(`${line}\n`);
  const results: CheckResult[] = [];
  for (const script of scripts) results.push(...(await script(say)));
  const failed = results.filter(({ ok }) => !ok).length;
  const checks = results.length;
  if (json) process.stdout.write(`${JSON.stringify({ checks, failed, results })}\n`);
  else say(failed === 0 ? `\nAll ${checks} checks passed ✓` : `\n${failed} of ${checks} checks FAILED`);
  process.exitCode = failed === 0 && checks > 0 ? 0 : 1;
}

/** Runs a script if its file is the main module. */
export async function mainIfStarted(url: string, script: Script): Promise<void> {
  const [, started] = process.argv;
  if (started !== undefined && pathToFileURL(started).href === url) await main([script]);
}
