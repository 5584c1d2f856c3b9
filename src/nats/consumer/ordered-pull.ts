/**
 * One pull consumer on a server, which delivers the messages of a filter in the order of the stream, without a gap: the server numbers what it
 * delivers, so that a message that got lost shows. Anything that makes the next message doubtful ends it (`lost`). The owner then makes
 * another consumer, after the last message that arrived.
 */
import type { Msg, MsgHdrs, Subscription } from "@nats-io/transport-node";
import { jsonBody } from "../api/request.ts";
import { type Delivery, deliveryOf } from "../bucket/bucket-watch.ts";
import { NANOS_PER_MS } from "../bucket/stream-state.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { inboxOf } from "../connection/inbox.ts";
import { inDomain } from "../names.ts";

/** Missed heartbeats after which the server is not waited for any more. */
const MISSED = 2.5;

export interface PullLimits {
  /** Messages of one request. Twice as many may be requested or in the buffer of the owner. */
  readonly batch: number;
  /** Bytes of one request, as the server counts them. A message that is larger cannot be received. No request is sent while as many are in the buffer. */
  readonly maxBytes: number;
  /** How long one request waits on the server. */
  readonly expiresMs: number;
  /** The server sends a heartbeat when it has delivered nothing for so long. */
  readonly heartbeatMs: number;
}

export interface PullListener {
  message(message: Msg, delivery: Delivery): void;
  /** The filter has no message up to this sequence that has not been delivered. */
  passed(sequence: number): void;
  /** A request has ended early: `fill()` may send another one. */
  ended(): void;
  /** Nothing comes any more. Called at most once, and never after `close()`. `error`: another consumer would fare no better. */
  lost(why: string, error: "too-large" | "refused" | null): void;
}

export class OrderedPull {
  readonly name: string;
  readonly #monitor: ConnectionMonitor;
  readonly #subject: string;
  readonly #limits: PullLimits;
  readonly #listener: PullListener;
  readonly #inbox: string;
  /** What the reply subjects of its messages begin with, unless they name a domain and an account. */
  readonly #acks: string;
  #subscription: Subscription | null = null;
  #unlisten: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  /** Messages that were requested and have not arrived. The server serves its requests in turn, so that only their sum is known. */
  #requested = 0;
  #requests = 0;
  #received = 0;
  /** Something has arrived since the last check. */
  #isHeard = false;
  #heardAt = 0;
  #checkedAt = 0;
  #isOver = false;

  constructor(
    monitor: ConnectionMonitor,
    { stream, name }: { readonly stream: string; readonly name: string },
    limits: PullLimits,
    listener: PullListener,
  ) {
    this.name = name;
    this.#monitor = monitor;
    this.#subject = inDomain(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, monitor.domain);
    this.#limits = limits;
    this.#listener = listener;
    this.#inbox = inboxOf(monitor.connection);
    this.#acks = `$JS.ACK.${stream}.${name}.1.`;
  }

