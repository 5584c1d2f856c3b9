/**
 * Keeps a program running exactly while this host leads.
 *
 *  - Giving up leadership (step-down, stop): SIGTERM, SIGKILL after the grace; the lease is kept until it has ended.
 *  - Losing it (the deadline, another record): SIGKILL at once. The deadline is earlier than anybody else's turn by the
 *    lease's margin (at least 250 ms).
 *  - Connection lost (`crashDetection: "presence"`): others may take over from that moment, so the program is frozen
 *    (SIGSTOP) until the same term is confirmed, or lost.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { LossReason } from "../../election/types.ts";
import type { Logger } from "../../log/logger.ts";
import type { Node } from "../../node/node.ts";
import type { Term } from "../../node/term.ts";
import { type Ended, Supervised } from "./supervised.ts";

export const RESTARTS = ["never", "on-failure", "always"] as const;
export type Restart = (typeof RESTARTS)[number];

export interface RunnerOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly graceMs: number;
  readonly restart: Restart;
  readonly restartDelayMs: number;
  /** What a lost connection does to the program. */
  readonly onSuspend: "freeze" | "continue";
  readonly log: Logger;
  /** The program has ended by itself and is not restarted. */
  readonly onFinished: (code: number) => void;
  /** The program has ended because this process was told to, with a code of its own choice. */
  readonly onStopped: (code: number) => void;
}

/** Codes of programs that end in order when they are told to: 0, and what shells make of SIGINT and SIGTERM. */
const ORDERLY: readonly number[] = [0, 130, 143];

const GRACEFUL: ReadonlySet<LossReason | null> = new Set(["released", "stopped", "hook-failed"]);

export class ProgramRunner {
  readonly #o: RunnerOptions;
  #program: Supervised | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: RunnerOptions) {
    this.#o = options;
  }

  /** For `onBecomeLeader`: starts the program and returns. */
  begin(term: Term, node: Node | null): void {
    this.#running = this.#running.then(() => this.#run(term));
    if (node !== null && this.#o.onSuspend === "freeze") void this.#followSuspensions(term, node);
  }

  /** For `onLoseLeadership`: resolves when the program has ended. */
  end(): Promise<void> {
    return this.#running;
  }

  /** At once, whatever comes of it. */
  kill(): void {
    this.#program?.kill();
  }

  async #run(term: Term): Promise<void> {
    const { log, command, args, restartDelayMs } = this.#o;
    while (!term.signal.aborted) {
      const env = {
        ...process.env,
        LEADER_EPOCH: String(term.epoch),
        LEADER_NODE_ID: term.nodeId,
        LEADER_CLUSTER_ID: term.clusterId,
      };
      const program = new Supervised({ command, args, env });
      this.#program = program;
      if (program.pid !== undefined) log.info({ pid: program.pid, epoch: term.epoch }, "program started");
      const { ended, told } = await this.#untilEnded(program, term);
      this.#program = null;
      if (told) {
        log.info({ code: ended.code }, "program ended");
        const own = ended.signal === null && !ORDERLY.includes(ended.code);
        if (term.lossReason === "stopped" && own) this.#o.onStopped(ended.code);
        return;
      }
      if (!this.#again(ended)) return this.#o.onFinished(ended.code);
      log.warn({ code: ended.code }, `program ended by itself; it is started again in ${restartDelayMs} ms`);
      await pause(restartDelayMs, undefined, { signal: term.signal }).catch(() => {});
    }
  }

  /** `told`: it was told to end, because the term does. */
  async #untilEnded(
    program: Supervised,
    term: Term,
  ): Promise<{ readonly ended: Ended; readonly told: boolean }> {
    let told = false;
    const onAbort = (): void => {
      told = true;
      if (GRACEFUL.has(term.lossReason)) {
        void program.stop(this.#o.graceMs);
        return;
      }
      this.#o.log.warn(
        { epoch: term.epoch, reason: term.lossReason },
        "leadership is lost: killing the program",
      );
      program.kill();
    };
    if (term.signal.aborted) onAbort();
    else term.signal.addEventListener("abort", onAbort, { once: true });
    const ended = await program.ended;
    term.signal.removeEventListener("abort", onAbort);
    return { ended, told };
  }

  #again(ended: Ended): boolean {
    const { restart, log, command } = this.#o;
    if (!ended.started) {
      log.error({ err: ended.error }, `cannot run "${command}"`);
      return false;
    }
    return restart === "always" || (restart === "on-failure" && ended.code !== 0);
  }

  async #followSuspensions(term: Term, node: Node): Promise<void> {
    for await (const event of node.events({ signal: term.signal })) {
      if (event.type === "suspended") {
        this.#o.log.warn({ epoch: term.epoch }, "the connection is lost: the program is frozen meanwhile");
        this.#program?.freeze();
      } else if (event.type === "resumed") this.#program?.thaw();
    }
  }
}
