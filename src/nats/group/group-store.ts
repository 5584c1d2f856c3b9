/** The records of a group in a JetStream key-value bucket. Hides NATS from the group. */
import { headers, type Msg } from "@nats-io/transport-node";
import type { WriteOutcome } from "../../election/types.ts";
import { ClusterError } from "../../errors.ts";
import type {
  BulkOutcome,
  GroupEntry,
  GroupKey,
  GroupWrite,
  KeyReadOutcome,
} from "../../group/core/types.ts";
import type { GroupStore, GroupStoreListener } from "../../group/ports.ts";
import type { BucketInfo } from "../../runtime/ports.ts";
import { callApi, isJsError, JsCode, jsToClusterError, parseAnswer } from "../api/js-api.ts";
import { RequestFailure, request } from "../api/request.ts";
import { getMessage } from "../api/stored-message.ts";
import { BucketOpener, type OpenOptions } from "../bucket/bucket-opener.ts";
import { BucketWatch } from "../bucket/bucket-watch.ts";
import { StreamIdentity } from "../bucket/stream-identity.ts";
import { parseStream, type StreamState } from "../bucket/stream-state.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { groupBucketName, groupRepublishSubject, groupStreamName, groupSubject } from "../names.ts";
import type { RecordMessage } from "../record-fields.ts";
import { readBulk } from "./bulk-read.ts";
import { groupBucket, groupRepublish } from "./group-bucket.ts";
import { decodeEntry, encodeRecord } from "./group-codec.ts";
import { decodeKey, encodeKey } from "./group-keys.ts";

const EXPECTED_STREAM = "Nats-Expected-Stream";
const EXPECTED_LAST_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence";

/** Reads of a bucket that is replaced while it is read. */
const BULK_ATTEMPTS = 3;

export interface GroupStoreOptions extends OpenOptions {
  readonly groupId: string;
}

/** The store of one group on one connection. Sends nothing before `open()`. */
export class NatsGroupStore implements GroupStore {
  readonly #monitor: ConnectionMonitor;
  readonly #options: GroupStoreOptions;
  readonly #stream: string;
  readonly #opener: BucketOpener;
  readonly #identity = new StreamIdentity();
  readonly #closing = new AbortController();
  #watch: BucketWatch | null = null;
  #republish: boolean | null = null;

  /** The caller releases the monitor after `close()`. */
  constructor(monitor: ConnectionMonitor, options: GroupStoreOptions) {
    this.#monitor = monitor;
    this.#options = options;
    this.#stream = groupStreamName(options.groupId);
    this.#opener = new BucketOpener(monitor, groupBucket(options.groupId), options);
  }

  async open(signal: AbortSignal, above: number): Promise<BucketInfo> {
    const identified = this.#identity.reading();
    const info = await this.#opener.open(signal, above);
    identified(info.generation);
    this.#republish = info.republish;
    this.#rewatch(true);
    return info;
  }

