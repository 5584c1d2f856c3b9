// What a system has to bring to be compared: a server to start, and a client that elects a leader on it.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

export interface Peer {
  readonly system: string;
  /** The client and how it is used, for the report. */
  readonly client: string;
  /** Debian's packages of the server. */
  readonly packages: readonly string[];
  /** How often the leader renews. Kills are spread evenly over this time; 0: it does not matter when. */
  readonly renewEveryMs: (ttlMs: number) => number;
  /** A word on why the server can't be started here; undefined when it can. */
  missing(): string | undefined;
  /** Starts it with everything in `dir`, on free loopback ports. */
  startServer(dir: string, signal: AbortSignal): Promise<PeerServer>;
  /** Runs in a process of its own. Resolves when it competes; the leader is told by `onBecome`. */
  campaign(task: Candidacy): Promise<Candidate>;
}

export interface Candidacy {
  readonly url: string;
  readonly id: string;
  readonly ttlMs: number;
  readonly onBecome: () => void;
  /** Its connection or lease is lost: the comparison ends there. */
  readonly onError: (error: unknown) => void;
}

export interface Candidate {
  /** What a well-behaved program does on SIGTERM. */
  leave(): Promise<void>;
}

export interface PeerServer {
  readonly url: string;
  readonly version: string;
  stop(): Promise<void>;
}

/** The path of a program, looked for on PATH and in these folders as well. */
export function findProgram(name: string, ...folders: readonly string[]): string | undefined {
  const path = (process.env["PATH"] ?? "").split(delimiter);
  return [...path, "/usr/sbin", "/usr/local/bin", ...folders]
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

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

/** The first dotted number in what a program prints. */
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
  /** Asked until it is true. May throw while the server is coming up. */
  readonly ready: () => Promise<boolean>;
  readonly stopSignal?: NodeJS.Signals;
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;
const STDERR_KEPT = 4_000;

/** Starts a server and waits until it answers. Returns how to stop it. */
export async function startProcess(server: ServerProcess, signal: AbortSignal): Promise<() => Promise<void>> {
  const child = spawn(server.command, [...server.args], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true, // a Ctrl-C meant for this process is not meant for the server
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
      ended = new Error(`${server.command} has ended (${code ?? by}): ${log}`);
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
  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  while (!(await server.ready().catch(() => false))) {
    if (ended !== undefined) throw ended;
    if (signal.aborted || performance.now() > giveUpAt) {
      await stop();
      signal.throwIfAborted();
      throw new Error(`${server.command} was not ready after ${START_TIMEOUT_MS} ms: ${log}`);
    }
    await pause(50);
  }
  return stop;
}
