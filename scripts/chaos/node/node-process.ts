/** A node of a world, seen from the run: its proxies, its process, its last reports, and how to disturb it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { NatsServer } from "../../../src/testing.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import { startProxy } from "../../shared/tcp-proxy.ts";
import type { FakeClock } from "../machine/fake-clock.ts";
import type { Namespace } from "../machine/namespace.ts";
import { hostNowNs, type NodeCommand, type NodeReport, type NodeTask } from "./messages.ts";

const TICK_MS = 20;
const STDERR_KEPT = 4000;
const SOURCE = import.meta.url.endsWith(".ts");
const PROGRAM = fileURLToPath(new URL(SOURCE ? "./child.ts" : "./child.js", import.meta.url));
/** If this process runs from the sources, through tsx, the node processes do, too. */
const LOADER = SOURCE ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [];

export type NodeSettings = Omit<NodeTask, "urls" | "recording" | "lane" | "processNumber">;

export interface NodePlace {
  readonly clock: FakeClock | null;
  readonly namespace: Namespace | null;
  /** For its recordings. */
  readonly folder: string;
}

export class NodeProcess {
  /** Name in recordings and the timeline. A second process with the same node id has a lane of its own. */
  readonly lane: string;
  /** One for each server. */
  readonly proxies: readonly TcpProxy[];
  readonly clock: FakeClock | null;
  /** `null`: its process runs in the host's namespace. */
  readonly namespace: Namespace | null;
  #settings: NodeSettings;
  readonly #folder: string;
  #child: ChildProcess | null = null;
  #ticker: NodeJS.Timeout | undefined;
  #processNumber = 0;
  #stderr = "";
  #awaitedEnd = false;
  #listeners = new Set<(report: NodeReport) => void>();
  /** Why the process ended without a request, `null` if it did not. */
  failure: string | null = null;
  started = false;
  /** Epoch in which it leads by its own report, 0 when it does not lead. */
  epoch = 0;
  /** Epoch of its newest stored write. */
  wroteEpoch = 0;
  /** When that report arrived. */
  wroteAtMs = 0;
  frozen = false;

  private constructor(lane: string, settings: NodeSettings, proxies: readonly TcpProxy[], place: NodePlace) {
    this.lane = lane;
    this.proxies = proxies;
    this.clock = place.clock;
    this.namespace = place.namespace;
    this.#settings = settings;
    this.#folder = place.folder;
  }

  /** Opens the proxies without starting the process. The node tries `servers` in this order. */
  static async prepare(
    lane: string,
    settings: NodeSettings,
    servers: readonly NatsServer[],
    place: NodePlace,
  ): Promise<NodeProcess> {
    const here = place.namespace === null ? {} : { host: place.namespace.host };
    const proxies = await Promise.all(servers.map(({ port }) => startProxy({ ...here, target: { port } })));
    return new NodeProcess(lane, settings, proxies, place);
  }

  get nodeId(): string {
    return this.#settings.nodeId;
  }

  /** `leaseTtlMs` of processes that are started from now on. */
  setLease(ms: number): void {
    this.#settings = { ...this.#settings, leaseTtlMs: ms };
  }

  get running(): boolean {
    return this.#child !== null;
  }

  /** Starts a process with the node's id, unless one runs. */
  start(): void {
    if (this.#child !== null) return;
    this.#processNumber += 1;
    this.clock?.begin();
    const task = JSON.stringify(this.#task());
    const line = [...(this.namespace?.exec ?? []), process.execPath, ...LOADER, PROGRAM, task];
    const child = spawn(line[0] ?? "", line.slice(1), {
      env: { ...process.env, ...this.clock?.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    Object.assign(this, { started: false, epoch: 0, wroteEpoch: 0, frozen: false });
    this.#child = child;
    this.#awaitedEnd = false;
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    createInterface({ input: child.stdout }).on("line", (line) =>
      this.#onReport(JSON.parse(line) as NodeReport),
    );
    // A frozen process finds its ticks in the pipe when it resumes.
    this.#ticker = setInterval(() => void child.stdin.write("\n"), TICK_MS);
    child.once("close", (code, signal) => this.#onEnd(child, code ?? signal));
  }

  #task(): NodeTask {
    const { lane } = this;
    const processNumber = this.#processNumber;
    const recording = join(this.#folder, `${lane.replace("'", "-twin")}-${processNumber}.held`);
    const urls = this.proxies.map((proxy) => proxy.url);
    return { ...this.#settings, lane, processNumber, recording, urls };
  }

  #onEnd(child: ChildProcess, how: number | string | null): void {
    if (this.#child !== child) return;
    clearInterval(this.#ticker);
    this.#child = null;
    this.started = false;
    this.epoch = 0;
    if (!this.#awaitedEnd)
      this.failure = `process of node ${this.lane} exited unexpectedly (${how}); stderr: ${this.#stderr.trim()}`;
  }

  freeze(): void {
    this.frozen = true;
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
    this.frozen = false;
  }

  send(command: NodeCommand): void {
    this.#child?.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Ends the process and resolves when it has exited. SIGTERM lets it step down first; SIGKILL follows after `timeoutMs`. */
  async end(signal: "SIGKILL" | "SIGTERM", timeoutMs = 15_000): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#awaitedEnd = true;
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill(signal);
    const late = setTimeout(() => {
      this.failure = `process of node ${this.lane} was still running ${timeoutMs} ms after ${signal}`;
      child.kill("SIGKILL");
    }, timeoutMs);
    await ended;
    clearTimeout(late);
  }

  /** The value of the next report that has this key, `undefined` after `timeoutMs`. */
  report<K extends keyof NodeReport>(key: K, timeoutMs: number): Promise<NodeReport[K] | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(undefined), timeoutMs);
      const listener = (report: NodeReport): void => {
        if (report[key] !== undefined) finish(report[key]);
      };
      const finish = (value: NodeReport[K] | undefined): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(value);
      };
      this.#listeners.add(listener);
    });
  }

  /** How its writes ended, by error code. */
  async outcomes(): Promise<Readonly<Record<string, number>>> {
    if (!this.started) return {};
    const outcomes = this.report("outcomes", 5000);
    this.send({ do: "stats" });
    return (await outcomes) ?? {};
  }

  async close(): Promise<void> {
    await this.end("SIGKILL");
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    this.namespace?.remove();
  }

  #onReport(report: NodeReport): void {
    if (report.booted) {
      // Before the node starts: a clock that jumps forward makes a follower take over too early.
      this.clock?.set(0);
      this.send({ do: "begin" });
    }
    if (report.started) this.started = true;
    if (report.leads !== undefined) this.epoch = report.leads;
    if (report.lost === this.epoch) this.epoch = 0;
    if (report.wrote !== undefined) {
      this.wroteEpoch = report.wrote;
      this.wroteAtMs = hostNowNs() / 1e6;
    }
    for (const listener of [...this.#listeners]) listener(report);
  }
}
