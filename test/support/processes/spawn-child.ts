import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { openThings } from "../../../scripts/shared/open-things.ts";
import { deferred, within } from "../../../scripts/shared/wait.ts";
import { START_MS } from "../patience.ts";
import { nodeArgsFor, ROOT } from "./node-command.ts";

const maxStderrChars = 20_000;

export interface ChildOptions {
  readonly args?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs the rest of its line, such as `ip netns exec`, in front of Node. It must exec, not fork. */
  readonly within?: readonly string[];
  /** Flags of Node itself, in front of the file. */
  readonly nodeArgs?: readonly string[];
  /** @default true */
  readonly readsStderr?: boolean;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A Node process that reports in JSON lines; `child-io.ts` is its side. `L` is the type of a line. */
export interface Child<L extends object> extends AsyncDisposable {
  readonly pid: number;
  /** Everything it reported, oldest first. A line that isn't a JSON object is `{ text: line }`. */
  readonly lines: readonly L[];
  /** The end of its stderr. */
  readonly stderr: string;
  readonly exit: Promise<ChildExit>;
  /** Writes one line to its stdin. */
  send(command: unknown): void;
  /**
   * The first line that matches, of those after the line that the last `next` resolved with; lines that came already
   * count. Rejects when the child exits without one, or after `timeoutMs` (`START_MS`).
   */
  next(matches: (line: L) => boolean, timeoutMs?: number): Promise<L>;
  kill(signal?: NodeJS.Signals): void;
}

const running = new Set<{ kill(): void }>();
process.on("exit", () => {
  for (const child of running) child.kill();
});

/** Runs a TypeScript file, given from the repository's root. Dispose of it: one left behind fails the test file. */
export function spawnChild<L extends object = Record<string, unknown>>(
  file: string,
  options: ChildOptions = {},
): Child<L> {
  const args = [...(options.nodeArgs ?? []), ...nodeArgsFor(file), ...(options.args ?? [])];
  const [command = process.execPath, ...rest] = [...(options.within ?? []), process.execPath, ...args];
  const child = spawn(command, rest, {
    cwd: ROOT,
    env: { ...process.env, ...options.env },
    stdio: "pipe",
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${process.execPath}`);
  const reads = options.readsStderr !== false;
  const handle = new RunningChild<L>(child, pid, [file, ...(options.args ?? [])].join(" "), reads);
  openThings.add(handle);
  running.add(handle);
  void handle.exit.then(() => {
    openThings.delete(handle);
    running.delete(handle);
  });
  return handle;
}

class RunningChild<L extends object> implements Child<L> {
  readonly lines: L[] = [];
  readonly exit: Promise<ChildExit>;
  readonly pid: number;
  readonly title: string;
  stderr = "";
  readonly #child: ChildProcess;
  #taken = 0;
  #ended: ChildExit | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(child: ChildProcess, pid: number, title: string, readsStderr: boolean) {
    this.#child = child;
    this.pid = pid;
    this.title = `process ${pid} (${title})`;
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) throw new Error("the child has no pipes");
    stdin.on("error", () => {}); // the child has ended; `exit` reports it
    if (readsStderr) {
      stderr.setEncoding("utf8").on("data", (text: string) => {
        this.stderr = (this.stderr + text).slice(-maxStderrChars);
      });
    }
    createInterface({ input: stdout }).on("line", (line) => {
      this.lines.push(parseLine(line) as L);
      this.#wake();
    });
    const exit = deferred<ChildExit>();
    this.exit = exit.promise;
    child.once("exit", () => stderr.resume());
    // "close", not "exit": its last lines have been read then.
    child.once("close", (code, signal) => {
      this.#ended = { code, signal };
      exit.resolve(this.#ended);
      this.#wake();
    });
  }

  send(command: unknown): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  async next(matches: (line: L) => boolean, timeoutMs = START_MS): Promise<L> {
    const found = deferred<L>();
    const check = (): void => {
      const index = this.lines.findIndex((line, at) => at >= this.#taken && matches(line));
      const line = this.lines[index];
      if (line !== undefined) {
        this.#taken = index + 1;
        this.#waiting.delete(check); // at once: the next line may be in the same chunk
        found.resolve(line);
      } else if (this.#ended !== undefined)
        found.reject(new Error(`the child has ended. ${this.#describe()}`));
    };
    this.#waiting.add(check);
    try {
      check();
      return await within(found.promise, {
        timeoutMs,
        message: () => `a line of the child. ${this.#describe()}`,
      });
    } finally {
      this.#waiting.delete(check);
    }
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.exit;
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check();
  }

  #describe(): string {
    const last = this.lines.slice(-5).map((line) => JSON.stringify(line));
    return `${this.title}, ended: ${JSON.stringify(this.#ended ?? false)}, last lines: ${last.join(" ")}\n${this.stderr}`;
  }
}

function parseLine(line: string): object {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // not JSON: a stray print
  }
  return { text: line };
}
