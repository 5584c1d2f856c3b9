import { randomBytes } from "node:crypto";
import { NatsServerError, reasonOf } from "../errors.ts";
import type { NatsBackend, NatsServer, ServerExit, StartOptions } from "../types.ts";
import { LogBuffer } from "./log-buffer.ts";
import { readInfo, readMonitor } from "./probe.ts";
import { markEnded, markRunning } from "./registry.ts";
import type { Launch, Runner, ServerSignal } from "./runner.ts";
import { poll, settleWithin } from "./wait.ts";

const STOP_GRACE_MS = 5000;
const KILL_WAIT_MS = 10_000;
const PROBE_TIMEOUT_MS = 1000;
const ADDRESS_IN_USE = /address already in use/i;

/** The constant properties of a handle. */
export interface ServerIdentity {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly backend: NatsBackend;
  readonly startTimeoutMs: number;
}

/** "prefix-" and eight random letters. */
export function randomName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString("hex")}`;
}

/** Implements {@link NatsServer}. The constructor does not start the server. */
export class ServerHandle implements NatsServer {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly backend: NatsBackend;
  readonly #runner: Runner;
  readonly #startTimeoutMs: number;
  readonly #log = new LogBuffer();
  #launch: Launch | undefined;
  #starting: Promise<void> | undefined;
  #version = "";
  #paused = false;
  #lameDuck = false;
  #disposed = false;

  constructor(identity: ServerIdentity, runner: Runner) {
    this.name = identity.name;
    this.host = identity.host;
    this.port = identity.port;
    this.monitorPort = identity.monitorPort;
    this.backend = identity.backend;
    this.#startTimeoutMs = identity.startTimeoutMs;
    this.#runner = runner;
  }

  get url(): string {
    return `nats://${this.host}:${this.port}`;
  }

  get monitorUrl(): string {
    return `http://${this.host}:${this.monitorPort}`;
  }

  get version(): string {
    return this.#version;
  }

  get storeDir(): string {
    return this.#runner.storeDir;
  }

  get pid(): number | undefined {
    return this.#launch?.pid;
  }

  get running(): boolean {
    return this.#launch !== undefined;
  }

  get paused(): boolean {
    return this.#paused;
  }

  logs(): readonly string[] {
    return this.#log.lines();
  }

  async start(options: StartOptions = {}): Promise<void> {
    if (this.#disposed)
      throw new NatsServerError("disposed", `${this.name} has been disposed: start a new server`);
    if (this.#starting !== undefined) return this.#starting;
    if (this.#launch !== undefined) return;
    this.#starting = this.#startOnce(options).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async restart(options: StartOptions = {}): Promise<void> {
    await this.stop(options.signal === undefined ? {} : { signal: options.signal });
    await this.start(options);
  }

  async stop(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    // A pending start is about to spawn the process that has to be stopped.
    if (this.#launch === undefined) await this.#starting?.catch(() => {});
    const launch = this.#launch;
    if (launch === undefined) return;
    // In lame-duck mode a nats-server ignores SIGTERM, but not SIGINT.
    await launch.signal(this.#lameDuck ? "SIGINT" : "SIGTERM");
    if (this.#paused) await launch.signal("SIGCONT");
    const kill = (): void => void launch.signal("SIGKILL");
    if (options.signal?.aborted === true) kill();
    options.signal?.addEventListener("abort", kill, { once: true });
    try {
      const exit = await settleWithin(launch.exited, STOP_GRACE_MS);
      if (exit === undefined) await this.kill();
    } finally {
      options.signal?.removeEventListener("abort", kill);
    }
  }

  async kill(): Promise<void> {
    const launch = this.#launch;
    if (launch === undefined) return;
    await launch.signal("SIGKILL");
    const exit = await settleWithin(launch.exited, KILL_WAIT_MS);
    if (exit === undefined) {
      throw new NatsServerError(
        "start_failed",
        `${this.name} (pid ${launch.pid}) still exists after SIGKILL`,
      );
    }
  }

  async pause(): Promise<void> {
    await this.#mustRun("pause").signal("SIGSTOP");
    this.#paused = true;
  }

  async resume(): Promise<void> {
    await this.#mustRun("resume").signal("SIGCONT");
    this.#paused = false;
  }

  async lameDuck(): Promise<void> {
    const signal: ServerSignal = "SIGUSR2";
    await this.#mustRun("lameDuck").signal(signal);
    this.#lameDuck = true;
  }

  async exited(): Promise<ServerExit | undefined> {
    return this.#launch?.exited;
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.stop();
    await this.#runner.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #mustRun(what: string): Launch {
    if (this.#launch !== undefined) return this.#launch;
    throw new NatsServerError("not_running", `${what}(): ${this.name} is not running`);
  }

  async #startOnce(options: StartOptions): Promise<void> {
    options.signal?.throwIfAborted();
    const log = new LogBuffer(); // of this run only: an earlier "address already in use" must not count
    const launch = await this.#runner.launch((chunk) => {
      log.write(chunk);
      this.#log.write(chunk);
    }, options.signal);
    this.#launch = launch;
    this.#paused = false;
    this.#lameDuck = false;
    markRunning(this);
    void launch.exited.then(() => {
      this.#launch = undefined;
      markEnded(this);
    });
    try {
      await this.#becomeReady(launch, log, options);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async #becomeReady(launch: Launch, log: LogBuffer, options: StartOptions): Promise<void> {
    const healthy = options.until !== "listening";
    let missing = "no INFO on the client port";
    const ended = launch.exited.then(() => undefined);
    const ready = await poll(
      async () => {
        this.#mustStillRun(launch, log);
        const info = await Promise.race([readInfo(this.host, this.port, PROBE_TIMEOUT_MS), ended]);
        // Another server may hold the port; this one has not detected the conflict yet.
        if (info === undefined || info.server_name !== this.name) return undefined;
        this.#version = info.version;
        if (!healthy) return true;
        const health = await readMonitor(`${this.monitorUrl}/healthz`, PROBE_TIMEOUT_MS);
        missing = `/healthz: ${JSON.stringify(health?.body ?? "no answer")}`;
        return health?.status === 200 ? true : undefined;
      },
      { timeoutMs: this.#startTimeoutMs, everyMs: 10, signal: options.signal },
    );
    if (ready) return;
    const waited = `${this.name} not ready after startTimeoutMs = ${this.#startTimeoutMs}`;
    throw new NatsServerError("start_timeout", `${waited} (${missing}); its log ends with\n${log.tail(10)}`);
  }

  #mustStillRun(launch: Launch, log: LogBuffer): void {
    const text = log.tail(20);
    if (ADDRESS_IN_USE.test(text))
      throw new NatsServerError("port_in_use", `${this.name}: ${reasonOf(text)}`);
    if (this.#launch === launch) return;
    throw new NatsServerError(
      "start_failed",
      `${this.name} exited during startup; its log ends with\n${log.tail(10)}`,
    );
  }
}
