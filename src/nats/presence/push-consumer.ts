/**
 * An ephemeral push consumer that is recreated after a reconnect, when its idle heartbeats stop, and when the server announces
 * its deletion. Every generation has a name of its own, so that an advisory about an older one is not mistaken for its own.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Msg, Subscription } from "@nats-io/transport-node";
import { asError } from "../../errors.ts";
import { callApi, isJsError, JsCode, type JsonObject, jsToClusterError } from "../api/js-api.ts";
import { RequestFailure } from "../api/request.ts";
import { isClustered } from "../api/streams.ts";
import { type ConnectionMonitor, guarded } from "../connection/connection-monitor.ts";
import { inboxOf } from "../connection/inbox.ts";
import { consumerDeletedAdvisory } from "../names.ts";
import { nextRetryMs } from "./retry-pause.ts";

const IDLE_HEARTBEAT_MS = 1000;
const MISSED_HEARTBEATS = 3;
const CREATE_TIMEOUT_MS = 2000;
/** A consumer that is lost earlier than this is recreated after a pause only. */
const SETTLED_AFTER_MS = 5000;
const NANOS_PER_MS = 1_000_000;
/**
 * The other servers of a cluster must know of the subscription to the inbox before one of them creates the consumer, and no
 * message confirms that they do. A consumer without a subscriber is deleted at once or, on servers from 2.10 to 2.12, never:
 * they do not restart a delete timer that fired too early, and then no advisory announces its owner's death. Measured on R3
 * (2.10.29, 2.11.17, 2.12.15) at a load of 30: of 5400 consumers created without a pause, 10 were never deleted and 82 while
 * their owner was alive; with this pause none of 5400.
 */
const INTEREST_SPREADS_MS = 50;

/** The stream and subject filter of a consumer. */
export interface ConsumerPlace {
  readonly stream: string;
  readonly filter: string;
}

/** The consumer and its callbacks. */
export interface PushConsumerOptions {
  /** Called for every attempt. */
  readonly place: () => ConsumerPlace;
  readonly deliver: "new" | "last_per_subject";
  readonly inactiveThresholdMs: number;
  /** Without permission for the deletion advisory, treat the consumer as denied instead of relying on heartbeats. */
  readonly requireAdvisory?: boolean;
  /** A new name, `[A-Za-z0-9_-]+`. A rejection counts as a failed attempt. */
  readonly name: () => string | Promise<string>;
  readonly onMessage?: (message: Msg) => void;
  readonly onCreated: (name: string) => void;
  /** The consumer was lost, or an attempt to create it failed. */
  readonly onLost: (error: Error) => void;
  /** The user may not create consumers. */
  readonly onDenied: (error: Error) => void;
  /** When to try again after `onDenied`: the permission may have been granted. @default after the next reconnect only */
  readonly deniedRetryMs?: number;
}

