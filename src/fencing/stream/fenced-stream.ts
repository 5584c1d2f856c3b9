/** A stream that only the leader of the newest term can write. */
import type { NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import type { Term } from "../../node/term.ts";
import { type FenceTerm, tokenOf } from "../token.ts";
import { FencedWriter } from "./fenced-writer.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { checkSubject, defaultFence } from "./names.ts";
import { type FencedLimits, openGuarded } from "./open-guarded.ts";
import { readFence, takeFence } from "./take-fence.ts";

/** A term, or its identity alone. With a signal, `open` ends when the term does. */
export type OpenTerm = FenceTerm & Partial<Pick<Term, "signal">>;

export interface OpenOptions {
  /** Longest time for moving the fence; it is tried again meanwhile. Default 5000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface FencedStreamOptions extends FencedLimits {
  readonly stream: string;
  /** Subjects of the data. Given, the stream is made when it is not there; the fence's are added. */
  readonly subjects?: readonly string[];
  /** Prefix of the fence's subjects. Default `nats_leader.fence.<stream>`. The same for all who write. */
  readonly fence?: string;
  /** More of JetStream's own stream configuration for a stream that is made: `{ max_bytes: …, discard: "new" }`. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Who holds the fence. */
export interface FenceHolder {
  readonly epoch: number;
  readonly nodeId: string;
  readonly incarnation: string;
}

/**
 * A JetStream stream with a fence. It has no way to write: `open(term)` moves the fence to the term and returns the one
 * that has.
 *
 * ```ts
 * const ledger = await FencedStream.connect(connection, { stream: "LEDGER", subjects: ["ledger.>"] });
 * const writer = await ledger.open(term); // first thing in onBecomeLeader, or use withFence()
 * await writer.publish("ledger.entry", "+10");
 * ```
 *
 * Everyone who writes to the stream has to do it like this: the server lets through what states no condition.
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
   * Finds the stream, or makes it, and checks that a fence holds there. Writes nothing. The connection stays the
   * caller's.
   *
   * Rejects with `SERVER_TOO_OLD` (this connection's server, or another one that holds the stream, is older than 2.11),
   * `STREAM_INCOMPATIBLE`, `INVALID_CONFIG`, `NO_CONNECTION`, `JETSTREAM_UNAVAILABLE`, `STORE_UNAVAILABLE`.
   */
  static async connect(connection: NatsConnection, options: FencedStreamOptions): Promise<FencedStream> {
    const { stream, subjects, fence = defaultFence(stream), config = {} } = options;
    if (!/^[^\s.*>/\\]+$/.test(stream))
      throw new ClusterError("INVALID_CONFIG", `"${stream}" is not a stream's name`);
    checkSubject("fence", fence);
    const on = await openGuarded(connection, {
      what: `stream ${stream}`,
      stream,
      fence,
      limits: options,
      create:
        subjects === undefined ? null : (replicas) => newStream(stream, subjects, fence, replicas, config),
    });
    return new FencedStream(on);
  }

  get stream(): string {
    return this.#on.stream;
  }

  /** `null`: batches work here. Otherwise why they don't. */
  get noBatches(): string | null {
    return this.#on.noBatches?.why ?? null;
  }

  /**
   * Moves the fence to this term and returns its writer. From then on no write of an earlier term is accepted. The same
   * term may open again and gets the same token.
   *
   * Rejects with `STALE_EPOCH` when a newer term holds it, `ABORTED` when the term ends meanwhile, `STREAM_INCOMPATIBLE`,
   * and after `timeoutMs` with what went wrong last.
   */
  async open(term: OpenTerm, options: OpenOptions = {}): Promise<FencedWriter> {
    tokenOf(term);
    if (this.#closed) throw new ClusterError("STOPPED", `stream ${this.#on.stream} is closed`);
    const signals = [term.signal, options.signal].filter((signal) => signal !== undefined);
    const lanes = await takeFence(this.#on, term, {
      timeoutMs: options.timeoutMs ?? 5000,
      signal: signals.length === 0 ? undefined : AbortSignal.any(signals),
    });
    const { epoch, nodeId, incarnation } = term;
    const writer = new FencedWriter(this.#on, { epoch, nodeId, incarnation }, lanes);
    if (this.#closed) throw new ClusterError("STOPPED", `stream ${this.#on.stream} was closed`);
    for (const other of this.#writers) if (other.epoch < epoch) this.#writers.delete(other);
    this.#writers.add(writer);
    return writer;
  }

  /** Who holds the fence, as the stream's leader knows; `null`: nobody ever did. */
  async holder(): Promise<FenceHolder | null> {
    const found = await readFence(this.#on, 0);
    if (found === null) return null;
    const { epoch, nodeId, incarnation } = found;
    return { epoch, nodeId, incarnation };
  }

  /** Ends its writers and lets go of the connection, which stays open. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const writer of this.#writers) {
      writer.close(new ClusterError("STOPPED", `stream ${this.#on.stream} was closed`));
    }
    this.#on.mux.close();
    this.#on.monitor.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
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
