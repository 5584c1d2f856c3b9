/**
 * Access to a cluster from outside, for the command line and the manager. It never joins the election and never writes to
 * the bucket. Every change is a request to a node.
 */
import { setTimeout as pause } from "node:timers/promises";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { type NodeOptions, resolveOptions } from "../config/resolve.ts";
import type { LeaseRecord } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import { printable } from "../log/printable.ts";
import { parseObject } from "../nats/api/js-api.ts";
import { jsonBody, RequestFailure, request } from "../nats/api/request.ts";
import { connectNats, type NatsLink } from "../nats/connection/connection.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { competeSubject, newReplySubject, statusSubject, stepdownSubject } from "../nats/names.ts";
import { decodeStatus } from "../nats/service/status-codec.ts";
import { choose, statusesOf, TARGET_HEADER } from "../nats/service/twins.ts";
import type { PeerStatus } from "../runtime/backend.ts";
import { MAX_TIMER_MS } from "../runtime/waiting.ts";
import { commandError } from "./command-error.ts";
import { type LeaseView, readLeaseView } from "./lease-view.ts";

/** Pause between status requests to a node that is about to lead. */
const POLL_MS = 5;
/** With less time left, no request is sent. */
const LEAST_ANSWER_MS = 2;
/** Of a reason that a node sends, more is not quoted. */
const MAX_REASON_LENGTH = 500;

export interface ClientOptions {
  /**
   * Time limit for each answer, in milliseconds.
   * @default 2000
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Time limit for the connection attempt and all requests together, in milliseconds. Each answer is then waited for until this
   * limit at most.
   * @default Infinity
   */
  readonly limitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A node's status, and the round trip time of the request. A go-cluster node sends only its six fields. */
export interface NodeAnswer {
  readonly status: PeerStatus;
  readonly roundTripMs: number;
  /** Incarnation of another process with this node id that the node has noticed; that process may have ended. */
  readonly noticed: string | undefined;
}

/** `absent`: no process has this node id. `silent`: one is connected, and gives no valid answer in time, as when it is frozen. */
export type Unanswered = "absent" | "silent";

/** The leader, derived from the record and from the status of its holder. */
export interface Situation {
  readonly lease: LeaseView;
  /** The record in the bucket; `null`: none, released or deleted. */
  readonly record: LeaseRecord | null;
  /** The answer of the process that has the lease; `null` if it does not answer, if this user may not ask it, or without a record. */
  readonly holder: NodeAnswer | null;
  /** The holder does not answer, but another process with its node id does: the holder has ended, or is frozen. */
  readonly twin: NodeAnswer | null;
  /** This user may not ask the holder. */
  readonly unasked: boolean;
  /** Node id; `null`: no record, or its holder neither renewed it in time nor claims it in its status. */
  readonly leader: string | null;
  /** Incarnation of the leader; `undefined`: it does not answer, or has none. */
  readonly incarnation: string | undefined;
  /** 0 if there is no leader. */
  readonly epoch: number;
}

const NO_HOLDER = {
  holder: null,
  twin: null,
  unasked: false,
  leader: null,
  incarnation: undefined,
  epoch: 0,
} as const;

/** No time is left for a further request. */
class LimitReached extends ClusterError {}

export class ClusterClient {
  readonly clusterId: string;
  readonly monitor: ConnectionMonitor;
  readonly #answerMs: number;
  readonly #limitMs: number;
  readonly #deadline: number;
  /** `null`: the connection is another client's. */
  readonly #link: NatsLink | null;
  #leaseWasRead = false;

  private constructor(
    clusterId: string,
    answerMs: number,
    limitMs: number,
    deadline: number,
    link: NatsLink | null,
    connection: NatsConnection,
    domain: string | null,
  ) {
    this.clusterId = clusterId;
    this.#answerMs = answerMs;
    this.#limitMs = limitMs;
    this.#deadline = deadline;
    this.#link = link;
    this.monitor = ConnectionMonitor.acquire(connection, domain);
  }

