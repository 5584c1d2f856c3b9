/**
 * The lease in a JetStream key-value bucket. Hides NATS from the election: a write is applied, a conflict or unknown; a read
 * returns a snapshot, no bucket, or a failure.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { Expectation, LeaseEntry, LeaseWrite, ReadOutcome, WriteOutcome } from "../../election/types.ts";
import { ClusterError } from "../../errors.ts";
import type { BucketInfo, LeaseStore, StoreListener } from "../../runtime/ports.ts";
import { callApi, isJsError, JsCode, type JsonObject, jsToClusterError, parseAnswer } from "../api/js-api.ts";
import { RequestFailure, request } from "../api/request.ts";
import { getMessage, type StoredMessage } from "../api/stored-message.ts";
import { BucketOpener, type OpenOptions } from "../bucket/bucket-opener.ts";
import type { BucketWatch } from "../bucket/bucket-watch.ts";
import { STREAM_HEADER, StreamIdentity } from "../bucket/stream-identity.ts";
import type { StreamState } from "../bucket/stream-state.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { sendNow } from "../connection/internals.ts";
import { bucketName, leaseSubject, streamName } from "../names.ts";
import { leaseWatch } from "./lease-watch.ts";
import { decodeStored, encodeWrite } from "./record-codec.ts";
import { type LeaseBucketOptions, leaseBucket, parseStreamInfo } from "./stream-config.ts";

const EXPECTED_STREAM = "Nats-Expected-Stream";
const EXPECTED_LAST = "Nats-Expected-Last-Sequence";
const EXPECTED_LAST_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence";

export interface LeaseStoreOptions extends LeaseBucketOptions, OpenOptions {}

/** The lease store of one cluster on one connection. Sends nothing before `open()`. */
export class NatsLeaseStore implements LeaseStore {
  readonly #monitor: ConnectionMonitor;
  readonly #options: LeaseStoreOptions;
  readonly #opener: BucketOpener;
  readonly #identity = new StreamIdentity();
  #watch: BucketWatch | null = null;
  #republish: boolean | null = null;
  /** A message of this stream is being reported. A read that begins now is caused by it. */
  #hinted = false;
  /** The stream may have been replaced: the next read looks at its state. */
  #stateDue = false;
  #writesUnderWay = 0;
  #closed = false;

  /** The caller releases the monitor after `close()`. */
  constructor(monitor: ConnectionMonitor, options: LeaseStoreOptions) {
    this.#monitor = monitor;
    this.#options = options;
    this.#opener = new BucketOpener(monitor, leaseBucket(options), options);
  }

  async open(signal: AbortSignal, above = 0): Promise<BucketInfo> {
    const identified = this.#identity.reading();
    const info = await this.#opener.open(signal, above);
    identified(info.generation);
    this.#republish = info.republish;
    this.#rewatch(true);
    return info;
  }

