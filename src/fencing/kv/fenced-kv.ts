/** A key-value bucket that only the leader of the newest term can write. */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { jsToClusterError } from "../../nats/api/js-api.ts";
import { getMessage, type StoredMessage } from "../../nats/api/stored-message.ts";
import { FencedStream, type FenceHolder, type OpenOptions, type OpenTerm } from "../stream/fenced-stream.ts";
import type { FencedWriter } from "../stream/fenced-writer.ts";
import type { GuardedStream } from "../stream/guarded-stream.ts";
import type { Payload, WriteOptions } from "../stream/message.ts";
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

export interface FencedKvOptions extends FencedLimits {
  /** Made when it is not there, with history 1. One that is there is used as it is. */
  readonly bucket: string;
  /** More of JetStream's own stream configuration for a bucket that is made. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** A key's value. */
export interface KvEntry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
  /** Of the term that wrote it; `null` when it was not written through a fence. */
  readonly epoch: number | null;
}

type KvWriteOptions = Pick<WriteOptions, "timeoutMs" | "signal">;

/** One change of a batch. `revision`: the key's own, 0 for a key that was never written. */
export type KvChange =
  | { readonly put: string; readonly value: Payload; readonly revision?: number }
  | { readonly delete: string; readonly revision?: number };

/**
 * A bucket with a fence. Reading needs no leadership and uses no fence; other key-value clients read it as ever, and see
 * the keys `nats_leader_fence.*`, which are the fence.
 */
export class FencedKv implements AsyncDisposable {
  readonly #on: GuardedStream;
  readonly #stream: FencedStream;
  readonly bucket: string;

  private constructor(bucket: string, on: GuardedStream) {
    this.bucket = bucket;
    this.#on = on;
    this.#stream = new FencedStream(on);
  }

  /** Rejects like `FencedStream.connect`. */
  static async connect(connection: NatsConnection, options: FencedKvOptions): Promise<FencedKv> {
    const { bucket, config = {} } = options;
    checkBucket(bucket);
    const on = await openGuarded(connection, {
      what: `bucket ${bucket}`,
      stream: kvStream(bucket),
      fence: kvSubject(bucket, KV_FENCE_KEY),
      limits: options,
      create: (replicas) => ({ ...newBucketConfig(bucket, replicas), ...config, name: kvStream(bucket) }),
    });
    return new FencedKv(bucket, on);
  }

  /** Moves the fence to this term and returns its writer. Rejects like `FencedStream.open`. */
  async open(term: OpenTerm, options: OpenOptions = {}): Promise<FencedKvWriter> {
    return new FencedKvWriter(this, await this.#stream.open(term, options));
  }

  /** The newest value, from the stream's leader; `null` for a key that is not there. */
  async get(key: string): Promise<KvEntry | null> {
    const message = await this.#read(key);
    if (message === null || isMarker(message)) return null;
    const epoch = parseToken(message.headers.get(EPOCH_HEADER) ?? "");
    return { key, value: message.data, revision: message.sequence, epoch };
  }

  /** Who holds the fence; `null`: nobody ever did. */
  holder(): Promise<FenceHolder | null> {
    return this.#stream.holder();
  }

  /** @internal Revision of the key's last message, a delete marker's too; 0 without one. */
  async vacantRevision(key: string): Promise<number> {
    const message = await this.#read(key);
    if (message === null || isMarker(message)) return message?.sequence ?? 0;
    const text = `key "${key}" of bucket ${this.bucket} exists, revision ${message.sequence}; nothing was written`;
    throw new ClusterError("CONFLICT", text, { recoverable: true });
  }

  /** Ends its writers and lets go of the connection, which stays open. Idempotent. */
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

/** Writes of one term. Every method rejects like `FencedWriter.publish` and resolves with the key's new revision. */
export class FencedKvWriter {
  readonly #kv: FencedKv;
  readonly #writer: FencedWriter;

  /** @internal Use `FencedKv.open(term)`. */
  constructor(kv: FencedKv, writer: FencedWriter) {
    this.#kv = kv;
    this.#writer = writer;
  }

  get epoch(): number {
    return this.#writer.epoch;
  }

  /** The fence's sequence: what the server compares. The same for the whole term. */
  get token(): number {
    return this.#writer.token;
  }

  /** Writes whatever is there. */
  async put(key: string, value: Payload, options: KvWriteOptions = {}): Promise<number> {
    return (await this.#writer.publish(this.#subject(key), value, options)).sequence;
  }

  /** Writes a key that is not there. Rejects with `CONFLICT` when it is. Needs batches. */
  async create(key: string, value: Payload, options: KvWriteOptions = {}): Promise<number> {
    const subject = this.#subject(key);
    const expectLast = await this.#kv.vacantRevision(key);
    return (await this.#writer.publish(subject, value, { ...options, expectLast })).sequence;
  }

  /** Writes a key that still has this revision. Rejects with `CONFLICT` when it does not. Needs batches. */
  async update(key: string, value: Payload, revision: number, options: KvWriteOptions = {}): Promise<number> {
    return (await this.#writer.publish(this.#subject(key), value, { ...options, expectLast: revision }))
      .sequence;
  }

  /** Leaves a delete marker. With a revision only if the key still has it, which needs batches. */
  async delete(key: string, revision?: number, options: KvWriteOptions = {}): Promise<number> {
    const condition = revision === undefined ? {} : { expectLast: revision };
    const all = { ...options, ...condition, headers: deletion() };
    return (await this.#writer.publish(this.#subject(key), "", all)).sequence;
  }

  /** All changes or none. Resolves with the last one's revision; those before it count down from there. Needs batches. */
  async batch(changes: readonly KvChange[], options: KvWriteOptions = {}): Promise<number> {
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

function isMarker(message: StoredMessage): boolean {
  const operation = message.headers.get("KV-Operation");
  return operation === "DEL" || operation === "PURGE" || message.headers.has("Nats-Marker-Reason");
}
