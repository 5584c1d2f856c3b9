/**
 * The messages of a partition of a stream, for the term of its owner. Each term has a consumer of its own on the server, which begins after the
 * position that the sink has stored: docs/groups.md.
 *
 * - Messages come in the order of the stream, without a gap and without a repetition, whatever happens to the consumer, the connection or
 *   the servers; or the iteration fails.
 * - No message is handed out while the term is not held. A message that was handed out before may still be under way when the term
 *   ends: the sink refuses it (docs/fencing.md).
 * - No former owner takes a message away from its successor, since they have no consumer in common.
 */
import { asError, ClusterError } from "../errors.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { consumerPrefix } from "../nats/consumer/consumer-name.ts";
import type { DeliveredMessage, PartitionMessage } from "../nats/consumer/delivered-message.ts";
import { PartitionFeed } from "../nats/consumer/partition-feed.ts";
import { deleteSuperseded } from "../nats/consumer/superseded.ts";
import {
  type CheckedPartitionOptions,
  checkedPartitionOptions,
  type PartitionConsumerOptions,
} from "./partition-options.ts";
import type { ResourceTerm } from "./term.ts";

/** What of a term is used here. */
type OwnerTerm = Pick<ResourceTerm, "groupId" | "resource" | "epoch" | "held" | "signal" | "untilHeld">;

/** Longest time of one request on the server. */
const EXPIRES_MS = 10_000;

/**
 * Consumes a partition of a stream for a term of its owner, beginning after the position that the sink has stored. Each message comes once, in the
 * order of the stream, until the term ends; nothing is acknowledged. With a sink that stores effects and position in one fenced
 * transaction, the effects are stored exactly once: docs/fencing.md. With another sink, store the position after the effects: at least once.
 *
 * The consumer on the server belongs to this term alone. It is deleted when the iteration ends; that of a killed owner by its successor, or by the
 * server after `inactiveMs`.
 *
 * @param term - From `onOwn`, `runOwned` or `group.owned`. Take the fence and read the position before.
 * @returns When the consumer is there. Iterate it once, by message or by `batches()`.
 * @throws ClusterError `STREAM_INCOMPATIBLE` if there is no such stream, it does not store the subject, its retention is not `limits`, the position is
 * behind its end, or messages after the position were removed; `NOT_LEADER` if the term has ended; `ABORTED`; `INVALID_CONFIG`;
 * `AUTHORIZATION`; after `timeoutMs` the last failure. The iteration rejects with the same ones.
 * @example
 * ```ts
 * await group.runOwned(async (term, { signal }) => {
 *   const after = await sink.take(term); // moves the fence, then reads the position
 *   const subject = `orders.${term.resource}.>`;
 *   const messages = await partitionConsumer(term, { connection, stream: "ORDERS", subject, after, signal });
 *   for await (const batch of messages.batches({ max: 500 })) await sink.store(term, batch);
 * });
 * ```
 */
export async function partitionConsumer(
  term: OwnerTerm,
  options: PartitionConsumerOptions,
): Promise<PartitionConsumer> {
  const checked = checkedPartitionOptions(options);
  const consumer = new PartitionConsumer(term, checked);
  await consumer.open();
  return consumer;
}

/** The messages of a partition: what `partitionConsumer()` resolves with. One loop can read it, once. */
export class PartitionConsumer implements AsyncIterableIterator<PartitionMessage>, AsyncDisposable {
  readonly #term: OwnerTerm;
  readonly #options: CheckedPartitionOptions;
  readonly #monitor: ConnectionMonitor;
  readonly #feed: PartitionFeed;
  readonly #over = new AbortController();
  readonly #unlink: () => void;
  #buffer: DeliveredMessage[] = [];
  /** Messages of the buffer that were taken. */
  #taken = 0;
  #bytes = 0;
  #pending = 0;
  #position: number;
  #passed = 0;
  #error: ClusterError | null = null;
  #wake: (() => void) | null = null;
  #isReading = false;
  #closing: Promise<void> | null = null;