  async read(timeoutMs: number): Promise<ReadOutcome> {
    const deadline = performance.now() + timeoutMs;
    const stream = streamName(this.#options.clusterId);
    const query = { last_by_subj: leaseSubject(this.#options.clusterId) };
    const identified = this.#identity.reading();
    const message = getMessage(this.#monitor, stream, query, { timeoutMs });
    message.catch(() => {}); // a missing stream is reported by the state
    sendNow(this.#monitor.connection);
    if (this.#hinted && !this.#stateDue) {
      const proven = await this.#proven(message);
      if (proven !== null) return proven;
    }
    // Two requests, so either answer may be older than the other. If they disagree, a write with both expectations fails.
    this.#stateDue = false;
    const leftMs = Math.max(1, deadline - performance.now());
    const state = callApi(this.#monitor, `STREAM.INFO.${stream}`, {}, { timeoutMs: leftMs });
    try {
      const info = parseStreamInfo(await state, this.#options.clusterId);
      if (info === null) throw new Error("the answer is not stream information");
      identified(info.created);
      this.#noticeRepublish(info);
      const stored = await message;
      const entry = stored === null ? null : decodeStored(stored);
      const lastSequence = Math.max(info.lastSequence, entry?.revision ?? 0);
      return { kind: "snapshot", snapshot: { generation: info.created, lastSequence, entry } };
    } catch (thrown) {
      if (isJsError(thrown, JsCode.streamNotFound)) return { kind: "no-bucket" };
      return { kind: "failed", error: jsToClusterError(thrown, this.#doing("read the lease in")) };
    }
  }

  /**
   * The snapshot that a stored message is by itself, if it was written for the stream that is known. After a release all followers
   * read at the same moment, and the next term begins no sooner than the answers are there. `null` for a message of a client that
   * does not name the stream, without a message, and after a failure: then the state of the stream is needed, too.
   */
  async #proven(message: Promise<StoredMessage | null>): Promise<ReadOutcome | null> {
    const stored = await message.catch(() => null);
    const generation = this.#identity.own;
    if (stored === null || generation === null || stored.headers.get(STREAM_HEADER) !== generation)
      return null;
    const entry = decodeStored(stored);
    return { kind: "snapshot", snapshot: { generation, lastSequence: entry.revision, entry } };
  }

  async write(write: LeaseWrite, timeoutMs: number): Promise<WriteOutcome> {
    const { clusterId } = this.#options;
    const subject = leaseSubject(clusterId);
    this.#writesUnderWay += 1;
    try {
      const encoded = encodeWrite(write);
      const hdrs = this.#expectation(write.expect);
      for (const [name, value] of encoded.headers) hdrs.set(name, value);
      const answer = request(this.#monitor, subject, encoded.data, { timeoutMs, headers: hdrs });
      sendNow(this.#monitor.connection);
      return this.#applied(parseAnswer((await answer).data, subject), subject);
    } catch (thrown) {
      // Not a conflict: 10164, "another write is in flight". The other write may be an earlier attempt of this node.
      if (isJsError(thrown, JsCode.wrongLastSequence)) return { kind: "conflict" };
      return { kind: "unknown", error: jsToClusterError(thrown, this.#doing("write the lease in")) };
    } finally {
      this.#writesUnderWay -= 1;
    }
  }

  watch(listener: StoreListener): void {
    if (this.#watch !== null) throw new ClusterError("ALREADY_STARTED", "this store is already watched");
    const warn = (message: string, error?: Error): void => this.#options.onWarning?.(message, error);
    const { clusterId } = this.#options;
    const isWriting = (): boolean => this.#writesUnderWay > 0;
    const entries = {
      get writing() {
        return isWriting();
      },
      entry: (entry: LeaseEntry) => {
        // Without `republish` every read looks whether the stream has it by now.
        this.#hinted = this.#republish === true;
        try {
          listener.entry(entry);
        } finally {
          this.#hinted = false;
        }
      },
      gone: () => this.#gone(listener),
      // As after a deletion: the bucket may have been replaced, and a read decides.
      unknown: () => this.#gone(listener),
    };
    this.#watch = leaseWatch(this.#monitor, clusterId, this.#identity, entries, warn);
    this.#rewatch();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const watch = this.#watch;
    this.#watch = null;
    watch?.close();
  }

  /** An empty key needs both conditions: the epoch is derived from the stream's last sequence, which must not have changed. */
  #expectation(expect: Expectation): MsgHdrs {
    const hdrs = headers();
    hdrs.set(EXPECTED_STREAM, streamName(this.#options.clusterId));
    if (this.#identity.own !== null) hdrs.set(STREAM_HEADER, this.#identity.own);
    if ("revision" in expect) {
      hdrs.set(EXPECTED_LAST_ON_SUBJECT, String(expect.revision));
    } else {
      hdrs.set(EXPECTED_LAST_ON_SUBJECT, "0");
      hdrs.set(EXPECTED_LAST, String(expect.emptyAtSequence));
    }
    return hdrs;
  }

  #applied(answer: JsonObject, subject: string): WriteOutcome {
    const { stream, seq } = answer;
    if (stream === streamName(this.#options.clusterId) && typeof seq === "number" && seq > 0) {
      return { kind: "applied", revision: seq };
    }
    throw new RequestFailure(
      "failed",
      subject,
      `the answer is not from this stream: ${JSON.stringify(answer)}`,
    );
  }

  #gone(listener: StoreListener): void {
    this.#stateDue = true;
    listener.gone();
  }

  /** Another client, such as a Go node, may have removed `republish` from the stream: then a consumer has to watch. */
  #noticeRepublish(info: StreamState): void {
    if (this.#republish === null || this.#republish === info.republish) return;
    this.#republish = info.republish;
    this.#rewatch();
  }

  #rewatch(reopened = false): void {
    if (this.#closed || this.#republish === null || this.#monitor.closed) return;
    this.#watch?.start(this.#republish, reopened);
  }

  #doing(what: string): string {
    return `${what} bucket ${bucketName(this.#options.clusterId)}`;
  }
}
