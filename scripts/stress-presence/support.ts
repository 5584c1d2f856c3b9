/** Shared parts of the modes. */
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { BenchChild } from "../../src/bench/child.ts";
import type { ChildReport } from "../../src/bench/messages.ts";
import { type Summary, summarize } from "../../src/bench/stats.ts";
import { parseObject } from "../../src/nats/api/js-api.ts";
import { parseStoredMessage } from "../../src/nats/api/stored-message.ts";
import { decodeStored } from "../../src/nats/lease/record-codec.ts";
import { CONNECTIONS_PING, leaseSubject, streamName } from "../../src/nats/names.ts";
import type { NatsServer } from "../../src/testing/server/types.ts";

export interface ModeOptions {
  readonly server: NatsServer;
  readonly rounds: number;
  /** Nodes per cluster; each mode has its own default. */
  readonly nodes: number | undefined;
  readonly progress: (line: string) => void;
}

/** Resolves with the fields of the report; `violations` describes everything that must not happen. */
export type Mode = (
  options: ModeOptions,
) => Promise<{ readonly violations: readonly string[] } & Readonly<Record<string, unknown>>>;

/** What a flooder sends. */
export interface Flood {
  readonly subject: string;
  /** `""`: none. */
  readonly reply: string;
  /** Of each message. */
  readonly bytes: number;
  readonly connections: number;
}

/** How often a process sends a beat. */
export const BEAT_EVERY_MS = 250;

/** `at`: as in `ChildReport`. */
export interface BeatReport {
  readonly type: "beat";
  readonly what: "sent" | "echoed";
  /** `lease`: on the connection of the node. `own`: on another one of its process. */
  readonly lane: "lease" | "own";
  readonly beat: number;
  readonly at: number;
}

/** The connection of the node has ended. */
export interface DownReport {
  readonly type: "down";
}

/** How many messages the flooder has sent. */
export interface FloodReport {
  readonly type: "flooded";
  readonly messages: number;
}

/** For children: sends a report at once. */
export function reportToParent(message: BeatReport | DownReport | FloodReport): void {
  process.send?.(message);
}

/** A child's only argument, as JSON. */
export interface ChildTask {
  /**
   * `sampler`: one node whose `isLeader()` is sampled. `crowd`: many nodes, which report when they become leader. `flooder`: no
   * node, but messages without a pause.
   */
  readonly role: "sampler" | "crowd" | "flooder";
  readonly url: string;
  readonly clusterId: string;
  readonly nodeIds: readonly string[];
  readonly leaseTtlMs: number;
  /** The application of a sampler subscribes here, on the connection of its node, and the process sends beats. */
  readonly appSubject?: string;
  readonly flood?: Flood;
}

const PROGRAM = new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url);

export function startChild(
  name: string,
  task: ChildTask,
  onReport: (report: ChildReport) => void,
): BenchChild<ChildTask> {
  return new BenchChild(name, task, onReport, { program: PROGRAM });
}

/** Polls `probe` until it returns a value. */
export async function until<T>(
  probe: () => T | undefined | Promise<T | undefined>,
  what: string,
  timeoutMs = 30_000,
  everyMs = 2,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`timed out after ${timeoutMs} ms waiting for ${what}`);
    await pause(everyMs);
  }
}

export function summaryOf(samples: readonly number[]): Summary & { readonly samples: number } {
  return { samples: samples.length, ...summarize(samples) };
}

/** A client that observes the server and is not part of the election. */
export class Operator {
  readonly connection: NatsConnection;
  /** Number of inquiries about closed connections since the start. */
  questions = 0;

  private constructor(connection: NatsConnection) {
    this.connection = connection;
  }

  static async at(server: NatsServer): Promise<Operator> {
    const operator = new Operator(await connect({ servers: server.url, noAsyncTraces: true }));
    operator.connection.subscribe(CONNECTIONS_PING, {
      callback: (_error, message) => {
        if (parseObject(message.data)?.["state"] === 0) operator.questions += 1;
      },
    });
    await operator.connection.flush();
    return operator;
  }

  /** Calls `onAttempt` for every write to the lease, including refused ones. */
  async attempts(clusterId: string, onAttempt: (nodeId: string) => void): Promise<void> {
    this.connection.subscribe(leaseSubject(clusterId), {
      callback: (_error, message) => onAttempt(String(parseObject(message.data)?.["node_id"])),
    });
    await this.connection.flush();
  }

  /** The presence that the record names. */
  async presence(clusterId: string): Promise<string | undefined> {
    const answer = await this.#call(`STREAM.MSG.GET.${streamName(clusterId)}`, {
      last_by_subj: leaseSubject(clusterId),
    });
    const stored = parseStoredMessage(answer);
    const entry = stored === null ? null : decodeStored(stored);
    return entry?.kind === "record" ? entry.record.session?.presence : undefined;
  }

  /** Resolves with true if the presence existed. */
  async deletePresence(presence: string): Promise<boolean> {
    return (await this.#call(`CONSUMER.DELETE.${presence}`, {}))["success"] === true;
  }

  async #call(name: string, body: object): Promise<Record<string, unknown>> {
    const answer = await this.connection.request(`$JS.API.${name}`, JSON.stringify(body), { timeout: 5000 });
    return answer.json();
  }
}

/** A TCP proxy to a server whose connections can be reset. Unlike TcpProxy, it does not parse frames. */
export class Wire {
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #listener = createServer((client) => this.#accept(client));
  readonly #target: NatsServer;

  constructor(target: NatsServer) {
    this.#target = target;
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#listener.listen(0, "127.0.0.1", resolve));
    return `nats://127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  /** Resets every connection, both sides. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  close(): void {
    this.#listener.close();
    this.cut();
  }

  #accept(client: Socket): void {
    const pair = [client, dial({ host: this.#target.host, port: this.#target.port })] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [pair[1], client]] as const) {
      from.setNoDelay(true).on("error", () => {});
      from.pipe(to);
      from.once("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
  }
}
