/** One member's access to the bucket of its group, with the faults of its network. */
import type { WriteOutcome } from "../../../election/types.ts";
import { ClusterError } from "../../../errors.ts";
import type {
  BulkOutcome,
  GroupEntry,
  GroupKey,
  GroupWrite,
  KeyReadOutcome,
} from "../../../group/core/types.ts";
import type { GroupStore, GroupStoreListener } from "../../../group/ports.ts";
import type { BucketInfo } from "../../../runtime/ports.ts";
import type { SeededRandom } from "../random.ts";
import type { VirtualClock } from "../time/virtual-clock.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import { type BucketState, type FakeGroupBucket, keyName } from "./fake-group-bucket.ts";
import type { FakeSession } from "./fake-session.ts";
import type { GroupNetwork, RequestKind } from "./group-network.ts";

const OPEN_TIMEOUT_MS = 1_000;

export interface FakeGroupStoreOptions {
  readonly time: VirtualTime;
  readonly bucket: FakeGroupBucket;
  readonly network: GroupNetwork;
  readonly clock: VirtualClock;
  readonly session: FakeSession;
  readonly random: SeededRandom;
}

export class FakeGroupStore implements GroupStore {
  readonly #options: FakeGroupStoreOptions;
  #unwatch: (() => void) | null = null;
  /** Called with every write that is sent, before it is. */
  onWrite: ((write: GroupWrite) => void) | null = null;
  /** Number of requests that were sent, whatever came of them. */
  writes = 0;
  reads = 0;
  bulkReads = 0;

  constructor(options: FakeGroupStoreOptions) {
    this.#options = options;
  }

