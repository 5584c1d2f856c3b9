/** A stream that only the leader of the newest term can write to. */
import type { NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { jsToClusterError } from "../../nats/api/js-api.ts";
import { checkStreamName, overlap } from "../../nats/subjects.ts";
import type { Term } from "../../node/term.ts";
import { limitOf, linkSignals } from "../../runtime/waiting.ts";
import { type FenceTerm, tokenOf } from "../token.ts";
import { FencedWriter } from "./fenced-writer.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import type { Lane } from "./lanes.ts";
import { checkSubject, defaultFence } from "./names.ts";
import { type FencedLimits, openGuarded } from "./open-guarded.ts";
import { readRoot } from "./read-fence.ts";
import { takeFence } from "./take-fence.ts";

/** A term, or its identity alone. If it has a signal, `open` is aborted when the term ends. */
export type OpenTerm = FenceTerm & Partial<Pick<Term, "signal">>;

export interface OpenOptions {
  /**
   * Time limit for moving the fence, in milliseconds. Failed attempts are repeated until then.
   *
   * @default 5000
   */
  readonly timeoutMs?: number;
  /** Aborts the wait with `ABORTED`. The fence may have been moved nevertheless. */
  readonly signal?: AbortSignal;
}

export interface FencedStreamOptions extends FencedLimits {
  /** Name of the stream. */
  readonly stream: string;
  /**
   * Subjects of the data. With them a missing stream is created, to which the subjects of the fence are added. A stream that exists
   * is used as it is.
   *
   * @default A missing stream is an error (`STREAM_INCOMPATIBLE`).
   */
  readonly subjects?: readonly string[];
  /**
   * Prefix of the fence's subjects. All writers must use the same one. It must not be among `subjects`.
   *
   * @default `nats_leader.fence.<stream>`
   */
  readonly fence?: string;
  /** Further JetStream configuration for a stream that is created, such as `{ max_bytes: 1e9, discard: "new" }`. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The term that holds the fence. */
export interface FenceHolder {
  readonly epoch: number;
  readonly nodeId: string;
  readonly incarnation: string;
  /** `null` if the term was opened without one. */
  readonly clusterId: string | null;
}

/**
 * A JetStream stream with a fence. It has no write method: `open(term)` moves the fence to the term and returns its writer.
 *
 * All writers of the stream must use the fence: the server accepts a write without the condition, whatever the fence.
 *
 * @example
 * ```ts
 * const ledger = await FencedStream.connect(connection, { stream: "LEDGER", subjects: ["ledger.>"] });
 * const writer = await ledger.open(term); // first in onBecomeLeader, or use withFence()
 * await writer.publish("ledger.entry", "+10");
 * ```
 */
export class FencedStream implements AsyncDisposable {
  readonly #on: GuardedStream;
  readonly #writers = new Set<FencedWriter>();
  #closed = false;

  /** @internal */
  constructor(on: GuardedStream) {
    this.#on = on;
  }

  /**
   * Finds or creates the stream, and checks that a fence holds on it. Writes no message.
   *
   * @param connection - Remains the caller's to close.
   * @throws ClusterError `SERVER_TOO_OLD` when the server of the connection, or another server that holds the stream, is older than
   * 2.11; `STREAM_INCOMPATIBLE` when the stream is missing or its configuration could lose the fence; `INVALID_CONFIG`;
   * `NO_CONNECTION`, `AUTHORIZATION`, `JETSTREAM_UNAVAILABLE`, `INSUFFICIENT_RESOURCES`, `STORE_UNAVAILABLE`.
   */
  static async connect(connection: NatsConnection, options: FencedStreamOptions): Promise<FencedStream> {
    const { stream, subjects, fence = defaultFence(stream), config = {} } = options;
    checkStreamName(stream);
    checkSubject("fence", fence);
    for (const subject of subjects ?? []) checkApart(subject, fence);
    const on = await openGuarded(connection, {
      what: `stream ${stream}`,
      stream,
      fence,
      options,
      create:
        subjects === undefined ? null : (replicas) => newStream(stream, subjects, fence, replicas, config),
    });
    return new FencedStream(on);
  }

  /** Name of the stream. */
  get stream(): string {
    return this.#on.stream;
  }

  /** Why `batch` and `expectLast` do not work on this stream; `null` if they work. */
  get noBatches(): string | null {
    return this.#on.config.noBatches?.why ?? null;
  }

  /**
   * Moves the fence to this term and returns its writer. When it resolves, the server accepts no write of an earlier term any more.
   * A second `open` of the same term returns the same writer.
   *
   * @param term - From `onBecomeLeader`.
   * @throws StaleEpochError when a newer term, or another one with the same epoch, holds the fence.
   * @throws ClusterError `ABORTED` when `term.signal` or `options.signal` aborts; `STREAM_INCOMPATIBLE` when a fence message cannot be
   * read; `INVALID_CONFIG`, `STOPPED`, `AUTHORIZATION`; the last failure after `timeoutMs`.
   */
  async open(term: OpenTerm, options: OpenOptions = {}): Promise<FencedWriter> {
    tokenOf(term);
    if (this.#closed) throw new ClusterError("STOPPED", `${this.#on.what} is closed`);
    const timeoutMs = options.timeoutMs === undefined ? 5000 : limitOf(options);
    const { signal, release } = linkSignals([term.signal, options.signal]);
    let lanes: readonly Lane[];
    try {
      lanes = await takeFence(this.#on, term, { timeoutMs, signal });
    } finally {
      release();
    }
    if (this.#closed) throw new ClusterError("STOPPED", `${this.#on.what} was closed`);
    const { epoch, nodeId, incarnation, clusterId } = term;
    for (const other of this.#writers) {
      if (other.epoch < epoch || other.ended !== null) this.#writers.delete(other);
      else if (other.uses(lanes)) return other;
    }
    const writer = new FencedWriter(
      this.#on,
      { epoch, nodeId, incarnation, ...(clusterId === undefined ? {} : { clusterId }) },
      lanes,
    );
    this.#writers.add(writer);
    return writer;
  }

  /**
   * The term that holds the fence, read from the stream's leader; `null` if there is no fence yet.
   *
   * @throws ClusterError `STREAM_INCOMPATIBLE` when the stored message is not a fence; `STOPPED`, `NO_CONNECTION`, `AUTHORIZATION`,
   * `STORE_UNAVAILABLE` and others if the request fails.
   */
  async holder(): Promise<FenceHolder | null> {
    if (this.#closed) throw new ClusterError("STOPPED", `${this.#on.what} is closed`);
    try {
      const found = await readRoot(this.#on);
      if (found === null) return null;
      const { epoch, nodeId, incarnation, cluster } = found;
      return { epoch, nodeId, incarnation, clusterId: cluster };
    } catch (thrown) {
      throw jsToClusterError(thrown, `read the fence of ${this.#on.what}`);
    }
  }

  /** Ends the writers. The connection stays open. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const writer of this.#writers) {
      writer.close(new ClusterError("STOPPED", `${this.#on.what} was closed`));
    }
    this.#on.mux.close();
    this.#on.monitor.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** A purge or a consumer of the data must not reach the fence. */
function checkApart(subject: string, fence: string): void {
  if (!overlap(subject, `${fence}.>`)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `subjects has "${subject}", which includes the fence ${fence}.>: choose data subjects or a fence apart from each other, because a purge of the data would remove the fence`,
  );
}

function newStream(
  stream: string,
  subjects: readonly string[],
  fence: string,
  replicas: number,
  config: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return {
    storage: "file",
    retention: "limits",
    num_replicas: replicas,
    allow_direct: true,
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
    deny_delete: true,
    ...config,
    name: stream,
    subjects: [...subjects, `${fence}.>`],
  };
}
