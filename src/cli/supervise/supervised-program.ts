/** A program in a process group of its own, which is signalled as a whole. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants as os } from "node:os";
import { isExecutable, pathsOf } from "../../system/find-program.ts";

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface ProgramExit {
  /** False if the program could not be run. */
  readonly started: boolean;
  /** As a shell reports it: 128 + the signal's number; 126 not executable; 127 not found. */
  readonly code: number;
  /** The signal that ended the program, or `null`. */
  readonly signal: NodeJS.Signals | null;
  /** Why the program could not be run. */
  readonly error: Error | null;
}

/**
 * Kills the group when this process ends, even by SIGKILL: the pipe then closes. It reads the group's id, and a second line
 * once the group has ended. It ignores the terminal's signals.
 *
 * `START` writes the id from inside the group, before it executes the program. If this process wrote the id, a SIGKILL
 * right after the spawn would leave a program without a guard.
 */
const GUARD = `trap '' INT HUP TERM
read -r group || exit 0
read -r word && exit 0
kill -s KILL -- "-$group"`;
const START = 'echo $$ >&3; exec 3>&-; exec "$@"';

export class SupervisedProgram {
  readonly ended: Promise<ProgramExit>;
  readonly #child: ChildProcess;
  readonly #guard: ChildProcess;
  #alive: boolean;
  #killer: NodeJS.Timeout | null = null;

  constructor({ command, args, env }: ProgramOptions) {
    this.#guard = spawn("/bin/sh", ["-c", GUARD], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    this.#guard.stdin?.on("error", () => {}); // the guard has exited, and with it the need to write to it
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
        // Processes that the program left in its group must not outlive the term either.
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

  /** Sends SIGTERM, and SIGKILL after the grace period. Resolves when the program has ended. */
  stop(graceMs: number): Promise<ProgramExit> {
    this.#signal("SIGTERM");
    // A frozen program does not handle SIGTERM.
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
      // the group has no processes left
    }
  }
}

/** Why the shell cannot run the command, with the exit code that it will report; `null` if it can. */
function whyNotRunnable(
  command: string,
  env: NodeJS.ProcessEnv,
): { readonly code: number; readonly error: Error } | null {
  const found = pathsOf(command, env["PATH"] ?? "");
  if (found.length === 0) {
    const why = command.includes("/") ? "the file does not exist" : "no folder of PATH contains it";
    return { code: 127, error: new Error(why) };
  }
  return found.some(isExecutable) ? null : { code: 126, error: new Error("the file is not executable") };
}