  /** @throws ClusterError `NO_CONNECTION`, `AUTHORIZATION`, `INVALID_CONFIG` or `ABORTED`. */
  static async connect(nodeOptions: NodeOptions, options: ClientOptions = {}): Promise<ClusterClient> {
    const { clusterId, nats } = resolveOptions(nodeOptions);
    const { timeoutMs = 2_000, limitMs = Number.POSITIVE_INFINITY, signal } = options;
    const deadline = performance.now() + limitMs;
    const late = limitMs <= MAX_TIMER_MS ? AbortSignal.timeout(Math.ceil(limitMs)) : null;
    const ending = [signal, late].filter((one) => one != null);
    const context = { clusterId, nodeId: "cli", signal: AbortSignal.any(ending) };
    try {
      const link = await connectNats(nats, context);
      const domain = nats.domain ?? null;
      return new ClusterClient(clusterId, timeoutMs, limitMs, deadline, link, link.connection, domain);
    } catch (error) {
      if (late?.aborted !== true || signal?.aborted === true) throw error;
      throw new ClusterError("NO_CONNECTION", `no server accepted a connection within ${limitMs} ms`, {
        cause: error,
        recoverable: true,
      });
    }
  }

  /** A client of another cluster on this connection, with the same limits. Closing it leaves the connection open. */
  of(clusterId: string): ClusterClient {
    const { connection, domain } = this.monitor;
    return new ClusterClient(
      clusterId,
      this.#answerMs,
      this.#limitMs,
      this.#deadline,
      null,
      connection,
      domain,
    );
  }

  async close(): Promise<void> {
    this.monitor.release();
    await this.#link?.close();
  }

  /**
   * Time limit of the next answer.
   * @throws ClusterError `TIMEOUT` if the limit of all operations is used up.
   */
  get timeoutMs(): number {
    return this.#withinLimit(this.#answerMs);
  }

  #withinLimit(ms: number): number {
    if (this.#isUsedUp()) throw this.#limitReached();
    return Math.min(ms, this.#deadline - performance.now());
  }

  #isUsedUp(): boolean {
    return this.#deadline - performance.now() < LEAST_ANSWER_MS;
  }

  #limitReached(cause?: unknown): LimitReached {
    return new LimitReached(
      // JetStream that has given no answer at all is unreachable.
      this.#leaseWasRead ? "TIMEOUT" : "STORE_UNAVAILABLE",
      `the time limit of ${this.#limitMs} ms was reached before the result was known for cluster "${this.clusterId}"; ` +
        'a change that was requested may still happen ("nats-leader status" shows the leader). Raise the limit (--timeout)',
      { cause, recoverable: true },
    );
  }

  /** Rejects with `TIMEOUT` if the limit of all operations, and not JetStream, is why there is no answer. */
  async lease(): Promise<LeaseView> {
    try {
      const lease = await readLeaseView(this.monitor, this.clusterId, this.timeoutMs);
      this.#leaseWasRead = true;
      return lease;
    } catch (error) {
      const isLate = error instanceof ClusterError && error.code === "STORE_UNAVAILABLE" && this.#isUsedUp();
      // JetStream that has given no answer at all is unreachable.
      throw isLate && this.#leaseWasRead ? this.#limitReached(error) : error;
    }
  }

  /**
   * `null` if no node with this id answers. If two processes with this id do, the answer is that of `incarnation`, or of the
   * leader, and its status has `duplicate`.
   */
  async statusOf(nodeId: string, incarnation?: string): Promise<NodeAnswer | null> {
    const answer = await this.askStatus(nodeId, incarnation);
    return typeof answer === "string" ? null : answer;
  }

  /** Like `statusOf`, and says why there is no answer. */
  async askStatus(nodeId: string, incarnation?: string): Promise<NodeAnswer | Unanswered> {
    const asked = performance.now();
    const subject = statusSubject(this.clusterId, nodeId);
    const answer = await this.#request(subject, undefined, this.timeoutMs);
    if (answer === "no-responders") return "absent";
    const status = answer === "timeout" ? null : decodeStatus(answer);
    if (status === null) return "silent";
    const roundTripMs = performance.now() - asked;
    const isMeant = incarnation === undefined || status.incarnation === incarnation;
    const noticed = status.duplicate;
    if (isMeant && noticed === undefined) return { status, roundTripMs, noticed };
    const all = await statusesOf(this.monitor.connection, subject, this.newReply(), this.timeoutMs);
    return { status: choose(all, incarnation) ?? status, roundTripMs, noticed };
  }

