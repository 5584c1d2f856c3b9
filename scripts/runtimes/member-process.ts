/** A process of a runtime that runs member.mjs, and the events that it printed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { waitFor } from "../shared/wait.ts";
import type { Project } from "./project.ts";
import type { Runtime } from "./runtimes.ts";

const EVENT_TIMEOUT_MS = 15_000;

export interface MemberEvent {
  readonly event: string;
  readonly epoch?: number;
  readonly reason?: string;
  readonly drain?: string;
  readonly pending?: boolean;
  readonly code?: string;
  readonly message?: string;
}

export class MemberProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #events: MemberEvent[] = [];
  readonly #exited: Promise<unknown>;
  #stderr = "";

  constructor(
    runtime: Runtime,
    project: Project,
    server: string,
    clusterId: string,
    nodeId: string,
    mode: "stop-in-hook" | "channels" | "plain" = "plain",
  ) {
    const args = [...runtime.args, project.program, server, clusterId, nodeId, mode];
    this.#child = spawn(runtime.command, args, { cwd: project.folder, stdio: ["ignore", "pipe", "pipe"] });
    this.#exited = once(this.#child, "close");
    this.#exited.catch(() => {});
    this.#child.on("error", (error) => {
      this.#stderr += error.message;
    });
    this.#child.stderr?.on("data", (text) => {
      this.#stderr += String(text);
    });
    if (this.#child.stdout === null) throw new Error("stdout is not piped");
    createInterface(this.#child.stdout).on("line", (line) => {
      if (line.startsWith("{")) this.#events.push(JSON.parse(line) as MemberEvent);
      else this.#stderr += `${line}\n`;
    });
  }

  /** The first event of that name, which may have been printed earlier. */
  async event(name: string): Promise<MemberEvent> {
    return waitFor(() => this.#events.find(({ event }) => event === name), {
      timeoutMs: EVENT_TIMEOUT_MS,
      message: () =>
        `no event ${name}; events: ${JSON.stringify(this.#events)}; stderr: ${this.#stderr.trim()}`,
    });
  }

  has(name: string): boolean {
    return this.#events.some(({ event }) => event === name);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The exit code; null if a signal ended the process. */
  async exitCode(): Promise<number | null> {
    await this.#exited;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited.catch(() => {});
  }
}
