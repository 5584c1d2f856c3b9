/** Two competing nodes on one server, each behind a proxy, and what the benchmark can see of them. */
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { BenchChild } from "../../src/bench/child.ts";
import { Fleet, type Member } from "../../src/bench/fleet.ts";
import type { CrashDetection } from "../../src/election/types.ts";
import { streamName } from "../../src/nats/names.ts";
import { readMonitor } from "../../src/testing/server/run/probe.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import type { TcpProxy } from "../shared/proxy-types.ts";
import { startProxy } from "../shared/tcp-proxy.ts";
import { CLUSTER_ID, type Login, type ResidueTask } from "./messages.ts";

const NODES = 2;
const POLL_MS = 5;
const TIMEOUT_MS = 60_000;
const MONITOR_TIMEOUT_MS = 5_000;
const PROGRAM = new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url);
const LOGIN: Login = { user: "node", pass: "node" };

export interface SceneOptions {
  readonly crashDetection: CrashDetection;
  /** F of the nodes. 0: none. */
  readonly silenceMs: number;
  readonly ttlMs: number;
  /** The clients are in a named account, where the server lists closed connections. Otherwise in `$G`. */
  readonly account: boolean;
  /** The nodes use the connection of an application. */
  readonly shared: boolean;
  /** Number of subscriptions of the crowd. 0: there is none. */
  readonly crowd: number;
  readonly serverConfig: string;
  readonly serverVersion: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/** A connection as the server sees it. */
export interface Seen {
  readonly cid: number;
  readonly inMsgs: number;
}

interface Listed {
  readonly name?: string;
  readonly cid: number;
  readonly in_msgs: number;
}

export class Scene implements AsyncDisposable {
  readonly server: NatsServer;
  readonly fleet: Fleet;
  readonly login: Login | null;
  readonly signal: AbortSignal;
  readonly #options: SceneOptions;
  readonly #proxies = new Map<string, TcpProxy>();
  #connection: NatsConnection | null = null;
  #crowd: BenchChild<ResidueTask> | null = null;

  private constructor(options: SceneOptions, server: NatsServer) {
    this.#options = options;
    this.server = server;
    this.signal = options.signal;
    this.login = options.account ? LOGIN : null;
    this.fleet = new Fleet({
      clusterId: CLUSTER_ID,
      servers: [],
      leaseTtlMs: options.ttlMs,
      crashDetection: options.crashDetection,
      silenceMs: options.silenceMs,
      cooldownMs: options.ttlMs,
      watch: true,
      ...this.login,
      signal: options.signal,
    });
  }

  /** Resolves when the nodes have settled. */
  static async start(options: SceneOptions): Promise<Scene> {
    const { serverVersion, signal, onProgress } = options;
    const account = `accounts { APP { jetstream: enabled, users: [ ${JSON.stringify(LOGIN)} ] } }`;
    const server = await startNatsServer({
      config: `${options.serverConfig}\n${options.account ? account.replaceAll('"', "") : ""}`,
      backend: "process",
      signal,
      onProgress,
      ...(serverVersion === undefined ? {} : { version: serverVersion }),
    });
    const scene = new Scene(options, server);
    try {
      await scene.#begin();
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { crowd, shared } = this.#options;
    this.#connection = await connect({ servers: this.server.url, ...this.login });
    if (crowd > 0) await this.#startCrowd(crowd);
    for (let number = 1; number <= NODES; number++) {
      const proxy = await startProxy({ target: { port: this.server.port } });
      const { id } = this.fleet.add([proxy.url], shared ? { program: PROGRAM } : {});
      this.#proxies.set(id, proxy);
    }
    await this.fleet.settled();
  }

  async #startCrowd(subscriptions: number): Promise<void> {
    let ready = false;
    const task: ResidueTask = { role: "crowd", port: this.server.port, login: this.login, subscriptions };
    const crowd = new BenchChild<ResidueTask>("crowd", task, ({ type }) => (ready ||= type === "ready"), {
      program: PROGRAM,
    });
    this.#crowd = crowd;
    await this.poll(
      () => "the crowd to subscribe",
      () => {
        if (crowd.gone) throw new Error(`the crowd exited; stderr: ${crowd.stderr}`);
        return Promise.resolve(ready || undefined);
      },
    );
  }

