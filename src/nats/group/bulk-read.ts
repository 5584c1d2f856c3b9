/**
 * Reads everything that has changed in a bucket after a sequence, by one short-lived pull consumer. With a history of one message for
 * each key, the messages after a sequence are the last ones of the keys that have changed since.
 *
 * A pull consumer, because a push consumer is deleted where its inbox is not known yet, and needs flow control. It is not deleted by request:
 * with the permission for that, a member could delete the presence consumers of all others. The server removes it when no request has
 * come for a while.
 */
import { randomBytes } from "node:crypto";
import type { Msg } from "@nats-io/transport-node";
import { asObject, callApi } from "../api/js-api.ts";
import { classify, jsonBody, RequestFailure } from "../api/request.ts";
import { deliveryOf } from "../bucket/bucket-watch.ts";
import { NANOS_PER_MS, numberOf } from "../bucket/stream-state.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { inboxOf } from "../connection/inbox.ts";
import { inDomain } from "../names.ts";

/** Messages of one request to the consumer. The next one is sent when half of them have arrived. */
const BATCH = 500;
const INACTIVE_MS = 2_000;
/**
 * Pauses before the first request is sent again. In a cluster of servers the answer that the consumer exists may come before the server of
 * this connection knows its subject: they take different routes. Its answer is then that there is no subscriber.
 */
const UNKNOWN_PAUSES_MS: readonly number[] = [5, 10, 20, 40, 80, 160, 320, 640];
/** All messages of a read are in memory at once: 100 000 owners take about 30 MB. */
const LIMITS = { messages: 400_000, bytes: 256 * 1024 * 1024 } as const;

export interface BulkReadOptions {
  readonly stream: string;
  readonly filter: string;
  /** Messages up to this sequence are not read. */
  readonly after: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** The consumer exists: what is asked about the stream from now on concerns the stream that is read. */
  readonly created: () => void;
  readonly message: (message: Msg, sequence: number) => void;
  /** A read of more fails. @default 400 000 messages or 256 MiB */
  readonly limits?: { readonly messages: number; readonly bytes: number };
}

/**
 * Calls `message` in the order of the stream, and resolves with the sequence up to which nothing is missing: what was in the stream when the
 * read began, as far as the server of the consumer knew. Rejects as `callApi` does.
 */
export async function readBulk(monitor: ConnectionMonitor, options: BulkReadOptions): Promise<number> {
  const { stream, filter, after, timeoutMs, signal } = options;
  const deadline = performance.now() + timeoutMs;
  const name = `catch_up_${randomBytes(12).toString("hex")}`;
  const config = {
    name,
    deliver_policy: "by_start_sequence",
    opt_start_seq: after + 1,
    ack_policy: "none",
    replay_policy: "instant",
    filter_subject: filter,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: INACTIVE_MS * NANOS_PER_MS,
  };
  const path = `CONSUMER.CREATE.${stream}.${name}.${filter}`;
  const made = await callApi(monitor, path, { stream_name: stream, config }, { timeoutMs, signal });
  const pending = made["num_pending"];
  if (typeof pending !== "number") {
    throw new RequestFailure("failed", `$JS.API.${path}`, "the answer is not about a consumer");
  }
  options.created();
  // Where the consumer stands: in a stream that has sequences and no messages yet, at its end.
  if (pending === 0) return Math.max(after, numberOf(asObject(made["delivered"]) ?? {}, "stream_seq"));
  return new Pull(monitor, name, pending, deadline, options).run();
}

