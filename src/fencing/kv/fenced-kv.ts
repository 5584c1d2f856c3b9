/** A key-value bucket that only the leader of the newest term can write to. */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { jsToClusterError } from "../../nats/api/js-api.ts";
import { getMessage, type StoredMessage } from "../../nats/api/stored-message.ts";
import { FencedStream, type FenceHolder, type OpenOptions, type OpenTerm } from "../stream/fenced-stream.ts";
import type { FencedWriter } from "../stream/fenced-writer.ts";
import type { GuardedStream } from "../stream/guarded-stream.ts";
import { checkList, type Payload, type WriteOptions } from "../stream/message.ts";
import {
  checkBucket,
  checkKey,
  KV_FENCE_KEY,
  kvStream,
  kvSubject,
  newBucketConfig,
} from "../stream/names.ts";
import { type FencedLimits, openGuarded } from "../stream/open-guarded.ts";
import { EPOCH_HEADER, parseToken } from "../token.ts";
import { isMarker } from "./marker.ts";

// The published types compile without the optional @nats-io/kv: asKv() then resolves with `any`.
// biome-ignore lint/suspicious/noTsIgnore: there is no error where the package is installed
/** @ts-ignore */
type KV = import("@nats-io/kv").KV;

export interface FencedKvOptions extends FencedLimits {
  /** Name of the bucket. A missing bucket is created, with a history of 1. A bucket that exists is used as it is. */
  readonly bucket: string;
  /** Further JetStream stream configuration for a bucket that is created, such as `{ max_bytes: 1e9 }`. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The value of a key. */
export interface KvEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Sequence of its message in the stream. */
  readonly revision: number;
  /** Epoch of the term that wrote it; `null` if it was written without a fence. */
  readonly epoch: number | null;
}

type KvWriteOptions = Pick<WriteOptions, "timeoutMs" | "signal">;

/** One change of a batch. With `revision`, only if the key's last message has it; 0 for a key without a message. */
export type KvChange =
  | { readonly put: string; readonly value: Payload; readonly revision?: number }
  | { readonly delete: string; readonly revision?: number };

/**
 * A key-value bucket with a fence. Reads need neither leadership nor the fence. Other key-value clients can read the bucket; they
 * also see the keys of the fence, `nats_leader_fence.*`. All writers must use the fence.
 *
 * @example
 * ```ts
 * const kv = await FencedKv.connect(connection, { bucket: "SETTINGS" });
 * const settings = await kv.open(term); // first in onBecomeLeader, or use withFence()
 * await settings.put("colour", "green");
 * ```
 */
export class FencedKv implements AsyncDisposable {
  readonly #on: GuardedStream;
  readonly #stream: FencedStream;
  /** Name of the bucket. */
  readonly bucket: string;

  private constructor(bucket: string, on: GuardedStream) {
    this.bucket = bucket;
    this.#on = on;
    this.#stream = new FencedStream(on);
  }

  /**
   * Finds or creates the bucket, and checks that a fence holds on it. Writes no message.
   *
   * @param connection - Remains the caller's to close.
   * @throws ClusterError as `FencedStream.connect`.
   */
  static async connect(connection: NatsConnection, options: FencedKvOptions): Promise<FencedKv> {
    const { bucket, config = {} } = options;
    checkBucket(bucket);
    const on = await openGuarded(connection, {
      what: `bucket ${bucket}`,
      stream: kvStream(bucket),
      fence: kvSubject(bucket, KV_FENCE_KEY),
      options,
      create: (replicas) => ({ ...newBucketConfig(bucket, replicas), ...config, name: kvStream(bucket) }),
    });
    return new FencedKv(bucket, on);
  }

