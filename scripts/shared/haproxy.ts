/**
 * HAProxy in front of an application of which only the leader is to get requests: it asks `/leader` of each instance's HTTP server. Of
 * Debian's package `haproxy`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../src/system/find-program.ts";
import { freePort, returnPort } from "../../src/testing/server/run/ports.ts";
import { within } from "./wait.ts";

/** One instance of the application. */
export interface Instance {
  readonly name: string;
  /** Port of the application on 127.0.0.1. */
  readonly port: number;
  /** Port of its HTTP server on 127.0.0.1. */
  readonly doorPort: number;
}

export interface HaproxyOptions {
  readonly instances: readonly Instance[];
  /** @default 100 */
  readonly checkEveryMs?: number;
  /** With `?cluster=` or `?resource=`, where the door has more than one leadership. @default "/leader" */
  readonly path?: string;
}

const HOST = "127.0.0.1";
const START_LIMIT_MS = 15_000;
const STDERR_KEPT = 4_000;
/** Debian has it in a folder that is not on every user's PATH. */
const FOLDERS = ["/usr/sbin"];

/** `null`: it is not installed. */
export function findHaproxy(): string | null {
  return findProgram("haproxy", FOLDERS);
}

/** The configuration; docs/http.md shows the same. */
export function haproxyConfig(listenPort: number, options: HaproxyOptions): string {
  const { instances, checkEveryMs = 100, path = "/leader" } = options;
  return [
    "defaults",
    "  mode http",
    "  timeout connect 1s",
    "  timeout client 10s",
    "  timeout server 10s",
    "  timeout check 500ms",
    "frontend application",
    `  bind ${HOST}:${listenPort}`,
    "  default_backend leader",
    "backend leader",
    `  option httpchk GET ${path}`,
    "  http-check expect status 200",
    `  default-server check inter ${checkEveryMs} fall 1 rise 1 on-marked-down shutdown-sessions`,
    ...instances.map(({ name, port, doorPort }) => `  server ${name} ${HOST}:${port} port ${doorPort}`),
    "",
  ].join("\n");
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Haproxy implements AsyncDisposable {
  /** `http://127.0.0.1:PORT`: what clients use. */
  readonly url: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(port: number, folder: string, process: ChildProcess) {
    this.url = `http://${HOST}:${port}`;
    this.#port = port;
    this.#folder = folder;
    this.#process = process;
    this.#exited = once(process, "exit");
    running.add(process);
  }

  /** Resolves when it accepts connections. Throws if it is not installed, or refuses the configuration. */
  static async start(options: HaproxyOptions): Promise<Haproxy> {
    const program = findHaproxy();
    if (program === null) throw new Error("haproxy is not installed (Debian: apt-get install haproxy)");
    const port = await freePort(HOST);
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-haproxy-"));
    const file = join(folder, "haproxy.cfg");
    writeFileSync(file, haproxyConfig(port, options));
    // -db: in the foreground.
    const child = spawn(program, ["-db", "-f", file], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-STDERR_KEPT);
    });
    const haproxy = new Haproxy(port, folder, child);
    try {
      await haproxy.#untilAccepts(() => stderr);
    } catch (error) {
      await haproxy.stop();
      throw error;
    }
    return haproxy;
  }

  async #untilAccepts(stderr: () => string): Promise<void> {
    let ended = false;
    void this.#exited.then(() => {
      ended = true;
    });
    const accepts = async (): Promise<void> => {
      for (;;) {
        if (ended) throw new Error(`haproxy has ended: ${stderr()}`);
        // Any answer will do: without a leader it is 503.
        const answer = await fetch(this.url).catch(() => null);
        await answer?.body?.cancel();
        if (answer !== null) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await within(accepts(), { timeoutMs: START_LIMIT_MS, message: () => `haproxy to accept: ${stderr()}` });
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill("SIGKILL");
    await this.#exited;
    running.delete(this.#process);
    rmSync(this.#folder, { recursive: true, force: true });
    returnPort(this.#port);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
