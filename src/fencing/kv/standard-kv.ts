/**
 * The standard `KV` of `@nats-io/kv`, with the writes of one term. Reads are those of `@nats-io/kv`, without the keys of the fence.
 * Every write goes through the term's `FencedWriter`, so that none reaches the server without the fence's condition.
 */
import type {
  KV,
  KvDeleteOptions,
  KvEntry,
  KvPurgeOptions,
  KvPutOptions,
  KvStatus,
  KvWatchEntry,
  KvWatchOptions,
  RoKV,
} from "@nats-io/kv";
import { headers, type MsgHdrs, type NatsConnection, type QueuedIterator } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import type { FencedWriter } from "../stream/fenced-writer.ts";
import type { Payload, WriteOptions } from "../stream/message.ts";
import { checkKey, KV_FENCE_KEY, kvSubject } from "../stream/names.ts";
import { isFenceKey, seeEntries, VisibleIterator } from "./visible.ts";

/** Writes of a wildcard delete that are in flight together. */
const DELETES_IN_FLIGHT = 100;

/** What it needs of a `FencedKv`. */
export interface KvOfTerm {
  readonly bucket: string;
  readonly writer: FencedWriter;
  /** Revision of the delete marker of a missing key; 0 without one. Rejects with `CONFLICT` if the key exists. */
  readonly vacantRevision: (key: string) => Promise<number>;
}

/** Rejects with `INVALID_CONFIG` if `@nats-io/kv` is not installed. */
export async function openForReading(connection: NatsConnection, bucket: string): Promise<RoKV> {
  let kv: typeof import("@nats-io/kv");
  try {
    kv = await import("@nats-io/kv");
  } catch (cause) {
    const text = "asKv() needs the package @nats-io/kv, version 3.4 or later: npm install @nats-io/kv";
    throw new ClusterError("INVALID_CONFIG", text, { cause });
  }
  return new kv.Kvm(connection as never).open(bucket);
}

export class StandardKv implements KV {
  readonly #reads: RoKV;
  readonly #of: KvOfTerm;

  constructor(reads: RoKV, of: KvOfTerm) {
    this.#reads = reads;
    this.#of = of;
  }

  async get(key: string, options?: { revision: number }): Promise<KvEntry | null> {
    if (isFenceKey(key)) return null;
    return this.#reads.get(key, options);
  }

