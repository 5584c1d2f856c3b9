/** The port that a compared system implements: a server to start, and a client that elects a leader on it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

export interface Peer {
  readonly system: string;
  /** The client library and how it is used, for the report. */
  readonly client: string;
  /** Debian packages of the server. */
  readonly packages: readonly string[];
  /** The leader's renewal interval. Kills are spread evenly over it; 0: the time of the kill has no effect. */
  readonly renewEveryMs: (ttlMs: number) => number;
  /** Why the server cannot be started on this machine; undefined if it can. */
  missing(): string | undefined;
  /** Starts the server with all files in `dir`, on free loopback ports. */
  startServer(dir: string, signal: AbortSignal): Promise<PeerServer>;
  /** Called in a separate process. Resolves when the candidate competes; `onBecome` is called when it leads. */
  campaign(task: Candidacy): Promise<Candidate>;
}

export interface Candidacy {
  readonly url: string;
  readonly id: string;
  readonly ttlMs: number;
  readonly onBecome: () => void;
  /** The connection or the lease is lost, which fails the comparison. */
  readonly onError: (error: unknown) => void;
}

export interface Candidate {
  /** Gives up leadership in an orderly way, as a program does on SIGTERM. */
  leave(): Promise<unknown>;
}

export interface PeerServer {
  readonly url: string;
  readonly version: string;
  stop(): Promise<void>;
}

/** Where servers are installed that are not on PATH. */
export const SERVER_FOLDERS: readonly string[] = ["/usr/sbin", "/usr/local/bin"];

/** `/usr/lib/postgresql/<version>/bin`, newest first. */
export function postgresFolders(): string[] {
  const root = "/usr/lib/postgresql";
  try {
    return readdirSync(root)
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(root, version, "bin"));
  } catch {
    return [];
  }
}

/** The first dotted number in a program's output. */
export function versionOf(program: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? "unknown";
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface ServerProcess {
  readonly command: string;
  readonly args: readonly string[];
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Polled until it resolves with true. May reject while the server is starting. */
  readonly ready: () => Promise<boolean>;
  readonly stopSignal?: NodeJS.Signals;
  /** @default 30000 */
  readonly startTimeoutMs?: number;
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;
const STDERR_KEPT = 4_000;

/** Starts a server and waits until it is ready. Resolves with the function that stops it. */
export async function startProcess(server: ServerProcess, signal: AbortSignal): Promise<() => Promise<void>> {
  const child = spawn(server.command, [...server.args], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true, // a Ctrl-C in the terminal must not reach the server
    ...server.user,
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-STDERR_KEPT);
  });
  running.add(child);
  let ended: Error | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      ended = error;
      resolve();
    });
    child.once("exit", (code, by) => {
      ended = new Error(`${server.command} exited (${code ?? by}); stderr: ${log}`);
      running.delete(child);
      resolve();
    });
  });
  const stop = async (): Promise<void> => {
    child.kill(server.stopSignal ?? "SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  };
  const { startTimeoutMs = START_TIMEOUT_MS } = server;
  const giveUpAt = performance.now() + startTimeoutMs;
  while (!(await server.ready().catch(() => false))) {
    if (ended !== undefined) throw ended;
    if (signal.aborted || performance.now() > giveUpAt) {
      await stop();
      signal.throwIfAborted();
      throw new Error(`${server.command} not ready after ${startTimeoutMs} ms; stderr: ${log}`);
    }
    await pause(50);
  }
  return stop;
}
