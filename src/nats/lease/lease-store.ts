/**
 * The lease in a JetStream key-value bucket. All that is peculiar about NATS here stops here: what leaves this file is
 * applied, conflict or unknown, a snapshot or no snapshot.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { Expectation, LeaseWrite, ReadOutcome, WriteOutcome } from "../../election/types.ts";
import { ClusterError } from "../../errors.ts";
import type { BucketInfo, LeaseStore, StoreListener } from "../../runtime/ports.ts";
import { callApi, isJsError, JsCode, type JsonObject, jsToClusterError, parseAnswer } from "../api/js-api.ts";
import { RequestFailure, request } from "../api/request.ts";
import { getMessage } from "../api/stored-message.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { bucketName, leaseSubject, streamName } from "../names.ts";
import { BucketOpener, type BucketOptions } from "./bucket.ts";
import { LeaseWatch } from "./lease-watch.ts";
import { decodeStored, encodeWrite } from "./record-codec.ts";
import { parseStreamInfo, type StreamState } from "./stream-config.ts";

const EXPECTED_STREAM = "Nats-Expected-Stream";
const EXPECTED_LAST = "Nats-Expected-Last-Sequence";
const EXPECTED_LAST_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence";

/** The lease store of one cluster on one connection. Does nothing before `open()`. */
export class NatsLeaseStore implements LeaseStore {
  readonly #monitor: ConnectionMonitor;
  readonly #options: BucketOptions;
  readonly #opener: BucketOpener;
  #watch: LeaseWatch | null = null;
  #republish: boolean | null = null;
  #closed = false;

  /** The caller keeps the monitor and releases it after `close()`. */
  constructor(monitor: ConnectionMonitor, options: BucketOptions) {
    this.#monitor = monitor;
    this.#options = options;
    this.#opener = new BucketOpener(monitor, options);
  }

  async open(signal: AbortSignal, above = 0): Promise<BucketInfo> {
    const info = await this.#opener.open(signal, above);
    this.#republish = info.republish;
    this.#rewatch(true);
    return info;
  }

  async read(timeoutMs: number): Promise<ReadOutcome> {
    const stream = streamName(this.#options.clusterId);
    const subject = leaseSubject(this.#options.clusterId);
    // The message must not count for more than the state does: an answer that is late in one of the two may be older
    // or newer than the other. Whichever way they disagree, a write with both expectations finds out.
    const message = getMessage(this.#monitor, stream, { last_by_subj: subject }, { timeoutMs });
    const state = callApi(this.#monitor, `STREAM.INFO.${stream}`, {}, { timeoutMs });
    message.catch(() => {}); // "no such stream" is told by the state alone
    try {
      const info = parseStreamInfo(await state, this.#options.clusterId);
      if (info === null) throw new Error("the answer is not stream information");
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

  async write(write: LeaseWrite, timeoutMs: number): Promise<WriteOutcome> {
    const { clusterId } = this.#options;
    const subject = leaseSubject(clusterId);
    try {
      const encoded = encodeWrite(write);
      const hdrs = this.#expectation(write.expect);
      for (const [name, value] of encoded.headers) hdrs.set(name, value);
      const answer = await request(this.#monitor, subject, encoded.data, { timeoutMs, headers: hdrs });
      return this.#applied(parseAnswer(answer.data, subject), subject);
    } catch (thrown) {
      // 10164, "another write is in flight", is not among the conflicts: the other one may be an earlier try of ours.
      if (isJsError(thrown, JsCode.wrongLastSequence)) return { kind: "conflict" };
      return { kind: "unknown", error: jsToClusterError(thrown, this.#doing("write the lease in")) };
    }
  }

  watch(listener: StoreListener): void {
    if (this.#watch !== null) throw new ClusterError("ALREADY_STARTED", "this store is already watched");
    const warn = (message: string, error?: Error): void => this.#options.onWarning?.(message, error);
    this.#watch = new LeaseWatch(this.#monitor, this.#options.clusterId, listener, warn);
    this.#rewatch();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const watch = this.#watch;
    this.#watch = null;
    await watch?.close();
  }

  /** Both conditions for an empty key: the epoch follows from the stream's end, so nothing may have been written since. */
  #expectation(expect: Expectation): MsgHdrs {
    const hdrs = headers();
    hdrs.set(EXPECTED_STREAM, streamName(this.#options.clusterId));
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
    throw new RequestFailure("failed", subject, `the answer is not this stream's: ${JSON.stringify(answer)}`);
  }

  /** Another client may have changed the stream under us, a Go node for one: what is not republished must be consumed. */
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
