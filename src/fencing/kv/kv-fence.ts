/** A receiver's fence that survives restarts: the largest token is stored in a key-value bucket and raised by compare-and-set. */

import { headers, type NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import {
  asObject,
  isJsError,
  JsCode,
  type JsonObject,
  jsToClusterError,
  parseObject,
} from "../../nats/api/js-api.ts";
import { request } from "../../nats/api/request.ts";
import { getMessage, type MessageQuery, type StoredMessage } from "../../nats/api/stored-message.ts";
import { createStream, createWithDefault, findOrCreate, findStream } from "../../nats/api/streams.ts";
import { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { isBeyondReach, isToken } from "../compare.ts";
import type { Fence } from "../fence.ts";
import { refusedToken } from "../stale.ts";
import { IN_FLIGHT, parsePubAck } from "../stream/js-messages.ts";
import { checkBucket, checkKey, kvStream, kvSubject, newBucketConfig } from "../stream/names.ts";
import { storeProblems, subjectProblems } from "../stream/stream-check.ts";
import { EXPECTED_ON_SUBJECT } from "../stream/take-fence.ts";
import { type TokenSource, tokenOf } from "../token.ts";
import { isMarker } from "./marker.ts";

export interface KvFenceOptions {
  /**
   * Bucket of the fences. A missing bucket is created.
   *
   * @default "FENCES"
   */
  readonly bucket?: string;
  /** Name of the guarded resource: `[A-Za-z0-9/_=-]+`, or several of these separated by dots. */
  readonly key: string;
  /**
   * `true`: no other process guards this resource, so a token equal to the largest one needs no request. `false`: every check reads
   * the key from the stream's leader, so that a token is refused if any receiver has seen a larger one.
   *
   * @default false
   */
  readonly exclusive?: boolean;
  /**
   * Replicas of a bucket that is created.
   *
   * @default 3 in a NATS cluster, 1 on a single server
   */
  readonly replicas?: number;
  /**
   * Longest wait for the answer to one request, in milliseconds.
   *
   * @default 2000
   */
  readonly timeoutMs?: number;
}

/** Limit of attempts to raise the token. Each lost compare-and-set means that another receiver has written the key. */
const MAX_TRIES = 8;

/** Messages of a key in a bucket that is created. After a message that is no token, the token is read from the earlier ones. */
const HISTORY = 8;

/** The stored state of the key. */
interface Stored {
  /** 0 if the key has no message. */
  readonly revision: number;
  /** 0 if the key does not exist. */
  readonly token: number;
}

/**
 * A durable fence, on every server version that this library supports. It fails closed: if the bucket cannot be reached, `admit`
 * rejects, and the message must not be acted upon. To repair a fence that has admitted a forged epoch, delete its key while no leader
 * runs, and restart its receivers.
 *
 * @example
 * ```ts
 * const fence = await KvFence.open(connection, { key: "printer" });
 * connection.subscribe("print", { callback: fencedCallback(fence, (message) => void message.respond("printed")) });
 * ```
 */
export class KvFence implements Fence, AsyncDisposable {
  readonly name: string;
  readonly #monitor: ConnectionMonitor;
  readonly #bucket: string;
  readonly #key: string;
  readonly #exclusive: boolean;
  readonly #timeoutMs: number;
  /** The bucket accepts `Nats-TTL`: the token is written without expiry, and so survives a TTL that the bucket is given later. */
  #msgTtl = false;
  #stored: Stored = { revision: 0, token: 0 };
  /** Never decreases. If an operator deletes the key, the next admitted token is written to it again. */
  #highest = 0;
  #closed = false;

  private constructor(monitor: ConnectionMonitor, options: KvFenceOptions) {
    this.#monitor = monitor;
    this.#bucket = options.bucket ?? "FENCES";
    this.#key = options.key;
    this.#exclusive = options.exclusive ?? false;
    this.#timeoutMs = options.timeoutMs ?? 2000;
    this.name = `fence "${options.key}" in bucket ${this.#bucket}`;
  }

  /**
   * Opens the fence and reads its largest token. Creates the bucket if it does not exist.
   *
   * @param connection - Remains the caller's to close.
   * @throws ClusterError `INVALID_CONFIG` for an invalid key; `STREAM_INCOMPATIBLE` for a bucket that could lose the token, by a TTL,
   * memory storage or a limit with `discard: old`; `NO_CONNECTION`, `AUTHORIZATION`, `JETSTREAM_UNAVAILABLE`,
   * `STORE_UNAVAILABLE` and others if a request fails.
   */
  static async open(connection: NatsConnection, options: KvFenceOptions): Promise<KvFence> {
    checkKey(options.key);
    if (options.bucket !== undefined) checkBucket(options.bucket);
    const monitor = ConnectionMonitor.acquire(connection);
    const fence = new KvFence(monitor, options);
    try {
      await fence.#ensureBucket(options.replicas);
      await fence.#read();
      return fence;
    } catch (thrown) {
      fence.close();
      throw jsToClusterError(thrown, `open ${fence.name}`);
    }
  }

  get highest(): number {
    return this.#highest;
  }

  /**
   * Resolves if the token is at least as large as every token admitted before, by any process with this fence.
   *
   * @throws ClusterError `STALE_EPOCH`; `INVALID_CONFIG` for no token, and for a value that is not one; `STOPPED` after `close()`; `NO_CONNECTION`,
   * `STORE_UNAVAILABLE` and others if the fence cannot decide.
   */
  async admit(source: TokenSource | null): Promise<void> {
    const token = source === null ? null : tokenOf(source);
    if (this.#closed) throw new ClusterError("STOPPED", `${this.name} is closed`);
    if (token === null || token < this.#highest) throw refusedToken(this.name, token, this.#highest);
    try {
      if (!this.#exclusive) await this.#read();
      for (let tries = 0; this.#mayRaise(token); tries++) {
        if (tries === MAX_TRIES)
          throw new Error(`${MAX_TRIES} compare-and-sets in a row lost against other receivers`);
        if (!(await this.#raise(token))) await this.#read();
      }
    } catch (thrown) {
      throw jsToClusterError(thrown, `check epoch ${token} against ${this.name}`);
    }
    if (token < this.#highest || isBeyondReach(this.#highest, token))
      throw refusedToken(this.name, token, this.#highest);
  }

  /** Further calls of `admit` reject. The connection stays open. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#monitor.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #mayRaise(token: number): boolean {
    return token >= this.#highest && token > this.#stored.token && !isBeyondReach(this.#highest, token);
  }

  async #read(): Promise<void> {
    try {
      const message = await this.#get({ last_by_subj: kvSubject(this.#bucket, this.#key) });
      const revision = message?.sequence ?? 0;
      const token = message === null ? 0 : storedToken(message);
      if (token !== null) return this.#learn({ revision, token });
      const highest = await this.#highestBefore(revision);
      // The message has to be replaced, also by a token that is not larger.
      this.#learn({ revision, token: 0 });
      this.#highest = Math.max(this.#highest, highest);
    } catch (thrown) {
      throw jsToClusterError(thrown, `read ${this.name}`);
    }
  }

  /** The largest token in the earlier messages of the key, since it was deleted last. */
  async #highestBefore(revision: number): Promise<number> {
    const subject = kvSubject(this.#bucket, this.#key);
    let highest = 0;
    for (let seq = 1; ; ) {
      const message = await this.#get({ seq, next_by_subj: subject });
      if (message === null || message.sequence >= revision) return highest;
      highest = isMarker(message) ? 0 : Math.max(highest, storedToken(message) ?? 0);
      seq = message.sequence + 1;
    }
  }

  #get(query: MessageQuery): Promise<StoredMessage | null> {
    return getMessage(this.#monitor, kvStream(this.#bucket), query, { timeoutMs: this.#timeoutMs });
  }

  #learn(read: Stored): void {
    this.#stored = read;
    this.#highest = Math.max(this.#highest, read.token);
  }

  /** `false`: the key does not have the revision that was read last. */
  async #raise(token: number): Promise<boolean> {
    const subject = kvSubject(this.#bucket, this.#key);
    const hdrs = headers();
    hdrs.set(EXPECTED_ON_SUBJECT, String(this.#stored.revision));
    if (this.#msgTtl) hdrs.set("Nats-TTL", "never");
    const body = new TextEncoder().encode(JSON.stringify({ epoch: token }));
    try {
      const answer = await request(this.#monitor, subject, body, {
        timeoutMs: this.#timeoutMs,
        headers: hdrs,
      });
      const { sequence } = parsePubAck(answer.data, kvStream(this.#bucket), subject);
      this.#learn({ revision: sequence, token });
      return true;
    } catch (thrown) {
      if (isJsError(thrown, JsCode.wrongLastSequence, IN_FLIGHT)) return false;
      throw thrown;
    }
  }

  async #ensureBucket(wanted: number | undefined): Promise<void> {
    const name = kvStream(this.#bucket);
    const timeoutMs = this.#timeoutMs;
    const limits = { timeoutMs: timeoutMs * 2 };
    const configOf = (replicas: number): JsonObject => ({
      ...newBucketConfig(this.#bucket, replicas),
      max_msgs_per_subject: HISTORY,
    });
    const info = await findOrCreate(
      () => findStream(this.#monitor, name, { timeoutMs }),
      () =>
        wanted === undefined
          ? createWithDefault(this.#monitor, name, configOf, limits)
          : createStream(this.#monitor, name, configOf(wanted), limits),
    );
    const config = asObject(info["config"]) ?? {};
    const subject = kvSubject(this.#bucket, this.#key);
    const problems = [...subjectProblems(config, [subject], subject), ...storeProblems(config)];
    if (problems.length > 0) {
      const text = `bucket ${this.#bucket} could lose ${this.name}: ${problems.join("; ")}`;
      throw new ClusterError("STREAM_INCOMPATIBLE", text);
    }
    this.#msgTtl = config["allow_msg_ttl"] === true;
  }
}

/** 0 for a delete marker. `null`: another client has written the message. */
function storedToken(message: StoredMessage): number | null {
  if (isMarker(message)) return 0;
  const epoch = parseObject(message.data)?.["epoch"];
  return isToken(epoch) ? epoch : null;
}
