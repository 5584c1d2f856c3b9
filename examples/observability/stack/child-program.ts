/** A program that this one starts. It ends with this one, also if this one is killed: a shell watches for that. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

const KEPT_LINES = 200;
const STOP_MS = 15_000;

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export class ChildProgram implements AsyncDisposable {
  readonly pid: number;
  /** Its last lines, of stdout and stderr. */
  readonly log: string[] = [];
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #guard: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #hasEnded = false;

  /** @throws Error if the program cannot be started. */
  constructor({ command, args, env = {}, cwd }: ProgramOptions) {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", ...env },
      cwd,
      detached: true, // Ctrl-C is for the starter, which then ends its programs
    });
    if (child.pid === undefined) throw new Error(`cannot start ${command}`);
    this.#child = child;
    this.pid = child.pid;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        this.log.push(line);
        if (this.log.length > KEPT_LINES) this.log.shift();
        this.#wake();
      });
    }
    const script = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null';
    this.#guard = spawn("/bin/sh", ["-c", script, "sh", String(child.pid)], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    this.#guard.stdin?.on("error", () => {});
    this.ended = new Promise((resolve) => {
      child.once("close", () => {
        this.#hasEnded = true;
        this.#guard.kill("SIGKILL"); // before the number of the process is used again
        this.#wake();
        resolve();
      });
    });
  }

  get running(): boolean {
    return !this.#hasEnded;
  }

  /** The first line that matches, also one from before. @throws Error if it ends, or after `timeoutMs`. */
  async line(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      for (const line of this.log) {
        const found = pattern.exec(line);
        if (found !== null) return found;
      }
      const left = deadline - performance.now();
      if (this.#hasEnded || left <= 0) {
        const what = this.#hasEnded ? "has ended" : `printed no ${pattern} within ${timeoutMs} ms`;
        throw new Error(`${this.#child.spawnfile} ${what}:\n${this.log.slice(-20).join("\n")}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGTERM, after 15 s SIGKILL. Also of a program that is frozen. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    this.#child.kill("SIGCONT");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
