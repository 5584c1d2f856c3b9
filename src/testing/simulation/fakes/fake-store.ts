import type {
  LeaseEntry,
  LeaseWrite,
  OwnConnection,
  ReadOutcome,
  WriteOutcome,
} from "../../../election/types.ts";
import { ClusterError } from "../../../errors.ts";
import { StreamIdentity } from "../../../nats/bucket/stream-identity.ts";
import type { BucketInfo, LeaseStore, StoreListener } from "../../../runtime/ports.ts";
import type { VirtualClock } from "../time/virtual-clock.ts";
import type { Timer, VirtualTime } from "../time/virtual-time.ts";
import type { FakeBucket } from "./fake-bucket.ts";
import type { FakeSession } from "./fake-session.ts";
import { type Network, perfectNetwork } from "./network.ts";

const OPEN_TIMEOUT_MS = 1_000;

export interface FakeStoreOptions {
  readonly network?: Network;
  /** Clock of the process; answers wait while it is stopped. Default: a process that always runs. */
  readonly clock?: VirtualClock;
  /** The connection that requests and answers use. Default: one that never breaks. */
  readonly session?: FakeSession;
}

/** A message under way to the process. It arrives if the connection on which it was sent is still open then. */
class Arrival<T> implements Timer {
  set = false;
  readonly #session: FakeSession | null;
  readonly #link: OwnConnection | null | undefined;
  readonly #clock: VirtualClock | null;
  readonly #receive: (message: T) => void;
  readonly #message: T;

  constructor(
    session: FakeSession | null,
    clock: VirtualClock | null,
    receive: (message: T) => void,
    message: T,
  ) {
    this.#session = session;
    this.#link = session?.link;
    this.#clock = clock;
    this.#receive = receive;
    this.#message = message;
  }

  fire(): void {
    if (this.#session?.link !== this.#link) return;
    if (this.#session?.isStalled === true) return this.#session.arrive(() => this.#receive(this.#message));
    if (this.#clock === null) this.#receive(this.#message);
    else this.#clock.deliver(this.#receive, this.#message);
  }
}

/** One node's access to the bucket, with the faults of its network. */
export class FakeStore implements LeaseStore {
  readonly network: Network;
  readonly #time: VirtualTime;
  readonly #bucket: FakeBucket;
  readonly #clock: VirtualClock | null;
  readonly #session: FakeSession | null;
  readonly #identity = new StreamIdentity();
  #unwatch: (() => void) | null = null;
  /** Number of writes sent, whatever their outcome. */
  writes = 0;
  reads = 0;

  constructor(time: VirtualTime, bucket: FakeBucket, options: FakeStoreOptions = {}) {
    this.#time = time;
    this.#bucket = bucket;
    this.network = options.network ?? perfectNetwork();
    this.#clock = options.clock ?? null;
    this.#session = options.session ?? null;
  }

  open(signal: AbortSignal, above = 0): Promise<BucketInfo> {
    const identified = this.#identity.reading();
    return new Promise((resolve, reject) => {
      const done = (opened: boolean | null): void => {
        this.#time.announce();
        if (opened !== true || signal.aborted) return reject(noAnswer("open", OPEN_TIMEOUT_MS));
        const info = this.info();
        identified(info.generation);
        resolve(info);
      };
      const serve = (): boolean => {
        this.#bucket.recreate(above, this);
        return true;
      };
      this.#roundTrip(OPEN_TIMEOUT_MS, serve, done);
    });
  }

  info(): BucketInfo {
    const { generation, maxAgeMs } = this.#bucket;
    return { generation, maxAgeMs, replicas: 1, republish: true };
  }

  read(timeoutMs: number): PromiseLike<ReadOutcome> {
    this.reads += 1;
    const serve = (): ReadOutcome => {
      if (!this.#bucket.exists) return { kind: "no-bucket" };
      return { kind: "snapshot", snapshot: this.network.staleSnapshot ?? this.#bucket.snapshot() };
    };
    const identified = this.#identity.reading();
    return this.#time.answer<ReadOutcome>((resolve) =>
      this.#roundTrip<ReadOutcome>(timeoutMs, serve, (outcome) => {
        if (outcome?.kind === "snapshot") identified(outcome.snapshot.generation);
        resolve(outcome ?? { kind: "failed", error: noAnswer("read", timeoutMs) });
      }),
    );
  }

  write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome> {
    this.writes += 1;
    const delayMs = this.network.delayNextWriteMs;
    this.network.delayNextWriteMs = 0;
    const stream = this.#identity.own ?? "";
    const serve = (): WriteOutcome | null => (this.#bucket.exists ? this.#bucket.write(write, stream) : null);
    return this.#time.answer<WriteOutcome>((resolve) => {
      const done = (outcome: WriteOutcome | null): void =>
        resolve(outcome ?? { kind: "unknown", error: noAnswer("write", timeoutMs) });
      this.#roundTrip<WriteOutcome | null>(timeoutMs, serve, done, delayMs);
    });
  }

  watch(listener: StoreListener): void {
    this.#unwatch?.();
    const forward = <T>(receive: (message: T) => void, message: T): void => {
      if (this.network.dropWatch || this.network.dropResponses || !this.#isOpen()) return;
      this.#arrive(receive, message);
    };
    const forwardEntry = (entry: LeaseEntry, stream: string): void =>
      forward(() => this.#report(listener, entry, stream), undefined);
    this.#unwatch = this.#bucket.watch({
      entry: forwardEntry,
      forged: (entry) => forwardEntry(entry, ""),
      gone: () => forward(() => listener.gone(), undefined),
    });
  }

  async close(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = null;
  }

  /** As the adapter for NATS: a message of an unknown stream is only a reason to read. */
  #report(listener: StoreListener, entry: LeaseEntry, stream: string): void {
    const from = this.#identity.of(stream);
    if (from === "own") listener.entry(entry);
    else if (from === "unknown") listener.gone();
  }

