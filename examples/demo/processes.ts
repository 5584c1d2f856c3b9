/** The demo's processes, seen from outside. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Report } from "./report.ts";

const NODE_FILE = fileURLToPath(new URL("./node.ts", import.meta.url));
const STDERR_CHARS = 2_000;

/** One running node. It can't outlive this process: it ends with its stdin, frozen or not it is killed at our exit. */
export class NodeProcess {
  readonly nodeId: string;
  readonly pid: number;
  /** Resolves when it is gone and its last report has been read. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #alive = true;
  #stderr = "";

  constructor(nodeId: string, url: string, onReport: (report: Report, from: NodeProcess) => void) {
    this.nodeId = nodeId;
    this.#child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), NODE_FILE, nodeId, url]);
    const { pid, stdin, stdout, stderr } = this.#child;
    if (pid === undefined || stdin === null || stdout === null || stderr === null)
      throw new Error(`cannot start ${process.execPath}`);
    this.pid = pid;
    stdin.on("error", () => {});
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS);
    });
    createInterface({ input: stdout }).on("line", (line) => {
      if (line.startsWith("{")) onReport(JSON.parse(line) as Report, this);
    });
    running.add(this);
    this.#child.once("exit", () => {
      this.#alive = false;
      running.delete(this);
    });
    this.ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
  }

  /** How it ended, for a person. */
  get story(): string {
    const { exitCode, signalCode } = this.#child;
    return `process ${this.pid} of node ${this.nodeId} ended: ${signalCode ?? `exit code ${exitCode}`}\n${this.#stderr}`;
  }

  signal(name: NodeJS.Signals): void {
    if (this.#alive) process.kill(this.pid, name);
  }
}

const running = new Set<NodeProcess>();

export async function killAll(): Promise<void> {
  const ended = [...running].map((child) => child.ended);
  killAllNow();
  await Promise.all(ended);
}

function killAllNow(): void {
  for (const child of running) child.signal("SIGKILL");
}

process.on("exit", killAllNow);