  proxyOf({ id }: Member): TcpProxy {
    const proxy = this.#proxies.get(id);
    if (proxy === undefined) throw new Error(`${id} has no proxy`);
    return proxy;
  }

  /** The node's open connection, `undefined` if the server lists none. */
  async connectionOf({ id }: Member): Promise<Seen | undefined> {
    const found = (await this.#connz()).find(({ name }) => name?.endsWith(`/${id}`));
    return found && { cid: found.cid, inMsgs: found.in_msgs };
  }

  /** The open connections. A flood may keep the server from answering for a while. */
  #connz(): Promise<readonly Listed[]> {
    const url = `${this.server.monitorUrl}/connz?limit=10000`;
    return this.poll(
      () => `an answer of ${url}; the server ${this.server.running ? "runs" : "has exited"}`,
      async () => {
        const answer = await readMonitor(url, MONITOR_TIMEOUT_MS);
        return ((answer?.body ?? {}) as { connections?: readonly Listed[] }).connections;
      },
    );
  }

  /** Resolves with the leader's connection once the lease names it, and the evidence that others may use against it. */
  async leaderConnection(leader: Member): Promise<Seen> {
    const { crashDetection, silenceMs } = this.#options;
    const needed = evidenceOf(crashDetection, silenceMs);
    let seen: Seen | undefined;
    let session: Record<string, unknown> = {};
    const what = (): string =>
      `the lease to name the connection of ${leader.id} and ${needed.join(", ") || "no evidence"}; the server lists ${JSON.stringify(seen)}, the lease has ${JSON.stringify(session)}`;
    return this.poll(what, async () => {
      seen = await this.connectionOf(leader);
      session = (await this.#session()) ?? {};
      const isNamed = seen !== undefined && session["client_id"] === seen.cid;
      return isNamed && needed.every((name) => session[name] !== undefined) ? seen : undefined;
    });
  }

  /** `session` of the lease record. */
  async #session(): Promise<Record<string, unknown> | undefined> {
    const subject = `$JS.API.STREAM.MSG.GET.${streamName(CLUSTER_ID)}`;
    const body = JSON.stringify({ last_by_subj: `$KV.KV_CLUSTER_${CLUSTER_ID}.leader` });
    const answer = await this.#connection?.request(subject, body, { timeout: MONITOR_TIMEOUT_MS });
    const { message } = answer?.json<{ message?: { data: string } }>() ?? {};
    if (message === undefined) return undefined;
    const record = JSON.parse(Buffer.from(message.data, "base64").toString()) as {
      session?: Record<string, unknown>;
    };
    return record.session;
  }

  /** Calls `probe` until it returns a value. Rejects when a node fails, on abort and after a minute. */
  async poll<T>(what: () => string, probe: () => Promise<T | undefined>): Promise<T> {
    const deadline = performance.now() + TIMEOUT_MS;
    for (;;) {
      this.fleet.check();
      const found = await probe();
      if (found !== undefined) return found;
      if (performance.now() > deadline)
        throw new Error(`timed out after ${TIMEOUT_MS} ms waiting for ${what()}`);
      await pause(POLL_MS, undefined, { signal: this.signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet.dispose();
    await this.#crowd?.end();
    await this.#connection?.close();
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
    await this.server.dispose();
  }
}

/** Fields of `session` in the lease record that let other nodes take over before the lease ends. */
function evidenceOf(crashDetection: CrashDetection, silenceMs: number): readonly string[] {
  return [
    ...(crashDetection === "presence" ? ["presence"] : []),
    ...(crashDetection !== "lease" && silenceMs > 0 ? ["silence"] : []),
  ];
}
