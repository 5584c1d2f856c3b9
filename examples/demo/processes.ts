/** Starts the demo's processes. None outlives this process: its end closes their stdin, and frozen ones are killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Report } from "./report.ts";

const NODE_FILE = fileURLToPath(new URL("./node.ts", import.meta.url));
const running = new Set<NodeProcess>();

export class NodeProcess {
  readonly pid: number;
  /** Resolves when the process has exited and its last report has been read, with a description of the exit. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;

  constructor(nodeId: string, url: string, onReport: (report: Report) => void) {
    const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), NODE_FILE, nodeId, url]);
    if (child.pid === undefined) throw new Error(`cannot start ${process.execPath}`);
    this.pid = child.pid;
    this.#child = child;
    running.add(this);
    let stderr = "";
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-2_000);
    });
    createInterface({ input: child.stdout }).on("line", (line) => onReport(JSON.parse(line) as Report));
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        running.delete(this);
        resolve(`process ${this.pid} of node ${nodeId} exited: ${signal ?? `exit code ${code}`}\n${stderr}`);
      });
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}

export async function killAll(): Promise<void> {
  const ended = [...running].map((child) => child.ended);
  killAllNow();
  await Promise.all(ended);
}

function killAllNow(): void {
  for (const child of running) child.signal("SIGKILL");
}

process.on("exit", killAllNow);
