/**
 * Records the terms of this node, best effort and on a separate connection: the election neither waits for it nor depends
 * on its success.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as pause } from "node:timers/promises";
import { headers } from "@nats-io/transport-node";
import type { ChannelName, RenewalEvent } from "../channels/events.ts";
import type { ResolvedOptions } from "../config/resolve.ts";
import { asError, messageOf } from "../errors.ts";
import { parseAnswer } from "../nats/api/js-api.ts";
import { jsonBody, request } from "../nats/api/request.ts";
import { connectNats, type NatsLink } from "../nats/connection/connection.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { historyStream, historySubject } from "../nats/names.ts";
import type { NodeEvent } from "../node/events.ts";
import type { HistoryEntry } from "./history-record.ts";
import { openHistory } from "./history-stream.ts";

const RENEWALS: ChannelName = "nats-leader:renewal";
const MAX_QUEUED = 64;
const RETRY_MS = 2_000;
const TIMEOUT_MS = 2_000;

export interface RecorderOptions {
  readonly node: ResolvedOptions;
  readonly maxTerms: number;
  /** Called once, at the first failure. */
  readonly onFailed: (error: Error) => void;
}

export class HistoryRecorder {
  readonly #o: RecorderOptions;
  readonly #queue: HistoryEntry[] = [];
  readonly #ending = new AbortController();
  #link: NatsLink | null = null;
  #monitor: ConnectionMonitor | null = null;
  #ready = false;
  #working: Promise<void> | null = null;
  #known: Extract<HistoryEntry, { kind: "begin" }>["previous"] | undefined;
  #failed = false;
  /** Of the present term. */
  #leastMarginMs = Number.POSITIVE_INFINITY;
  #suspensions = 0;
  #server: string | null = null;
  readonly #onRenewal = (message: unknown): void => {
    const { source, marginMs } = message as RenewalEvent;
    const { clusterId, nodeId } = this.#o.node;
    if (source.kind !== "node" || source.clusterId !== clusterId || source.nodeId !== nodeId) return;
    this.#leastMarginMs = Math.min(this.#leastMarginMs, marginMs);
  };

  constructor(options: RecorderOptions) {
    this.#o = options;
  }

  /** Records the terms in the events of a node until it stops. */
  async follow(events: AsyncIterable<NodeEvent>): Promise<void> {
    subscribe(RENEWALS, this.#onRenewal);
    try {
      for await (const event of events) this.#observe(event);
    } finally {
      unsubscribe(RENEWALS, this.#onRenewal);
    }
  }

  /** Writes the queued entries for at most `timeoutMs`, then closes the connection. Never rejects. */
  async close(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.#ending.abort(), timeoutMs);
    await this.#working;
    clearTimeout(timer);
    this.#ending.abort();
    this.#monitor?.release();
    await this.#link?.close().catch(() => {});
  }

  #observe(event: NodeEvent): void {
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
        this.#leastMarginMs = Number.POSITIVE_INFINITY;
        this.#suspensions = 0;
        const { epoch } = event.term;
        return this.#add({
          kind: "begin",
          node_id: nodeId,
          epoch,
          at: event.at,
          ...(previous === undefined ? {} : { previous }),
        });
      }
      case "suspended":
        this.#suspensions += 1;
        return;
      case "started":
      case "nats-reconnect":
        this.#server = event.server?.name ?? null;
        return;
      // The node no longer acts as the leader, even if its work takes longer to end.
      case "lose-leadership":
        return this.#end(event.term.epoch, event.at, event.reason, event.by?.nodeId);
      default:
    }
  }

  #end(epoch: number, at: number, reason: string, by: string | undefined): void {
    const node_id = this.#o.node.nodeId;
    this.#add({
      kind: "end",
      node_id,
      epoch,
      at,
      reason,
      ...(by === undefined ? {} : { by }),
      ...(Number.isFinite(this.#leastMarginMs) ? { least_margin_ms: Math.round(this.#leastMarginMs) } : {}),
      suspensions: this.#suspensions,
      ...(this.#server === null ? {} : { server: this.#server }),
    });
  }

  #add(entry: HistoryEntry): void {
    if (this.#queue.length >= MAX_QUEUED) this.#queue.shift();
    this.#queue.push(entry);
    this.#working ??= this.#work().finally(() => {
      this.#working = null;
    });
  }

  async #work(): Promise<void> {
    const { signal } = this.#ending;
    while (this.#queue.length > 0 && !signal.aborted) {
      const [entry] = this.#queue;
      if (entry === undefined) return;
      try {
        await this.#write(entry);
        this.#queue.shift();
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
    if (!this.#ready) await openHistory(monitor, clusterId, { maxTerms: this.#o.maxTerms, signal });
    this.#ready = true;
    const subject = historySubject(clusterId);
    const hdrs = headers();
    hdrs.set("Nats-Msg-Id", `${entry.epoch}.${entry.node_id}.${entry.kind}`);
    hdrs.set("Nats-Expected-Stream", historyStream(clusterId));
    const options = { timeoutMs: TIMEOUT_MS, headers: hdrs, signal };
    try {
      parseAnswer((await request(monitor, subject, jsonBody(entry), options)).data, subject);
    } catch (thrown) {
      // The stream may have been deleted, so it is created again before the next attempt.
      this.#ready = false;
      throw new Error(
        `cannot record term ${entry.epoch} in stream ${historyStream(clusterId)}: ${messageOf(thrown)}`,
      );
    }
  }

  async #connected(): Promise<ConnectionMonitor> {
    if (this.#monitor !== null) return this.#monitor;
    const { clusterId, nodeId, nats } = this.#o.node;
    const { signal } = this.#ending;
    this.#link = await connectNats(nats, { clusterId, nodeId: `${nodeId}/history`, signal });
    this.#monitor = ConnectionMonitor.acquire(this.#link.connection, nats.domain ?? null);
    return this.#monitor;
  }
}
