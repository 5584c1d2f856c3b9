import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NatsServerError } from "../errors.ts";
import type { ServerExit } from "../types.ts";
import { forgetDir, forgetPid, killAtExit, removeAtExit } from "./registry.ts";
import type { Launch, Runner, ServerSignal } from "./runner.ts";
import { waitUntilStopped } from "./stopped.ts";
import { unref, type Watchdog, watchProcess } from "./watchdog.ts";

// The shell becomes the server (exec keeps the pid), but not before the watchdog knows the pid: without a line on
// the pipe, so also when this process dies in between, it ends instead.
const GATE = 'exec 2>&1; read -r go || exit 0; exec "$0" "$@"';

/** What {@link createProcessRunner} needs to know. */
export interface ProcessRunnerOptions {
  readonly binary: string;
  /** A folder that is kept; without one the store is private. */
  readonly storeDir: string | undefined;
  readonly config: (storeDir: string) => string;
}

/** Runs a server as a child process in a private folder that holds its configuration file. POSIX only. */
export async function createProcessRunner(options: ProcessRunnerOptions): Promise<Runner> {
  if (process.platform === "win32") {
    throw new NatsServerError(
      "start_failed",
      "the process backend needs POSIX signals; use backend: testcontainers",
    );
  }
  const privateDir = await mkdtemp(join(tmpdir(), "nats-leader-"));
  removeAtExit(privateDir);
  const watchdog = watchProcess(privateDir);
  const storeDir = options.storeDir ?? join(privateDir, "store");
  const configFile = join(privateDir, "server.conf");
  await writeFile(configFile, options.config(storeDir));
  return {
    storeDir,
    launch: async (onLog) => launchProcess(options.binary, configFile, watchdog, onLog),
    dispose: async () => {
      await rm(privateDir, { recursive: true, force: true, maxRetries: 5 });
      forgetDir(privateDir);
      watchdog.dismiss();
    },
  };
}

async function launchProcess(
  binary: string,
  configFile: string,
  watchdog: Watchdog,
  onLog: (chunk: string) => void,
): Promise<Launch> {
  const child = spawn("/bin/sh", ["-c", GATE, binary, "-c", configFile], {
    detached: true, // a Ctrl-C meant for this process is not meant for the server
    stdio: ["pipe", "pipe", "ignore"],
  });
  const { pid } = child;
  if (pid === undefined) {
    const cause = await new Promise<unknown>((resolve) => child.once("error", resolve));
    throw new NatsServerError("start_failed", "/bin/sh could not be started", { cause });
  }
  killAtExit(pid);
  watchdog.watch(String(pid));
  let alive = true;
  child.once("exit", () => {
    alive = false;
    forgetPid(pid);
    watchdog.watch(undefined);
  });
  const exited = new Promise<ServerExit>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  child.stdin.on("error", () => {}); // the gate ended before it read its line: "close" tells
  child.stdout.setEncoding("utf8").on("data", onLog);
  child.stdin.end("go\n");
  child.unref();
  unref(child.stdout);
  return {
    pid,
    exited,
    signal: async (name: ServerSignal) => {
      if (!alive) return;
      process.kill(pid, name);
      if (name === "SIGSTOP") await waitUntilStopped(pid);
    },
  };
}
