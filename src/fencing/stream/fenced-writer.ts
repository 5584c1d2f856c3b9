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
import { reportWrite } from "../report-write.ts";
import { StaleEpochError } from "../stale.ts";
import type { FenceTerm } from "../token.ts";
import { BATCH_LIMIT, encodeBatch, sendBatch } from "./batch.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { AckReader, type PubAck } from "./js-messages.ts";
import { type Lane, LanePool } from "./lanes.ts";
import { checkList, checkOptions, type FencedMessage, type Payload, type WriteOptions } from "./message.ts";
import { guardSubject } from "./names.ts";
import { PendingWrite, type WriteOwner, type WriteSpec } from "./pending-write.ts";
import { SubjectCheck } from "./subject-check.ts";
import { notSent, unknownOutcome, writeFailure } from "./write-failure.ts";
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
const NO_OPTIONS: WriteOptions = {};
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
  readonly #owner: WriteOwner;
  readonly #subjects: SubjectCheck;
  #ended: ClusterError | null = null;

  /** @internal Use `FencedStream.open(term)`. */
  constructor(on: GuardedStream, term: FenceTerm, lanes: readonly Lane[]) {
    this.#on = on;
    this.#term = term;
    this.#lanes = lanes;
    this.#pool = new LanePool(lanes, on.maxInFlight);
    this.#owner = {
      acks: new AckReader(on.stream),
      free: (write) => {
        this.#pool.giveBack(write.lane);
        reportWrite("stream", this.#term);
      },
      fail: (write, thrown) => void this.#failed(write, thrown),
    };
    this.#subjects = new SubjectCheck(on);
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
  publish(subject: string, data: Payload = EMPTY, options: WriteOptions = NO_OPTIONS): Promise<Written> {
    if (options?.expectLast !== undefined) {
      return this.batch([{ subject, data, options }], options).then(({ sequence }) => ({
        sequence,
        duplicate: false,
      }));
    }
    return new Promise((resolve, reject) => {
      if (options !== NO_OPTIONS) checkOptions(options);
      const spec: WriteSpec = {
        subject,
        doing: () => `write to ${subject}`,
        conditions: options.expectStreamLast !== undefined,
        timeoutMs: options.timeoutMs === undefined ? this.#on.timeoutMs : limitOf(options),
        signal: options.signal,
      };
      const body = typeof data === "string" ? encoder.encode(data) : data;
      const send = (write: PendingWrite): number =>
        this.#on.mux.send(subject, body, this.#headers(write.lane, options), spec.timeoutMs, write);
      const admitted = this.#subjects.admit(subject);
      if (admitted === null) this.#write(spec, send, resolve, reject);
      else admitted.then(() => this.#write(spec, send, resolve, reject), reject);
    });
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
    const { what, config } = this.#on;
    const { noBatches } = config;
    if (noBatches !== null) throw new ClusterError(noBatches.code, `${what}: ${noBatches.why}`);
    checkList("messages", messages);
    for (const { options: own } of messages) if (own !== undefined) checkOptions(own);
    if (messages.length === 0 || messages.length > BATCH_LIMIT) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `a batch must have 1 to ${BATCH_LIMIT} messages, not ${messages.length}`,
      );
    }
    if (messages.some((message) => message.options?.expectStreamLast !== undefined)) {
      throw new ClusterError(
        "INVALID_CONFIG",
        "expectStreamLast is not possible in a batch or together with expectLast",
      );
    }
    const subjects = new Set(messages.map((message) => message.subject));
    for (const subject of subjects) {
      const admitted = this.#subjects.admit(subject);
      if (admitted !== null) await admitted;
    }
    const shown = [...subjects].slice(0, 3).join(", ");
    const spec: WriteSpec = {
      subject: messages.at(-1)?.subject ?? "",
      doing: () =>
        messages.length === 1
          ? `write to ${shown}`
          : `write a batch of ${messages.length} to ${shown}${subjects.size > 3 ? ", …" : ""}`,
      conditions: messages.some((message) => message.options?.expectLast !== undefined),
      timeoutMs: options.timeoutMs === undefined ? this.#on.timeoutMs : limitOf(options),
      signal: options.signal,
    };
    const { sequence } = await new Promise<PubAck>((resolve, reject) => {
      this.#write(spec, (write) => this.#sendBatch(messages, write), resolve, reject);
    });
    return { sequence, count: messages.length };
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
      checkList("messages", [message]);
      return { kind: "written", ...(await this.publish(message.subject, message.data, message.options)) };
    } catch (thrown) {
      const error =
        thrown instanceof ClusterError ? thrown : unknownOutcome(thrown, `write to ${message.subject}`);
      return { kind: error.code === "OUTCOME_UNKNOWN" ? "unknown" : "refused", error };
    }
  }

  /** Takes a lane and sends the write. Throws nothing. */
  #write(
    spec: WriteSpec,
    send: (write: PendingWrite) => number,
    resolve: (ack: PubAck) => void,
    reject: (error: ClusterError) => void,
  ): void {
    if (this.#ended !== null) {
      reportWrite("stream", this.#term, this.#ended);
      return reject(this.#ended);
    }
    const lane = this.#pool.tryTake();
    if (lane !== null) this.#send(new PendingWrite(this.#owner, lane, spec, resolve, reject), send);
    else {
      this.#pool
        .take()
        .then(
          (given) => this.#send(new PendingWrite(this.#owner, given, spec, resolve, reject), send),
          reject,
        );
    }
  }

  #send(write: PendingWrite, send: (write: PendingWrite) => number): void {
    const problem = this.#problem(write.spec);
    if (problem !== null) {
      this.#pool.giveBack(write.lane);
      reportWrite("stream", this.#term, problem);
      write.reject(problem);
      return;
    }
    try {
      const id = send(write);
      if (write.spec.signal !== undefined) write.listen((reason) => this.#on.mux.abandon(id, reason));
    } catch (thrown) {
      this.#pool.giveBack(write.lane);
      const { subject, doing } = write.spec;
      write.reject(thrown instanceof ClusterError ? thrown : notSent(thrown, subject, doing()));
    }
  }

  /** The last check before the send: if there is a problem, nothing has been written. */
  #problem({ signal, doing }: WriteSpec): ClusterError | null {
    if (this.#ended !== null) return this.#ended;
    if (signal?.aborted === true) {
      return new ClusterError("ABORTED", `${doing()}: aborted; nothing was sent`, { cause: signal.reason });
    }
    return this.#on.mux.problem(doing);
  }

  async #failed(write: PendingWrite, thrown: unknown): Promise<void> {
    const { lane, spec } = write;
    const { doing, conditions, timeoutMs } = spec;
    const error = await writeFailure(thrown, {
      on: this.#on,
      term: this.#term,
      lane,
      doing: doing(),
      conditions,
    });
    if (error instanceof StaleEpochError) this.close(error);
    // Until this write is settled, the server may refuse other writes on the same lane.
    const rest = error.code === "OUTCOME_UNKNOWN" && this.#lanes.length > 1;
    this.#pool.giveBack(lane, rest ? timeoutMs : 0);
    reportWrite("stream", this.#term, error);
    write.reject(error);
  }

  #sendBatch(messages: readonly FencedMessage[], write: PendingWrite): number {
    const { on, term } = { on: this.#on, term: this.#term };
    const parts = encodeBatch(messages, write.lane, guardSubject(on.fence), on.config.rollup);
    if (parts.length > BATCH_LIMIT) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `a batch in which every message has expectLast must have at most ${BATCH_LIMIT - 1} messages`,
      );
    }
    return sendBatch(on, term, parts, write);
  }

  #headers(lane: Lane, options: WriteOptions): MsgHdrs {
    if (options.headers === undefined && options.expectStreamLast === undefined) return lane.headers;
    const hdrs = ownHeaders(options.headers, lane);
    if (options.expectStreamLast !== undefined)
      hdrs.set("Nats-Expected-Last-Sequence", String(options.expectStreamLast));
    return hdrs;
  }
}