  /**
   * A conflict is JetStream's error 10071 and nothing else: then the write is refused for good. Of 10164, "another write is in flight", the
   * same is true of this write, but the other one may be an earlier one of this member. Every other error, and no answer, is `unknown`.
   */
  async write({ key, record, expect }: GroupWrite, timeoutMs: number): Promise<WriteOutcome> {
    try {
      const subject = groupSubject(this.#options.groupId, encodeKey(key));
      const encoded = encodeRecord(record);
      const hdrs = headers();
      hdrs.set(EXPECTED_STREAM, this.#stream);
      hdrs.set(EXPECTED_LAST_ON_SUBJECT, String(expect));
      for (const [name, value] of encoded.headers) hdrs.set(name, value);
      const answer = await request(this.#monitor, subject, encoded.data, { timeoutMs, headers: hdrs });
      const { stream, seq } = parseAnswer(answer.data, subject);
      if (stream === this.#stream && typeof seq === "number" && seq > 0) {
        return { kind: "applied", revision: seq };
      }
      throw new RequestFailure("failed", subject, "the answer is not from this stream");
    } catch (thrown) {
      if (isJsError(thrown, JsCode.wrongLastSequence)) return { kind: "conflict" };
      return { kind: "unknown", error: jsToClusterError(thrown, this.#doing("write to")) };
    }
  }

  async read(key: GroupKey, timeoutMs: number): Promise<KeyReadOutcome> {
    const deadline = performance.now() + timeoutMs;
    const identified = this.#identity.reading();
    try {
      const info = await this.#info(timeoutMs);
      identified(info.created);
      this.#noticeRepublish(info);
      // Not sent before the state is known: an older record beside a newer sequence would show that the key has not changed since. A
      // record of another stream than that of the state carries its generation; the core compares.
      const query = { last_by_subj: groupSubject(this.#options.groupId, encodeKey(key)) };
      const leftMs = Math.max(1, deadline - performance.now());
      const stored = await getMessage(this.#monitor, this.#stream, query, { timeoutMs: leftMs });
      const entry =
        stored === null
          ? null
          : decodeEntry(key, {
              revision: stored.sequence,
              data: stored.data,
              header: (name) => stored.headers.get(name) ?? "",
            });
      const lastSequence = Math.max(info.lastSequence, entry?.revision ?? 0);
      return { kind: "snapshot", generation: info.created, lastSequence, entry };
    } catch (thrown) {
      return this.#readFailed(thrown);
    }
  }

  async readAfter(sequence: number, timeoutMs: number): Promise<BulkOutcome> {
    const deadline = performance.now() + timeoutMs;
    const leftMs = (): number => Math.max(1, deadline - performance.now());
    try {
      for (let attempt = 1; ; attempt++) {
        const before = this.#identity.own;
        const identified = this.#identity.reading();
        const entries: GroupEntry[] = [];
        let info: Promise<StreamState> | null = null;
        const upTo = await readBulk(this.#monitor, {
          stream: this.#stream,
          filter: groupRepublish(this.#options.groupId).src,
          after: sequence,
          timeoutMs: leftMs(),
          signal: this.#closing.signal,
          created: () => {
            info = this.#info(leftMs());
            info.catch(() => {});
          },
          message: (message, revision) => {
            const entry = this.#decode(messageAt(message, revision), message.subject);
            if (entry !== null) entries.push(entry);
          },
        });
        const { created } = await (info ?? this.#info(leftMs()));
        identified(created);
        // The same before and after the consumer was created: it has read that very stream.
        if (created === before) return { kind: "entries", generation: created, upTo, entries };
        if (attempt >= BULK_ATTEMPTS) throw new Error("the bucket was replaced while it was read");
      }
    } catch (thrown) {
      return this.#readFailed(thrown);
    }
  }

  watch(listener: GroupStoreListener): void {
    if (this.#watch !== null) throw new ClusterError("ALREADY_STARTED", "this store is already watched");
    const source = {
      stream: this.#stream,
      republish: groupRepublish(this.#options.groupId),
      what: "the group",
      consumerPrefix: "group_watch",
      // What was missed is found by its sequence.
      deliver: "new",
    } as const;
    const message = (received: RecordMessage, subject: string): void => {
      const entry = this.#decode(received, subject);
      if (entry === null) return;
      const from = this.#identity.of(entry.kind === "record" ? entry.record.generation : "");
      // As after a deletion: the bucket may have been replaced, and a read decides.
      if (from === "unknown") listener.gone();
      else if (from === "own") listener.entry(entry);
    };
    const warn = (text: string, error?: Error): void => this.#options.onWarning?.(text, error);
    this.#watch = new BucketWatch(this.#monitor, source, { message, gone: () => listener.gone() }, warn);
    this.#rewatch();
  }

  /** Also ends the reads that are under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    const watch = this.#watch;
    this.#watch = null;
    watch?.close();
  }

  async #info(timeoutMs: number): Promise<StreamState> {
    const answer = await callApi(this.#monitor, `STREAM.INFO.${this.#stream}`, {}, { timeoutMs });
    const info = parseStream(answer, groupRepublish(this.#options.groupId));
    if (info === null) throw new Error("the answer is not stream information");
    return info;
  }

  /** `null`: not a key of a group. */
  #decode(message: RecordMessage, subject: string): GroupEntry | null {
    const { groupId } = this.#options;
    const prefix = [groupRepublishSubject(groupId, ""), groupSubject(groupId, "")].find((one) =>
      subject.startsWith(one),
    );
    const key = prefix === undefined ? null : decodeKey(subject.slice(prefix.length));
    return key === null ? null : decodeEntry(key, message);
  }

  #readFailed(thrown: unknown): Exclude<KeyReadOutcome, { kind: "snapshot" }> {
    if (isJsError(thrown, JsCode.streamNotFound)) return { kind: "no-bucket" };
    return { kind: "failed", error: jsToClusterError(thrown, this.#doing("read")) };
  }

  /** An operator may have removed `republish` from the stream, or added it. */
  #noticeRepublish(info: StreamState): void {
    if (this.#republish === null || this.#republish === info.republish) return;
    this.#republish = info.republish;
    this.#rewatch();
  }

  #rewatch(reopened = false): void {
    if (this.#closing.signal.aborted || this.#republish === null || this.#monitor.closed) return;
    this.#watch?.start(this.#republish, reopened);
  }

  #doing(what: string): string {
    return `${what} bucket ${groupBucketName(this.#options.groupId)}`;
  }
}

function messageAt({ data, headers: hdrs }: Msg, revision: number): RecordMessage {
  return { revision, data, header: (name) => hdrs?.get(name) ?? "" };
}
