/**
 * The presence consumer of a session: its deletion tells the others within milliseconds that this process is gone.
 *
 * The consumer delivers to an inbox of this connection and never matches a message. When the process dies, the kernel
 * closes the socket, the inbox has no subscriber any more, the server deletes the consumer and announces it.
 */
import { randomBytes } from "node:crypto";
import { slowPings } from "../connection/connection.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { accountTag, presenceName } from "../connection/connections.ts";
import { presenceFilter } from "../names.ts";
import { PushConsumer } from "./push-consumer.ts";

/**
 * The server deletes the consumer this long, and 0.8 ms, after its inbox has vanished: every millisecond is one without a
 * leader. None was deleted under a living owner in 240 creations on R3, from every server, on 2.9.10 and 2.15.1; and if
 * one ever is, it is made anew and nobody's death is confirmed.
 */
const INACTIVE_THRESHOLD_MS = 1;

/** What differs from attempt to attempt in a subject: with `*` in its place it can be put into the permissions. */
const OF_ONE_ATTEMPT = /(?<=\.)presence_[0-9a-f_]+|(?<=\.presence\.)[0-9a-f]+/g;

/** `denied`: the server does not let this user have one. `off`: not asked for, or lost and being made anew. */
export type PresenceState = "on" | "off" | "denied";

export interface PresenceListener {
  /** It was made, made anew under another name, or lost. Not called for a disconnect. */
  changed(): void;
  /** It can't be had. Once per reason. */
  warn(message: string, error?: Error): void;
}

/** Why presence can't be had. */
export interface PresenceProblem {
  readonly message: string;
  readonly error: Error | undefined;
}

/** One consumer per session, on the stream of one of the elections that want it. */
export class Presence {
  readonly #monitor: ConnectionMonitor;
  readonly #listener: PresenceListener;
  readonly #unlisten: () => void;
  /** Streams of the elections that want presence, with their number. The first has the consumer. */
  readonly #wanted = new Map<string, number>();
  readonly #warned = new Set<string>();
  #consumer: PushConsumer | null = null;
  #stream: string | null = null;
  #starting: Promise<void> = Promise.resolve();
  #current: string | null = null;
  #denied = false;
  #problem: PresenceProblem | null = null;

  constructor(monitor: ConnectionMonitor, listener: PresenceListener) {
    this.#monitor = monitor;
    this.#listener = listener;
    this.#unlisten = monitor.listen((change) => {
      if (change.type === "down") this.#current = null;
    });
  }

  /** `<stream>.<consumer>` while there is one. */
  get current(): string | null {
    return this.#monitor.connected ? this.#current : null;
  }

  get state(): PresenceState {
    if (this.current !== null) return "on";
    return this.#denied ? "denied" : "off";
  }

  /** What has been warned of and still holds, for elections that come later. */
  get problem(): PresenceProblem | null {
    return this.#problem;
  }

  /** Settles when the first attempt is over. Pair with `drop`. */
  async want(stream: string): Promise<void> {
    const slow = slowPings(this.#monitor.connection);
    this.#wanted.set(stream, (this.#wanted.get(stream) ?? 0) + 1);
    if (slow !== null) {
      const todo = "connect with pingInterval: 1000 and maxPingOut: 2, or let this library connect";
      this.#warn(`no fast crash detection on the given connection: ${slow}; ${todo}`);
      return;
    }
    if (this.#consumer === null) this.#use(stream);
    await this.#starting;
  }

  /** One election less wants it there. */
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

  /** To the next stream that wants it, if any. */
  async #move(): Promise<void> {
    const consumer = this.#consumer;
    const wasOn = this.#current !== null;
    this.#consumer = null;
    this.#stream = null;
    this.#current = null;
    const [next] = this.#wanted.keys();
    if (next !== undefined) this.#use(next);
    else if (wasOn) this.#listener.changed();
    await consumer?.close();
  }

  #use(stream: string): void {
    this.#stream = stream;
    const id = randomBytes(12).toString("hex");
    let count = 0;
    const consumer = new PushConsumer(this.#monitor, {
      place: () => ({ stream: this.#stream ?? stream, filter: presenceFilter(this.#stream ?? stream, id) }),
      mustHearOfDeletion: true,
      deliver: "new",
      inactiveThresholdMs: INACTIVE_THRESHOLD_MS,
      name: async () => presenceName(await accountTag(this.#monitor), id, ++count),
      onMade: (name) => this.#set(consumer, `${this.#stream}.${name}`, false),
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
    // Once per outage, however many streams are tried.
    if (!wasOn && this.#problem === null)
      this.#warn(`no fast crash detection for now: ${error.message}`, error);
    // A stream that is gone takes its consumers along: the next attempt, after the usual pause, is on the next one.
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
    if (this.#problem?.message !== message) this.#problem = { message, error };
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#listener.warn(message, error);
  }
}
