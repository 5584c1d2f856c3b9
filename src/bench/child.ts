/** Starts a child process of a benchmark and delivers its reports. */
import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { ChildReport, ChildTask, Command } from "./messages.ts";

const STDERR_KEPT = 4_000;

/** Children run like this process: under tsx from the sources, as plain JavaScript from `dist`. */
const SOURCE = import.meta.url.endsWith(".ts");
const BENCH_NODE = new URL(SOURCE ? "./bench-node.ts" : "./bench-node.js", import.meta.url);

const LOADER = SOURCE ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [];

export interface ChildPlace {
  /**
   * Module to run. It must take its task and send its reports as `bench-node` does.
   * @default bench-node
   */
  readonly program?: URL;
  /** Prefix of the command, such as that of a {@link NetworkHost}. It must keep the process id. */
  readonly exec?: readonly string[];
}

/** `T`: the task, passed to the child as JSON. */
export class BenchChild<T = ChildTask> {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has exited and all its reports have been delivered. */
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  #gone = false;
  #stderr = "";

  constructor(
    name: string,
    task: T,
    onReport: (report: ChildReport) => void,
    { program = BENCH_NODE, exec = [] }: ChildPlace = {},
  ) {
    this.name = name;
    const [execPath = process.execPath, ...execArgv] = [...exec, process.execPath, ...LOADER];
    this.#process = fork(fileURLToPath(program), [JSON.stringify(task)], {
      execPath,
      execArgv,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const { pid, stderr } = this.#process;
    this.#process.on("error", () => {}); // a send to a process that has exited
    if (pid === undefined) throw new Error(`cannot start ${process.execPath}`);
    this.pid = pid;
    stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    this.#process.on("message", (report) => onReport(report as ChildReport));
    this.exited = new Promise((resolve) => {
      this.#process.once("close", () => {
        this.#gone = true;
        resolve();
      });
    });
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** The last 4000 characters of its stderr. */
  get stderr(): string {
    return this.#stderr.trim();
  }

  signal(name: NodeJS.Signals): void {
    if (this.#gone) return;
    try {
      process.kill(this.pid, name);
    } catch (thrown) {
      // The process has exited and "close" has not been emitted yet.
      if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
    }
  }

  send(command: Command): void {
    this.#process.send(command, () => {});
  }

  /** Kills the process, frozen or not. Idempotent. */
  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }
}
