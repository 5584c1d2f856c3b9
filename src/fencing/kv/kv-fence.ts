/** A receiver's fence that survives restarts: the largest token is a key of a bucket, raised by compare-and-set. */

import { headers, type NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { isJsError, JsCode, jsToClusterError, parseAnswer, parseObject } from "../../nats/api/js-api.ts";
import { request } from "../../nats/api/request.ts";
import { getMessage, type StoredMessage } from "../../nats/api/stored-message.ts";
import { createStream, defaultReplicas, findOrCreate, findStream } from "../../nats/api/streams.ts";
import { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { isToken } from "../compare.ts";
import type { Fence } from "../fence.ts";
import { staleToken } from "../stale.ts";
import { IN_FLIGHT } from "../stream/js-messages.ts";
import { checkKey, kvStream, kvSubject, newBucketConfig } from "../stream/names.ts";
import { type TokenSource, tokenOf } from "../token.ts";

export interface KvFenceOptions {
  /** Bucket of fences, made when it is not there. Default `"FENCES"`. */
  readonly bucket?: string;
  /** Names the guarded resource: `[A-Za-z0-9/_=.-]+`. */
  readonly key: string;
  /**
   * True: no other process guards this resource, so a token equal to the largest one needs no read. Default false: every
   * check asks the stream's leader, and a token another receiver has seen is refused here as well.
   */
  readonly exclusive?: boolean;
  /** Replicas of a bucket that is made. Default: 3 in a NATS cluster, 1 on a single server. */
  readonly replicas?: number;
  /** Longest wait for one request. Default 2000. */
  readonly timeoutMs?: number;
}

/** Tries to raise the token before giving up: each lost try means that another receiver raised it. */
const MAX_TRIES = 8;

/** What the key holds. */
interface Stored {
  /** 0: there is no such key. */
  readonly revision: number;
  /** 0 for a key that is not there or was deleted. */
  readonly token: number;
}

/**
 * A durable fence. Works on every server this library supports. Doubt refuses: when the bucket can't be reached,
 * `admit` rejects and the message must not be acted upon.
 */
export class KvFence implements Fence, AsyncDisposable {
  readonly name: string;
  readonly #monitor: ConnectionMonitor;
  readonly #bucket: string;
  readonly #key: string;
  readonly #exclusive: boolean;
  readonly #timeoutMs: number;
  #stored: Stored = { revision: 0, token: 0 };
  /** Never goes back, not even when an operator deletes the key: then it is written anew. */
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

  /** Opens the fence, and makes its bucket if need be. Rejects with a `ClusterError`. The connection stays the caller's. */
  static async open(connection: NatsConnection, options: KvFenceOptions): Promise<KvFence> {
    checkKey(options.key);
    const monitor = ConnectionMonitor.acquire(connection);
    const fence = new KvFence(monitor, options);
    try {
      await fence.#ensureBucket(options.replicas ?? defaultReplicas(connection));
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

  async admit(source: TokenSource | null): Promise<void> {
    const token = source === null ? null : tokenOf(source);
    if (this.#closed) throw new ClusterError("STOPPED", `${this.name} is closed`);
    if (token === null || token < this.#highest) throw staleToken(this.name, token, this.#highest);
    try {
      if (!this.#exclusive) await this.#read();
      for (let tries = 0; token >= this.#highest && token > this.#stored.token; tries++) {
        if (tries === MAX_TRIES) throw new Error(`${MAX_TRIES} compare-and-sets were lost in a row`);
        if (!(await this.#raise(token))) await this.#read();
      }
    } catch (thrown) {
      throw jsToClusterError(thrown, `check epoch ${token} against ${this.name}`);
    }
    if (token < this.#highest) throw staleToken(this.name, token, this.#highest);
  }

  /** Lets go of the connection, which stays open. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#monitor.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #read(): Promise<void> {
    const subject = kvSubject(this.#bucket, this.#key);
    try {
      const limits = { timeoutMs: this.#timeoutMs };
      const message = await getMessage(
        this.#monitor,
        kvStream(this.#bucket),
        { last_by_subj: subject },
        limits,
      );
      this.#learn(
        message === null ? { revision: 0, token: 0 } : { revision: message.sequence, token: stored(message) },
      );
    } catch (thrown) {
      throw jsToClusterError(thrown, `read ${this.name}`);
    }
  }

  #learn(read: Stored): void {
    this.#stored = read;
    this.#highest = Math.max(this.#highest, read.token);
  }

  /** False: the key has another revision than we knew. */
  async #raise(token: number): Promise<boolean> {
    const subject = kvSubject(this.#bucket, this.#key);
    const hdrs = headers();
    hdrs.set("Nats-Expected-Last-Subject-Sequence", String(this.#stored.revision));
    const body = new TextEncoder().encode(JSON.stringify({ epoch: token }));
    try {
      const answer = await request(this.#monitor, subject, body, {
        timeoutMs: this.#timeoutMs,
        headers: hdrs,
      });
      const { seq } = parseAnswer(answer.data, subject);
      if (typeof seq !== "number") throw new Error("the answer is not a publish acknowledgement");
      this.#learn({ revision: seq, token });
      return true;
    } catch (thrown) {
      if (isJsError(thrown, JsCode.wrongLastSequence, IN_FLIGHT)) return false;
      throw thrown;
    }
  }

  async #ensureBucket(replicas: number): Promise<void> {
    const name = kvStream(this.#bucket);
    const timeoutMs = this.#timeoutMs;
    await findOrCreate(
      () => findStream(this.#monitor, name, { timeoutMs }),
      () =>
        createStream(this.#monitor, name, newBucketConfig(this.#bucket, replicas), {
          timeoutMs: timeoutMs * 2,
        }),
    );
  }
}

/** A delete marker is empty. Anything else that is not ours might hide a larger token: refused. */
function stored(message: StoredMessage): number {
  if (message.data.length === 0) return 0;
  const epoch = parseObject(message.data)?.["epoch"];
  if (isToken(epoch)) return epoch;
  throw new Error(
    `revision ${message.sequence} is not a fence: ${new TextDecoder().decode(message.data.slice(0, 80))}`,
  );
}
