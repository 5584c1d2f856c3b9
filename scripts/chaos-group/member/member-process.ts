/** A member of a world, seen from the run: its proxies, its process, its last reports. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { NatsServer } from "../../../src/testing.ts";
import type { FakeClock } from "../../chaos/machine/fake-clock.ts";
import { hostNowNs } from "../../chaos/node/messages.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import { startProxy } from "../../shared/tcp-proxy.ts";
import type { MemberCommand, MemberReport, MemberStats, MemberTask } from "./messages.ts";

const STDERR_KEPT = 4_000;
const END_MS = 20_000;
const SOURCE = import.meta.url.endsWith(".ts");
const PROGRAM = fileURLToPath(new URL(SOURCE ? "./child.ts" : "./child.js", import.meta.url));
const LOADER = SOURCE ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [];

export type MemberSettings = Omit<MemberTask, "urls" | "lane" | "processNumber">;

export class MemberProcess {
  readonly lane: string;
  readonly settings: MemberSettings;
  /** One for each server. */
  readonly proxies: readonly TcpProxy[];
  readonly clock: FakeClock | null;
  /** When each resource was last written by it, in milliseconds of the host's clock. */
  readonly wroteAtMs: Map<string, number> = new Map();
  /** By code. */
  readonly warnings: Record<string, number> = {};
  started = false;
  frozen = false;
  /** Why the process ended without a request, `null` if it did not. */
  failure: string | null = null;
  #child: ChildProcess | null = null;
  #processNumber = 0;
  #stderr = "";
  #isEndAwaited = false;
  #onStats: ((stats: MemberStats) => void) | null = null;

  private constructor(
    lane: string,
    settings: MemberSettings,
    proxies: readonly TcpProxy[],
    clock: FakeClock | null,
  ) {
    this.lane = lane;
    this.settings = settings;
    this.proxies = proxies;
    this.clock = clock;
  }

  /** Opens the proxies, without starting the process. The member tries `servers` in this order. */
  static async prepare(
    lane: string,
    settings: MemberSettings,
    servers: readonly NatsServer[],
    clock: FakeClock | null,
  ): Promise<MemberProcess> {
    const proxies = await Promise.all(servers.map(({ port }) => startProxy({ target: { port } })));
    return new MemberProcess(lane, settings, proxies, clock);
  }

  get running(): boolean {
    return this.#child !== null;
  }

  /** Starts a process, unless one runs. */
  start(): void {
    if (this.#child !== null) return;
    this.#processNumber += 1;
    this.clock?.begin();
    const { lane } = this;
    const task: MemberTask = {
      ...this.settings,
      lane,
      processNumber: this.#processNumber,
      urls: this.proxies.map(({ url }) => url),
    };
    const child = spawn(process.execPath, [...LOADER, PROGRAM, JSON.stringify(task)], {
      env: { ...process.env, ...this.clock?.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    Object.assign(this, { started: false, frozen: false });
    this.wroteAtMs.clear();
    this.#child = child;
    this.#isEndAwaited = false;
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (this.#child === child) this.#onReport(JSON.parse(line) as MemberReport);
    });
    child.once("close", (code, signal) => {
      if (this.#child !== child) return;
      this.#child = null;
      this.started = false;
      this.wroteAtMs.clear();
      if (!this.#isEndAwaited)
        this.failure = `process of member ${lane} exited unexpectedly (${code ?? signal}); stderr: ${this.#stderr.trim()}`;
    });
  }

  freeze(): void {
    this.frozen = true;
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
    this.frozen = false;
  }

  send(command: MemberCommand): void {
    this.#child?.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Ends the process, and resolves when it has exited. SIGTERM lets it stop first. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#isEndAwaited = true;
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill(signal);
    const late = setTimeout(() => {
      this.failure = `process of member ${this.lane} was still running ${END_MS} ms after ${signal}`;
      child.kill("SIGKILL");
    }, END_MS);
    await ended;
    clearTimeout(late);
  }

  /** `null`: it does not run, or does not answer. */
  async stats(timeoutMs: number): Promise<MemberStats | null> {
    if (!this.started) return null;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), timeoutMs);
      this.#onStats = (stats) => {
        clearTimeout(timer);
        resolve(stats);
      };
      this.send({ do: "stats" });
    });
  }

  async close(): Promise<void> {
    await this.end("SIGKILL");
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
  }

  #onReport({ booted, started, wrote, warning, stats }: MemberReport): void {
    if (booted) {
      this.clock?.set(0);
      this.send({ do: "begin" });
    }
    if (started) this.started = true;
    if (wrote !== undefined) this.wroteAtMs.set(wrote.resource, hostNowNs() / 1e6);
    if (warning !== undefined) this.warnings[warning] = (this.warnings[warning] ?? 0) + 1;
    if (stats !== undefined) this.#onStats?.(stats);
  }
}
