/** Measures how long a write of a lease takes from one region. */
import type { NatsConnection } from "@nats-io/transport-node";
import { hostNowMs } from "../../src/bench/messages.ts";
import { type Summary, summarize } from "../../src/bench/stats.ts";
import type { Expectation, LeaseRecord } from "../../src/election/types.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { NatsLeaseStore } from "../../src/nats/lease/lease-store.ts";

const REQUEST_TIMEOUT_MS = 2_000;

/** Acquires, renews and releases a separate lease as a node does, one write at a time. */
export class WriteMeter {
  readonly #nats: NatsConnection;
  readonly #monitor: ConnectionMonitor;
  readonly #clusterId: string;
  readonly #ttlMs: number;
  readonly #store: NatsLeaseStore;

  /** The bucket is created in the region of this connection. */
  constructor(nats: NatsConnection, clusterId: string, ttlMs: number) {
    this.#nats = nats;
    this.#clusterId = clusterId;
    this.#ttlMs = ttlMs;
    this.#monitor = ConnectionMonitor.acquire(nats);
    this.#store = new NatsLeaseStore(this.#monitor, {
      clusterId,
      leaseTtlMs: ttlMs,
      replicas: 3,
      interop: "native",
    });
  }

  async open(signal: AbortSignal): Promise<void> {
    await this.#store.open(signal);
  }

  async close(): Promise<void> {
    await this.#store.close();
    this.#monitor.release();
    await this.#nats.close();
  }

  /** Measures `terms` terms with `renewals` renewals each. */
  async measure(terms: number, renewals: number): Promise<{ acquire: Summary; renew: Summary }> {
    const [acquire, renew]: [number[], number[]] = [[], []];
    const read = await this.#store.read(REQUEST_TIMEOUT_MS);
    if (read.kind !== "snapshot")
      throw new Error(`cannot read the bucket of ${this.#clusterId}: ${read.kind}`);
    const { entry, lastSequence } = read.snapshot;
    let expect: Expectation =
      entry === null ? { emptyAtSequence: lastSequence } : { revision: entry.revision };
    for (let term = 1; term <= terms; term++) {
      const record: LeaseRecord = { nodeId: "meter", epoch: lastSequence + term, acquiredAt: Date.now() };
      for (let nonce = 0; nonce <= renewals; nonce++) {
        const start = hostNowMs();
        expect = await this.#write({ ...record, incarnation: "meter", nonce, ttlMs: this.#ttlMs }, expect);
        (nonce === 0 ? acquire : renew).push(hostNowMs() - start);
      }
      const released = await this.#store.write(
        { kind: "release", epoch: record.epoch, incarnation: "meter", expect },
        REQUEST_TIMEOUT_MS,
      );
      if (released.kind !== "applied") throw new Error(`${this.#clusterId}: release ${released.kind}`);
      expect = { revision: released.revision };
    }
    return { acquire: summarize(acquire), renew: summarize(renew) };
  }

  async #write(record: LeaseRecord, expect: Expectation): Promise<Expectation> {
    const outcome = await this.#store.write({ kind: "put", record, expect }, REQUEST_TIMEOUT_MS);
    if (outcome.kind !== "applied") throw new Error(`${this.#clusterId}: a write was ${outcome.kind}`);
    return { revision: outcome.revision };
  }
}