  async history(
    options: { key?: string | string[]; headers_only?: boolean } = {},
  ): Promise<QueuedIterator<KvWatchEntry>> {
    const see = seeEntries((await this.#fence(options.key)).map(({ revision }) => revision));
    return new VisibleIterator(await this.#reads.history(options), see);
  }

  async watch(options: KvWatchOptions = {}): Promise<QueuedIterator<KvWatchEntry>> {
    const fence = await this.#fence(options.key);
    const all = options.include === "history" || (options.resumeFromRevision ?? 0) > 0;
    const yielded = all ? fence : [...new Map(fence.map((entry) => [entry.key, entry])).values()];
    const see = seeEntries(yielded.map(({ revision }) => revision));
    return new VisibleIterator(await this.#reads.watch(options), see);
  }

  async keys(filter?: string | string[]): Promise<QueuedIterator<string>> {
    return new VisibleIterator(await this.#reads.keys(filter), (key) => !isFenceKey(key));
  }

  /** `values` does not count the messages of the fence; `size` and `streamInfo` do. */
  async status(): Promise<KvStatus> {
    const [status, fence] = await Promise.all([this.#reads.status(), this.#fence()]);
    return Object.defineProperty(status, "values", { value: status.values - fence.length });
  }

  async put(key: string, data: Payload, options: Partial<KvPutOptions> = {}): Promise<number> {
    return this.#write(key, data, {
      ...expecting(options.previousSeq),
      ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout }),
    });
  }

  async create(key: string, data: Payload, markerTTL?: string): Promise<number> {
    this.#checkKey(key);
    const expectLast = await this.#of.vacantRevision(key);
    return this.#write(key, data, { expectLast, ...withHeaders(ttlHeader(markerTTL)) });
  }

  async update(key: string, data: Payload, version: number, timeout?: number): Promise<number> {
    if (!(version > 0))
      throw new ClusterError("INVALID_CONFIG", `version is ${version}: it must be greater than 0`);
    return this.put(key, data, {
      previousSeq: version,
      ...(timeout === undefined ? {} : { timeout }),
    });
  }

  delete(key: string, options?: Partial<KvDeleteOptions>): Promise<void> {
    return this.#remove(key, { "KV-Operation": "DEL" }, options);
  }

  purge(key: string, options?: Partial<KvPurgeOptions>): Promise<void> {
    const marker = { "KV-Operation": "PURGE", "Nats-Rollup": "sub", ...ttlHeader(options?.ttl) };
    return this.#remove(key, marker, options);
  }

  /** Always rejects: the server deletes a stream whatever its fence is. */
  async destroy(): Promise<never> {
    throw new ClusterError(
      "INVALID_CONFIG",
      `destroy() of bucket ${this.#of.bucket} cannot be fenced: delete the bucket with Kvm, while no leader runs`,
    );
  }

  async #remove(
    key: string,
    marker: Readonly<Record<string, string>>,
    options: Partial<KvDeleteOptions> = {},
  ): Promise<void> {
    // As in `@nats-io/kv`, a revision of 0 is no condition.
    const condition = expecting(options.previousSeq || undefined);
    if (!/(^|\.)(\*|>)(\.|$)/.test(key)) {
      await this.#write(key, "", { ...condition, ...withHeaders(marker) });
      return;
    }
    if (condition.expectLast !== undefined) {
      const text = `previousSeq is ${condition.expectLast}, and "${key}" has a wildcard: a condition needs one key`;
      throw new ClusterError("INVALID_CONFIG", text);
    }
    const found: string[] = [];
    for await (const one of await this.keys(key)) found.push(one);
    for (let i = 0; i < found.length; i += DELETES_IN_FLIGHT) {
      const some = found.slice(i, i + DELETES_IN_FLIGHT);
      await Promise.all(some.map((one) => this.#write(one, "", withHeaders(marker))));
    }
  }

  async #write(key: string, data: Payload, options: WriteOptions): Promise<number> {
    this.#checkKey(key);
    const subject = kvSubject(this.#of.bucket, key);
    return (await this.#of.writer.publish(subject, data, options)).sequence;
  }

  #checkKey(key: string): void {
    checkKey(key);
    if (!isFenceKey(key)) return;
    const text = `key "${key}" belongs to the fence of bucket ${this.#of.bucket}: write to another one`;
    throw new ClusterError("INVALID_CONFIG", text);
  }

  /** The entries of the fence, oldest first; none if `keys` cannot match them. */
  async #fence(keys: string | string[] = ">"): Promise<readonly KvWatchEntry[]> {
    const first = new Set([keys].flat().map((key) => key.split(".")[0]));
    if (!["*", ">", KV_FENCE_KEY].some((token) => first.has(token))) return [];
    const entries: KvWatchEntry[] = [];
    for await (const entry of await this.#reads.history({ key: `${KV_FENCE_KEY}.>` })) entries.push(entry);
    return entries;
  }
}

function expecting(revision: number | undefined): { readonly expectLast?: number } {
  return revision === undefined ? {} : { expectLast: revision };
}

function ttlHeader(ttl: string | undefined): Readonly<Record<string, string>> {
  return ttl === undefined || ttl === "" ? {} : { "Nats-TTL": ttl };
}

function withHeaders(values: Readonly<Record<string, string>>): { readonly headers?: MsgHdrs } {
  const names = Object.entries(values);
  if (names.length === 0) return {};
  const hdrs = headers();
  for (const [name, value] of names) hdrs.set(name, value);
  return { headers: hdrs };
}
