/**
 * Receives committed writes of the lease. From the stream's `republish`: it needs no consumer that can die, contains no rejected
 * writes, and works at once after a reconnect. From a consumer if the bucket has no `republish`. Either is only a hint.
 */
import type { Msg, Subscription } from "@nats-io/transport-node";
import type { StoreListener } from "../../runtime/ports.ts";
import { type ConnectionMonitor, guarded } from "../connection/connection-monitor.ts";
import { inboxOf } from "../connection/inbox.ts";
import { leaseSubject, republishSubject, streamDeletedAdvisory, streamName } from "../names.ts";
import { PushConsumer } from "../presence/push-consumer.ts";
import type { RecordMessage } from "../record-fields.ts";
import { decodeEntry } from "./record-codec.ts";
import { STREAM_HEADER, type StreamIdentity } from "./stream-identity.ts";

const CONSUMER_INACTIVE_MS = 5000;

/** What a watch reports. */
export interface LeaseListener extends StoreListener {
  /** A message came from a stream that may be another one: read the lease. */
  unknown(): void;
}

/** Watches the lease of one cluster for one listener. */
export class LeaseWatch {
  readonly #monitor: ConnectionMonitor;
  readonly #clusterId: string;
  readonly #identity: StreamIdentity;
  readonly #listener: LeaseListener;
  readonly #onWarning: (message: string, error?: Error) => void;
  #mode: "idle" | "republish" | "consumer" = "idle";
  #republishDenied = false;
  #subscription: Subscription | null = null;
  #consumer: PushConsumer | null = null;
  #advisory: Subscription | null = null;

  constructor(
    monitor: ConnectionMonitor,
    clusterId: string,
    identity: StreamIdentity,
    listener: LeaseListener,
    onWarning: (message: string, error?: Error) => void,
  ) {
    this.#monitor = monitor;
    this.#clusterId = clusterId;
    this.#identity = identity;
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
    this.#stopEntries();
    if (mode === "republish") this.#watchRepublish();
    else this.#watchConsumer();
  }

  async close(): Promise<void> {
    this.#mode = "idle";
    this.#advisory?.unsubscribe();
    this.#advisory = null;
    await this.#stopEntries();
  }

  #watchRepublish(): void {
    const subject = republishSubject(this.#clusterId);
    this.#subscription = this.#monitor.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) return this.#report(message, republishedSequence(message));
        this.#republishDenied = true;
        this.#onWarning(
          `not allowed to subscribe to "${subject}", a consumer watches the lease instead`,
          error,
        );
        if (this.#mode === "republish") this.start(false);
      },
    });
  }

  #watchConsumer(): void {
    const stream = streamName(this.#clusterId);
    this.#consumer = new PushConsumer(this.#monitor, {
      place: () => ({ stream, filter: leaseSubject(this.#clusterId) }),
      // A new consumer delivers the current record, which covers everything that was missed.
      deliver: "last_per_subject",
      inactiveThresholdMs: CONSUMER_INACTIVE_MS,
      name: () => `lease_watch_${inboxOf(this.#monitor.connection).split(".").pop()}`,
      onMessage: (message) => this.#report(message, deliveredSequence(message)),
      onCreated: () => {},
      // Without messages the election reads by itself until the consumer has been recreated.
      onLost: () => {},
      onDenied: (error) =>
        this.#onWarning(`not allowed to watch the lease, it is only read from time to time`, error),
    });
    void this.#consumer.start();
  }

  #watchDeletion(): void {
    if (this.#advisory !== null) return;
    const subject = streamDeletedAdvisory(streamName(this.#clusterId));
    this.#advisory = this.#monitor.connection.subscribe(subject, {
      callback: (error) => {
        // A denied subscription needs no warning: reads detect a missing bucket, too.
        if (error === null) guarded(() => this.#listener.gone());
      },
    });
  }

  #report(message: Msg, revision: number | null): void {
    if (revision === null) return;
    guarded(() => {
      const stored = storedOf(message, revision);
      const from = stored === null ? "foreign" : this.#identity.of(stored.header(STREAM_HEADER));
      if (stored === null || from === "foreign") return;
      if (from === "unknown") this.#listener.unknown();
      else this.#listener.entry(decodeEntry(stored));
    });
  }

  async #stopEntries(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = null;
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    consumer?.close();
  }
}

/** `null`: the headers cannot be parsed. The next read returns the entry. */
function storedOf(message: Msg, revision: number): RecordMessage | null {
  try {
    const { headers } = message;
    return { revision, data: message.data, header: (name) => headers?.get(name) ?? "" };
  } catch {
    return null;
  }
}

function republishedSequence(message: Msg): number | null {
  try {
    return sequence(message.headers?.get("Nats-Sequence"));
  } catch {
    return null;
  }
}

/** `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>...`, or with domain and account before the stream. */
function deliveredSequence(message: Msg): number | null {
  const tokens = message.reply?.split(".") ?? [];
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return null;
  return sequence(tokens.length === 9 ? tokens[5] : tokens[7]);
}

function sequence(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return null;
  const value = Number(text);
  return value > 0 ? value : null;
}