/** Exists from `start()` to `close()`. */
export class PushConsumer {
  readonly #monitor: ConnectionMonitor;
  readonly #options: PushConsumerOptions;
  readonly #unlisten: () => void;
  #closed = false;
  /** Number of the current consumer. Events of an older one are ignored. */
  #generation = 0;
  #name: string | null = null;
  #place: ConsumerPlace | null = null;
  #createdAt = 0;
  #retryMs = 0;
  #subscriptions: Subscription[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(monitor: ConnectionMonitor, options: PushConsumerOptions) {
    this.#monitor = monitor;
    this.#options = options;
    this.#unlisten = monitor.listen((change) => {
      if (change.type === "up") this.#begin();
      if (change.type === "down") this.#abandon();
    });
  }

  /** Creates the first consumer. Settles when that has succeeded, was denied, or failed for now. */
  async start(): Promise<void> {
    if (this.#monitor.connected && !this.#closed) await this.#create(++this.#generation);
  }

  /** Recreates the consumer at once: the stream may have been recreated. */
  restart(): void {
    if (this.#monitor.connected) this.#begin();
  }

  /**
   * Ends the subscription to the inbox, and the server deletes the consumer. A request to delete it would need a permission with
   * which a user can delete the consumers of all other nodes.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unlisten();
    this.#abandon();
  }

  #begin(): void {
    this.#retryMs = 0;
    this.#restart();
  }

  #restart(): void {
    this.#abandon();
    if (!this.#closed) void this.#create(this.#generation);
  }

  /** Ends the current generation. The server deletes its consumer because the inbox loses its subscriber. */
  #abandon(): void {
    this.#generation += 1;
    this.#name = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
  }

  async #create(generation: number): Promise<void> {
    const place = this.#options.place();
    const { stream, filter } = place;
    this.#place = place;
    let name = "";
    try {
      name = await this.#options.name();
      if (generation !== this.#generation) return;
      const inbox = this.#listen(generation, `${stream}.${name}`);
      if (isClustered(this.#monitor.connection)) await pause(INTEREST_SPREADS_MS, undefined, { ref: false });
      if (generation !== this.#generation) return;
      const path = `CONSUMER.CREATE.${stream}.${name}.${filter}`;
      const body = { stream_name: stream, config: this.#config(name, filter, inbox) };
      await callApi(this.#monitor, path, body, { timeoutMs: CREATE_TIMEOUT_MS });
    } catch (thrown) {
      if (generation === this.#generation) this.#failed(thrown);
      return;
    }
    if (generation !== this.#generation) return;
    this.#name = name;
    this.#createdAt = performance.now();
    this.#restartHeartbeatTimer(generation);
    guarded(() => this.#options.onCreated(name));
  }

  #config(name: string, filter: string, inbox: string): JsonObject {
    return {
      name,
      deliver_subject: inbox,
      deliver_policy: this.#options.deliver,
      ack_policy: "none",
      replay_policy: "instant",
      filter_subject: filter,
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: this.#options.inactiveThresholdMs * NANOS_PER_MS,
      idle_heartbeat: IDLE_HEARTBEAT_MS * NANOS_PER_MS,
    };
  }

  /** Subscribes before the consumer is created: a consumer whose inbox has no subscriber is deleted at once. */
  #listen(generation: number, consumer: string): string {
    const { connection } = this.#monitor;
    const inbox = inboxOf(connection);
    const deliver = connection.subscribe(inbox, {
      callback: (error, message) => {
        if (generation !== this.#generation) return;
        if (error !== null) return this.#failed(new RequestFailure("denied", inbox, error.message, error));
        this.#restartHeartbeatTimer(generation);
        if (message.headers?.code !== 100) guarded(() => this.#options.onMessage?.(message));
      },
    });
    const deleted = consumerDeletedAdvisory(consumer);
    const advisory = connection.subscribe(deleted, {
      callback: (error) => {
        if (generation !== this.#generation) return;
        if (error === null) this.#lost("the server deleted the consumer");
        else if (this.#options.requireAdvisory === true)
          this.#failed(new RequestFailure("denied", deleted, error.message, error));
      },
    });
    this.#subscriptions.push(deliver, advisory);
    return inbox;
  }

  #restartHeartbeatTimer(generation: number): void {
    if (this.#name === null) return;
    if (this.#timer !== null) return void this.#timer.refresh();
    this.#timer = setTimeout(() => {
      if (generation === this.#generation) this.#lost("its idle heartbeats stopped");
    }, IDLE_HEARTBEAT_MS * MISSED_HEARTBEATS);
    this.#timer.unref();
  }

  #lost(why: string): void {
    const settled = this.#name !== null && performance.now() - this.#createdAt >= SETTLED_AFTER_MS;
    if (settled) this.#retryMs = 0;
    this.#abandon();
    guarded(() => this.#options.onLost(new Error(`consumer of stream ${this.#place?.stream} lost: ${why}`)));
    if (settled) this.#restart();
    else this.#retryLater();
  }

  #failed(thrown: unknown): void {
    this.#abandon();
    if (thrown instanceof RequestFailure && thrown.kind === "disconnected") return;
    const error = jsToClusterError(asError(thrown), `create a consumer on stream ${this.#place?.stream}`);
    if (error.code === "AUTHORIZATION" || isJsError(thrown, JsCode.notEnabledForAccount)) {
      guarded(() => this.#options.onDenied(error));
      const { deniedRetryMs } = this.#options;
      if (deniedRetryMs !== undefined) this.#retryAfter(deniedRetryMs);
      return;
    }
    guarded(() => this.#options.onLost(error));
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retryMs = nextRetryMs(this.#retryMs);
    this.#retryAfter(this.#retryMs);
  }

  #retryAfter(delayMs: number): void {
    if (this.#closed) return;
    const generation = this.#generation;
    this.#timer = setTimeout(() => {
      if (generation === this.#generation && this.#monitor.connected) this.#restart();
    }, delayMs);
    this.#timer.unref();
  }
}
