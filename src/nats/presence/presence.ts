/**
 * The presence consumer of a session: its deletion announces within milliseconds that the process is gone.
 *
 * The consumer delivers to an inbox of this connection and never matches a message. When the process dies, the kernel
 * closes the socket, the inbox loses its subscriber, and the server deletes the consumer and publishes an advisory.
 */
import { randomBytes } from "node:crypto";
import { slowPings } from "../connection/connection.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { presenceFilter } from "../names.ts";
import { accountTag, presenceName } from "./confirmation.ts";
import { PushConsumer } from "./push-consumer.ts";

/**
 * The server deletes the consumer this long after its inbox has lost its subscriber, and there is no leader for that time. The
 * deletion is only a suspicion: a longer time would delay every failover, to spare an inquiry. In 1200 creations on R3 (2.9.10,
 * 2.12.15 and 2.15.1, at a load of 30) none was deleted while its owner was alive. If one ever is, it is recreated, and the
 * confirmation fails.
 */
export const INACTIVE_THRESHOLD_MS = 0.001;

/** The parts of a subject that change with every attempt. With `*` instead, the subject can be used as a permission. */
const OF_ONE_ATTEMPT = /(?<=\.)presence_[0-9a-f_]+|(?<=\.presence\.)[0-9a-f]+/g;

/** `denied`: the permissions of this user do not allow one. `off`: not wanted, or lost and being recreated. */
export type PresenceState = "on" | "off" | "denied";

export interface PresenceListener {
  /** Presence was created, recreated under another name, or lost. Not called for a disconnect. */
  changed(): void;
  /** Presence cannot be created. Called once for as long as the reason stays the same. */
  warn(message: string, error?: Error): void;
}

/** Why presence cannot be created. */
export interface PresenceProblem {
  readonly message: string;
  readonly error: Error | undefined;
}

/** One consumer per session, on the stream of one of the elections that want it. */
export class Presence {
  readonly #monitor: ConnectionMonitor;
  readonly #deniedRetryMs: number;
  readonly #listener: PresenceListener;
  readonly #unlisten: () => void;
  /** Streams of the elections that want presence, with the number of elections. The consumer is on the first. */
  readonly #wanted = new Map<string, number>();
  #consumer: PushConsumer | null = null;
  #stream: string | null = null;
  #starting: Promise<void> = Promise.resolve();
  #current: string | null = null;
  #denied = false;
  #problem: PresenceProblem | null = null;

  constructor(monitor: ConnectionMonitor, deniedRetryMs: number, listener: PresenceListener) {
    this.#monitor = monitor;
    this.#deniedRetryMs = deniedRetryMs;
    this.#listener = listener;
    this.#unlisten = monitor.listen((change) => {
      if (change.type === "down") this.#current = null;
    });
  }

  /** `<stream>.<consumer>`; `null` while there is none. */
  get current(): string | null {
    return this.#monitor.connected ? this.#current : null;
  }

  get state(): PresenceState {
    if (this.current !== null) return "on";
    return this.#denied ? "denied" : "off";
  }

  /** The problem of the last warning while it lasts, for elections that start later. */
  get problem(): PresenceProblem | null {
    return this.#problem;
  }

  /** Settles after the first attempt. Pair with `drop`. */
  async want(stream: string): Promise<void> {
    const slow = slowPings(this.#monitor.connection);
    this.#wanted.set(stream, (this.#wanted.get(stream) ?? 0) + 1);
    if (slow !== null) {
      const todo =
        "connect with pingInterval: 1000 and maxPingOut: 2, or pass servers instead of a connection";
      this.#warn(`no fast crash detection on the given connection: ${slow}; ${todo}`);
      return;
    }
    if (this.#consumer === null) this.#use(stream);
    await this.#starting;
  }

  /** One election on this stream no longer wants presence. */
  async drop(stream: string): Promise<void> {
    const left = (this.#wanted.get(stream) ?? 0) - 1;
    if (left > 0) return void this.#wanted.set(stream, left);
    this.#wanted.delete(stream);
    if (this.#stream === stream) await this.#move();
  }

  async close(): Promise<void> {
    this.#unlisten();
    this.#wanted.clear();
    await this.#move();
  }

  /** Moves the consumer to the next stream that wants it, or closes it. */
  async #move(): Promise<void> {
    const consumer = this.#consumer;
    const wasOn = this.#current !== null;
    this.#consumer = null;
    this.#stream = null;
    this.#current = null;
    const [next] = this.#wanted.keys();
    if (next !== undefined) this.#use(next);
    else if (wasOn) this.#listener.changed();
    consumer?.close();
  }

  #use(stream: string): void {
    this.#stream = stream;
    const id = randomBytes(12).toString("hex");
    let count = 0;
    const consumer = new PushConsumer(this.#monitor, {
      place: () => ({ stream: this.#stream ?? stream, filter: presenceFilter(this.#stream ?? stream, id) }),
      requireAdvisory: true,
      deliver: "new",
      deniedRetryMs: this.#deniedRetryMs,
      inactiveThresholdMs: INACTIVE_THRESHOLD_MS,
      name: async () => presenceName(await accountTag(this.#monitor), id, ++count),
      onCreated: (name) => this.#set(consumer, `${this.#stream}.${name}`, false),
      onLost: (error) => this.#lost(consumer, error),
      onDenied: (error) => {
        this.#set(consumer, null, true);
        this.#warn(`no fast crash detection: ${error.message}`, error);
      },
    });
    this.#consumer = consumer;
    this.#starting = consumer.start();
  }

  #lost(consumer: PushConsumer, error: Error): void {
    const wasOn = this.#current !== null;
    this.#set(consumer, null, false);
    // One warning per outage, independent of the number of streams that are tried.
    if (!wasOn && this.#problem === null)
      this.#warn(`no fast crash detection for now: ${error.message}`, error);
    // A deleted stream loses its consumers. The next attempt, after the usual pause, uses the next stream.
    const stream = this.#stream;
    if (consumer !== this.#consumer || wasOn || stream === null) return;
    const users = this.#wanted.get(stream) ?? 1;
    this.#wanted.delete(stream);
    this.#wanted.set(stream, users);
    this.#stream = [...this.#wanted.keys()][0] ?? stream;
  }

  #set(consumer: PushConsumer, current: string | null, denied: boolean): void {
    if (consumer !== this.#consumer) return;
    const changed = this.#current !== current;
    this.#current = current;
    this.#denied = denied;
    if (current !== null) this.#problem = null;
    if (changed) this.#listener.changed();
  }

  #warn(text: string, error?: Error): void {
    const message = text.replaceAll(OF_ONE_ATTEMPT, "*");
    if (this.#problem?.message === message) return;
    this.#problem = { message, error };
    this.#listener.warn(message, error);
  }
}
