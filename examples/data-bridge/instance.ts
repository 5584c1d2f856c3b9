/** One instance process, as the starter sees it. It does not outlive the starter, whatever ends that one. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Order, Report, Start, Status } from "./report.ts";

const running = new Set<InstanceProcess>();

export interface InstanceListener {
  onReport(instance: InstanceProcess, report: Report): void;
  /** A line that the instance has logged. */
  onLog(instance: InstanceProcess, line: string): void;
  onEnd(instance: InstanceProcess, how: string): void;
}

export class InstanceProcess {
  readonly id: string;
  readonly number: number;
  readonly ended: Promise<void>;
  /** Its address of `/health` and `/metrics`; `null` until it is ready. */
  http: string | null = null;
  status: Status | null = null;
  isStopping = false;
  readonly #child: ChildProcess;
  #guard: ChildProcess | null = null;

  /** @param file - The compiled program. */
  constructor(file: string, start: Start, listener: InstanceListener) {
    this.id = start.instance;
    this.number = start.number;
    // `detached`: Ctrl-C in a terminal is sent to the whole process group, and is for the starter alone.
    const args = ["--enable-source-maps", file];
    const child = spawn(process.execPath, args, { stdio: "pipe", detached: true });
    this.#child = child;
    running.add(this);
    child.stdin.on("error", () => {}); // it has ended, as `onEnd` says
    child.stdin.write(`${JSON.stringify(start)}\n`);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const report = JSON.parse(line) as Report;
      if (report.type === "ready") this.http = report.http;
      if (report.type === "status") this.status = report;
      listener.onReport(this, report);
    });
    createInterface({ input: child.stderr }).on("line", (line) => {
      listener.onLog(this, line);
    });
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => listener.onReport(this, { type: "failed", message: error.message }));
      child.once("close", (code, signal) => {
        running.delete(this);
        this.#endGuard();
        listener.onEnd(this, signal ?? `exit code ${code}`);
        resolve();
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isFrozen(): boolean {
    return this.#guard !== null;
  }

  send(order: Order): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /**
   * A frozen process does not see that its starter has ended. A shell watches for that: when its input ends, it lets the process go on,
   * which then reads the end of its own input and stops.
   */
  freeze(): void {
    if (this.#guard !== null || this.pid === undefined) return;
    this.#child.kill("SIGSTOP");
    const script = 'cat >/dev/null; kill -CONT "$1"';
    const args = ["-c", script, "sh", String(this.pid)];
    this.#guard = spawn("/bin/sh", args, { stdio: ["pipe", "ignore", "ignore"], detached: true });
    this.#guard.stdin?.on("error", () => {});
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
    this.#endGuard();
  }

  /**
   * Stops in an orderly way: the batches at hand are stored, and the partitions released. After `limitMs` it is killed; at once, if it has not
   * come up and so owns nothing.
   */
  async stop(limitMs: number): Promise<void> {
    this.isStopping = true;
    this.thaw();
    if (this.http === null) this.kill();
    else this.send({ type: "stop" });
    const timer = setTimeout(() => this.kill(), limitMs);
    await this.ended;
    clearTimeout(timer);
  }

  #endGuard(): void {
    this.#guard?.stdin?.end();
    this.#guard = null;
  }
}

/** The last resort, when the starter ends without having stopped its instances. */
process.on("exit", () => {
  for (const instance of running) instance.kill();
});
