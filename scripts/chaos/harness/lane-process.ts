/** A process of a world, seen from the run: its proxies, its last reports, and how to disturb it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { NatsServer } from "../../../src/testing.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import { startProxy } from "../../shared/tcp-proxy.ts";
import { FakeClock } from "../machine/fake-clock.ts";
import type { Namespace } from "../machine/namespace.ts";

const STDERR_KEPT = 4000;
const SOURCE = import.meta.url.endsWith(".ts");
/** If this process runs from the sources, through tsx, the processes of its worlds do, too. */
const LOADER = SOURCE ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [];

/** The part of a process's only argument, as JSON, that the harness fills in. */
export interface LaneTask {
  /** In recordings and the timeline. A second process with the same id has a lane of its own. */
  readonly lane: string;
  /** Number of the process in its lane, from 1. */
  readonly processNumber: number;
  /** Of its own proxies. */
  readonly urls: readonly string[];
}

/** A line of a process on stdout: what the harness reads of it. */
export interface LaneReport {
  /** The process runs; it starts what it is for on the command `begin`. */
  readonly booted?: true;
  readonly started?: true;
}

export interface LaneSettings {
  readonly lane: string;
  /** Names the process in failures: "node", "member". */
  readonly what: string;
  /** Its source or compiled file, without the extension. */
  readonly program: URL;
  /** How long it may take to exit. */
  readonly endMs: number;
}

/** What a process of a world has on the machine. */
export interface LanePlace {
  /** One for each server. */
  readonly proxies: readonly TcpProxy[];
  /** `null`: its clocks are not changed. */
  readonly clock: FakeClock | null;
  /** `null`: it runs in the host's namespace. */
  readonly namespace: Namespace | null;
}

/**
 * Opens the proxies of one process. Process `index` of a world tries another server first.
 * @param faketime path of libfaketime; `null`: no clock changes in this world
 */
export async function placeOf(
  lane: string,
  index: number,
  options: {
    readonly all: readonly NatsServer[];
    readonly faketime: string | null;
    readonly folder: string;
    readonly namespace?: Namespace | null;
  },
): Promise<LanePlace> {
  const { all, faketime, folder, namespace = null } = options;
  const from = index % all.length;
  const servers = [...all.slice(from), ...all.slice(0, from)];
  const clock = faketime === null ? null : new FakeClock(faketime, join(folder, `${lane}.clock`));
  const here = namespace === null ? {} : { host: namespace.host };
  const proxies = await Promise.all(servers.map(({ port }) => startProxy({ ...here, target: { port } })));
  return { proxies, clock, namespace };
}

export abstract class LaneProcess<Command extends { readonly do: string }, Report extends LaneReport> {
  readonly lane: string;
  readonly proxies: readonly TcpProxy[];
  readonly clock: FakeClock | null;
  readonly namespace: Namespace | null;
  /** Why the process ended without a request, `null` if it did not. */
  failure: string | null = null;
  started = false;
  frozen = false;
  readonly #settings: LaneSettings;
  #child: ChildProcess | null = null;
  #processNumber = 0;
  #stderr = "";
  #isEndAwaited = false;
  readonly #listeners = new Set<(report: Report) => void>();

  protected constructor(settings: LaneSettings, place: LanePlace) {
    this.lane = settings.lane;
    this.proxies = place.proxies;
    this.clock = place.clock;
    this.namespace = place.namespace;
    this.#settings = settings;
  }

  /** The rest of its argument. */
  protected abstract taskOf(common: LaneTask): LaneTask;

  /** A process has been started; returns what to do when it has ended. */
  protected abstract onStart(child: ChildProcess): () => void;

  protected abstract onReport(report: Report): void;

  get running(): boolean {
    return this.#child !== null;
  }

  /** Starts a process, unless one runs. */
  start(): void {
    if (this.#child !== null) return;
    this.#processNumber += 1;
    this.clock?.begin();
    const { lane } = this;
    const urls = this.proxies.map(({ url }) => url);
    const task = this.taskOf({ lane, processNumber: this.#processNumber, urls });
    const program = `${fileURLToPath(this.#settings.program)}.${SOURCE ? "ts" : "js"}`;
    const line = [process.execPath, ...LOADER, program, JSON.stringify(task)];
    const [file = "", ...args] = [...(this.namespace?.exec ?? []), ...line];
    const child = spawn(file, args, {
      env: { ...process.env, ...this.clock?.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child = child;
    this.#isEndAwaited = false;
    this.started = false;
    this.frozen = false;
    const ended = this.onStart(child);
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (this.#child === child) this.#onLine(JSON.parse(line) as Report);
    });
    child.once("close", (code, signal) => {
      if (this.#child !== child) return;
      this.#child = null;
      this.started = false;
      ended();
      if (!this.#isEndAwaited)
        this.failure = `process of ${this.#settings.what} ${lane} exited unexpectedly (${code ?? signal}); stderr: ${this.#stderr.trim()}`;
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

  send(command: Command | { readonly do: "begin" }): void {
    this.#child?.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Ends the process, and resolves when it has exited. SIGTERM lets it stop first; SIGKILL follows after `timeoutMs`. */
  async end(signal: "SIGKILL" | "SIGTERM", timeoutMs: number = this.#settings.endMs): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#isEndAwaited = true;
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill(signal);
    const late = setTimeout(() => {
      this.failure = `process of ${this.#settings.what} ${this.lane} was still running ${timeoutMs} ms after ${signal}`;
      child.kill("SIGKILL");
    }, timeoutMs);
    await ended;
    clearTimeout(late);
  }

  /** The value of the next report that has this key, `undefined` after `timeoutMs`. */
  report<K extends keyof Report>(key: K, timeoutMs: number): Promise<Report[K] | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(undefined), timeoutMs);
      const listener = (report: Report): void => {
        if (report[key] !== undefined) finish(report[key]);
      };
      const finish = (value: Report[K] | undefined): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(value);
      };
      this.#listeners.add(listener);
    });
  }

  async close(): Promise<void> {
    await this.end("SIGKILL");
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    this.namespace?.remove();
  }

  #onLine(report: Report): void {
    if (report.booted) {
      // Before it starts: a clock that jumps forward makes a process take over too early.
      this.clock?.set(0);
      this.send({ do: "begin" });
    }
    if (report.started) this.started = true;
    this.onReport(report);
    for (const listener of [...this.#listeners]) listener(report);
  }
}
