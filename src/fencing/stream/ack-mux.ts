/**
 * Publishes messages and receives their answers over one subscription. The `request` of nats.js has a timer, a stack trace and a
 * connection listener per call; here all calls share them, which compensates for the cost of the fence. Failures are the same as
 * those of `request` in `nats/api`.
 */
import type { Msg, MsgHdrs, Subscription } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { grantHint } from "../../nats/api/grant-hint.ts";
import { RequestFailure, type RequestFailureKind } from "../../nats/api/request.ts";
import type { ConnectionChange, ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { inboxOf } from "../../nats/connection/inbox.ts";
import { MAX_TIMER_MS } from "../../runtime/waiting.ts";

/** What becomes of a message that was published. Exactly one of the two is called, once. */
export interface AckSink {
  answered(data: Uint8Array): void;
  failed(failure: RequestFailure): void;
}

interface Waiting {
  readonly subject: string;
  readonly deadline: number;
  readonly timeoutMs: number;
  readonly sink: AckSink;
}

export class AckMux {
  readonly #monitor: ConnectionMonitor;
  readonly #prefix: string;
  readonly #unlisten: () => void;
  readonly #waiting = new Map<number, Waiting>();
  /** Refused publishes by subject, of which it is not known yet which of the waiting messages they were. */
  readonly #refused = new Map<string, number>();
  #subscription: Subscription;
  /** Why no answer can be received; `null` as long as they can. */
  #deaf: Error | null = null;
  #lastId = 0;
  #sweepAt = Number.POSITIVE_INFINITY;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(monitor: ConnectionMonitor) {
    this.#monitor = monitor;
    this.#prefix = `${inboxOf(monitor.connection)}.`;
    this.#subscription = this.#subscribe();
    this.#unlisten = monitor.listen((change) => this.#onChange(change));
  }

  /** Why a message cannot be sent at this moment; `null` if it can. `doing` completes "cannot ...". */
  problem(doing: () => string): ClusterError | null {
    if (!this.#monitor.connected) {
      const text = `cannot ${doing()}: not connected; nothing was sent`;
      return new ClusterError("NO_CONNECTION", text, { recoverable: true });
    }
    if (this.#deaf === null) return null;
    const text = `cannot ${doing()}: ${this.#deaf.message}, so no answer could be received; nothing was sent; ${grantHint("subscribe", `${this.#prefix}*`)}`;
    void this.#listenAgain();
    return new ClusterError("AUTHORIZATION", text, { cause: this.#deaf, recoverable: true });
  }

  /**
   * Publishes; the caller checks `problem()` before. Returns the number for `abandon()`. Throws what nats.js throws: then nothing was
   * sent, and the sink is not called.
   */
  send(
    subject: string,
    data: Uint8Array,
    headers: MsgHdrs | undefined,
    timeoutMs: number,
    sink: AckSink,
  ): number {
    const id = this.#lastId + 1;
    const reply = this.#prefix + id;
    this.#monitor.connection.publish(subject, data, headers === undefined ? { reply } : { reply, headers });
    this.#lastId = id;
    const deadline = performance.now() + timeoutMs;
    this.#waiting.set(id, { subject, deadline, timeoutMs, sink });
    if (deadline < this.#sweepAt) this.#sweepIn(deadline);
    return id;
  }

  /** Fails a message that is waiting. */
  abandon(id: number, reason: unknown): void {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) this.#fail(id, waiting, "aborted", "aborted", reason);
  }

  /** Fails the waiting messages with `disconnected`. Idempotent. */
  close(): void {
    this.#unlisten();
    clearTimeout(this.#sweeper);
    this.#failAll("disconnected", "closed before the answer", null);
    if (!this.#monitor.closed) this.#subscription.unsubscribe();
  }

  #subscribe(): Subscription {
    return this.#monitor.connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.#onAnswer(message);
      },
    });
  }

  #onAnswer(message: Msg): void {
    const id = Number(message.subject.slice(this.#prefix.length));
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    if (message.data.length === 0 && message.headers?.code === 503) {
      const { subject, sink } = waiting;
      sink.failed(new RequestFailure("no-responders", subject, `no subscriber answers on ${subject}`));
    } else waiting.sink.answered(message.data);
    if (this.#refused.size > 0) this.#settleRefused(waiting.subject);
  }

  #onChange(change: ConnectionChange): void {
    if (change.type === "denied") return this.#onDenied(change.subject, change.error);
    if (change.type === "up" && this.#deaf !== null) void this.#listenAgain();
    if (change.type !== "down" && change.type !== "closed") return;
    this.#failAll("disconnected", "the connection dropped before the answer", change.error);
  }

  #fail(id: number, waiting: Waiting, kind: RequestFailureKind, message: string, cause?: unknown): void {
    this.#waiting.delete(id);
    waiting.sink.failed(new RequestFailure(kind, waiting.subject, message, cause));
  }

  #failAll(kind: RequestFailureKind, message: string, cause: Error | null): void {
    this.#refused.clear();
    for (const [id, waiting] of [...this.#waiting])
      this.#fail(id, waiting, kind, message, cause ?? undefined);
  }

  #sweepIn(at: number): void {
    clearTimeout(this.#sweeper);
    this.#sweepAt = at;
    // The timer need not keep the process alive: the connection's socket does.
    const delayMs = Math.max(1, Math.ceil(at - performance.now()));
    this.#sweeper = setTimeout(() => this.#sweep(), Math.min(delayMs, MAX_TIMER_MS)).unref();
  }

  /** One timer serves all messages. It is set for the earliest deadline; under load it fires about once per timeout. */
  #sweep(): void {
    this.#sweepAt = Number.POSITIVE_INFINITY;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [id, waiting] of [...this.#waiting]) {
      if (waiting.deadline > now) next = Math.min(next, waiting.deadline);
      else {
        // It may have been the refused one.
        this.#refused.delete(waiting.subject);
        this.#fail(id, waiting, "timeout", `no answer within ${waiting.timeoutMs} ms`);
      }
    }
    if (next < this.#sweepAt) this.#sweepIn(next);
  }

  /** A message or subscription without permission gets no answer. The server reports it as an error of the connection only. */
  #onDenied(denied: string, error: Error): void {
    const { operation } = error as Error & { operation?: unknown };
    if (operation === "publish") {
      this.#refused.set(denied, (this.#refused.get(denied) ?? 0) + 1);
      this.#settleRefused(denied, error);
    } else if (denied.startsWith(this.#prefix)) {
      this.#deaf = error;
      this.#failAll("denied", error.message, error);
    }
  }

  /**
   * The report names the subject and not the message, and a permission can be withdrawn while some messages have been accepted.
   * When as many were refused as are waiting, all that are waiting were refused.
   */
  #settleRefused(subject: string, error?: Error): void {
    const refused = this.#refused.get(subject);
    if (refused === undefined) return;
    const waiting = [...this.#waiting].filter(([, message]) => message.subject === subject);
    if (refused < waiting.length) return;
    this.#refused.delete(subject);
    const text = error?.message ?? `Permissions Violation for Publish to "${subject}"`;
    for (const [id, message] of waiting) this.#fail(id, message, "denied", text, error);
  }

  /** Subscribes again. The answer to the flush comes after the server's refusal, if there is one. */
  async #listenAgain(): Promise<void> {
    const before = this.#subscription;
    if (this.#monitor.closed) return;
    try {
      before.unsubscribe();
      const again = this.#subscribe();
      this.#subscription = again;
      const refusal = this.#deaf;
      await this.#monitor.connection.flush();
      if (this.#subscription === again && this.#deaf === refusal) this.#deaf = null;
    } catch {
      // The connection dropped: the next attempt to send subscribes again.
    }
  }
}
