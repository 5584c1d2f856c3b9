/**
 * Runs a program while this host leads.
 *
 *  - Leadership is given up (step-down, stop): SIGTERM, and SIGKILL after the grace period. The lease is kept until the
 *    program has ended.
 *  - Leadership is lost (deadline, another record): SIGKILL at once. The deadline precedes the earliest takeover by the
 *    lease's margin (at least 250 ms).
 *  - The term is suspended, because the connection is lost or its server was silent for `silenceMs` (neither with
 *    `crashDetection: "lease"`): other nodes may take over from that moment, so the program is frozen (SIGSTOP) until the same term is
 *    confirmed or lost.
 *  - With `crashDetection: "presence"` the server has not answered for half of that time: it may have closed the connection, so the
 *    program is frozen until it answers.
 *  - This process is stopped by the terminal (Ctrl-Z): the program is frozen before.
 *  - This process ends: a guard kills the program (`guard.ts`). This process is stopped otherwise: the guard freezes the program when
 *    another node may lead, and kills it at the deadline.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "../../log/logger.ts";
import { Leash } from "./leash.ts";
import type { ProgramTerm, TermHolder } from "./program-term.ts";
import { type ProgramExit, SupervisedProgram } from "./supervised-program.ts";

export const RESTARTS = ["never", "on-failure", "always"] as const;
export type Restart = (typeof RESTARTS)[number];

export interface RunnerOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** For every line of the log: which of several programs it is about. */
  readonly fields?: Readonly<Record<string, string>>;
  readonly graceMs: number;
  readonly restart: Restart;
  readonly restartDelayMs: number;
  /** What to do with the program while the term is suspended. */
  readonly onSuspend: "freeze" | "continue";
  readonly log: Logger;
  /** The program has exited by itself and is not restarted. */
  readonly onFinished: (code: number) => void;
  /** This process is stopping, and the program has exited with a code of its own choice. */
  readonly onStopped: (code: number) => void;
}

/** Exit codes of a program that ends as requested: 0, and 128 + SIGINT or SIGTERM. */
const ORDERLY: readonly number[] = [0, 130, 143];

/** Why a term ends that is not given up: another process may act already. */
const LOST: ReadonlySet<string | null> = new Set(["expired", "superseded", "deleted", "fenced"]);