  /** @internal */
  constructor(term: OwnerTerm, options: CheckedPartitionOptions) {
    this.#term = term;
    this.#options = options;
    this.#position = options.after;
    const { connection, domain, signal, batch, maxBytes, heartbeatMs, inactiveMs } = options;
    const { stream, subject, after, removed, timeoutMs } = options;
    const prefix = consumerPrefix(term.groupId, term.resource);
    const expiresMs = Math.min(EXPIRES_MS, inactiveMs / 2);
    this.#monitor = ConnectionMonitor.acquire(connection, domain);
    this.#feed = new PartitionFeed(
      this.#monitor,
      {
        stream,
        subject,
        after,
        removed,
        prefix,
        epoch: term.epoch,
        inactiveMs,
        timeoutMs,
        limits: { batch, maxBytes, expiresMs, heartbeatMs: Math.min(heartbeatMs, expiresMs / 2) },
      },
      {
        message: (message) => this.#arrived(message),
        passed: (sequence) => {
          this.#passed = sequence;
        },
        failed: (error) => this.#end(error),
        refill: () => this.#refill(),
      },
    );
    const onAbort = (): void => this.#end(null);
    for (const one of [term.signal, signal]) one?.addEventListener("abort", onAbort, { once: true });
    this.#unlink = () => {
      for (const one of [term.signal, signal]) one?.removeEventListener("abort", onAbort);
    };
  }

  /** @internal */
  async open(): Promise<void> {
    const { signal, stream } = this.#options;
    const { groupId, resource, epoch } = this.#term;
    try {
      this.#throwIfEnded();
      await this.#feed.open();
      this.#throwIfEnded();
    } catch (thrown) {
      void this.close();
      // The feed says that it is closed; the reason is in the signal.
      if (this.#term.signal.aborted || signal?.aborted === true) this.#throwIfEnded();
      throw thrown;
    }
    deleteSuperseded(this.#monitor, stream, { prefix: consumerPrefix(groupId, resource), epoch });
  }

  #throwIfEnded(): void {
    const { signal } = this.#options;
    if (this.#term.signal.aborted) throw asError(this.#term.signal.reason);
    if (signal?.aborted !== true) return;
    throw new ClusterError("ABORTED", "consuming a partition: aborted", { cause: signal.reason });
  }

  /**
   * The sequence up to which all messages of the partition were handed out. It rises, too, while other partitions have messages and this
   * one has none. Store it now and then in such times, once everything that was handed out is stored: a position that stays behind the
   * first message of the stream looks like lost messages.
   */
  get position(): number {
    return this.#count === 0 ? Math.max(this.#position, this.#passed) : this.#position;
  }

  /** Messages that have arrived and were not handed out. */
  get buffered(): number {
    return this.#count;
  }

  /**
   * Messages of the partition that the stream had after the last one that has arrived, when that one was sent. With `buffered`: how far this owner
   * is behind. 0 before the first message.
   */
  get pending(): number {
    return this.#pending;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<PartitionMessage, undefined>> {
    if (!(await this.#ready())) return { done: true, value: undefined };
    const message = this.#take();
    this.#refill();
    return { done: false, value: message };
  }

  /** Leaving a loop closes the consumer. */
  async return(): Promise<IteratorResult<PartitionMessage, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /**
   * The same messages, in batches of those that have arrived: one transaction for each batch. Waits for the first message of a batch, and
   * for no other.
   *
   * @param options - `max`: most messages of a batch (as the option `batch`).
   */
  async *batches(
    options: { readonly max?: number } = {},
  ): AsyncGenerator<readonly PartitionMessage[], void, undefined> {
    const { max = this.#options.batch } = options;
    if (!Number.isInteger(max) || max < 1) {
      throw new ClusterError("INVALID_CONFIG", `max is ${String(max)}: it must be a whole number from 1`);
    }
    try {
      while (await this.#ready()) {
        const batch: PartitionMessage[] = [];
        while (batch.length < max && this.#count > 0) batch.push(this.#take());
        this.#refill();
        yield batch;
      }
    } finally {
      await this.close();
    }
  }

  /** Ends the iteration, and deletes the consumer on the server. Resolves when that is done or has failed. Idempotent. */
  close(): Promise<void> {
    this.#end(null);
    return this.#closing ?? Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #count(): number {
    return this.#buffer.length - this.#taken;
  }

  /** Resolves with whether a message may be handed out now; else the iteration is over. */
  async #ready(): Promise<boolean> {
    if (this.#isReading) {
      throw new ClusterError("INVALID_CONFIG", "two loops read one partition consumer: only one can");
    }
    this.#isReading = true;
    try {
      for (;;) {
        if (this.#over.signal.aborted) return this.#finished();
        if (this.#count === 0) await this.#untilWoken();
        else if (this.#term.held) return true;
        else await this.#untilHeld();
      }
    } finally {
      this.#isReading = false;
    }
  }

  /** Reports a failure once. */
  #finished(): false {
    const error = this.#error;
    this.#error = null;
    if (error !== null) throw error;
    return false;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #untilHeld(): Promise<void> {
    try {
      await this.#term.untilHeld({ signal: this.#over.signal });
    } catch {
      // The term has ended, or this has.
      this.#end(null);
    }
  }

  #arrived(message: DeliveredMessage): void {
    this.#buffer.push(message);
    this.#bytes += message.bytes;
    this.#pending = message.pending;
    this.#wakeReader();
  }

  #take(): DeliveredMessage {
    const message = this.#buffer[this.#taken] as DeliveredMessage;
    this.#taken += 1;
    this.#bytes -= message.bytes;
    this.#position = message.sequence;
    if (this.#count === 0 || this.#taken > 4_096) {
      this.#buffer = this.#buffer.slice(this.#taken);
      this.#taken = 0;
    }
    return message;
  }

  #refill(): void {
    this.#feed.fill(this.#count, this.#bytes);
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #end(error: ClusterError | null): void {
    if (this.#over.signal.aborted) return;
    this.#error = error;
    // What is in the buffer was not handed out.
    this.#position = this.position;
    this.#passed = 0;
    this.#over.abort();
    this.#unlink();
    this.#buffer = [];
    this.#taken = 0;
    this.#bytes = 0;
    this.#closing = this.#feed.close().finally(() => this.#monitor.release());
    this.#wakeReader();
  }
}
