/**
 * Publishes messages and receives their answers over one subscription. The `request` of nats.js has a timer, a stack trace and a
 * connection listener per call; here all calls share them, which compensates for the cost of the fence. Failures are the same as
 * those of `request` in `nats/api`.
 */
import type { Msg, MsgHdrs, Subscription } from "@nats-io/transport-node";
import { asError } from "../../errors.ts";
import { RequestFailure } from "../../nats/api/request.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { inboxOf } from "../../nats/connection/inbox.ts";
import { MAX_TIMER_MS } from "../../runtime/waiting.ts";

export interface AckOptions {
  readonly timeoutMs: number;
  readonly headers?: MsgHdrs;
  readonly signal?: AbortSignal | undefined;
}

interface Waiting {
  readonly subject: string;
  readonly deadline: number;
  readonly timeoutMs: number;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (failure: RequestFailure) => void;
}

export class AckMux {
  readonly #monitor: ConnectionMonitor;
  readonly #prefix: string;
  readonly #subscription: Subscription;
  readonly #unlisten: () => void;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #sweepAt = Number.POSITIVE_INFINITY;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(monitor: ConnectionMonitor) {
    this.#monitor = monitor;
    const { connection } = monitor;
    this.#prefix = `${inboxOf(connection)}.`;
    this.#subscription = connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => this.#onAnswer(error, message),
    });
    this.#unlisten = monitor.listen((change) => {
      if (change.type === "denied") return this.#onDenied(change.subject, change.error);
      if (change.type !== "down" && change.type !== "closed") return;
      this.#failAll("disconnected", "the connection dropped before the answer", change.error);
    });
  }

  /**
   * Publishes and resolves with the answer's bytes. Rejects with a `RequestFailure`. The caller checks before that the connection
   * is up and the signal is not aborted.
   */
  request(subject: string, data: Uint8Array, options: AckOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const deadline = performance.now() + options.timeoutMs;
      try {
        const reply = this.#prefix + id;
        const { headers } = options;
        this.#monitor.connection.publish(
          subject,
          data,
          headers === undefined ? { reply } : { reply, headers },
        );
      } catch (thrown) {
        const error = asError(thrown);
        reject(new RequestFailure("failed", subject, error.message, error));
        return;
      }
      const waiting = { subject, deadline, timeoutMs: options.timeoutMs, resolve, reject };
      this.#waiting.set(
        id,
        options.signal === undefined ? waiting : this.#abortable(id, waiting, options.signal),
      );
      if (deadline < this.#sweepAt) this.#sweepIn(deadline);
    });
  }

  /** Rejects the waiting requests with `disconnected`. Idempotent. */
  close(): void {
    this.#unlisten();
    clearTimeout(this.#sweeper);
    this.#failAll("disconnected", "closed before the answer", null);
    if (!this.#monitor.closed) this.#subscription.unsubscribe();
  }

  #onAnswer(error: Error | null, message: Msg): void {
    if (error !== null) return; // the subscription was refused: waiting requests time out
    const id = Number(message.subject.slice(this.#prefix.length));
    const waiting = this.#take(id);
    if (waiting === undefined) return;
    if (message.data.length === 0 && message.headers?.code === 503) {
      waiting.reject(
        new RequestFailure("no-responders", waiting.subject, `no subscriber answers on ${waiting.subject}`),
      );
    } else waiting.resolve(message.data);
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #failAll(kind: "disconnected", message: string, cause: Error | null): void {
    for (const [id, { subject, reject }] of [...this.#waiting]) {
      this.#waiting.delete(id);
      reject(new RequestFailure(kind, subject, message, cause ?? undefined));
    }
  }

  #sweepIn(at: number): void {
    clearTimeout(this.#sweeper);
    this.#sweepAt = at;
    // The timer need not keep the process alive: the connection's socket does.
    const delayMs = Math.max(1, Math.ceil(at - performance.now()));
    this.#sweeper = setTimeout(() => this.#sweep(), Math.min(delayMs, MAX_TIMER_MS)).unref();
  }

  /** One timer serves all requests. It is set for the earliest deadline; under load it fires about once per timeout. */
  #sweep(): void {
    this.#sweepAt = Number.POSITIVE_INFINITY;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [id, { subject, deadline, timeoutMs, reject }] of [...this.#waiting]) {
      if (deadline > now) next = Math.min(next, deadline);
      else {
        this.#waiting.delete(id);
        reject(new RequestFailure("timeout", subject, `no answer within ${timeoutMs} ms`));
      }
    }
    if (next < this.#sweepAt) this.#sweepIn(next);
  }

  #abortable(id: number, waiting: Waiting, signal: AbortSignal): Waiting {
    const settled = (): void => signal.removeEventListener("abort", onAbort);
    const onAbort = (): void => {
      const failure = new RequestFailure("aborted", waiting.subject, "aborted", signal.reason);
      this.#take(id)?.reject(failure);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return {
      ...waiting,
      resolve: (data) => {
        settled();
        waiting.resolve(data);
      },
      reject: (failure) => {
        settled();
        waiting.reject(failure);
      },
    };
  }

  /** A publish without permission gets no answer. The server reports it as an error of the connection only. */
  #onDenied(denied: string, error: Error): void {
    if ((error as Error & { operation?: unknown }).operation !== "publish") return;
    for (const [id, { subject, reject }] of [...this.#waiting]) {
      if (subject !== denied) continue;
      this.#waiting.delete(id);
      reject(new RequestFailure("denied", subject, error.message, error));
    }
  }
}
