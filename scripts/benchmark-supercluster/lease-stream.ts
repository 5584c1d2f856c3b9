/** The stream of an election's lease: where its leader is, moving it, and how long a write takes from a region. */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import { hostNowMs } from "../../src/bench/messages.ts";
import { type Summary, summarize } from "../../src/bench/stats.ts";
import type { Expectation, LeaseRecord } from "../../src/election/types.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { NatsLeaseStore } from "../../src/nats/lease/lease-store.ts";
import { streamName } from "../../src/nats/names.ts";

const WAIT_MS = 60_000;
const LOOK_EVERY_MS = 100;
const ASK_MS = 2_000;

interface Info {
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly {
      readonly name: string;
      readonly current: boolean;
      readonly offline?: boolean;
    }[];
  };
}

async function infoOf(nats: NatsConnection, clusterId: string): Promise<Info | null> {
  return nats
    .request(`$JS.API.STREAM.INFO.${streamName(clusterId)}`, undefined, { timeout: ASK_MS })
    .then((answer) => answer.json<Info>())
    .catch(() => null);
}

/** The server that leads the stream, once every replica is up to date: from then on any one server may go. */
export async function calmStreamLeader(nats: NatsConnection, clusterId: string): Promise<string> {
  const giveUpAt = hostNowMs() + WAIT_MS;
  for (;;) {
    const { leader = "", replicas = [] } = (await infoOf(nats, clusterId))?.cluster ?? {};
    const current = replicas.length === 2 && replicas.every((one) => one.current && one.offline !== true);
    if (leader !== "" && current) return leader;
    if (hostNowMs() > giveUpAt) throw new Error(`stream of ${clusterId}: replicas are not current`);
    await pause(LOOK_EVERY_MS);
  }
}

/** Has one of these servers lead the stream. */
export async function moveStream(
  nats: NatsConnection,
  clusterId: string,
  servers: readonly string[],
): Promise<void> {
  const giveUpAt = hostNowMs() + WAIT_MS;
  while (!servers.includes(await calmStreamLeader(nats, clusterId))) {
    if (hostNowMs() > giveUpAt)
      throw new Error(`stream of ${clusterId}: not to be led by ${servers.join(", ")}`);
    const body = JSON.stringify({ placement: { preferred: servers[0] } });
    // Refused while another election is under way; the next look tells.
    await nats
      .request(`$JS.API.STREAM.LEADER.STEPDOWN.${streamName(clusterId)}`, body, { timeout: ASK_MS })
      .catch(() => null);
    await pause(LOOK_EVERY_MS);
  }
}

/** Acquires, renews and releases a lease of its own, as a node does, one write at a time. */
export class WriteMeter {
  readonly #nats: NatsConnection;
  readonly #monitor: ConnectionMonitor;
  readonly #clusterId: string;
  readonly #ttlMs: number;
  readonly #store: NatsLeaseStore;

  /** The bucket is made where this connection is. */
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

  /** `terms` of `renewals` each. */
  async measure(terms: number, renewals: number): Promise<{ acquire: Summary; renew: Summary }> {
    const [acquire, renew]: [number[], number[]] = [[], []];
    const read = await this.#store.read(ASK_MS);
    if (read.kind !== "snapshot") throw new Error(`${this.#clusterId}: the bucket can't be read`);
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
        ASK_MS,
      );
      if (released.kind !== "applied") throw new Error(`${this.#clusterId}: release ${released.kind}`);
      expect = { revision: released.revision };
    }
    return { acquire: summarize(acquire), renew: summarize(renew) };
  }

  async #write(record: LeaseRecord, expect: Expectation): Promise<Expectation> {
    const outcome = await this.#store.write({ kind: "put", record, expect }, ASK_MS);
    if (outcome.kind !== "applied") throw new Error(`${this.#clusterId}: a write was ${outcome.kind}`);
    return { revision: outcome.revision };
  }
}
