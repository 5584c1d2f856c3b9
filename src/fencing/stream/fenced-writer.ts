/**
 * The only thing here that writes, and only `open(term)` makes one.
 *
 * Guaranteed by the server that stores: a write is accepted only while the fence is where this term put it. Neither
 * clocks, nor whether this process was frozen between a check and the send, nor how late the bytes arrive make a
 * difference. Renewals of the lease don't touch the fence; the writer is good for the whole term.
 *
 * Not guaranteed: that a write whose answer was lost did not happen (`OUTCOME_UNKNOWN`), and the order of writes that
 * are in flight together. Nothing is retried.
 */
import type { MsgHdrs } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
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

/** A write that is stored. */
export interface Written {
  readonly sequence: number;
  /** It was stored before: its `Nats-Msg-Id` is known. */
  readonly duplicate: boolean;
}

/** A batch that is stored, whole. Its messages have consecutive sequences that end with `sequence`. */
export interface BatchWritten {
  readonly sequence: number;
  readonly count: number;
}

/** `refused`: not stored, and it won't be. `unknown`: nobody can tell but the stream. */
export type WriteOutcome =
  | ({ readonly kind: "written" } & Written)
  | { readonly kind: "refused"; readonly error: ClusterError }
  | { readonly kind: "unknown"; readonly error: ClusterError };

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

/** Writes of one term. Once refused with `STALE_EPOCH` it refuses everything, without asking again. */
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

  /** The fence's sequence: what the server compares. The same for the whole term. */
  get token(): number {
    return this.#lanes[0]?.sequence ?? 0;
  }

  /** Why nothing can be written any more; `null` while that is not known. */
  get ended(): ClusterError | null {
    return this.#ended;
  }

  /**
   * Writes one message. May be called again before it has settled: as many as there are slots are sent together, the
   * others wait. Rejects with `STALE_EPOCH`, `CONFLICT` (a second condition), `OUTCOME_UNKNOWN`, and with others that
   * mean that nothing was written: `NO_CONNECTION`, `AUTHORIZATION`, `INSUFFICIENT_RESOURCES`, `STREAM_INCOMPATIBLE`,
   * `INVALID_CONFIG`, `ABORTED`, `STOPPED`.
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
   * Writes up to 1000 messages, all or none, in order. Each may have `expectLast`. A message without an own condition
   * carries the fence's; if every one has one, an empty message on the fence's guard subject does.
   *
   * Needs a server from 2.12 on and a stream with `allow_atomic`. Rejects like `publish`.
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
        `a batch has 1 to ${BATCH_LIMIT} messages, not ${messages.length}`,
      );
    }
    for (const { subject, options: own } of messages) {
      this.#checkSubject(subject);
      if (own?.expectStreamLast === undefined) continue;
      throw new ClusterError(
        "INVALID_CONFIG",
        "expectStreamLast can't be part of a batch, nor stand beside expectLast",
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
          `a batch in which all have a condition has ${BATCH_LIMIT - 1} at most`,
        );
      }
      return sendBatch(this.#on, this.#term, parts, { timeoutMs, signal: options.signal });
    });
    return { sequence: ack.sequence, count: messages.length };
  }

  /**
   * Writes messages as fast as their answers allow and yields one outcome for each, in order. After the first that is
   * not `written` no more are sent; the outcomes of those in flight still come, then it ends.
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

  /** @internal No more writes; those in flight end by themselves. */
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

  /** One write through one lane. Everything that can go wrong comes out as a `ClusterError`. */
  async #through(
    subject: string,
    options: Pick<WriteOptions, "timeoutMs" | "signal">,
    doing: string,
    conditions: boolean,
    send: (lane: Lane, timeoutMs: number) => Promise<Uint8Array>,
  ): Promise<PubAck> {
    if (this.#ended !== null) throw this.#ended;
    const lane = this.#pool.tryTake() ?? (await this.#pool.take());
    let restMs = 0;
    try {
      this.#checkSendable(options.signal, doing);
      const timeoutMs = options.timeoutMs ?? this.#on.timeoutMs;
      try {
        return parsePubAck(await send(lane, timeoutMs), this.#on.stream, subject);
      } catch (thrown) {
        const error = await writeFailure(thrown, { on: this.#on, term: this.#term, lane, doing, conditions });
        if (error instanceof StaleEpochError) this.close(error);
        // Until its fate is settled the server may refuse other writes on the same lane.
        if (error.code === "OUTCOME_UNKNOWN" && this.#lanes.length > 1) restMs = timeoutMs;
        throw error;
      }
    } finally {
      this.#pool.giveBack(lane, restMs);
    }
  }

  /** Last look before anything is sent. Nothing has been written when this throws. */
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
      `subject ${subject} belongs to the fence of stream ${this.#on.stream}`,
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
