/**
 * Keeps a consumer of a partition on the server, and makes another one whenever the present one ends or becomes doubtful: after the last
 * message that has arrived. What each of them delivers is passed on only when the leader of the stream has confirmed, after the
 * consumer was made, that nothing between the position and the consumer was removed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Msg } from "@nats-io/transport-node";
import { ClusterError, messageOf } from "../../errors.ts";
import { callApi, JsApiError, JsCode, jsToClusterError } from "../api/js-api.ts";
import { RequestFailure } from "../api/request.ts";
import type { Delivery } from "../bucket/bucket-watch.ts";
import { NANOS_PER_MS } from "../bucket/stream-state.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { newConsumerName } from "./consumer-name.ts";
import { DeliveredMessage } from "./delivered-message.ts";
import { judgeStream } from "./judge-stream.ts";
import { OrderedPull, type PullLimits } from "./ordered-pull.ts";
import { readStream, type StreamFacts } from "./stream-facts.ts";
import { deleteConsumer } from "./superseded.ts";

/** Longest wait for the answer to one request. A request to a stream without a leader is not answered. */
const REQUEST_MS = 1_000;
/** Heartbeats between two checks that the stream has not removed what was not received yet. */
const CHECK_EVERY = 10;
const FIRST_PAUSE_MS = 20;
const LAST_PAUSE_MS = 1_000;
/** How long a replicated stream may say that it ends before the position: its new leader may not have applied everything yet. */
const CATCH_UP_MS = 2_000;
/** JetStream error codes after which another attempt would not help. */
const FINAL_CODES: ReadonlySet<number> = new Set<number>([
  JsCode.streamNotFound,
  JsCode.notEnabledForAccount,
  JsCode.maximumConsumers,
  10084, // a work queue needs acknowledgements
  10093, // the filter does not match the stream
  10100, // the filters of consumers overlap, on a work queue
]);

export interface FeedOptions {
  readonly stream: string;
  /** Filter of the partition. */
  readonly subject: string;
  readonly after: number;
  readonly removed: "fail" | "skip";
  /** What the names of its consumers begin with. */
  readonly prefix: string;
  readonly epoch: number;
  readonly inactiveMs: number;
  /** How long the server may fail to answer, at the start or later. */
  readonly timeoutMs: number;
  readonly limits: PullLimits;
}

export interface FeedListener {
  message(message: DeliveredMessage): void;
  /** The partition has no message up to this sequence that was not passed on. */
  passed(sequence: number): void;
  /** Nothing comes any more. */
  failed(error: ClusterError): void;
  /** Calls `fill()` with what is in the buffer. */
  refill(): void;
}

export class PartitionFeed {
  readonly #monitor: ConnectionMonitor;
  readonly #options: FeedOptions;
  readonly #listener: FeedListener;
  readonly #abort = new AbortController();
  #pull: OrderedPull | null = null;
  /** What has arrived and is not confirmed. */
  #unconfirmed: DeliveredMessage[] | null = null;
  /** Everything up to here was passed on, or was there before. */
  #received: number;
  /** The partition has no message up to here that was not passed on. */
  #passedTo: number;
  /** Up to here the stream had removed nothing before it was received, as its leader has said. */
  #verified: number;
  #timer: NodeJS.Timeout | undefined;
  #isVerifying = false;
  #created: string | null = null;
  #aheadSince: number | null = null;
  #failure: ClusterError | null = null;
  /** Attempts without a sign of life from a consumer. */
  #failures = 0;

  constructor(monitor: ConnectionMonitor, options: FeedOptions, listener: FeedListener) {
    this.#monitor = monitor;
    this.#options = options;
    this.#listener = listener;
    this.#received = options.after;
    this.#passedTo = options.after;
    this.#verified = options.after;
  }

