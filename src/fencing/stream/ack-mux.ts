/**
 * Publishes and their answers over one subscription. What nats.js's `request` does per write (a timer, a stack trace, a
 * listener for the connection) is done once for all here, which pays for the fence. Fails in the same words as `request`.
 */
import type { Msg, MsgHdrs, Status, Subscription } from "@nats-io/transport-node";
import { asError } from "../../errors.ts";
import { RequestFailure } from "../../nats/api/request.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { inboxOf } from "../../nats/connection/inbox.ts";

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
  readonly #statuses: AsyncIterator<Status>;
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
      if (change.type !== "down" && change.type !== "closed") return;
      this.#failAll("disconnected", "the connection dropped before the answer", change.error);
    });
    this.#statuses = connection.status()[Symbol.asyncIterator]();
    void this.#watchDenials();
  }

  /**
   * Publishes and resolves with the answer's bytes. Rejects with a `RequestFailure`. Asks nothing before it sends: look
   * whether the connection is up and the signal not aborted.
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

  /** Idempotent. Who still waits gets `disconnected`. */
  close(): void {
    this.#unlisten();
    clearTimeout(this.#sweeper);
    this.#failAll("disconnected", "closed before the answer", null);
    void this.#statuses.return?.();
    if (!this.#monitor.closed) this.#subscription.unsubscribe();
  }

  #onAnswer(error: Error | null, message: Msg): void {
    if (error !== null) return; // the subscription was refused: the waiting run into their time
    const id = Number(message.subject.slice(this.#prefix.length));
    const waiting = this.#take(id);
    if (waiting === undefined) return;
    if (message.data.length === 0 && message.headers?.code === 503) {
      waiting.reject(
        new RequestFailure("no-responders", waiting.subject, `nobody answers on ${waiting.subject}`),
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
    // The open socket keeps the process alive while an answer is awaited.
    this.#sweeper = setTimeout(() => this.#sweep(), Math.max(1, Math.ceil(at - performance.now()))).unref();
  }

  /** One timer for all, set for the earliest deadline; under load it fires about once per timeout. */
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

  /** A publish that the user's permissions don't allow gets no answer, only a word on the connection. */
  async #watchDenials(): Promise<void> {
    for (;;) {
      const next = await this.#statuses.next();
      if (next.done === true) return;
      if (next.value.type !== "error") continue;
      const { error } = next.value;
      const { operation, subject } = error as Error & { operation?: unknown; subject?: unknown };
      if (operation !== "publish") continue;
      for (const [id, waiting] of [...this.#waiting]) {
        if (waiting.subject !== subject) continue;
        this.#waiting.delete(id);
        waiting.reject(new RequestFailure("denied", waiting.subject, error.message, error));
      }
    }
  }
}
