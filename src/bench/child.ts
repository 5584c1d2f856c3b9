/** A child process of the benchmark and what it has reported. */
import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { ChildReport, ChildTask, SpinCommand } from "./messages.ts";

const STDERR_KEPT = 4_000;

/** From the sources the children run as this process does, by tsx; from `dist` they are plain JavaScript. */
const SOURCE = import.meta.url.endsWith(".ts");
const BENCH_NODE = new URL(SOURCE ? "./bench-node.ts" : "./bench-node.js", import.meta.url);

/** `T`: what it is told to do. */
export class BenchChild<T = ChildTask> {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process is gone and everything it said has been heard. */
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  #gone = false;
  #stderr = "";

  /** `program`: another one that speaks the same language. */
  constructor(name: string, task: T, onReport: (report: ChildReport) => void, program: URL = BENCH_NODE) {
    this.name = name;
    this.#process = fork(fileURLToPath(program), [JSON.stringify(task)], {
      execArgv: SOURCE ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const { pid, stderr } = this.#process;
    this.#process.on("error", () => {}); // of a send to a process that has ended
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

  /** The end of what it wrote to stderr. */
  get stderr(): string {
    return this.#stderr.trim();
  }

  signal(name: NodeJS.Signals): void {
    if (this.#gone) return;
    try {
      process.kill(this.pid, name);
    } catch (thrown) {
      // It has ended, and "close" is on its way.
      if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
    }
  }

  send(command: SpinCommand): void {
    this.#process.send(command, () => {});
  }

  /** Ends it at once, frozen or not. Idempotent. */
  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }
}