  /** Rejects with a `ClusterError`, as `failed()` is called with later. */
  async open(): Promise<void> {
    const { timeoutMs } = this.#options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      try {
        return await this.#attempt();
      } catch (thrown) {
        if (this.#abort.signal.aborted) throw this.#closed();
        const { error, isFinal } = this.#judge(thrown);
        if (isFinal || performance.now() >= deadline) throw error;
      }
      await this.#pause();
    }
  }

  /** The buffer has so much room. */
  fill(bufferedMessages: number, bufferedBytes: number): void {
    const unconfirmed = this.#unconfirmed?.length ?? 0;
    this.#pull?.fill(bufferedMessages + unconfirmed, bufferedBytes);
  }

  /** Deletes the consumer. Never rejects. */
  async close(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    clearInterval(this.#timer);
    await this.#drop();
  }

  async #attempt(): Promise<void> {
    const { stream, subject, prefix, epoch, inactiveMs, limits } = this.#options;
    const { signal } = this.#abort;
    const call = { timeoutMs: REQUEST_MS, signal };
    this.#check(await readStream(this.#monitor, stream, call));
    const name = newConsumerName(prefix, epoch);
    const config = {
      name,
      deliver_policy: "by_start_sequence",
      opt_start_seq: Math.max(this.#received, this.#passedTo) + 1,
      ack_policy: "none",
      replay_policy: "instant",
      filter_subject: subject,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: inactiveMs * NANOS_PER_MS,
    };
    const body = { stream_name: stream, config };
    const unconfirmed: DeliveredMessage[] = [];
    const pull = new OrderedPull(this.#monitor, { stream, name }, limits, {
      message: (message, delivery) => this.#take(message, delivery),
      passed: (sequence) => this.#passed(sequence),
      ended: () => this.#listener.refill(),
      lost: (why, error) => void this.#lost(pull, why, error),
    });
    this.#pull = pull;
    this.#unconfirmed = unconfirmed;
    try {
      await callApi(this.#monitor, `CONSUMER.CREATE.${stream}.${name}.${subject}`, body, call);
      pull.start();
      this.#listener.refill();
      // The messages are on their way in the meantime.
      this.#check(await readStream(this.#monitor, stream, call));
    } catch (thrown) {
      void this.#drop();
      throw thrown;
    }
    if (this.#pull !== pull) throw new RequestFailure("failed", name, "the consumer ended at once");
    this.#unconfirmed = null;
    for (const message of unconfirmed) this.#passOn(message);
    this.#timer ??= setInterval(() => void this.#verify(), limits.heartbeatMs * CHECK_EVERY).unref();
  }

  /**
   * A consumer skips messages that the stream removes before it has come to them, and does not say so. While the first message of the stream is one
   * that had been received at the check before, or the one after it, there were none.
   */
  async #verify(): Promise<void> {
    if (this.#isVerifying || this.#unconfirmed !== null || this.#pull === null) return;
    this.#isVerifying = true;
    const passedTo = Math.max(this.#received, this.#passedTo);
    try {
      const call = { timeoutMs: REQUEST_MS, signal: this.#abort.signal };
      const facts = await readStream(this.#monitor, this.#options.stream, call);
      const wanted = { ...this.#options, after: this.#verified, created: this.#created };
      const judgement = judgeStream(facts, wanted);
      // An answer that is older than the position is no reason to stop: the next consumer will be checked.
      if (judgement.kind === "no") this.#fail(judgement.error);
      else if (judgement.kind === "ok") this.#verified = passedTo;
    } catch {
      // Without an answer the consumer shows whether the stream is there.
    } finally {
      this.#isVerifying = false;
    }
  }

  #check(facts: StreamFacts): void {
    const after = Math.max(this.#received, this.#passedTo);
    const judgement = judgeStream(facts, { ...this.#options, after, created: this.#created });
    if (judgement.kind === "ok") {
      this.#verified = after;
      this.#created = facts.created;
      this.#aheadSince = null;
      return;
    }
    if (judgement.kind === "no" || facts.replicas === 1) throw new Refusal(judgement.error);
    this.#aheadSince ??= performance.now();
    if (performance.now() - this.#aheadSince >= CATCH_UP_MS) throw new Refusal(judgement.error);
    throw judgement.error;
  }

  #take(message: Msg, delivery: Delivery): void {
    this.#failures = 0;
    const delivered = new DeliveredMessage(message, delivery);
    if (this.#unconfirmed === null) this.#passOn(delivered);
    else this.#unconfirmed.push(delivered);
  }

  #passOn(message: DeliveredMessage): void {
    // A consumer on a replica that is behind the position begins with the next message that it gets, on servers before 2.10.
    if (message.sequence <= this.#received) return this.#listener.refill();
    this.#received = message.sequence;
    this.#listener.message(message);
  }

  #passed(sequence: number): void {
    this.#failures = 0;
    if (this.#unconfirmed !== null) return;
    this.#passedTo = Math.max(this.#passedTo, sequence);
    this.#listener.passed(sequence);
  }

  async #lost(pull: OrderedPull, why: string, error: "too-large" | "refused" | null): Promise<void> {
    if (this.#pull !== pull || this.#abort.signal.aborted) return;
    const isOpening = this.#unconfirmed !== null;
    void this.#drop();
    if (error !== null) return this.#fail(this.#hopeless(why, error));
    if (isOpening) return;
    try {
      if (this.#failures > 0) await this.#pause();
      this.#failures += 1;
      await this.open();
    } catch (thrown) {
      if (!this.#abort.signal.aborted) this.#fail(jsToClusterError(thrown, this.#doing));
    }
  }

  #hopeless(why: string, error: "too-large" | "refused"): ClusterError {
    const { stream, limits } = this.#options;
    if (error === "too-large") {
      const remedy = `pass a larger maxBytes than ${limits.maxBytes}`;
      return new ClusterError("INVALID_CONFIG", `cannot ${this.#doing}: ${why}: ${remedy}`);
    }
    const remedy = `nats-server or its permissions for stream ${stream} refuse the request`;
    return new ClusterError("AUTHORIZATION", `cannot ${this.#doing}: ${why}: ${remedy}`);
  }

  #fail(error: ClusterError): void {
    if (this.#abort.signal.aborted) return;
    this.#failure = error;
    void this.close();
    this.#listener.failed(error);
  }

  /** Ends the present consumer, if there is one. */
  async #drop(): Promise<void> {
    const pull = this.#pull;
    this.#pull = null;
    this.#unconfirmed = null;
    if (pull === null) return;
    pull.close();
    await deleteConsumer(this.#monitor, this.#options.stream, pull.name);
  }

  #judge(thrown: unknown): { readonly error: ClusterError; readonly isFinal: boolean } {
    if (thrown instanceof Refusal) return { error: thrown.error, isFinal: true };
    const { stream, subject } = this.#options;
    const isFinal =
      this.#monitor.closed ||
      (thrown instanceof JsApiError && FINAL_CODES.has(thrown.code)) ||
      (thrown instanceof RequestFailure && thrown.kind === "denied");
    if (thrown instanceof JsApiError && isFinal && thrown.code !== JsCode.notEnabledForAccount) {
      const text = `cannot consume ${subject} of stream ${stream}: ${thrown.message} (JetStream error ${thrown.code})`;
      return { error: new ClusterError("STREAM_INCOMPATIBLE", text, { cause: thrown }), isFinal };
    }
    return { error: jsToClusterError(thrown, this.#doing), isFinal };
  }

  get #doing(): string {
    return `consume ${this.#options.subject} of stream ${this.#options.stream}`;
  }

  #closed(): ClusterError {
    return this.#failure ?? new ClusterError("STOPPED", `${this.#doing}: closed`);
  }

  /** Until the next attempt is due; ends early if the connection comes back, and when the feed is closed. */
  async #pause(): Promise<void> {
    this.#failures += 1;
    const ms = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(10, this.#failures - 1));
    const early = new AbortController();
    const end = (): void => early.abort();
    const unlisten = this.#monitor.listen(({ type }) => {
      if (type === "up" || type === "closed") end();
    });
    this.#abort.signal.addEventListener("abort", end, { once: true });
    if (this.#abort.signal.aborted) end();
    await sleep(ms, undefined, { signal: early.signal }).catch(() => {});
    this.#abort.signal.removeEventListener("abort", end);
    unlisten();
  }
}

/** Another attempt would get the same answer. */
class Refusal extends Error {
  readonly error: ClusterError;

  constructor(error: ClusterError) {
    super(messageOf(error));
    this.error = error;
  }
}