  /** Where the answer of a node to one request is to arrive. */
  newReply(): string {
    return newReplySubject(this.clusterId, null);
  }

  async situation(): Promise<Situation> {
    const lease = await this.lease();
    const record = lease.entry?.kind === "record" ? lease.entry.record : null;
    if (record === null) return { lease, record, ...NO_HOLDER };
    const answer = await this.#holderOf(record);
    const answered = typeof answer === "string" ? null : answer;
    const holder = answered !== null && isHolder(record, answered) ? answered : null;
    const leads = isHeldBy(record, holder) || lease.ageMs < lease.ttlMs;
    return {
      lease,
      record,
      holder,
      twin: holder === null ? answered : null,
      unasked: answer === "denied",
      leader: leads ? record.nodeId : null,
      incarnation: isHeldBy(record, holder) ? record.incarnation : undefined,
      epoch: leads ? record.epoch : 0,
    };
  }

  /** `denied` for a user that may only read: the age of the record then decides whether its holder leads. */
  #holderOf({ nodeId, incarnation }: LeaseRecord): Promise<NodeAnswer | Unanswered | "denied"> {
    return this.askStatus(nodeId, incarnation).catch((error: unknown) => {
      if (error instanceof ClusterError && error.code === "AUTHORIZATION") return "denied" as const;
      throw error;
    });
  }

  /**
   * Requests a step-down. Resolves after the node's work has ended and its lease is released, which the bucket confirms: the
   * answer alone may be any program's that may subscribe to the subject.
   * @param incarnation Of several processes with this node id, the one that is meant.
   * @throws ClusterError `NOT_LEADER` or `HANDOVER_REFUSED` if the node refuses, `NO_CONNECTION` if it does not answer, `TIMEOUT` if
   * it accepts and the lease does not change.
   */
  async stepDown(
    nodeId: string,
    to: string | undefined,
    timeoutMs: number,
    incarnation?: string,
  ): Promise<void> {
    const before = await this.lease();
    const body = to === undefined ? undefined : { to };
    const refusal = to === undefined ? "NOT_LEADER" : "HANDOVER_REFUSED";
    await this.#ask(nodeId, stepdownSubject(this.clusterId, nodeId), body, timeoutMs, refusal, incarnation);
    const waitMs = Math.round(this.timeoutMs);
    const ended = await this.#untilLease((now) => !isSameTerm(before, now), waitMs);
    if (ended !== null) return;
    throw new ClusterError(
      "TIMEOUT",
      `node "${nodeId}" confirmed a step-down, and the lease has not changed within ${waitMs} ms: ` +
        "the node does not lead, or another program answers in its name",
      { recoverable: true },
    );
  }

  /** Requests that a daemon competes, or only follows. */
  async setCompeting(nodeId: string, competes: boolean, timeoutMs: number): Promise<void> {
    const subject = competeSubject(this.clusterId, nodeId);
    await this.#ask(nodeId, subject, { competes }, timeoutMs, "CONFLICT");
  }

  /**
   * Resolves when the lease names the node, in a record that is newer than `since`, and its own status shows that it leads.
   * Rejects with `TIMEOUT`.
   */
  async untilLeads(
    nodeId: string,
    since: LeaseView,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<NodeAnswer> {
    const deadline = Math.min(performance.now() + timeoutMs, this.#deadline - LEAST_ANSWER_MS);
    const isNamed = ({ entry }: LeaseView): boolean =>
      entry?.kind === "record" && entry.record.nodeId === nodeId && entry.revision !== since.entry?.revision;
    try {
      const named = await this.#untilLease(isNamed, deadline - performance.now(), signal);
      while (named !== null) {
        signal?.throwIfAborted();
        const answer = await this.statusOf(nodeId);
        if (answer?.status.role === "PRIMARY" && answer.status.leader === nodeId) return answer;
        if (performance.now() >= deadline) break;
        await pause(POLL_MS);
      }
      const { leader } = await this.situation();
      const who = leader === null ? "there is no leader" : `"${leader}" leads`;
      throw notLeading(nodeId, timeoutMs, leader === nodeId ? "it does not confirm that it leads" : who);
    } catch (error) {
      if (!(error instanceof LimitReached)) throw error;
      throw notLeading(nodeId, timeoutMs, "no time was left to read who leads");
    }
  }

  /** The lease as soon as it is as wanted; `null` if it is not in time. Reads that fail for now are repeated. */
  async #untilLease(
    isWanted: (lease: LeaseView) => boolean,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<LeaseView | null> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const late = performance.now() >= deadline;
      const lease = await this.lease().catch((error: unknown) => {
        if (!late && error instanceof ClusterError && error.recoverable) return null;
        throw error;
      });
      if (lease !== null && isWanted(lease)) return lease;
      if (late) return null;
      await pause(POLL_MS);
    }
  }

  /** Sends a request to a node and waits until it is carried out. */
  async #ask(
    nodeId: string,
    subject: string,
    body: object | undefined,
    timeoutMs: number,
    refusal: "NOT_LEADER" | "HANDOVER_REFUSED" | "CONFLICT",
    incarnation?: string,
  ): Promise<void> {
    const started = performance.now();
    const answer = await this.#request(subject, body, timeoutMs, incarnation);
    if (typeof answer === "string") {
      const waitedMs = Math.round(performance.now() - started);
      throw new ClusterError("NO_CONNECTION", this.#unanswered(nodeId, answer, waitedMs), {
        recoverable: true,
      });
    }
    const json = parseObject(answer);
    if (json?.["ok"] === true) return;
    const reason = json === null ? "its answer is not a JSON object" : (json["error"] ?? "no reason given");
    throw new ClusterError(
      refusal,
      `node "${nodeId}" refused: ${printable(String(reason), MAX_REASON_LENGTH)}`,
    );
  }

  #unanswered(nodeId: string, why: "timeout" | "no-responders", waitedMs: number): string {
    const node = `node "${nodeId}" of cluster "${this.clusterId}"`;
    const others = '"nats-leader nodes" lists the nodes that answer';
    if (why === "no-responders") return `no process answers as ${node}; ${others}`;
    return (
      `${node} did not answer within ${waitedMs} ms; what was requested may still happen; ${others}. ` +
      "If its work takes longer to stop, raise the time limit (--timeout)"
    );
  }

  /** The bytes of the response, or why there is none. Rejects if the request could not be sent. */
  async #request(
    subject: string,
    body: object | undefined,
    wantedMs: number,
    incarnation?: string,
  ): Promise<Uint8Array | "timeout" | "no-responders"> {
    const timeoutMs = this.#withinLimit(wantedMs);
    const target = headers();
    if (incarnation !== undefined) target.set(TARGET_HEADER, incarnation);
    try {
      const data = body === undefined ? new Uint8Array(0) : jsonBody(body);
      const reply = this.newReply();
      const options =
        incarnation === undefined ? { timeoutMs, reply } : { timeoutMs, reply, headers: target };
      return (await request(this.monitor, subject, data, options)).data;
    } catch (thrown) {
      const kind = thrown instanceof RequestFailure ? thrown.kind : null;
      if (kind === "timeout" || kind === "no-responders") return kind;
      throw commandError(this.monitor, thrown, `send a request to ${subject}`, this);
    }
  }
}

