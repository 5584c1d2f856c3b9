/**
 * Writes of one term. Only `open(term)` creates a writer, and nothing else in this folder writes data.
 *
 * Guaranteed by the server that stores the message: it accepts a write only while the fence is where this term moved it. This
 * does not depend on clocks, on whether the process was frozen between a check and the send, or on how late the write arrives.
 * Renewals of the lease do not move the fence, so one writer serves the whole term.
 *
 * Not guaranteed: that a write without an answer (`OUTCOME_UNKNOWN`) was not applied; the order of writes that are in flight
 * together. No write is retried.
 */
import type { MsgHdrs } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { limitOf } from "../../runtime/waiting.ts";
import { StaleEpochError } from "../stale.ts";
import type { FenceTerm } from "../token.ts";
import { BATCH_LIMIT, encodeBatch, sendBatch } from "./batch.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { type PubAck, parsePubAck } from "./js-messages.ts";
import { type Lane, LanePool } from "./lanes.ts";
import type { FencedMessage, Payload, WriteOptions } from "./message.ts";
import { guardSubject } from "./names.ts";
import { unknownOutcome, writeFailure } from "./write-failure.ts";
import { ownHeaders } from "./write-headers.ts";

/** A stored message. */
export interface Written {
  /** Its sequence in the stream. */
  readonly sequence: number;
  /** The server already had a message with this `Nats-Msg-Id` and stored no second one. */
  readonly duplicate: boolean;
}

/** A stored batch. Its messages have consecutive sequences. */
export interface BatchWritten {
  /** Sequence of the last message. */
  readonly sequence: number;
  /** Number of messages. */
  readonly count: number;
}

/**
 * What became of one message of a pipeline. `refused`: it is not stored and will not be. `unknown`: it may be stored now, later or
 * never; read the stream before you repeat it.
 */
export type WriteOutcome =
  | ({ readonly kind: "written" } & Written)
  | { readonly kind: "refused"; readonly error: ClusterError }
  | { readonly kind: "unknown"; readonly error: ClusterError };

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

/**
 * Writes of one term. After the first `STALE_EPOCH` every write is refused without a request.
 *
 * @example
 * ```ts
 * const writer = await ledger.open(term);
 * const { sequence } = await writer.publish("ledger.entry", "+10");
 * await writer.publish("ledger.account.1", "10", { expectLast: 0 }); // CONFLICT if the subject has a message
 * ```
 */
export class FencedWriter {
  readonly #on: GuardedStream;
  readonly #term: FenceTerm;
  readonly #lanes: readonly Lane[];
  readonly #pool: LanePool;
  #ended: ClusterError | null = null;

  /** @internal Use `FencedStream.open(term)`. */
  constructor(on: GuardedStream, term: FenceTerm, lanes: readonly Lane[]) {
    this.#on = on;
    this.#term = term;
    this.#lanes = lanes;
    const slots = lanes.length > 1 ? lanes : Array.from({ length: on.maxInFlight }, () => lanes[0] as Lane);
    this.#pool = new LanePool(slots);
  }

  /** The term's epoch. */
  get epoch(): number {
    return this.#term.epoch;
  }

  /** Sequence of the fence message, which the server compares. Constant during the term. */
  get token(): number {
    return this.#lanes[0]?.sequence ?? 0;
  }

  /** Why this writer refuses every write, such as `STALE_EPOCH` or `STOPPED`; `null` as long as it sends them. */
  get ended(): ClusterError | null {
    return this.#ended;
  }

