import type {
  LeaseEntry,
  LeaseWrite,
  ReadOutcome,
  SessionBinding,
  WriteOutcome,
} from "../../../election/types.ts";
import { ClusterError } from "../../../errors.ts";
import type { BucketInfo, LeaseStore, StoreListener } from "../../../runtime/ports.ts";
import type { VirtualClock } from "../time/virtual-clock.ts";
import type { Timer, VirtualTime } from "../time/virtual-time.ts";
import type { FakeBucket } from "./fake-bucket.ts";
import type { FakeSession } from "./fake-session.ts";
import { type Network, perfectNetwork } from "./network.ts";

const OPEN_TIMEOUT_MS = 1_000;

export interface FakeStoreOptions {
  readonly network?: Network;
  /** The process on this side: answers to it wait while it is stopped. Without it: one that always runs. */
  readonly clock?: VirtualClock;
  /** The connection all this goes over: nothing arrives on one that is not open. Without it: one that never breaks. */
  readonly session?: FakeSession;
}

/** Something on its way to the process: it gets there if the connection it was sent on still stands then. */
class Arrival<T> implements Timer {
  set = false;
  readonly #session: FakeSession | null;
  readonly #link: SessionBinding | null | undefined;
  readonly #clock: VirtualClock | null;
  readonly #receive: (what: T) => void;
  readonly #what: T;

  constructor(session: FakeSession | null, clock: VirtualClock | null, receive: (what: T) => void, what: T) {
    this.#session = session;
    this.#link = session?.link;
    this.#clock = clock;
    this.#receive = receive;
    this.#what = what;
  }

  fire(): void {
    if (this.#session?.link !== this.#link) return;
    if (this.#clock === null) this.#receive(this.#what);
    else this.#clock.deliverTo(this.#receive, this.#what);
  }
}

/** One node's way to the bucket. */
export class FakeStore implements LeaseStore {
  readonly network: Network;
  readonly #time: VirtualTime;
  readonly #bucket: FakeBucket;
  readonly #clock: VirtualClock | null;
  readonly #session: FakeSession | null;
  #unwatch: (() => void) | null = null;
  /** Writes sent, whatever became of them. */
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
    return new Promise((resolve, reject) => {
      const done = (opened: boolean | null): void => {
        this.#time.announce();
        if (opened === true && !signal.aborted) resolve(this.info());
        else reject(noAnswer("open", OPEN_TIMEOUT_MS));
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
    return this.#time.answer<ReadOutcome>((resolve) =>
      this.#roundTrip<ReadOutcome>(timeoutMs, serve, (outcome) =>
        resolve(outcome ?? { kind: "failed", error: noAnswer("read", timeoutMs) }),
      ),
    );
  }

  write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome> {
    this.writes += 1;
    const delayMs = this.network.delayNextWriteMs;
    this.network.delayNextWriteMs = 0;
    const serve = (): WriteOutcome | null => (this.#bucket.exists ? this.#bucket.write(write) : null);
    return this.#time.answer<WriteOutcome>((resolve) => {
      const done = (outcome: WriteOutcome | null): void =>
        resolve(outcome ?? { kind: "unknown", error: noAnswer("write", timeoutMs) });
      this.#roundTrip<WriteOutcome | null>(timeoutMs, serve, done, delayMs);
    });
  }

  watch(listener: StoreListener): void {
    this.#unwatch?.();
    const hear = <T>(tell: (what: T) => void, what: T): void => {
      if (this.network.dropWatch || this.network.dropResponses || !this.#isOpen()) return;
      this.#arrive(tell, what);
    };
    const tellEntry = (entry: LeaseEntry): void => listener.entry(entry);
    const heard = (entry: LeaseEntry): void => hear(tellEntry, entry);
    this.#unwatch = this.#bucket.watch({
      entry: heard,
      forged: heard,
      gone: () => hear(() => listener.gone(), undefined),
    });
  }

  async close(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = null;
  }

  /** Request, work at the server, response; `null` when no answer came in time. */
  #roundTrip<T>(timeoutMs: number, serve: () => T, done: (answer: T | null) => void, extraDelayMs = 0): void {
    const cancelTimeout = this.#setTimer(timeoutMs, () => done(null));
    if (this.network.dropRequests || !this.#isOpen()) return;
    const receive = (answer: T): void => {
      cancelTimeout();
      done(answer);
    };
    const arrived = (): void => {
      // A cluster without a quorum answers nobody. What it was given may be committed when the quorum is back.
      const { outage } = this.#bucket;
      if (outage !== null) {
        if (outage.commitsLate) outage.later.push(serve);
        return;
      }
      const answer = serve();
      // An inbox outlives its connection: the answer may arrive on the next one.
      if (this.network.dropResponses || !this.#isOpen()) return;
      this.#arrive(receive, answer);
    };
    this.#time.after(this.network.latencyMs + extraDelayMs, arrived);
  }

  #isOpen(): boolean {
    return this.#session === null || this.#session.link !== null;
  }

  #arrive<T>(receive: (what: T) => void, what: T): void {
    const arrival = new Arrival(this.#session, this.#clock, receive, what);
    this.#time.set(arrival, this.#time.now + this.network.latencyMs);
  }

  #setTimer(ms: number, fire: () => void): () => void {
    return this.#clock === null ? this.#time.after(ms, fire) : this.#clock.setTimer(ms, fire);
  }
}

/** Made once each, to the millisecond: an error's stack trace costs more than all the rest of a simulated request. */
const noAnswers = new Map<string, Map<number, ClusterError>>();
const MAX_NO_ANSWERS = 2_000;

function noAnswer(what: "open" | "read" | "write", timeoutMs: number): ClusterError {
  const ms = Math.round(timeoutMs);
  const made = noAnswers.get(what) ?? new Map<number, ClusterError>();
  const known = made.get(ms);
  if (known !== undefined) return known;
  const message = `${what}: no answer within ${ms} ms`;
  const error = new ClusterError("STORE_UNAVAILABLE", message, { recoverable: true });
  if (made.size < MAX_NO_ANSWERS) noAnswers.set(what, made.set(ms, error));
  return error;
}
