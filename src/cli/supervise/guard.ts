/**
 * A process that kills a program's process group when this process ends, even by SIGKILL, and when the lease's deadline passes
 * without an extension, as while this process is stopped (SIGSTOP). If another node may lead before that deadline, the guard also
 * freezes the group (SIGSTOP) at that earlier time.
 *
 * Each line that it reads is the id of the group, `running` or `frozen`, the seconds until the group is killed, or until it is frozen
 * and from then until it is killed; `done` ends it. The end of its input means that this process has ended. Every deadline has a
 * timer, a shell that waits for `sleep`: a guard that is killed leaves the last one behind, which still freezes and kills the group. The
 * new one is started before the old one is cancelled, by SIGUSR1. If the old one has frozen a group that should be running, the guard
 * continues it. Each of these shells waits for the processes that it starts: if this process is the first of a container, nothing else
 * collects orphans.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Writable } from "node:stream";

/** Exit code of a timer that has frozen the group. */
const FROZE = 9;

const SCRIPT = `trap '' INT HUP TERM
group=$1 timer= froze=0
end() { kill -s KILL -- "-$group"; }
cancel() { [ -z "$1" ] || { kill -s USR1 "$1"; wait "$1"; }; }
while read -r id state seconds frozen; do
  [ "$id" != done ] || { cancel "$timer"; exit 0; }
  group=$id
  [ -n "$seconds" ] || continue
  {
    trap 'kill -s KILL "$!"; wait "$!"; exit "$froze"' USR1
    sleep "$seconds" &
    wait "$!" || exit
    [ -z "$frozen" ] || {
      froze=${FROZE}
      kill -s STOP -- "-$group"
      sleep "$frozen" &
      wait "$!" || exit
    }
    end
  } &
  new=$!
  cancel "$timer"
  [ "$?" != ${FROZE} ] || [ "$state" != running ] || kill -s CONT -- "-$group"
  timer=$new
done
[ -z "$group" ] || end
kill -s KILL 0`;

/** When a program is frozen and killed, unless these times are replaced before. */
export interface Limits {
  /** The program is frozen now. */
  readonly isFrozen: boolean;
  /** Time until it is frozen; `null`: it is not. Less than `killMs`. */
  readonly freezeMs: number | null;
  /** Time until it is killed. */
  readonly killMs: number;
}

/** After this time a guard that has not ended by itself, because it is stopped, is killed. */
const CLOSE_LIMIT_MS = 1_000;

export class Guard {
  /** Where lines are written. The program's group writes its own id here. `null`: the guard could not be started. */
  readonly input: Writable | null;
  readonly #process: ChildProcess;
  readonly #onLost: (signal: NodeJS.Signals | null) => void;
  #isClosed = false;

  /**
   * @param group The group's id, if the group exists.
   * @param onLost Called when the guard has ended before `close()`, or could not be started.
   */
  constructor(group: number | null, onLost: (signal: NodeJS.Signals | null) => void) {
    this.#onLost = onLost;
    // In a session of its own the terminal's signals do not reach it, and its timers are in a group that can be killed.
    this.#process = spawn(
      "/bin/sh",
      ["-c", SCRIPT, "nats-leader-guard", group === null ? "" : String(group)],
      {
        stdio: ["pipe", "ignore", "ignore"],
        detached: true,
      },
    );
    this.input = this.#process.pid === undefined ? null : this.#process.stdin;
    this.#process.stdin?.on("error", () => {}); // the guard has ended, which "exit" reports
    this.#process.once("error", () => this.#ended(null));
    this.#process.once("exit", (_code, signal) => this.#ended(signal));
    this.#process.unref();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Replaces the deadlines. */
  limit(group: number, { isFrozen, freezeMs, killMs }: Limits): void {
    const times = freezeMs === null ? [killMs] : [freezeMs, killMs - freezeMs];
    const seconds = times.map((ms) => (ms / 1000).toFixed(3));
    this.input?.write(`${[group, isFrozen ? "frozen" : "running", ...seconds].join(" ")}\n`);
  }

  /** Ends the guard and its timer. The group stays as it is. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#process.stdin?.end("done\n");
    const limit = setTimeout(() => this.#killAll(), CLOSE_LIMIT_MS);
    limit.unref();
    this.#process.once("exit", () => clearTimeout(limit));
  }

  /** Kills what a killed guard left behind. */
  clear(): void {
    this.#isClosed = true;
    this.#killAll();
  }

  #ended(signal: NodeJS.Signals | null): void {
    if (!this.#isClosed) this.#onLost(signal);
  }

  #killAll(): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // the group has no processes left
    }
  }
}