  /** Request, `serve` at the server, response. Calls `done(null)` when no answer arrives within `timeoutMs`. */
  #roundTrip<T>(timeoutMs: number, serve: () => T, done: (answer: T | null) => void, extraDelayMs = 0): void {
    const cancelTimeout = this.#setTimer(timeoutMs, () => done(null));
    if (this.network.dropRequests || !this.#isOpen()) return;
    const receive = (answer: T): void => {
      cancelTimeout();
      done(answer);
    };
    const arrived = (): void => {
      // A cluster without a quorum does not answer. It may commit the request when the quorum is back.
      const { outage } = this.#bucket;
      if (outage !== null) {
        if (outage.commitsLate) outage.later.push(serve);
        return;
      }
      const answer = serve();
      // An inbox survives a reconnect: the answer may arrive on the next connection.
      if (this.network.dropResponses || !this.#isOpen()) return;
      this.#arrive(receive, answer);
    };
    // The connection's server counts the request when it comes. What delays it further is behind that server.
    const session = this.#session;
    if (session === null) return void this.#time.after(this.network.latencyMs + extraDelayMs, arrived);
    const { link } = session;
    this.#time.after(this.network.latencyMs, () =>
      session.receivedFrom(link, () => {
        if (extraDelayMs === 0) arrived();
        else this.#time.after(extraDelayMs, arrived);
      }),
    );
  }

  #isOpen(): boolean {
    return this.#session === null || this.#session.link !== null;
  }

  #arrive<T>(receive: (message: T) => void, message: T): void {
    const arrival = new Arrival(this.#session, this.#clock, receive, message);
    this.#time.set(arrival, this.#time.now + this.network.latencyMs);
  }

  #setTimer(ms: number, fire: () => void): () => void {
    return this.#clock === null ? this.#time.after(ms, fire) : this.#clock.setTimer(ms, fire);
  }
}

/** Cached per millisecond: a stack trace costs more than the rest of a simulated request. */
const noAnswers = new Map<string, Map<number, ClusterError>>();
const MAX_NO_ANSWERS = 2_000;

function noAnswer(request: "open" | "read" | "write", timeoutMs: number): ClusterError {
  const ms = Math.round(timeoutMs);
  const byMs = noAnswers.get(request) ?? new Map<number, ClusterError>();
  const known = byMs.get(ms);
  if (known !== undefined) return known;
  const message = `${request}: no answer within ${ms} ms`;
  const error = new ClusterError("STORE_UNAVAILABLE", message, { recoverable: true });
  if (byMs.size < MAX_NO_ANSWERS) noAnswers.set(request, byMs.set(ms, error));
  return error;
}
