/** A program in a process group of its own, which can be ended as a whole. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { constants as os } from "node:os";
import { delimiter, join } from "node:path";

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** How it ended. `started: false`: it could not be run at all. */
export interface Ended {
  readonly started: boolean;
  /** As a shell gives it: 128 + the signal's number, 126 may not be run, 127 not found. */
  readonly code: number;
  /** It was ended by a signal. */
  readonly signal: NodeJS.Signals | null;
  readonly error: Error | null;
}

/**
 * Ends the group when this process does, even by SIGKILL: then the pipe closes. It reads the group's id, and a word once
 * there is nothing left to guard. Signals of the terminal are not for it.
 *
 * The id comes from the group itself, before it becomes the program (`START`): were it written here, a kill right after
 * the spawn would leave a program that nobody guards.
 */
const GUARD = `trap '' INT HUP TERM
read -r group || exit 0
read -r word && exit 0
kill -s KILL -- "-$group"`;
const START = 'echo $$ >&3; exec 3>&-; exec "$@"';

export class Supervised {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #guard: ChildProcess;
  #alive: boolean;
  #killer: NodeJS.Timeout | null = null;

  constructor({ command, args, env }: Launch) {
    this.#guard = spawn("/bin/sh", ["-c", GUARD], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    this.#guard.stdin?.on("error", () => {}); // it is gone; so is what it is good for
    this.#guard.on("error", () => {});
    this.#guard.unref();
    const problem = whyNotRunnable(command, env);
    this.#child = spawn("/bin/sh", ["-c", START, "sh", command, ...args], {
      env,
      stdio: ["inherit", "inherit", "inherit", this.#guard.stdin],
      detached: true,
    });
    this.#alive = this.#child.pid !== undefined;
    this.ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        if (this.#alive) return;
        this.#settle();
        resolve({ started: false, code: 126, signal: null, error });
      });
      this.#child.once("exit", (code, signal) => {
        // Whatever it left running in its group must not outlive its leadership either.
        this.#signal("SIGKILL");
        this.#settle();
        const shown = signal === null ? (code ?? 1) : 128 + os.signals[signal];
        const started = problem === null || problem.code !== shown;
        resolve({ started, code: shown, signal, error: started ? null : problem.error });
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** SIGTERM, and SIGKILL after the grace. Resolves when it has ended. */
  stop(graceMs: number): Promise<Ended> {
    this.#signal("SIGTERM");
    // A frozen program hears nothing.
    this.#signal("SIGCONT");
    this.#killer ??= setTimeout(() => this.kill(), graceMs);
    return this.ended;
  }

  kill(): void {
    this.#signal("SIGKILL");
  }

  freeze(): void {
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  #settle(): void {
    this.#alive = false;
    if (this.#killer !== null) clearTimeout(this.#killer);
    this.#guard.stdin?.end("done\n");
  }

  #signal(name: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined || !this.#alive) return;
    try {
      process.kill(-pid, name);
    } catch {
      // nobody of the group is left
    }
  }
}

/** Why the shell will not find or run it, and the exit code that it will give; `null`: it will. */
function whyNotRunnable(
  command: string,
  env: NodeJS.ProcessEnv,
): { readonly code: number; readonly error: Error } | null {
  const folders = command.includes("/") ? [""] : (env["PATH"] ?? "").split(delimiter);
  const paths = folders.map((folder) => (folder === "" ? command : join(folder, command)));
  const there = paths.filter((path) => existsSync(path));
  if (there.length === 0) return { code: 127, error: new Error("there is no such program") };
  const usable = there.some((path) => statSync(path).isFile() && mayRun(path));
  return usable ? null : { code: 126, error: new Error("it may not be executed") };
}

function mayRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
