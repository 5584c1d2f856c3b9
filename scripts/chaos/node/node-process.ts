/** A node of a world as the run sees it: its ways to the servers, its process, what it last said, what can be done to it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { NatsServer } from "../../../src/testing.ts";
import { startProxy, type TcpProxy } from "../../shared/tcp-proxy.ts";
import type { BentClock } from "../machine/bent-clock.ts";
import type { Namespace } from "../machine/namespace.ts";
import { hostNowNs, type NodeCommand, type NodeReport, type NodeTask } from "./messages.ts";

const TICK_MS = 20;
const STDERR_KEPT = 4000;
const SOURCE = import.meta.url.endsWith(".ts");
const PROGRAM = fileURLToPath(new URL(SOURCE ? "./child.ts" : "./child.js", import.meta.url));
/** From the sources the processes run by tsx, as this one does. */
const LOADER = SOURCE ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [];

export type NodeSettings = Omit<NodeTask, "urls" | "history" | "lane" | "life">;

export interface NodePlace {
  readonly clock: BentClock | null;
  readonly namespace: Namespace | null;
  /** For its histories. */
  readonly folder: string;
}

export class NodeProcess {
  /** Of the history and the timeline. A second process under one node id has a lane of its own. */
  readonly lane: string;
  /** One for each server. */
  readonly ways: readonly TcpProxy[];
  readonly clock: BentClock | null;
  /** Where its process is, if not with everybody else. */
  readonly namespace: Namespace | null;
  #settings: NodeSettings;
  readonly #folder: string;
  #child: ChildProcess | null = null;
  #ticker: NodeJS.Timeout | undefined;
  #life = 0;
  #stderr = "";
  #awaitedEnd = false;
  #listeners = new Set<(report: NodeReport) => void>();
  /** What ended it, when nobody had asked for it. */
  failure: string | null = null;
  started = false;
  /** Epoch it said to lead, 0 when it does not. */
  epoch = 0;
  /** Epoch of its newest write that was stored. */
  wroteEpoch = 0;
  /** When that was heard of. */
  wroteAtMs = 0;
  frozen = false;

  private constructor(lane: string, settings: NodeSettings, ways: readonly TcpProxy[], place: NodePlace) {
    this.lane = lane;
    this.ways = ways;
    this.clock = place.clock;
    this.namespace = place.namespace;
    this.#settings = settings;
    this.#folder = place.folder;
  }

  /** `servers`: in the order in which it tries them. Not started yet. */
  static async prepare(
    lane: string,
    settings: NodeSettings,
    servers: readonly NatsServer[],
    place: NodePlace,
  ): Promise<NodeProcess> {
    const here = place.namespace === null ? {} : { host: place.namespace.host };
    const ways = await Promise.all(servers.map(({ port }) => startProxy({ ...here, target: { port } })));
    return new NodeProcess(lane, settings, ways, place);
  }

  get nodeId(): string {
    return this.#settings.nodeId;
  }

  /** `leaseTtlMs` of processes that are started from now on. */
  leaseOf(ms: number): void {
    this.#settings = { ...this.#settings, leaseTtlMs: ms };
  }

  get running(): boolean {
    return this.#child !== null;
  }

  /** Starts its process, a new one under the same node id when there was one before. */
  start(): void {
    if (this.#child !== null) return;
    this.#life += 1;
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
    // A frozen process finds its ticks in the pipe when it goes on.
    this.#ticker = setInterval(() => void child.stdin.write("\n"), TICK_MS);
    child.once("close", (code, signal) => this.#onEnd(child, code ?? signal));
  }

  #task(): NodeTask {
    const { lane } = this;
    const life = this.#life;
    const history = join(this.#folder, `${lane.replace("'", "-twin")}-${life}.held`);
    return { ...this.#settings, lane, life, history, urls: this.ways.map((way) => way.url) };
  }

  #onEnd(child: ChildProcess, how: number | string | null): void {
    if (this.#child !== child) return;
    clearInterval(this.#ticker);
    this.#child = null;
    this.started = false;
    this.epoch = 0;
    if (!this.#awaitedEnd)
      this.failure = `node ${this.lane} ended by itself (${how}): ${this.#stderr.trim()}`;
  }

  freeze(): void {
    this.frozen = true;
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
    this.frozen = false;
  }

  tell(command: NodeCommand): void {
    this.#child?.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** SIGKILL, or SIGTERM, which lets it leave in order. Resolves when it is gone; after `timeoutMs` it is made to go. */
  async end(signal: "SIGKILL" | "SIGTERM", timeoutMs = 15_000): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#awaitedEnd = true;
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill(signal);
    const late = setTimeout(() => {
      this.failure = `node ${this.lane} had not ended ${timeoutMs} ms after ${signal}`;
      child.kill("SIGKILL");
    }, timeoutMs);
    await ended;
    clearTimeout(late);
  }

  /** The next report that has this, or `undefined` when none came in time. */
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
    this.tell({ do: "stats" });
    return (await outcomes) ?? {};
  }

  async close(): Promise<void> {
    await this.end("SIGKILL");
    await Promise.all(this.ways.map((way) => way.close()));
    this.namespace?.remove();
  }

  #onReport(report: NodeReport): void {
    if (report.booted) {
      // Not later: a clock that jumps forward under a follower makes it take over too soon, and rightly.
      this.clock?.bend(0);
      this.tell({ do: "begin" });
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
