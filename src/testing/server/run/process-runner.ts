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

// The shell becomes the server (exec keeps the pid) only after the watchdog has the pid. Without a line on the pipe, for
// example because this process has died, the shell exits.
const GATE = 'exec 2>&1; read -r go || exit 0; exec "$0" "$@"';

/** Options of {@link createProcessRunner}. */
export interface ProcessRunnerOptions {
  readonly binary: string;
  /** A folder that is kept; undefined for a private store. */
  readonly storeDir: string | undefined;
  readonly config: (storeDir: string) => string;
}

/** Runs a server as a child process; its configuration file is in a private folder. POSIX only. */
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
    detached: true, // a Ctrl-C in the terminal must not reach the server
    stdio: ["pipe", "pipe", "ignore"],
  });
  const { pid } = child;
  if (pid === undefined) {
    const cause = await new Promise<unknown>((resolve) => child.once("error", resolve));
    throw new NatsServerError("start_failed", "cannot start /bin/sh", { cause });
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
  child.stdin.on("error", () => {}); // the shell exited before it read its line; "close" is emitted
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