function notLeading(nodeId: string, afterMs: number, why: string): ClusterError {
  return new ClusterError(
    "TIMEOUT",
    `timed out after ${Math.round(afterMs)} ms waiting for node "${nodeId}" to become leader: ${why}`,
    { recoverable: true },
  );
}

/** Whether the key still has the term, or still the release or the garbage, that it had. */
function isSameTerm({ entry: before }: LeaseView, { entry: now }: LeaseView): boolean {
  if (before?.kind !== "record" || now?.kind !== "record") return before?.revision === now?.revision;
  const [a, b] = [before.record, now.record];
  return a.nodeId === b.nodeId && a.incarnation === b.incarnation && a.epoch === b.epoch;
}

/** A go-cluster node writes no incarnation: it is known by its node id only. */
function isHolder({ incarnation }: LeaseRecord, { status }: NodeAnswer): boolean {
  return incarnation === undefined || incarnation === status.incarnation;
}

/** Whether the holder's status confirms the record: the same incarnation, with a term that has not ended. */
function isHeldBy(record: LeaseRecord, holder: NodeAnswer | null): boolean {
  if (holder === null) return false;
  const { incarnation, role, leader } = holder.status;
  if (record.incarnation !== incarnation) return false;
  return role === "PRIMARY" || leader === record.nodeId;
}