  /**
   * Writes one message. Calls may overlap: as many writes as there are slots (`maxInFlight`, `lanes`) are in flight, the others wait.
   *
   * @throws StaleEpochError when the fence has moved; nothing was written.
   * @throws ClusterError `OUTCOME_UNKNOWN` when the write may have been applied. All other codes mean that nothing was written:
   * `CONFLICT` (a second condition does not hold, or another write is in flight under the same condition), `NO_CONNECTION`,
   * `AUTHORIZATION`, `JETSTREAM_UNAVAILABLE`, `INSUFFICIENT_RESOURCES`, `STREAM_INCOMPATIBLE`, `SERVER_TOO_OLD`, `INVALID_CONFIG`,
   * `ABORTED`, `STOPPED`.
   */
  async publish(subject: string, data: Payload = EMPTY, options: WriteOptions = {}): Promise<Written> {
    if (options.expectLast !== undefined) {
      const { sequence } = await this.batch([{ subject, data, options }], options);
      return { sequence, duplicate: false };
    }
    this.#checkSubject(subject);
    const body = typeof data === "string" ? encoder.encode(data) : data;
    const doing = `write to ${subject}`;
    const conditions = options.expectStreamLast !== undefined;
    const { sequence, duplicate } = await this.#through(
      subject,
      options,
      doing,
      conditions,
      (lane, timeoutMs) =>
        this.#on.mux.request(subject, body, {
          timeoutMs,
          headers: this.#headers(lane, options),
          signal: options.signal,
        }),
    );
    return { sequence, duplicate };
  }

  /**
   * Writes messages atomically and in order. Needs nats-server 2.12 or later and a stream with `allow_atomic`.
   *
   * @param messages - 1 to 1000; 999 if each of them has `expectLast`, because one more message then carries the fence's condition.
   * @param options - `timeoutMs` and `signal` as for `publish`. In the options of a message they are ignored.
   * @throws StaleEpochError and ClusterError, as `publish`.
   */
  async batch(
    messages: readonly FencedMessage[],
    options: Pick<WriteOptions, "timeoutMs" | "signal"> = {},
  ): Promise<BatchWritten> {
    const { noBatches, stream } = this.#on;
    if (noBatches !== null) throw new ClusterError(noBatches.code, `stream ${stream}: ${noBatches.why}`);
    if (messages.length === 0 || messages.length > BATCH_LIMIT) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `a batch must have 1 to ${BATCH_LIMIT} messages, not ${messages.length}`,
      );
    }
    for (const { subject, options: own } of messages) {
      this.#checkSubject(subject);
      if (own?.expectStreamLast === undefined) continue;
      throw new ClusterError(
        "INVALID_CONFIG",
        "expectStreamLast is not possible in a batch or together with expectLast",
      );
    }
    const conditions = messages.some((message) => message.options?.expectLast !== undefined);
    const subjects = [...new Set(messages.map((message) => message.subject))];
    const doing = `write a batch of ${messages.length} to ${subjects.slice(0, 3).join(", ")}${subjects.length > 3 ? ", …" : ""}`;
    const last = messages.at(-1)?.subject ?? "";
    const ack = await this.#through(last, options, doing, conditions, (lane, timeoutMs) => {
      const parts = encodeBatch(messages, lane, guardSubject(this.#on.fence), this.#on.rollup);
      if (parts.length > BATCH_LIMIT) {
        throw new ClusterError(
          "INVALID_CONFIG",
          `a batch in which every message has expectLast must have at most ${BATCH_LIMIT - 1} messages`,
        );
      }
      return sendBatch(this.#on, this.#term, parts, { timeoutMs, signal: options.signal });
    });
    return { sequence: ack.sequence, count: messages.length };
  }

  /**
   * Writes messages concurrently and yields one outcome for each, in the order of the messages. After the first outcome that is not
   * `written`, no more messages are sent; the iteration ends with the outcomes of those in flight. Never throws for a failed write.
   *
   * @param options - `maxInFlight`: limit of unanswered writes, by default `maxInFlight` of the stream.
   * @example
   * ```ts
   * for await (const outcome of writer.pipeline(entries)) {
   *   if (outcome.kind !== "written") console.error(outcome.kind, outcome.error.message);
   * }
   * ```
   */
  async *pipeline(
    messages: Iterable<FencedMessage> | AsyncIterable<FencedMessage>,
    options: { readonly maxInFlight?: number } = {},
  ): AsyncGenerator<WriteOutcome, void, void> {
    const limit = Math.max(1, options.maxInFlight ?? this.#on.maxInFlight);
    const inFlight: Promise<WriteOutcome>[] = [];
    let failed = false;
    for await (const message of messages) {
      inFlight.push(
        this.#outcome(message).then((outcome) => {
          if (outcome.kind !== "written") failed = true;
          return outcome;
        }),
      );
      if (inFlight.length >= limit) yield await (inFlight.shift() as Promise<WriteOutcome>);
      if (failed) break;
    }
    for (const outcome of inFlight) yield await outcome;
  }

  /** @internal Are its lanes these ones? */
  uses(lanes: readonly Lane[]): boolean {
    return (
      lanes.length === this.#lanes.length &&
      lanes.every(({ sequence }, i) => sequence === this.#lanes[i]?.sequence)
    );
  }

  /** @internal Refuses all further writes. Writes in flight complete. */
  close(error: ClusterError): void {
    this.#ended ??= error;
    this.#pool.close(this.#ended);
  }

  async #outcome(message: FencedMessage): Promise<WriteOutcome> {
    try {
      return { kind: "written", ...(await this.publish(message.subject, message.data, message.options)) };
    } catch (thrown) {
      const error =
        thrown instanceof ClusterError ? thrown : unknownOutcome(thrown, `write to ${message.subject}`);
      return { kind: error.code === "OUTCOME_UNKNOWN" ? "unknown" : "refused", error };
    }
  }

  /** One write through one lane. Rejects with a `ClusterError` only. */
  async #through(
    subject: string,
    options: Pick<WriteOptions, "timeoutMs" | "signal">,
    doing: string,
    conditions: boolean,
    send: (lane: Lane, timeoutMs: number) => Promise<Uint8Array>,
  ): Promise<PubAck> {
    if (this.#ended !== null) throw this.#ended;
    const timeoutMs = options.timeoutMs === undefined ? this.#on.timeoutMs : limitOf(options);
    const lane = this.#pool.tryTake() ?? (await this.#pool.take());
    let restMs = 0;
    try {
      this.#checkSendable(options.signal, doing);
      try {
        return parsePubAck(await send(lane, timeoutMs), this.#on.stream, subject);
      } catch (thrown) {
        const error = await writeFailure(thrown, { on: this.#on, term: this.#term, lane, doing, conditions });
        if (error instanceof StaleEpochError) this.close(error);
        // Until this write is settled, the server may refuse other writes on the same lane.
        if (error.code === "OUTCOME_UNKNOWN" && this.#lanes.length > 1) restMs = timeoutMs;
        throw error;
      }
    } finally {
      this.#pool.giveBack(lane, restMs);
    }
  }

  /** The last check before the send: if it throws, nothing has been written. */
  #checkSendable(signal: AbortSignal | undefined, doing: string): void {
    if (this.#ended !== null) throw this.#ended;
    if (signal?.aborted === true)
      throw new ClusterError("ABORTED", `${doing}: aborted`, { cause: signal.reason });
    if (!this.#on.monitor.connected) {
      throw new ClusterError("NO_CONNECTION", `cannot ${doing}: not connected; nothing was sent`, {
        recoverable: true,
      });
    }
  }

  #checkSubject(subject: string): void {
    if (!subject.startsWith(`${this.#on.fence}.`)) return;
    throw new ClusterError(
      "INVALID_CONFIG",
      `subject ${subject} belongs to the fence of stream ${this.#on.stream}: write to another one`,
    );
  }

  #headers(lane: Lane, options: WriteOptions): MsgHdrs {
    if (options.headers === undefined && options.expectStreamLast === undefined) return lane.headers;
    const hdrs = ownHeaders(options.headers, lane);
    if (options.expectStreamLast !== undefined)
      hdrs.set("Nats-Expected-Last-Sequence", String(options.expectStreamLast));
    return hdrs;
  }
}
