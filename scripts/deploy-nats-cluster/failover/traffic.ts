/** A publisher that waits for the acknowledgement of each message, and a subscriber that acknowledges each message. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  AckPolicy,
  type ConsumerMessages,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { poll } from "../../../src/testing/server/run/wait.ts";
import { DeployError } from "../errors.ts";
import { type Counts, Ledger } from "./ledger.ts";

export const STREAM = "FAILOVER_TEST";
const SUBJECT = "failover_test";
const READER = "reader";
/** Between two messages: 100 messages a second show every gap, and load no server. */
const PACE_MS = 10;
/** For one attempt. The same message is published again until it is acknowledged; the server drops what it has already. */
const ACK_MS = 2_000;
const RETRY_MS = 100;
const RECEIVED_MS = 60_000;
/** Messages that must be acknowledged for the traffic to count as running. */
const PROGRESS = 20;
const PROGRESS_MS = 60_000;

export class Traffic {
  readonly #publisher: NatsConnection;
  readonly #messages: ConsumerMessages;
  readonly #ledger = new Ledger();
  readonly #stopping = new AbortController();
  readonly #publishing: Promise<void>;
  readonly #receiving: Promise<void>;
  #lastAckAt = performance.now();
  #longestPauseMs = 0;

  private constructor(publisher: NatsConnection, messages: ConsumerMessages) {
    this.#publisher = publisher;
    this.#messages = messages;
    this.#publishing = this.#publish();
    this.#receiving = this.#receive();
  }

  /** Creates a stream of `replicas` replicas, in place of one that an interrupted test has left, and starts both sides. */
  static async start(
    publisher: NatsConnection,
    subscriber: NatsConnection,
    replicas: number,
  ): Promise<Traffic> {
    const jsm = await jetstreamManager(publisher);
    await Traffic.remove(publisher);
    await jsm.streams.add({
      name: STREAM,
      subjects: [SUBJECT],
      num_replicas: replicas,
      retention: RetentionPolicy.Limits,
    });
    await jsm.consumers.add(STREAM, { durable_name: READER, ack_policy: AckPolicy.Explicit });
    const consumer = await jetstream(subscriber).consumers.get(STREAM, READER);
    // Short heartbeats: the subscription is renewed soon after its server has stopped.
    return new Traffic(publisher, await consumer.consume({ expires: 4_000, idle_heartbeat: 1_000 }));
  }

  static async remove(nats: NatsConnection): Promise<void> {
    const jsm = await jetstreamManager(nats);
    const names = await jsm.streams.names().next();
    if (names.includes(STREAM)) await jsm.streams.delete(STREAM);
  }

  /** Resolves when further messages have been acknowledged and received. Rejects with the signal's reason on abort. */
  async progress(signal?: AbortSignal): Promise<void> {
    const { acknowledged, received } = this.#ledger.counts;
    const moved = await poll(
      async () => {
        const now = this.#ledger.counts;
        return now.acknowledged >= acknowledged + PROGRESS && now.received >= received + PROGRESS
          ? true
          : undefined;
      },
      { timeoutMs: PROGRESS_MS, signal },
    );
    if (!moved)
      throw new DeployError(
        `the stream ${STREAM} does not work: fewer than ${PROGRESS} messages were acknowledged and received within ${PROGRESS_MS / 1000} s`,
      );
  }

  /** Stops publishing, and resolves when the subscriber has everything, or after `receivedMs`. */
  async stop(receivedMs: number = RECEIVED_MS): Promise<Counts & { readonly longestPauseMs: number }> {
    this.#stopping.abort();
    await this.#publishing;
    await poll(async () => (this.#ledger.counts.lost === 0 ? true : undefined), { timeoutMs: receivedMs });
    await this.#messages.close();
    await this.#receiving;
    return { ...this.#ledger.counts, longestPauseMs: Math.round(this.#longestPauseMs) };
  }

  async #publish(): Promise<void> {
    const js = jetstream(this.#publisher);
    const { signal } = this.#stopping;
    for (let message = 1; !signal.aborted; message++) {
      while (!signal.aborted) {
        const sent = js.publish(SUBJECT, String(message), { msgID: String(message), timeout: ACK_MS });
        const acknowledged = await sent.then(
          () => true,
          () => false,
        );
        if (acknowledged) {
          this.#ledger.acknowledged(message);
          break;
        }
        await sleep(RETRY_MS);
      }
      const now = performance.now();
      this.#longestPauseMs = Math.max(this.#longestPauseMs, now - this.#lastAckAt);
      this.#lastAckAt = now;
      await sleep(PACE_MS);
    }
  }

  async #receive(): Promise<void> {
    for await (const message of this.#messages) {
      this.#ledger.received(Number(message.string()));
      message.ack();
    }
  }
}
