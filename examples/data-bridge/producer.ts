/** The source of ticks. It sends a tick again until the stream has acknowledged it, so that the stream may have it twice, and never not. */
import { setTimeout as sleep } from "node:timers/promises";
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { type Names, subjectOf } from "./names.ts";
import { readAll } from "./streams.ts";
import { decodeTick, type Tick } from "./tick.ts";

export interface ProducerOptions {
  readonly nats: NatsConnection;
  readonly names: Names;
  readonly partitions: number;
  readonly symbols: number;
  /** Ticks per second. */
  readonly rate: number;
  /** The ticks that the stream has already, by symbol. */
  readonly known: ReadonlyMap<string, number>;
}

const ROUND_MS = 20;
/** Unacknowledged messages. Beyond it the producer waits, as it does while the server is away. */
const MAX_IN_FLIGHT = 500;
const ACK_MS = 2000;
const RETRY_MS = 200;
/** Ticks that `duplicate` can send again. */
const REMEMBERED = 1000;

export class Producer {
  /** The last position of each symbol: everything up to it is acknowledged once `stop()` has resolved. */
  readonly lasts: Map<string, number>;
  readonly #options: ProducerOptions;
  readonly #jetstream: JetStreamClient;
  readonly #recent: Tick[] = [];
  readonly #abandon = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | null = null;
  #poison = 0;
  #next = 0;
  #owed = 0;
  #at = 0;
  sent = 0;
  acknowledged = 0;

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#jetstream = jetstream(options.nats);
    this.lasts = new Map(options.known);
  }

  start(): void {
    this.#at = performance.now();
    this.#timer = setInterval(() => this.#round(), ROUND_MS);
  }

  /** The next `count` ticks have no price. */
  poison(count: number): void {
    this.#poison += count;
  }

  /** Sends the last `count` ticks once more, as a producer does that has missed their acknowledgements. */
  duplicate(count: number): number {
    const again = this.#recent.slice(-count);
    for (const tick of again) this.#send(tick);
    return again.length;
  }

  /** Sends nothing new, and resolves when everything is acknowledged. An abort of `signal` ends the wait. */
  async stop(signal: AbortSignal): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    const onAbort = (): void => this.#abandon.abort();
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    await Promise.all(this.#inFlight);
    signal.removeEventListener("abort", onAbort);
  }

  #round(): void {
    const now = performance.now();
    // What could not be sent while the server was away is not made up for: at most a second of it.
    this.#owed = Math.min(this.#owed + ((now - this.#at) / 1000) * this.#options.rate, this.#options.rate);
    this.#at = now;
    for (; this.#owed >= 1 && this.#inFlight.size < MAX_IN_FLIGHT; this.#owed -= 1) this.#sendNext();
  }

  #sendNext(): void {
    const symbol = symbolOf(this.#next);
    this.#next = (this.#next + 1) % this.#options.symbols;
    const n = (this.lasts.get(symbol) ?? 0) + 1;
    this.lasts.set(symbol, n);
    const isPoison = this.#poison > 0;
    if (isPoison) this.#poison -= 1;
    const tick = { symbol, n, price: isPoison ? Number.NaN : 100 + Math.sin(n / 10) }; // NaN is null in JSON
    this.#send(tick);
  }

  #send(tick: Tick): void {
    const done = this.#publish(tick).then((isAcknowledged) => {
      this.#inFlight.delete(done);
      if (!isAcknowledged) return;
      this.acknowledged += 1;
      this.#recent.push(tick);
      if (this.#recent.length > REMEMBERED) this.#recent.shift();
    });
    this.#inFlight.add(done);
    this.sent += 1;
  }

  async #publish(tick: Tick): Promise<boolean> {
    const { names, partitions } = this.#options;
    const subject = subjectOf(names, tick.symbol, partitions);
    const data = JSON.stringify(tick);
    const { signal } = this.#abandon;
    while (!signal.aborted) {
      try {
        await this.#jetstream.publish(subject, data, { timeout: ACK_MS });
        return true;
      } catch {
        // No answer: it may be stored or not. Sent again it may be there twice, and the sink removes the second one.
        await sleep(RETRY_MS);
      }
    }
    return false;
  }
}

function symbolOf(index: number): string {
  return `S${String(index).padStart(4, "0")}`;
}

/** The last position of each symbol in a stream of an earlier run. */
export async function lastPositions(nats: NatsConnection, names: Names): Promise<Map<string, number>> {
  const lasts = new Map<string, number>();
  for await (const { data } of readAll(nats, names.ticks, `${names.subject}.>`)) {
    try {
      const { symbol, n } = decodeTick(data);
      lasts.set(symbol, Math.max(n, lasts.get(symbol) ?? 0));
    } catch {
      // no tick: it is a dead letter
    }
  }
  return lasts;
}