/** The messages of one consumer. */
class Pull {
  readonly #monitor: ConnectionMonitor;
  readonly #options: BulkReadOptions;
  /** In the domain of the stream. */
  readonly #subject: string;
  readonly #inbox: string;
  readonly #deadline: number;
  /** Number of messages that were in the stream when the consumer was created. */
  readonly #wanted: number;
  /** Messages that were asked for and have not arrived. */
  #requested = 0;
  #received = 0;
  #bytes = 0;
  /** Number of requests that have reached no consumer. */
  #unknown = 0;
  #again: ReturnType<typeof setTimeout> | undefined;
  #upTo: number;
  #resolve: (upTo: number) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(
    monitor: ConnectionMonitor,
    name: string,
    wanted: number,
    deadline: number,
    options: BulkReadOptions,
  ) {
    this.#monitor = monitor;
    this.#options = options;
    this.#subject = inDomain(`$JS.API.CONSUMER.MSG.NEXT.${options.stream}.${name}`, monitor.domain);
    this.#inbox = inboxOf(monitor.connection);
    this.#wanted = wanted;
    this.#deadline = deadline;
    this.#upTo = options.after;
  }

  async run(): Promise<number> {
    const { signal } = this.#options;
    const settled = new Promise<number>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (signal.aborted) throw this.#failure("aborted", "aborted");
    const onAbort = (): void => this.#reject(this.#failure("aborted", "aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(
      () => this.#reject(this.#failure("timeout", `${this.#received} of ${this.#wanted} messages in time`)),
      Math.max(1, this.#deadline - performance.now()),
    );
    const unlisten = this.#monitor.listen((change) => {
      if (change.type === "down" || change.type === "closed")
        this.#reject(this.#failure("disconnected", "the connection dropped during the read"));
      // A denied message has no answer: the server reports it to the connection.
      else if (change.type === "denied" && change.subject === this.#subject)
        this.#reject(classify(change.subject, 0, change.error));
    });
    const subscription = this.#monitor.connection.subscribe(this.#inbox, {
      callback: (error, message) => {
        if (error === null) this.#take(message);
        else this.#reject(this.#failure("denied", error.message, error));
      },
    });
    try {
      this.#request();
      return await settled;
    } finally {
      clearTimeout(timer);
      clearTimeout(this.#again);
      unlisten();
      signal.removeEventListener("abort", onAbort);
      subscription.unsubscribe();
    }
  }

  #request(): void {
    const batch = Math.min(BATCH, this.#wanted - this.#received - this.#requested);
    if (batch <= 0) return;
    if (!this.#monitor.connected) return this.#reject(this.#failure("disconnected", "not connected"));
    this.#requested += batch;
    const expiresMs = Math.max(1, this.#deadline - performance.now());
    const body = jsonBody({ batch, expires: Math.ceil(expiresMs * NANOS_PER_MS) });
    this.#monitor.connection.publish(this.#subject, body, { reply: this.#inbox });
  }

  #take(message: Msg): void {
    const delivery = deliveryOf(message.reply);
    if (delivery === null) return this.#ended(message);
    // The server numbers what it delivers: what is missing was lost on the way.
    if (delivery.number !== this.#received + 1) {
      return this.#reject(this.#failure("failed", "a message was lost on the way"));
    }
    this.#received += 1;
    this.#requested -= 1;
    this.#bytes += message.data.length;
    const { messages, bytes } = this.#options.limits ?? LIMITS;
    if (this.#received > messages || this.#bytes > bytes) {
      return this.#reject(this.#failure("failed", `it has more than ${messages} messages or ${bytes} bytes`));
    }
    this.#upTo = delivery.sequence;
    try {
      this.#options.message(message, delivery.sequence);
    } catch (thrown) {
      return this.#reject(this.#failure("failed", "a message cannot be taken in", thrown));
    }
    // What was replaced since the beginning comes later, or is not counted as pending any more.
    if (delivery.pending === 0 || this.#received >= this.#wanted) return this.#resolve(this.#upTo);
    if (this.#requested <= BATCH / 2) this.#request();
  }

  /** A status in place of a message: the request has ended, the consumer has, or its server does not know it yet. */
  #ended({ headers }: Msg): void {
    const { code = 0, description = "" } = headers ?? {};
    if (code === 100) return;
    const pauseMs = UNKNOWN_PAUSES_MS[this.#unknown];
    if (code === 503 && this.#received === 0 && pauseMs !== undefined) {
      this.#unknown += 1;
      this.#requested = 0;
      this.#again = setTimeout(() => this.#request(), pauseMs);
      return;
    }
    this.#reject(this.#failure("failed", `the consumer ended the request: ${code} ${description}`));
  }

  #failure(kind: RequestFailure["kind"], message: string, cause?: unknown): RequestFailure {
    return new RequestFailure(kind, this.#subject, message, cause);
  }
}
