/** The simulator's bucket, with nodes on a perfect network. Faults of the network apply to single writes. */
import type { LeaseWrite, WriteOutcome } from "../../../src/election/types.ts";
import { isAtLeast } from "../../../src/nats/api/server-version.ts";
import { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeSession } from "../../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../../src/testing/simulation/fakes/fake-store.ts";
import { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import type { Subject } from "../deviations.ts";
import {
  type BucketWorld,
  describeEntry,
  describeOpened,
  describeRead,
  describeWrite,
  foreignEntry,
  Generations,
  type Watcher,
} from "./bucket-world.ts";
import type { NodeName, SentWrite, Step } from "./operations.ts";

const ANSWER_MS = 20;
const TIMEOUT_MS = 40;
/** Older servers ignore the requested first sequence of a stream. */
const FIRST_SEQUENCE_SINCE = "2.10.0";
/** Distance between delayed requests: they arrive long after everything else. */
const LATE_MS = 1_000_000;

/** Parts that a deliberately wrong fake replaces. */
export interface FakeParts {
  readonly bucket?: () => FakeBucket;
  readonly store?: (time: VirtualTime, bucket: FakeBucket, session: FakeSession) => FakeStore;
}

export class FakeBucketWorld implements BucketWorld {
  readonly bucket: FakeBucket;
  readonly #newBucket: () => FakeBucket;
  readonly #time = new VirtualTime();
  readonly #connections = new FakeConnections(this.#time);
  readonly #generations = new Generations();
  readonly #session: FakeSession;
  readonly #stores: Readonly<Record<NodeName | "w", FakeStore>>;
  readonly #seen: Readonly<Record<Watcher, string[]>> = { a: [], w: [] };
  #opened = false;
  #lates = 0;
  #arrived = 0;

  constructor({ version }: Subject, maxAgeMs: number, parts: FakeParts = {}) {
    this.#newBucket = parts.bucket ?? ((): FakeBucket => new FakeBucket());
    this.bucket = this.#newBucket();
    this.bucket.maxAgeMs = maxAgeMs;
    this.bucket.canBeginAbove = isAtLeast(version, FIRST_SEQUENCE_SINCE);
    this.#session = new FakeSession(this.#connections);
    const other = new FakeSession(this.#connections);
    const make = (session: FakeSession): FakeStore =>
      parts.store?.(this.#time, this.bucket, session) ?? new FakeStore(this.#time, this.bucket, { session });
    this.#stores = { a: make(other), b: make(other), c: make(this.#session), w: make(other) };
    for (const watcher of ["a", "w"] as const) {
      this.#stores[watcher].watch({
        entry: (entry) => this.#seen[watcher].push(describeEntry(entry)),
        gone: () => this.#seen[watcher].push("the bucket is deleted"),
      });
    }
  }

  /** Number of delayed requests. */
  get pendingLate(): number {
    return this.#lates - this.#arrived;
  }

  /** The outcomes that these writes would have in this order. Changes nothing. */
  tried(writes: readonly LeaseWrite[]): readonly string[] {
    const { lastSequence, entry } = this.bucket.snapshot();
    const scratch = this.#newBucket();
    scratch.rollBackTo(lastSequence, entry);
    return writes.map((write) => describeWrite(scratch.write(write)));
  }

  seen(watcher: Watcher): readonly string[] {
    return this.#seen[watcher];
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#stores).map((store) => store.close()));
  }

  async run(step: Step): Promise<readonly string[]> {
    await this.#openAll();
    const result = await this.#run(step);
    await this.#time.advance(ANSWER_MS); // for the watchers
    return result;
  }

  /** Every node begins with the first bucket open. */
  async #openAll(): Promise<void> {
    if (this.#opened) return;
    this.#opened = true;
    for (const store of Object.values(this.#stores))
      await this.#soon(store.open(new AbortController().signal));
  }

  async #run(step: Step): Promise<readonly string[]> {
    switch (step.do) {
      case "open": {
        const info = await this.#soon(this.#stores[step.by].open(new AbortController().signal, step.above));
        return [describeOpened(info, 1, this.#generations)];
      }
      case "read":
        return [
          describeRead(
            await this.#soon(this.#stores[step.by].read(TIMEOUT_MS), TIMEOUT_MS),
            this.#generations,
          ),
        ];
      case "write":
        return this.#write([step]);
      case "race":
        return this.#write(step.writes);
      case "pipeline":
        return this.#write(step.writes.map((write) => ({ by: step.by, write })));
      case "late":
      case "lose-request":
      case "lose-answer":
      case "offline":
        return this.#writeWithFault(step.do, step.write);
      case "arrive":
        return this.#arrive();
      default:
        return [this.#operate(step)];
    }
  }

  async #write(writes: readonly SentWrite[]): Promise<readonly string[]> {
    const sent = writes.map(({ by, write }) => this.#stores[by].write(write, TIMEOUT_MS));
    const outcomes = await this.#soon(Promise.all(sent), TIMEOUT_MS);
    return outcomes.map(describeWrite);
  }

  async #writeWithFault(
    how: Extract<Step, { write: LeaseWrite }>["do"],
    write: LeaseWrite,
  ): Promise<string[]> {
    const { c } = this.#stores;
    const { network } = c;
    if (how === "late") {
      this.#lates += 1;
      network.delayNextWriteMs = this.#lates * LATE_MS - this.#time.now;
    }
    network.dropRequests = how === "lose-request";
    network.dropResponses = how === "lose-answer";
    if (how === "offline") this.#session.disconnect();
    const fate = this.#fate();
    const outcome: WriteOutcome = await this.#soon(c.write(write, TIMEOUT_MS), TIMEOUT_MS);
    const lines = [describeWrite(outcome)];
    if (how === "offline") {
      lines.push(describeRead(await this.#soon(c.read(TIMEOUT_MS), TIMEOUT_MS), this.#generations));
      this.#session.reconnect();
    }
    network.dropRequests = false;
    network.dropResponses = false;
    return how === "lose-answer" ? [...lines, fate()] : lines;
  }

  async #arrive(): Promise<readonly string[]> {
    if (this.pendingLate === 0) return ["no delayed request"];
    this.#arrived += 1;
    const fate = this.#fate();
    await this.#time.advance(this.#arrived * LATE_MS + ANSWER_MS - this.#time.now);
    return [fate()];
  }

  /** Returns a function that describes the outcome of the one write since this call. */
  #fate(): () => string {
    const before = this.bucket.log.length;
    return () => {
      if (!this.bucket.exists) return "no responders";
      const made = this.bucket.log[before];
      return describeWrite(
        made === undefined ? { kind: "conflict" } : { kind: "applied", revision: made.revision },
      );
    };
  }

  /** The action of an operator. */
  #operate(step: Step): string {
    const { bucket } = this;
    if (step.do === "restart") return "restarted";
    if (!bucket.exists) return "no bucket";
    switch (step.do) {
      case "force":
        return `applied at ${bucket.force((revision) => foreignEntry(step.what, revision))}`;
      case "other-key":
        bucket.writeOtherKey();
        return `applied at ${bucket.snapshot().lastSequence}`;
      case "purge-key": {
        const purged = bucket.entry === null ? 0 : 1;
        bucket.expire();
        return `purged ${purged}`;
      }
      case "purge-stream":
        bucket.expire();
        return "purged";
      case "delete-message":
        return bucket.entry === null ? "nothing to delete" : "refused";
      case "delete-bucket":
        bucket.delete();
        return "deleted";
      case "expire":
        if (bucket.entry === null) return "nothing to expire";
        bucket.expire();
        return "expired";
      default:
        throw new Error(`bug: ${step.do} is not an operator's step`);
    }
  }

  /** Advances time until the promise has settled. */
  async #soon<T>(promise: PromiseLike<T>, ms = 0): Promise<T> {
    await this.#time.advance(ms + ANSWER_MS);
    return promise;
  }
}
