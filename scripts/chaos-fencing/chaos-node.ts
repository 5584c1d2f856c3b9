/** A node process as the chaos run sees it: what it last said, and what can be done to it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { BentClock } from "./clock.ts";
import type { Line } from "./line.ts";
import type { NodeReport } from "./messages.ts";

const TICK_MS = 15;

export class ChaosNode {
  readonly id: string;
  readonly line: Line;
  readonly clock: BentClock | null;
  readonly #child: ChildProcess;
  readonly #ticker: NodeJS.Timeout;
  readonly started: Promise<void>;
  /** Epoch it said to lead, 0 when it does not. */
  epoch = 0;
  /** Epoch and count of its newest writes. */
  wroteEpoch = 0;
  terms = 0;
  ended = false;
  #outcomes: ((outcomes: Readonly<Record<string, number>>) => void) | null = null;

  constructor(id: string, line: Line, clock: BentClock | null) {
    this.id = id;
    this.line = line;
    this.clock = clock;
    const file = fileURLToPath(new URL("node.ts", import.meta.url));
    this.#child = spawn(process.execPath, ["--import", "tsx", file, id, line.url], {
      env: { ...process.env, ...clock?.env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { stdin, stdout } = this.#child;
    if (stdin === null || stdout === null) throw new Error("the node has no pipes");
    stdin.on("error", () => {});
    let begin = (): void => {};
    this.started = new Promise((resolve, reject) => {
      begin = resolve;
      this.#child.once("close", () => {
        this.ended = true;
        reject(new Error(`node ${id} has ended`));
      });
    });
    this.started.catch(() => {});
    createInterface({ input: stdout }).on("line", (line) => {
      const report = JSON.parse(line) as NodeReport;
      if (report.started) begin();
      this.#onReport(report);
    });
    // A frozen process finds its ticks in the pipe when it goes on.
    this.#ticker = setInterval(() => void stdin.write("\n"), TICK_MS);
  }

  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }

  /** How its writes ended, by error code. */
  outcomes(): Promise<Readonly<Record<string, number>>> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve({}), 5000);
      this.#outcomes = (outcomes) => {
        clearTimeout(timer);
        resolve(outcomes);
      };
      this.#child.stdin?.write("stats\n");
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.#ticker);
    if (this.ended) return;
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  #onReport(report: NodeReport): void {
    if (report.leads !== undefined) {
      this.epoch = report.leads;
      this.terms += 1;
    }
    if (report.lost === this.epoch) this.epoch = 0;
    if (report.wrote !== undefined) this.wroteEpoch = report.wrote;
    if (report.outcomes !== undefined) this.#outcomes?.(report.outcomes);
  }
}
