/** A program in a process group of its own, which is signalled as a whole and never runs without a guard. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants as os } from "node:os";
import { isExecutable, pathsOf } from "../../system/find-program.ts";
import { Guard, type Limits } from "./guard.ts";

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** A guard was killed. `replaced`: another one runs; otherwise the program has been killed. */
  readonly onGuardLost: (lost: {
    readonly signal: NodeJS.Signals | null;
    readonly replaced: boolean;
  }) => void;
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
 * Writes the group's id to the guard from inside the group, before the program is executed. If this process wrote the id, a
 * SIGKILL right after the spawn would leave a program without a guard.
 *
 * Where util-linux has `setpriv`, the kernel also kills the program itself when this process ends. The last line checks that this
 * process had not ended before that was set up; its id is the first argument.
 */
const START = `echo $$ >&3; exec 3>&-
parent=$1; shift
setpriv --pdeathsig KILL true 2>/dev/null || exec "$@"
exec setpriv --pdeathsig KILL -- /bin/sh -c '[ "$PPID" = "$1" ] || exit 1; shift; exec "$@"' sh "$parent" "$@"`;

/** A guard that ends before this age counts as one that cannot be kept running. */
const MIN_GUARD_AGE_MS = 1_000;
const MAX_SHORT_LIVED_GUARDS = 3;

export class SupervisedProgram {
  readonly ended: Promise<ProgramExit>;
  readonly #onGuardLost: ProgramOptions["onGuardLost"];
  readonly #child: ChildProcess | null;
  #guard: Guard;
  #guardStartedAt = performance.now();
  #shortLivedGuards = 0;
  /** The limits of the guard, and when they were set, by `performance.now()`; `null`: none. */
  #limits: { readonly limits: Limits; readonly setAt: number } | null = null;
  #isFrozen = false;
  #alive = false;
  #killer: NodeJS.Timeout | null = null;

  constructor({ command, args, env, onGuardLost }: ProgramOptions) {
    this.#onGuardLost = onGuardLost;
    this.#guard = new Guard(null, (signal) => this.#replaceGuard(signal));
    if (this.#guard.input === null) {
      this.#child = null;
      const error = new Error("its guard cannot be started: /bin/sh does not run");
      this.ended = Promise.resolve({ started: false, code: 126, signal: null, error });
      return;
    }
    const problem = whyNotRunnable(command, env);
    this.#child = spawn("/bin/sh", ["-c", START, "sh", String(process.pid), command, ...args], {
      env,
      stdio: ["inherit", "inherit", "inherit", this.#guard.input],
      detached: true,
    });
    this.#alive = this.#child.pid !== undefined;
    this.ended = this.#untilEnded(this.#child, problem);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The process that kills the program if this one cannot. */
  get guardPid(): number | undefined {
    return this.#guard.pid;
  }

  /** Sends SIGTERM, and SIGKILL after the grace period. Resolves when the program has ended. */
  stop(graceMs: number): Promise<ProgramExit> {
    this.#signal("SIGTERM");
    // A frozen program does not handle SIGTERM.
    this.thaw();
    this.#killer ??= setTimeout(() => this.kill(), graceMs);
    return this.ended;
  }

  kill(): void {
    this.#signal("SIGKILL");
  }

  freeze(): void {
    this.#isFrozen = true;
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#signal("SIGCONT");
  }

  /**
   * From now on the guard freezes and kills the program at these times, unless this is called again before. It continues a program
   * that it has frozen at an earlier time, unless `isFrozen`.
   */
  limit(limits: Limits): void {
    this.#limits = { limits, setAt: performance.now() };
    if (this.#alive && this.pid !== undefined) this.#guard.limit(this.pid, limits);
  }

  #untilEnded(child: ChildProcess, problem: Unrunnable | null): Promise<ProgramExit> {
    return new Promise((resolve) => {
      child.once("error", (error) => {
        if (this.#alive) return;
        this.#settle();
        resolve({ started: false, code: 126, signal: null, error });
      });
      child.once("exit", (code, signal) => {
        // Processes that the program left in its group must not outlive the term either.
        this.#signal("SIGKILL");
        this.#settle();
        const shown = signal === null ? (code ?? 1) : 128 + os.signals[signal];
        const started = problem === null || problem.code !== shown;
        resolve({ started, code: shown, signal, error: started ? null : problem.error });
      });
    });
  }

  /** The timers of the old guard go on until the new one runs. */
  #replaceGuard(signal: NodeJS.Signals | null): void {
    if (!this.#alive || this.pid === undefined) return;
    const old = this.#guard;
    const isShortLived = performance.now() - this.#guardStartedAt < MIN_GUARD_AGE_MS;
    this.#shortLivedGuards = isShortLived ? this.#shortLivedGuards + 1 : 0;
    const replaced = this.#shortLivedGuards < MAX_SHORT_LIVED_GUARDS;
    if (replaced) {
      this.#guard = new Guard(this.pid, (next) => this.#replaceGuard(next));
      this.#guardStartedAt = performance.now();
      if (this.#limits !== null) this.#guard.limit(this.pid, this.#restOfLimits(this.#limits));
    } else this.kill();
    old.clear();
    // A timer of the old guard may have frozen it, which the new one does not know. If the time for that has come, it is frozen again.
    if (!this.#isFrozen) this.#signal("SIGCONT");
    this.#onGuardLost({ signal, replaced });
  }

  #restOfLimits({ limits, setAt }: { readonly limits: Limits; readonly setAt: number }): Limits {
    const passedMs = performance.now() - setAt;
    const rest = (ms: number): number => Math.max(0, ms - passedMs);
    const { freezeMs, killMs } = limits;
    return { ...limits, freezeMs: freezeMs === null ? null : rest(freezeMs), killMs: rest(killMs) };
  }

  #settle(): void {
    this.#alive = false;
    if (this.#killer !== null) clearTimeout(this.#killer);
    this.#guard.close();
  }

  #signal(name: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined || !this.#alive) return;
    try {
      process.kill(-pid, name);
    } catch {
      // the group has no processes left
    }
  }
}

interface Unrunnable {
  readonly code: number;
  readonly error: Error;
}

/** Why the shell cannot run the command, with the exit code that it will report; `null` if it can. */
function whyNotRunnable(command: string, env: NodeJS.ProcessEnv): Unrunnable | null {
  const found = pathsOf(command, env["PATH"] ?? "");
  if (found.length === 0) {
    const why = command.includes("/") ? "the file does not exist" : "no folder of PATH contains it";
    return { code: 127, error: new Error(why) };
  }
  return found.some(isExecutable) ? null : { code: 126, error: new Error("the file is not executable") };
}