export class ProgramRunner {
  readonly #o: RunnerOptions;
  #program: SupervisedProgram | null = null;
  #leash: Leash | null = null;
  #term: ProgramTerm | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: RunnerOptions) {
    this.#o = { ...options, log: withFields(options.log, options.fields) };
  }

  /** For `onBecomeLeader`: starts the program and returns. `env`: the variables of the term. */
  begin(term: ProgramTerm, holder: TermHolder | null, env: NodeJS.ProcessEnv): void {
    this.#running = this.#running.then(async () => {
      const ended = new AbortController();
      if (holder !== null && this.#o.onSuspend === "freeze")
        void this.#followConnection(term, holder, ended.signal);
      const mayBeReplaced = (): boolean =>
        this.#o.onSuspend === "freeze" && (holder?.connected === false || term.provenRemainingMs <= 0);
      await this.#run(term, env, mayBeReplaced);
      ended.abort();
    });
  }

  /** For `onLoseLeadership`: resolves when the program has ended and is not restarted. */
  end(): Promise<void> {
    return this.#running;
  }

  /** Kills the program without a grace period. */
  kill(): void {
    this.#program?.kill();
  }

  /** Before this process is stopped. */
  freeze(): void {
    if (this.#program === null) return;
    this.#o.log.warn(
      {},
      "stopped by the terminal: the program is frozen, and killed if the term ends before it is continued",
    );
    this.#program.freeze();
  }

  /** After this process was continued. */
  thaw(): void {
    const program = this.#program;
    const term = this.#term;
    // A term that is over ends the program by itself.
    if (program === null || term === null || term.signal.aborted) return;
    if (this.#o.onSuspend === "continue") return program.thaw();
    term.untilHeld().then(
      () => {
        const leash = this.#leash;
        // The guard gets the times of the continued term first: this process may be stopped at any time.
        leash?.check();
        if (this.#program === program && leash?.isFrozen === false) program.thaw();
      },
      () => {},
    );
  }

  /** `mayBeReplaced`: another node may lead at this moment. */
  async #run(term: ProgramTerm, env: NodeJS.ProcessEnv, mayBeReplaced: () => boolean): Promise<void> {
    const { log, restartDelayMs } = this.#o;
    this.#term = term;
    while (!term.signal.aborted) {
      const program = this.#start(term, env);
      const { exit, byTerm } = await this.#untilEnded(program, term, mayBeReplaced);
      this.#program = null;
      const ended = { pid: program.pid, code: exit.code, signal: exit.signal };
      if (byTerm) {
        log.info(ended, "program ended");
        const own = exit.signal === null && !ORDERLY.includes(exit.code);
        if (term.lossReason === "stopped" && own) this.#o.onStopped(exit.code);
        return;
      }
      if (!this.#restarts(exit)) {
        if (exit.started) log[exit.code === 0 ? "info" : "warn"](ended, "program ended by itself");
        return this.#o.onFinished(exit.code);
      }
      log.warn(ended, `program ended by itself; restarting it in ${restartDelayMs} ms`);
      await pause(restartDelayMs, undefined, { signal: term.signal }).catch(() => {});
    }
  }

  #start(term: ProgramTerm, ofTerm: NodeJS.ProcessEnv): SupervisedProgram {
    const { log, command, args } = this.#o;
    const env = { ...this.#o.env, ...ofTerm };
    const program: SupervisedProgram = new SupervisedProgram({
      command,
      args,
      env,
      onGuardLost: ({ signal, replaced }) => {
        const { guardPid } = program;
        if (replaced) log.warn({ signal, guardPid }, "the guard of the program was killed; another one runs");
        else
          log.error(
            { signal },
            "the guards of the program are killed again and again: the program is killed",
          );
      },
    });
    this.#program = program;
    const { pid, guardPid } = program;
    if (pid !== undefined) log.info({ pid, epoch: term.epoch, guardPid }, "program started");
    return program;
  }

  /** `byTerm`: the program was stopped because the term ended. */
  async #untilEnded(
    program: SupervisedProgram,
    term: ProgramTerm,
    mayBeReplaced: () => boolean,
  ): Promise<{ readonly exit: ProgramExit; readonly byTerm: boolean }> {
    let byTerm = false;
    const onAbort = (): void => {
      byTerm = true;
      if (!LOST.has(term.lossReason) && !mayBeReplaced()) {
        void program.stop(this.#o.graceMs);
        return;
      }
      this.#o.log.warn(
        { epoch: term.epoch, reason: term.lossReason },
        "leadership lost: killing the program without a grace period",
      );
      program.kill();
    };
    if (term.signal.aborted) onAbort();
    else term.signal.addEventListener("abort", onAbort, { once: true });
    const { log, onSuspend } = this.#o;
    const onUnproven = (): void =>
      log.warn(
        { epoch: term.epoch },
        "the server does not answer: program frozen until it answers, or the term is lost",
      );
    const leash = new Leash({ term, program, onSuspend, onUnproven });
    this.#leash = leash;
    const exit = await program.ended;
    leash.end();
    term.signal.removeEventListener("abort", onAbort);
    // After this process was stopped, the guard has killed the program before the end of the term is known here.
    return { exit, byTerm: byTerm || term.signal.aborted };
  }

  #restarts(exit: ProgramExit): boolean {
    const { restart, log, command } = this.#o;
    if (!exit.started) {
      log.error({ err: exit.error }, `cannot run "${command}"`);
      return false;
    }
    return restart === "always" || (restart === "on-failure" && exit.code !== 0);
  }

  async #followConnection(term: ProgramTerm, holder: TermHolder, signal: AbortSignal): Promise<void> {
    const { log } = this.#o;
    const { epoch } = term;
    for await (const event of holder.events({ signal })) {
      if (event.type === "suspended") {
        log.warn({ epoch }, "term suspended: program frozen until the term is confirmed or lost");
        this.#leash?.check();
      } else if (event.type === "resumed") this.#leash?.check();
      else if (event.type === "nats-disconnect" && term.lossReason !== null) {
        log.warn(
          { epoch },
          "connection to NATS lost: killing the program before the end of its grace period",
        );
        this.#program?.kill();
      }
    }
  }
}

function withFields(log: Logger, fields: RunnerOptions["fields"]): Logger {
  if (fields === undefined) return log;
  const at =
    (level: keyof Logger) =>
    (own: object, message?: string): void =>
      log[level]({ ...own, ...fields }, message);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