  start(): void {
    this.#unlisten = this.#monitor.listen((change) => {
      if (change.type === "down" || change.type === "closed") this.#lose("the connection was lost");
    });
    this.#subscription = this.#monitor.connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#take(message);
        else this.#lose(error.message, "refused");
      },
    });
    this.#heardAt = performance.now();
    this.#checkedAt = this.#heardAt;
    this.#timer = setInterval(() => this.#check(), this.#limits.heartbeatMs);
    this.#timer.unref();
  }

  /** Requests more if there is room. The arguments say what has arrived and was not taken. */
  fill(bufferedMessages: number, bufferedBytes: number): void {
    const { batch, maxBytes } = this.#limits;
    while (!this.#isOver && bufferedMessages + this.#requested <= batch && bufferedBytes <= maxBytes) {
      this.#request();
    }
  }

  #request(): void {
    const { batch, maxBytes, expiresMs, heartbeatMs } = this.#limits;
    if (!this.#monitor.connected) return this.#lose("the connection was lost");
    this.#requests += 1;
    if (this.#requested === 0) this.#heardAt = performance.now();
    this.#requested += batch;
    const body = jsonBody({
      batch,
      max_bytes: maxBytes,
      expires: expiresMs * NANOS_PER_MS,
      idle_heartbeat: heartbeatMs * NANOS_PER_MS,
    });
    this.#monitor.connection.publish(this.#subject, body, { reply: `${this.#inbox}.${this.#requests}` });
  }

  close(): void {
    this.#isOver = true;
    this.#unlisten();
    clearInterval(this.#timer);
    // After a denied subscription or on a closed connection, nats.js has ended it already.
    this.#subscription?.unsubscribe();
    this.#subscription = null;
  }

  #take(message: Msg): void {
    if (this.#isOver) return;
    this.#isHeard = true;
    const delivery = this.#deliveryOf(message.reply);
    if (delivery === null) return this.#onStatus(message);
    if (delivery.number !== this.#received + 1) return this.#lose("a message was lost on the way");
    this.#received = delivery.number;
    this.#requested = Math.max(0, this.#requested - 1);
    this.#listener.message(message, delivery);
  }

  /** As `deliveryOf()`, which takes several times as long. */
  #deliveryOf(reply: string | undefined): Delivery | null {
    if (reply?.startsWith(this.#acks) !== true) return deliveryOf(reply);
    const from = this.#acks.length;
    const middle = reply.indexOf(".", from);
    const end = reply.indexOf(".", middle + 1);
    const sequence = Number(reply.slice(from, middle));
    const number = Number(reply.slice(middle + 1, end));
    const pending = Number(reply.slice(reply.lastIndexOf(".") + 1));
    return Number.isSafeInteger(sequence + number + pending) ? { sequence, number, pending } : null;
  }

  #onStatus({ headers }: Msg): void {
    const { code = 0, description = "" } = headers ?? {};
    if (headers !== undefined && code === 100) return this.#onHeartbeat(headers);
    const isTooLarge = code === 409 && /exceeds maxbytes/i.test(description);
    if (isTooLarge && leftOf(headers, "Bytes") >= this.#limits.maxBytes) {
      return this.#lose(`the next message is larger than ${this.#limits.maxBytes} bytes`, "too-large");
    }
    if (
      code === 408 ||
      code === 404 ||
      isTooLarge ||
      (code === 409 && /^batch completed/i.test(description))
    ) {
      this.#requested = Math.max(0, this.#requested - leftOf(headers, "Messages"));
      this.#listener.ended();
      return;
    }
    this.#lose(
      code === 503 ? "the consumer does not exist any more" : `${description || "no reason given"} (${code})`,
      code === 400 ? "refused" : null,
    );
  }

  #onHeartbeat(headers: MsgHdrs): void {
    const [number, sequence] = ["Nats-Last-Consumer", "Nats-Last-Stream"].map((name) =>
      Number(headers.get(name)),
    ) as [number, number];
    if (!Number.isSafeInteger(number) || !Number.isSafeInteger(sequence)) return;
    if (number > this.#received) return this.#lose("a message was lost on the way");
    if (number === this.#received) this.#listener.passed(sequence);
  }

  #check(): void {
    const now = performance.now();
    const { heartbeatMs } = this.#limits;
    // A process that stood still has not read what arrived in that time.
    const stoodStill = now - this.#checkedAt > heartbeatMs * 2;
    this.#checkedAt = now;
    if (this.#isHeard) this.#heardAt = now;
    this.#isHeard = false;
    if (stoodStill) this.#heardAt = Math.max(this.#heardAt, now - heartbeatMs);
    if (this.#requested === 0 || now - this.#heardAt < heartbeatMs * MISSED) return;
    this.#lose("heartbeats are missing");
  }

  #lose(why: string, error: "too-large" | "refused" | null = null): void {
    if (this.#isOver) return;
    this.close();
    this.#listener.lost(why, error);
  }
}

/** What was left of a request when it ended. */
function leftOf(headers: MsgHdrs | undefined, what: "Messages" | "Bytes"): number {
  const left = Number(headers?.get(`Nats-Pending-${what}`));
  return Number.isSafeInteger(left) && left > 0 ? left : 0;
}

/** As a server counts it, but for headers and subject: the subject would have to be decoded. */
export function sizeOf({ reply = "", data }: Msg): number {
  return reply.length + data.length;
}