  /**
   * Moves the fence to this term and returns its writer. When it resolves, the server accepts no write of an earlier term any more.
   *
   * @throws StaleEpochError and ClusterError, as `FencedStream.open`.
   */
  async open(term: OpenTerm, options: OpenOptions = {}): Promise<FencedKvWriter> {
    return new FencedKvWriter(this, await this.#stream.open(term, options));
  }

  /**
   * Moves the fence to this term, as `open`, and returns a standard `KV` of `@nats-io/kv`: code that is written for `KV` is fenced
   * without a change. Needs the package `@nats-io/kv`.
   *
   * Reads do not show the keys of the fence. Writes reject with the errors of `FencedKvWriter`, such as `STALE_EPOCH`, and with `CONFLICT`
   * where a plain `KV` rejects with JetStream error 10071. `create`, `update` and a condition (`previousSeq`) need nats-server 2.12 or
   * later and a bucket with `allow_atomic`: otherwise they reject with `SERVER_TOO_OLD` or `STREAM_INCOMPATIBLE`. `destroy` always
   * rejects with `INVALID_CONFIG`, because no fence can prevent it.
   *
   * @throws StaleEpochError and ClusterError, as `open`; `INVALID_CONFIG` if `@nats-io/kv` is not installed.
   * @example
   * ```ts
   * const node = new Node(options, withFence({ open: (term) => kv.asKv(term) }, hooks));
   * ```
   */
  async asKv(term: OpenTerm, options: OpenOptions = {}): Promise<KV> {
    const { openForReading, StandardKv } = await import("./standard-kv.ts");
    const { bucket } = this;
    const reads = await openForReading(this.#on.monitor.connection, bucket);
    const writer = await this.#stream.open(term, options);
    return new StandardKv(reads, { bucket, writer, vacantRevision: (key) => this.vacantRevision(key) });
  }

  /**
   * The newest value of a key, read from the stream's leader; `null` if the key does not exist.
   *
   * @throws ClusterError `INVALID_CONFIG` for an invalid key; `NO_CONNECTION`, `STORE_UNAVAILABLE` and others if the read fails.
   */
  async get(key: string): Promise<KvEntry | null> {
    const message = await this.#read(key);
    if (message === null || isMarker(message)) return null;
    const epoch = parseToken(message.headers.get(EPOCH_HEADER) ?? "");
    return { key, value: message.data, revision: message.sequence, epoch };
  }

  /** The term that holds the fence; `null` if there is no fence yet. Rejects as `FencedStream.holder`. */
  holder(): Promise<FenceHolder | null> {
    return this.#stream.holder();
  }

  /** @internal Revision of the delete marker of a missing key; 0 without one. Rejects with `CONFLICT` if the key exists. */
  async vacantRevision(key: string): Promise<number> {
    const message = await this.#read(key);
    if (message === null || isMarker(message)) return message?.sequence ?? 0;
    const text = `key "${key}" of bucket ${this.bucket} exists at revision ${message.sequence}; nothing was written`;
    throw new ClusterError("CONFLICT", text, { recoverable: true });
  }

  /** Ends the writers. The connection stays open. Idempotent. */
  close(): void {
    this.#stream.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #read(key: string): Promise<StoredMessage | null> {
    checkKey(key);
    try {
      const { monitor, stream, timeoutMs } = this.#on;
      return await getMessage(monitor, stream, { last_by_subj: kvSubject(this.bucket, key) }, { timeoutMs });
    } catch (thrown) {
      throw jsToClusterError(thrown, `read key "${key}" of bucket ${this.bucket}`);
    }
  }
}

/**
 * Writes of one term. Every method resolves with the key's new revision, and rejects as `FencedWriter.publish`. Methods with a
 * condition on the key need atomic batches: nats-server 2.12 or later and a bucket with `allow_atomic`.
 */
export class FencedKvWriter {
  readonly #kv: FencedKv;
  readonly #writer: FencedWriter;

  /** @internal Use `FencedKv.open(term)`. */
  constructor(kv: FencedKv, writer: FencedWriter) {
    this.#kv = kv;
    this.#writer = writer;
  }

  /** The term's epoch. */
  get epoch(): number {
    return this.#writer.epoch;
  }

  /** Sequence of the fence message, which the server compares. Constant during the term. */
  get token(): number {
    return this.#writer.token;
  }

  /** Writes the key, whether it exists or not. */
  async put(key: string, value: Payload, options: KvWriteOptions = {}): Promise<number> {
    return (await this.#writer.publish(this.#subject(key), value, options)).sequence;
  }

  /**
   * Writes a key that does not exist. Needs batches.
   *
   * @throws ClusterError `CONFLICT` if the key exists.
   */
  async create(key: string, value: Payload, options: KvWriteOptions = {}): Promise<number> {
    const subject = this.#subject(key);
    const expectLast = await this.#kv.vacantRevision(key);
    return (await this.#writer.publish(subject, value, { ...options, expectLast })).sequence;
  }

  /**
   * Writes a key that has this revision. Needs batches.
   *
   * @throws ClusterError `CONFLICT` if it has another one.
   */
  async update(key: string, value: Payload, revision: number, options: KvWriteOptions = {}): Promise<number> {
    return (await this.#writer.publish(this.#subject(key), value, { ...options, expectLast: revision }))
      .sequence;
  }

  /**
   * Writes a delete marker.
   *
   * @param revision - Deletes the key only if it has this revision. Needs batches.
   * @throws ClusterError `CONFLICT` if it has another one.
   */
  async delete(key: string, revision?: number, options: KvWriteOptions = {}): Promise<number> {
    const condition = revision === undefined ? {} : { expectLast: revision };
    const all = { ...options, ...condition, headers: deletion() };
    return (await this.#writer.publish(this.#subject(key), "", all)).sequence;
  }

  /**
   * Writes changes atomically. Resolves with the revision of the last one; the revisions are consecutive. Needs batches.
   *
   * @throws ClusterError `CONFLICT` if a key does not have the `revision` of its change; nothing was written.
   * @example
   * ```ts
   * await settings.batch([{ put: "colour", value: "red" }, { delete: "size", revision: 7 }]);
   * ```
   */
  async batch(changes: readonly KvChange[], options: KvWriteOptions = {}): Promise<number> {
    checkList("changes", changes);
    const messages = changes.map((change) => {
      const condition = change.revision === undefined ? {} : { expectLast: change.revision };
      if ("put" in change)
        return { subject: this.#subject(change.put), data: change.value, options: condition };
      return {
        subject: this.#subject(change.delete),
        data: "",
        options: { ...condition, headers: deletion() },
      };
    });
    return (await this.#writer.batch(messages, options)).sequence;
  }

  #subject(key: string): string {
    checkKey(key);
    return kvSubject(this.#kv.bucket, key);
  }
}

function deletion(): ReturnType<typeof headers> {
  const hdrs = headers();
  hdrs.set("KV-Operation", "DEL");
  return hdrs;
}
