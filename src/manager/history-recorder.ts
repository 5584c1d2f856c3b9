/**
 * Writes past terms down. On a connection of its own, after the fact, and best effort: the election neither waits for it nor
 * notices when it fails.
 */
import { setTimeout as pause } from "node:timers/promises";
import { headers } from "@nats-io/transport-node";
import type { ResolvedOptions } from "../config/resolve.ts";
import { asError, messageOf } from "../errors.ts";
import { parseAnswer } from "../nats/api/js-api.ts";
import { jsonBody, request } from "../nats/api/request.ts";
import { createStream, defaultReplicas, isTooFewServers } from "../nats/api/streams.ts";
import { connectNats, type NatsLink } from "../nats/connection/connection.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { historyStream, historySubject } from "../nats/names.ts";
import type { NodeEvent } from "../node/events.ts";
import type { HistoryEntry } from "./history-record.ts";

const MAX_WAITING = 64;
const RETRY_MS = 2_000;
const TIMEOUT_MS = 2_000;

export interface RecorderOptions {
  readonly node: ResolvedOptions;
  readonly maxTerms: number;
  /** Told once, at the first failure. */
  readonly onFailed: (error: Error) => void;
}

export class HistoryRecorder {
  readonly #o: RecorderOptions;
  readonly #waiting: HistoryEntry[] = [];
  readonly #ending = new AbortController();
  #link: NatsLink | null = null;
  #monitor: ConnectionMonitor | null = null;
  #ready = false;
  #working: Promise<void> | null = null;
  #known: Extract<HistoryEntry, { kind: "begin" }>["previous"] | undefined;
  #failed = false;

  constructor(options: RecorderOptions) {
    this.#o = options;
  }

  /** Reads the events of a node until it stops. */
  async follow(events: AsyncIterable<NodeEvent>): Promise<void> {
    for await (const event of events) this.#see(event);
  }

  /** Tries to write what is left, for so long; then lets go of the connection. Never rejects. */
  async close(patienceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#ending.abort(), patienceMs);
    await this.#working;
    clearTimeout(timer);
    this.#ending.abort();
    this.#monitor?.release();
    await this.#link?.close().catch(() => {});
  }

  #see(event: NodeEvent): void {
    const { nodeId } = this.#o.node;
    switch (event.type) {
      case "leader-change":
        if (event.leader !== null && event.leader.nodeId !== nodeId) {
          const { nodeId: node_id, epoch, acquiredAt: acquired_at } = event.leader;
          this.#known = { node_id, epoch, acquired_at };
        }
        return;
      case "become-leader": {
        const previous = this.#known;
        this.#known = undefined;
        const { epoch } = event.term;
        return this.#add({
          kind: "begin",
          node_id: nodeId,
          epoch,
          at: event.at,
          ...(previous === undefined ? {} : { previous }),
        });
      }
      // From here on it acts no more as the leader, however long its work takes to end.
      case "lose-leadership":
        return this.#end(event.term.epoch, event.at, event.reason, event.by?.nodeId);
      default:
    }
  }

  #end(epoch: number, at: number, reason: string, by: string | undefined): void {
    const node_id = this.#o.node.nodeId;
    this.#add({ kind: "end", node_id, epoch, at, reason, ...(by === undefined ? {} : { by }) });
  }

  #add(entry: HistoryEntry): void {
    if (this.#waiting.length >= MAX_WAITING) this.#waiting.shift();
    this.#waiting.push(entry);
    this.#working ??= this.#work().finally(() => {
      this.#working = null;
    });
  }

  async #work(): Promise<void> {
    const { signal } = this.#ending;
    while (this.#waiting.length > 0 && !signal.aborted) {
      const [entry] = this.#waiting;
      if (entry === undefined) return;
      try {
        await this.#write(entry);
        this.#waiting.shift();
      } catch (thrown) {
        if (signal.aborted) return;
        if (!this.#failed) this.#o.onFailed(asError(thrown));
        this.#failed = true;
        await pause(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
      }
    }
  }

  async #write(entry: HistoryEntry): Promise<void> {
    const { clusterId } = this.#o.node;
    const { signal } = this.#ending;
    const monitor = await this.#connected();
    if (!this.#ready) await this.#open(monitor);
    const subject = historySubject(clusterId);
    const hdrs = headers();
    hdrs.set("Nats-Msg-Id", `${entry.epoch}.${entry.node_id}.${entry.kind}`);
    hdrs.set("Nats-Expected-Stream", historyStream(clusterId));
    const options = { timeoutMs: TIMEOUT_MS, headers: hdrs, signal };
    try {
      parseAnswer((await request(monitor, subject, jsonBody(entry), options)).data, subject);
    } catch (thrown) {
      // The stream may have been deleted: it is looked for before the next try.
      this.#ready = false;
      throw new Error(
        `term ${entry.epoch} was not recorded in ${historyStream(clusterId)}: ${messageOf(thrown)}`,
      );
    }
  }

  async #connected(): Promise<ConnectionMonitor> {
    if (this.#monitor !== null) return this.#monitor;
    const { clusterId, nodeId, nats } = this.#o.node;
    const { signal } = this.#ending;
    this.#link = await connectNats(nats, { clusterId, nodeId: `${nodeId}/history`, signal });
    this.#monitor = ConnectionMonitor.acquire(this.#link.connection);
    return this.#monitor;
  }

  async #open(monitor: ConnectionMonitor): Promise<void> {
    const replicas = defaultReplicas(monitor.connection);
    try {
      await this.#create(monitor, replicas);
    } catch (thrown) {
      if (replicas === 1 || !isTooFewServers(thrown)) throw thrown;
      await this.#create(monitor, 1);
    }
    this.#ready = true;
  }

  /** A stream that is there, whoever made it and however, is used as it is. */
  async #create(monitor: ConnectionMonitor, replicas: number): Promise<void> {
    const { clusterId } = this.#o.node;
    const name = historyStream(clusterId);
    const config = {
      name,
      description: `Past terms of cluster ${clusterId}`,
      subjects: [historySubject(clusterId)],
      retention: "limits",
      storage: "file",
      discard: "old",
      num_replicas: replicas,
      // Each term has a begin and an end.
      max_msgs: 2 * this.#o.maxTerms,
      max_msg_size: 4096,
      duplicate_window: 120_000_000_000,
    };
    await createStream(monitor, name, config, { timeoutMs: TIMEOUT_MS });
  }
}