  open(signal: AbortSignal, above: number): Promise<BucketInfo> {
    const { time, bucket } = this.#options;
    return new Promise((resolve, reject) => {
      const serve = (): BucketInfo => {
        bucket.recreate(above);
        return { generation: bucket.generation, maxAgeMs: 0, replicas: 1, republish: true };
      };
      this.#roundTrip("read", OPEN_TIMEOUT_MS, serve, (info) => {
        time.announce();
        if (info === null || signal.aborted) reject(noAnswer);
        else resolve(info);
      });
    });
  }

  write(write: GroupWrite, timeoutMs: number): PromiseLike<WriteOutcome> {
    this.writes += 1;
    this.onWrite?.(write);
    const { time, bucket, network } = this.#options;
    const { kind } = write.record;
    const late = network.lateWrites.find((one) => one.kind === kind);
    if (late !== undefined) network.lateWrites.splice(network.lateWrites.indexOf(late), 1);
    const lateMs = Math.max(late?.ms ?? 0, network.delayNextWriteMs);
    network.delayNextWriteMs = 0;
    const serve = (): WriteOutcome | null => (bucket.exists ? bucket.write(write) : null);
    return time.answer<WriteOutcome>((resolve) =>
      this.#roundTrip<WriteOutcome | null>(
        kind,
        timeoutMs,
        serve,
        (outcome) => resolve(outcome ?? { kind: "unknown", error: noAnswer }),
        lateMs,
      ),
    );
  }

  read(key: GroupKey, timeoutMs: number): PromiseLike<KeyReadOutcome> {
    this.reads += 1;
    const serve = (): KeyReadOutcome => {
      if (!this.#options.bucket.exists) return { kind: "no-bucket" };
      const { generation, lastSequence, keys } = this.#observed();
      return { kind: "snapshot", generation, lastSequence, entry: keys.get(keyName(key)) ?? null };
    };
    return this.#options.time.answer<KeyReadOutcome>((resolve) =>
      this.#roundTrip<KeyReadOutcome>("read", timeoutMs, serve, (outcome) =>
        resolve(outcome ?? { kind: "failed", error: noAnswer }),
      ),
    );
  }

  /**
   * The consumer delivers while others write. A key that is written in that time may be missing in the answer, or be there as it is
   * at the end: both are above `upTo`.
   */
  readAfter(sequence: number, timeoutMs: number): PromiseLike<BulkOutcome> {
    this.bulkReads += 1;
    const { time, bucket, random } = this.#options;
    const serve = (): BulkOutcome => {
      if (!bucket.exists) return { kind: "no-bucket" };
      const { generation, lastSequence, keys } = this.#observed();
      const changed = [...keys.values()].filter(({ revision }) => revision > sequence);
      return { kind: "entries", generation, upTo: lastSequence, entries: changed };
    };
    const delivered = (outcome: BulkOutcome): BulkOutcome => {
      if (outcome.kind !== "entries" || outcome.generation !== bucket.generation) return outcome;
      const { lastSequence, keys } = bucket.state();
      if (lastSequence <= outcome.upTo) return outcome;
      const kept = outcome.entries.filter((entry) => keys.get(keyName(entry.key)) === entry);
      const later = [...keys.values()].filter(({ revision }) => revision > outcome.upTo);
      return { ...outcome, entries: random.chance(0.5) ? kept : [...kept, ...later] };
    };
    return time.answer<BulkOutcome>((resolve) =>
      this.#roundTrip<BulkOutcome>("bulk", timeoutMs, serve, (outcome) =>
        resolve(outcome === null ? { kind: "failed", error: noAnswer } : delivered(outcome)),
      ),
    );
  }

  watch(listener: GroupStoreListener): void {
    this.#unwatch?.();
    const { bucket, network, random, time } = this.#options;
    const forward = (receive: () => void): void => {
      if (network.dropWatch || network.dropResponses || !this.#isOpen()) return;
      if (network.watchLoss > 0 && random.chance(network.watchLoss)) return;
      const times = network.watchRepeats > 0 && random.chance(network.watchRepeats) ? 2 : 1;
      for (let left = times; left > 0; left -= 1) {
        const jitterMs = network.watchJitterMs > 0 ? random.between(0, network.watchJitterMs) : 0;
        if (jitterMs === 0) this.#arrive(receive);
        else time.after(jitterMs, () => this.#isOpen() && this.#arrive(receive));
      }
    };
    const entry = (one: GroupEntry): void => forward(() => listener.entry(one));
    this.#unwatch = bucket.watch({
      commit: (commit) => entry(commit.entry),
      forged: entry,
      gone: () => forward(() => listener.gone()),
    });
  }

  async close(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = null;
  }

  #observed(): BucketState {
    return this.#options.network.stale ?? this.#options.bucket.state();
  }

  /** Request, `serve` at the server, answer. Calls `done(null)` when no answer arrives within `timeoutMs`. */
  #roundTrip<T>(
    kind: RequestKind,
    timeoutMs: number,
    serve: () => T,
    done: (answer: T | null) => void,
    extraMs = 0,
  ): void {
    const { time, bucket, network, session, clock } = this.#options;
    const cancelTimeout = clock.setTimer(timeoutMs, () => done(null));
    if (network.dropRequests || network.lostRequests.has(kind) || !this.#isOpen()) return;
    const isAnswerLost = network.lostAnswers.has(kind);
    const arrived = (): void => {
      // A cluster without a quorum does not answer. It may commit the request when the quorum is back.
      if (bucket.outage !== null) {
        if (bucket.outage.commitsLate) bucket.outage.later.push(serve);
        return;
      }
      const answer = serve();
      // An inbox survives a reconnect: the answer may arrive on the next connection.
      if (isAnswerLost || network.dropResponses || !this.#isOpen()) return;
      this.#arrive(() => {
        cancelTimeout();
        done(answer);
      });
    };
    const { link } = session;
    time.after(network.latencyMs, () =>
      session.receivedFrom(link, () => {
        if (extraMs === 0) arrived();
        else time.after(extraMs, arrived);
      }),
    );
  }

  #isOpen(): boolean {
    return this.#options.session.link !== null;
  }

  /** A message is under way to the process. It arrives if the connection on which it was sent is still open then. */
  #arrive(receive: () => void): void {
    const { time, network, session } = this.#options;
    const { link } = session;
    time.after(network.latencyMs, () => {
      if (session.link === link) session.arrive(receive);
    });
  }
}

/** One for all: a stack trace costs more than the rest of a simulated request. */
const noAnswer = new ClusterError("STORE_UNAVAILABLE", "no answer in time", { recoverable: true });
