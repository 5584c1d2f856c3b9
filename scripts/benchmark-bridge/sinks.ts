/** The sinks, on the side of an owner: each stores a batch and the position together, or nothing. */
import type { NatsConnection } from "@nats-io/transport-node";
import pg from "pg";
import { dial } from "../../src/bench/dial.ts";
import { FencedStream, type FencedWriter, PostgresFence, StaleEpochError } from "../../src/fencing.ts";
import { getMessage } from "../../src/nats/api/stored-message.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { type SinkBatch, SinkClient } from "../shared/counting-sink.ts";
import type { SinkPlace } from "./messages.ts";

const TIMEOUT_MS = 10_000;
/** Bytes before the numbers of a batch in the ledger: epoch, previous and own position. */
export const LEDGER_HEAD = 24;

/** What of a term a sink needs. A bare consumer makes one up. */
export interface SinkTerm {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly resource: string;
  readonly epoch: number;
}

export interface Sink {
  /** Moves the fence; then the position. */
  take(term: SinkTerm): Promise<number>;
  /** `false`: a later owner has the fence. */
  store(term: SinkTerm, batch: SinkBatch): Promise<boolean>;
}

export async function openSink(place: SinkPlace): Promise<Sink> {
  switch (place.kind) {
    case "counting":
      return new Counting(await dial(place.servers, new AbortController().signal, { name: "sink" }), place);
    case "postgres":
      return new Postgres(place);
    case "ledger":
      return new Ledger(await dial(place.servers, new AbortController().signal, { name: "sink" }), place);
    default:
      throw new Error(`no sink ${place.kind satisfies never}`);
  }
}

class Counting implements Sink {
  readonly #client: SinkClient;

  constructor(connection: NatsConnection, { name }: SinkPlace) {
    this.#client = new SinkClient(connection, `sink.${name}`, TIMEOUT_MS);
  }

  take({ resource, epoch }: SinkTerm): Promise<number> {
    return this.#client.take(resource, epoch);
  }

  async store(_: SinkTerm, batch: SinkBatch): Promise<boolean> {
    const outcome = await this.#client.store(batch);
    if (outcome === "conflict") throw new Error(`${batch.resource}: the position is not ${batch.prev}`);
    return outcome === "stored";
  }
}

/** Tables of a sink in PostgreSQL, made by the benchmark. */
export function sinkTables(name: string): string {
  return `
    CREATE TABLE positions_${name} (resource text PRIMARY KEY, seq bigint NOT NULL);
    CREATE TABLE effects_${name} (id bigserial, resource text, number int, epoch bigint)`;
}

class Postgres implements Sink {
  readonly #pool: pg.Pool;
  readonly #name: string;
  readonly #fences = new Map<string, PostgresFence>();

  constructor({ database, name }: SinkPlace) {
    this.#pool = new pg.Pool({ ...database, max: 8 });
    this.#name = name;
  }

  async take(term: SinkTerm): Promise<number> {
    const fence = new PostgresFence({ resource: term.clusterId, clusterId: term.clusterId });
    await fence.take(this.#pool, term, { timeoutMs: TIMEOUT_MS });
    this.#fences.set(term.clusterId, fence);
    const begin = `INSERT INTO positions_${this.#name} (resource, seq) VALUES ($1, 0) ON CONFLICT DO NOTHING`;
    await this.#pool.query(begin, [term.resource]);
    const read = `SELECT seq FROM positions_${this.#name} WHERE resource = $1`;
    const { rows } = await this.#pool.query<{ seq: string }>(read, [term.resource]);
    return Number(rows[0]?.seq);
  }

  async store(term: SinkTerm, { resource, epoch, prev, last, numbers }: SinkBatch): Promise<boolean> {
    const effects = `INSERT INTO effects_${this.#name} (resource, number, epoch) SELECT $1, n, $3 FROM unnest($2::int[]) AS n`;
    const move = `UPDATE positions_${this.#name} SET seq = $1 WHERE resource = $2 AND seq = $3`;
    const fence = this.#fences.get(term.clusterId);
    if (fence === undefined) throw new Error("take() comes first");
    try {
      await fence.transaction(this.#pool, term, async (client) => {
        await client.query(effects, [resource, numbers, epoch]);
        const { rowCount } = await client.query(move, [last, resource, prev]);
        if (rowCount !== 1) throw new Error(`${resource}: the position is not ${prev}`);
      });
      return true;
    } catch (error) {
      if (error instanceof StaleEpochError) return false;
      throw error;
    }
  }
}

/** The stream of a ledger: one message for each batch, and a fence for each partition. */
export function ledgerStream(name: string): string {
  return `LEDGER_${name}`;
}

export function ledgerSubject(name: string, resource: string): string {
  return `ledger_${name}.${resource}`;
}

class Ledger implements Sink {
  readonly #connection: NatsConnection;
  readonly #monitor: ConnectionMonitor;
  readonly #name: string;
  readonly #writers = new Map<string, FencedWriter>();

  constructor(connection: NatsConnection, { name }: SinkPlace) {
    this.#connection = connection;
    this.#monitor = ConnectionMonitor.acquire(connection);
    this.#name = name;
  }

  async take(term: SinkTerm): Promise<number> {
    const stream = ledgerStream(this.#name);
    const fence = `ledger_fence_${this.#name}.${term.resource}`;
    const ledger = await FencedStream.connect(this.#connection, { stream, fence });
    this.#writers.set(term.resource, await ledger.open(term));
    const query = { last_by_subj: ledgerSubject(this.#name, term.resource) };
    const last = await getMessage(this.#monitor, stream, query, { timeoutMs: TIMEOUT_MS });
    return last === null ? 0 : Buffer.from(last.data).readDoubleBE(16);
  }

  async store(_: SinkTerm, { resource, epoch, prev, last, numbers }: SinkBatch): Promise<boolean> {
    const data = Buffer.allocUnsafe(LEDGER_HEAD + numbers.length * 4);
    for (const [index, value] of [epoch, prev, last].entries()) data.writeDoubleBE(value, index * 8);
    for (const [index, number] of numbers.entries()) data.writeUInt32BE(number, LEDGER_HEAD + index * 4);
    try {
      await this.#writers.get(resource)?.publish(ledgerSubject(this.#name, resource), data);
      return true;
    } catch (error) {
      if (error instanceof StaleEpochError) return false;
      throw error;
    }
  }
}
