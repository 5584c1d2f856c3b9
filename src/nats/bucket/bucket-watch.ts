/**
 * Receives committed writes of a bucket. From the stream's `republish`: it needs no consumer that can die, contains no rejected
 * writes, and works at once after a reconnect. From a consumer if the bucket has no `republish`. Either is only a hint.
 */
import type { Msg, Subscription } from "@nats-io/transport-node";
import { type ConnectionMonitor, guarded } from "../connection/connection-monitor.ts";
import { inboxOf } from "../connection/inbox.ts";
import { streamDeletedAdvisory } from "../names.ts";
import { PushConsumer } from "../presence/push-consumer.ts";
import type { RecordMessage } from "../record-fields.ts";
import type { Republish } from "./stream-state.ts";

const CONSUMER_INACTIVE_MS = 5000;

/** What is watched. */
export interface WatchSource {
  readonly stream: string;
  readonly republish: Republish;
  /** What is in the messages, such as "the lease". */
  readonly what: string;
  /** The consumer's name begins with it. */
  readonly consumerPrefix: string;
  /** What a new consumer begins with. */
  readonly deliver: "new" | "last_per_subject";
}

export interface BucketListener {
  message(message: RecordMessage, subject: string): void;
  /** The bucket was reported deleted. */
  gone(): void;
  /**
   * Whether a write waits for its ack. The server sends a write that was applied to its sender, too, just before the ack: what arrives is
   * then reported after it.
   * @default false
   */
  readonly writing?: boolean;
}

/** Watches one bucket for one listener. */
export class BucketWatch {
  readonly #monitor: ConnectionMonitor;
  readonly #source: WatchSource;
  readonly #listener: BucketListener;
  readonly #onWarning: (message: string, error?: Error) => void;
  #mode: "idle" | "republish" | "consumer" = "idle";
  #republishDenied = false;
  #subscription: Subscription | null = null;
  #consumer: PushConsumer | null = null;
  #advisory: Subscription | null = null;
  /** Number of messages that are put off. */
  #putOff = 0;

  constructor(
    monitor: ConnectionMonitor,
    source: WatchSource,
    listener: BucketListener,
    onWarning: (message: string, error?: Error) => void,
  ) {
    this.#monitor = monitor;
    this.#source = source;
    this.#listener = listener;
    this.#onWarning = onWarning;
  }

  /** Starts, or changes between the two sources. Called after every check whether the stream republishes. */
  start(republish: boolean, reopened: boolean = false): void {
    const mode = republish && !this.#republishDenied ? "republish" : "consumer";
    this.#watchDeletion();
    if (mode === this.#mode) {
      if (reopened) this.#consumer?.restart();
      return;
    }
    this.#mode = mode;
    this.#stopMessages();
    if (mode === "republish") this.#watchRepublish();
    else this.#watchConsumer();
  }

  close(): void {
    this.#mode = "idle";
    this.#advisory?.unsubscribe();
    this.#advisory = null;
    this.#stopMessages();
  }

  #watchRepublish(): void {
    const { republish, what } = this.#source;
    this.#subscription = this.#monitor.connection.subscribe(republish.dest, {
      callback: (error, message) => {
        if (error === null) return this.#take(() => this.#report(message, republishedSequence(message)));
        this.#republishDenied = true;
        this.#onWarning(
          `not allowed to subscribe to "${republish.dest}", a consumer watches ${what} instead`,
          error,
        );
        if (this.#mode === "republish") this.start(false);
      },
    });
  }

  #watchConsumer(): void {
    const { stream, republish, what, consumerPrefix, deliver } = this.#source;
    this.#consumer = new PushConsumer(this.#monitor, {
      place: () => ({ stream, filter: republish.src }),
      deliver,
      inactiveThresholdMs: CONSUMER_INACTIVE_MS,
      name: () => `${consumerPrefix}_${inboxOf(this.#monitor.connection).split(".").pop()}`,
      onMessage: (message) => this.#report(message, deliveredSequence(message)),
      onCreated: () => {},
      // Until the consumer has been recreated, its users read by themselves.
      onLost: () => {},
      onDenied: (error) =>
        this.#onWarning(`not allowed to watch ${what}, it is only read from time to time`, error),
    });
    void this.#consumer.start();
  }

  #watchDeletion(): void {
    if (this.#advisory !== null) return;
    const subject = streamDeletedAdvisory(this.#source.stream);
    this.#advisory = this.#monitor.connection.subscribe(subject, {
      callback: (error) => {
        // A denied subscription needs no warning: reads detect a missing bucket, too.
        if (error === null) guarded(() => this.#listener.gone());
      },
    });
  }

  /** After the ack that may have arrived in the same packet: a term may begin with it, and it says all that the message could. */
  #take(report: () => void): void {
    if (this.#listener.writing !== true && this.#putOff === 0) return report();
    this.#putOff += 1;
    setImmediate(() => {
      this.#putOff -= 1;
      if (this.#mode !== "idle") report();
    });
  }

  #report(message: Msg, revision: number | null): void {
    if (revision === null) return;
    guarded(() => {
      const record = recordOf(message, revision);
      if (record !== null) this.#listener.message(record, message.subject);
    });
  }

  #stopMessages(): void {
    const consumer = this.#consumer;
    this.#consumer = null;
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    consumer?.close();
  }
}

/** `null`: the headers cannot be parsed. The next read returns the entry. */
function recordOf(message: Msg, revision: number): RecordMessage | null {
  try {
    const { headers } = message;
    return { revision, data: message.data, header: (name) => headers?.get(name) ?? "" };
  } catch {
    return null;
  }
}

function republishedSequence(message: Msg): number | null {
  try {
    return sequenceOf(message.headers?.get("Nats-Sequence"));
  } catch {
    return null;
  }
}

function deliveredSequence({ reply }: Msg): number | null {
  return deliveryOf(reply)?.sequence ?? null;
}

/** What the reply subject of a message from a consumer says. */
export interface Delivery {
  /** Stream sequence. */
  readonly sequence: number;
  /** Which message of the consumer it is, from 1. */
  readonly number: number;
  /** How many more are there, as far as the server knew. */
  readonly pending: number;
}

/** `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, or with domain and account before the stream. */
export function deliveryOf(reply: string | undefined): Delivery | null {
  const tokens = reply?.split(".") ?? [];
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return null;
  const at = tokens.length === 9 ? 5 : 7;
  const [sequence, number] = [sequenceOf(tokens[at]), sequenceOf(tokens[at + 1])];
  const pending = tokens[at + 3] === "0" ? 0 : sequenceOf(tokens[at + 3]);
  return sequence === null || number === null || pending === null ? null : { sequence, number, pending };
}

function sequenceOf(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return null;
  const value = Number(text);
  return value > 0 ? value : null;
}
