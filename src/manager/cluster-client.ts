/**
 * A cluster seen and asked from outside: what the command line and the manager are made of. It never joins the election
 * and never writes to the bucket; whatever it changes, it asks a node to change.
 */
import { setTimeout as pause } from "node:timers/promises";
import { type NodeOptions, resolveOptions } from "../config/resolve.ts";
import type { LeaseRecord } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import { type JsonObject, jsToClusterError, parseObject } from "../nats/api/js-api.ts";
import { jsonBody, RequestFailure, request } from "../nats/api/request.ts";
import { connectNats, type NatsLink } from "../nats/connection/connection.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { competeSubject, statusSubject, stepdownSubject } from "../nats/names.ts";
import { decodeStatus } from "../nats/service/status-codec.ts";
import type { PeerStatus } from "../runtime/backend.ts";
import { type LeaseView, readLeaseView } from "./lease-view.ts";

/** Pause between two looks at a node that is about to lead. */
const LOOK_EVERY_MS = 5;

export interface ClientOptions {
  /** Longest wait for one answer. Default 2000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a node said of itself, and how long that took. A go-cluster node says only the first six fields. */
export interface NodeAnswer {
  readonly status: PeerStatus;
  readonly roundTripMs: number;
}

/** Who leads, by the record and by the word of the node that it names. */
export interface Situation {
  readonly lease: LeaseView;
  /** The record in the bucket; `null`: none, released or deleted. */
  readonly record: LeaseRecord | null;
  /** What the holder says; `null` when it does not answer or there is none. */
  readonly holder: NodeAnswer | null;
  /** Node id; `null`: nobody leads, or whoever did has neither renewed in time nor answers. */
  readonly leader: string | null;
  /** 0 when nobody leads. */
  readonly epoch: number;
}

export class ClusterClient {
  readonly clusterId: string;
  readonly timeoutMs: number;
  readonly monitor: ConnectionMonitor;
  readonly #link: NatsLink;

  private constructor(clusterId: string, timeoutMs: number, link: NatsLink) {
    this.clusterId = clusterId;
    this.timeoutMs = timeoutMs;
    this.#link = link;
    this.monitor = ConnectionMonitor.acquire(link.connection);
  }

  /** Rejects with `NO_CONNECTION`, `AUTHORIZATION`, `INVALID_CONFIG`, `ABORTED`. */
  static async connect(nodeOptions: NodeOptions, options: ClientOptions = {}): Promise<ClusterClient> {
    const { clusterId, nats } = resolveOptions(nodeOptions);
    const { timeoutMs = 2_000, signal } = options;
    const context = { clusterId, nodeId: "cli", ...(signal === undefined ? {} : { signal }) };
    return new ClusterClient(clusterId, timeoutMs, await connectNats(nats, context));
  }

  async close(): Promise<void> {
    this.monitor.release();
    await this.#link.close();
  }

  lease(): Promise<LeaseView> {
    return readLeaseView(this.monitor, this.clusterId, this.timeoutMs);
  }

  /** `null`: no such node answers. */
  async statusOf(nodeId: string): Promise<NodeAnswer | null> {
    const asked = performance.now();
    const answer = await this.#request(statusSubject(this.clusterId, nodeId), undefined, this.timeoutMs);
    const status = answer === null ? null : decodeStatus(answer);
    return status === null ? null : { status, roundTripMs: performance.now() - asked };
  }

  async situation(): Promise<Situation> {
    const lease = await this.lease();
    const record = lease.entry?.kind === "record" ? lease.entry.record : null;
    if (record === null) return { lease, record, holder: null, leader: null, epoch: 0 };
    const holder = await this.statusOf(record.nodeId);
    const leads = isHeldBy(record, holder) || lease.ageMs < lease.ttlMs;
    return {
      lease,
      record,
      holder,
      leader: leads ? record.nodeId : null,
      epoch: leads ? record.epoch : 0,
    };
  }

  /** Asks a node to step down. Rejects with what it refused with, or `NO_CONNECTION` when it does not answer. */
  async stepDown(nodeId: string, to: string | undefined, timeoutMs: number): Promise<void> {
    const body = to === undefined ? undefined : { to };
    const answer = await this.#ask(stepdownSubject(this.clusterId, nodeId), body, timeoutMs);
    this.#require(nodeId, answer, to === undefined ? "NOT_LEADER" : "HANDOVER_REFUSED", timeoutMs);
  }

  /** Asks a daemon to compete, or to follow only. */
  async setCompeting(nodeId: string, competes: boolean, timeoutMs: number): Promise<void> {
    const answer = await this.#ask(competeSubject(this.clusterId, nodeId), { competes }, timeoutMs);
    this.#require(nodeId, answer, "STORE_UNAVAILABLE", timeoutMs);
  }

  /** Resolves when the node itself says that it leads; rejects with `TIMEOUT`. Leaves early when another one does. */
  async untilLeads(nodeId: string, timeoutMs: number, signal?: AbortSignal): Promise<NodeAnswer> {
    const giveUpAt = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const answer = await this.statusOf(nodeId);
      if (answer !== null && answer.status.role === "PRIMARY" && answer.status.leader === nodeId)
        return answer;
      if (performance.now() >= giveUpAt) {
        const leader = answer?.status.leader ?? "";
        const who = leader === "" ? "nobody leads" : `"${leader}" leads`;
        throw new ClusterError(
          "TIMEOUT",
          `node "${nodeId}" does not lead after ${timeoutMs} ms (${answer === null ? "it does not answer" : who})`,
          { recoverable: true },
        );
      }
      await pause(LOOK_EVERY_MS);
    }
  }

  async #ask(subject: string, body: object | undefined, timeoutMs: number): Promise<JsonObject | null> {
    const answer = await this.#request(subject, body, timeoutMs);
    return answer === null ? null : parseObject(answer);
  }

  /** The bytes of the response; `null` without one. Rejects when the request could not be sent. */
  async #request(subject: string, body: object | undefined, timeoutMs: number): Promise<Uint8Array | null> {
    try {
      const data = body === undefined ? new Uint8Array(0) : jsonBody(body);
      return (await request(this.monitor, subject, data, { timeoutMs })).data;
    } catch (thrown) {
      const nobody = thrown instanceof RequestFailure && /^(timeout|no-responders)$/.test(thrown.kind);
      if (nobody) return null;
      throw jsToClusterError(thrown, `ask on ${subject}`);
    }
  }

  #require(
    nodeId: string,
    answer: JsonObject | null,
    code: "NOT_LEADER" | "HANDOVER_REFUSED" | "STORE_UNAVAILABLE",
    timeoutMs: number,
  ): void {
    if (answer === null) {
      throw new ClusterError(
        "NO_CONNECTION",
        `node "${nodeId}" of cluster "${this.clusterId}" does not answer (asked for ${timeoutMs} ms at most); ` +
          '"nats-leader nodes" shows who does. Work that stops slowly needs a longer --timeout',
        { recoverable: true },
      );
    }
    if (answer["ok"] === true) return;
    throw new ClusterError(code, `node "${nodeId}" refused: ${String(answer["error"] ?? "no reason given")}`);
  }
}

/** The holder itself says that it is this incarnation and has not ended the term. */
function isHeldBy(record: LeaseRecord, holder: NodeAnswer | null): boolean {
  if (holder === null) return false;
  const { incarnation, role, leader } = holder.status;
  if (record.incarnation !== incarnation) return false;
  return role === "PRIMARY" || leader === record.nodeId;
}
