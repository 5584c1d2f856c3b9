/** The sink in PostgreSQL: fence, ticks, dead letters and position in one transaction. */
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { PostgresFence } from "nats-leader/fencing";
import type { ResourceTerm } from "nats-leader/group";
import { Pool, type PoolClient } from "pg";
import type { Names } from "../names.ts";
import { isAlreadyThere } from "../streams.ts";
import {
  type Batch,
  type DeadLetter,
  encodeDead,
  type PartitionCount,
  type PartitionSink,
  type Sink,
  type SinkReader,
  type StoredTick,
  type Written,
} from "./sink.ts";

/** The primary key removes duplicates. `id` is the order of storing, which the final count looks at. */
const TABLES = `
  CREATE TABLE IF NOT EXISTS bridge_ticks (
    id bigserial, stream text, symbol text, n bigint, price double precision,
    partition text, seq bigint, epoch bigint, instance text, PRIMARY KEY (stream, symbol, n));
  CREATE TABLE IF NOT EXISTS bridge_positions (
    resource text PRIMARY KEY, seq bigint NOT NULL, stored bigint NOT NULL, duplicates bigint NOT NULL, dead bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS bridge_dead (
    resource text, seq bigint, data bytea, tries int, error text, published boolean NOT NULL, PRIMARY KEY (resource, seq))`;

/** A process that is frozen inside a transaction holds the lock of the fence. The server ends such a transaction after this time. */
const IDLE_TIMEOUT_MS = 2000;
const TIMEOUT_MS = 10_000;

/** A pool that outlives restarts of the server. */
export function openPool(url: string): Pool {
  const pool = new Pool({
    connectionString: url,
    max: 8,
    connectionTimeoutMillis: 5000,
    query_timeout: TIMEOUT_MS,
  });
  // Without listeners, a connection that the server ends would end the process. The query that used it reports the error.
  pool.on("error", () => {});
  pool.on("connect", (client) => void client.on("error", () => {}));
  return pool;
}

/** Creates the tables. Once, by the starter: two processes that create the same table at once can disturb each other. */
export async function preparePostgres(url: string): Promise<string> {
  const pool = openPool(url);
  try {
    await pool.query(TABLES);
    await new PostgresFence({ resource: "any" }).setup(pool);
    const { rows } = await pool.query<{ server_version: string }>("SHOW server_version");
    return `PostgreSQL ${rows[0]?.server_version.split(" ")[0]}`;
  } finally {
    await pool.end();
  }
}

export interface PostgresSinkOptions {
  readonly url: string;
  readonly nats: NatsConnection;
  readonly names: Names;
  /** Id of this instance. */
  readonly instance: string;
}

export function openPostgresSink({ url, nats, names, instance }: PostgresSinkOptions): Sink {
  const pool = openPool(url);
  const publish = jetstream(nats);
  return {
    name: "PostgreSQL",
    close: () => pool.end(),

    async open(term: ResourceTerm): Promise<PartitionSink> {
      // Each partition has a fence of its own, because the epochs of two partitions cannot be compared.
      const resource = term.clusterId;
      const fence = new PostgresFence({ resource, clusterId: resource, idleTimeoutMs: IDLE_TIMEOUT_MS });
      await fence.take(pool, term, { timeoutMs: TIMEOUT_MS });
      const start = "INSERT INTO bridge_positions VALUES ($1, 0, 0, 0, 0) ON CONFLICT DO NOTHING";
      await pool.query(start, [resource]);
      const { rows } = await pool.query<{ seq: string }>(
        "SELECT seq FROM bridge_positions WHERE resource = $1",
        [resource],
      );
      let position = Number(rows[0]?.seq);
      await publishDead(term);
      return {
        get position() {
          return position;
        },
        async write(batch) {
          const store = (client: PoolClient) => writeBatch(client, term, batch);
          const written = await fence.transaction(pool, term, store, { timeoutMs: TIMEOUT_MS });
          position = batch.last;
          if (batch.dead.length > 0) await publishDead(term);
          return written;
        },
      };
    },
  };

  async function writeBatch(client: PoolClient, term: ResourceTerm, batch: Batch): Promise<Written> {
    const { ticks, dead } = batch;
    const { rowCount } = await client.query(
      `INSERT INTO bridge_ticks (stream, partition, epoch, instance, symbol, n, price, seq)
       SELECT $1, $2, $3, $4, * FROM unnest($5::text[], $6::bigint[], $7::double precision[], $8::bigint[])
       ON CONFLICT (stream, symbol, n) DO NOTHING`,
      [
        names.ticks,
        term.resource,
        term.epoch,
        instance,
        ticks.map(({ symbol }) => symbol),
        ticks.map(({ n }) => n),
        ticks.map(({ price }) => price),
        ticks.map(({ seq }) => seq),
      ],
    );
    for (const { seq, data, tries, error } of dead) {
      const insert = "INSERT INTO bridge_dead VALUES ($1, $2, $3, $4, $5, false)";
      await client.query(insert, [term.clusterId, seq, data, tries, error]);
    }
    const stored = rowCount ?? 0;
    const duplicates = ticks.length - stored;
    // The sums are added to, so that a batch that was stored twice could not be hidden by the primary key.
    const moved = await client.query(
      `UPDATE bridge_positions SET seq = $1, stored = stored + $2, duplicates = duplicates + $3, dead = dead + $4
       WHERE resource = $5 AND seq = $6`,
      [batch.last, stored, duplicates, dead.length, term.clusterId, batch.prev],
    );
    if (moved.rowCount !== 1)
      throw new Error(`the batch does not begin at the stored position ${batch.prev}`);
    return { stored, duplicates };
  }

  /**
   * A transaction cannot publish. The dead letters are in a table first, and are published after the commit; what a crash leaves
   * unpublished, the next owner publishes. The condition makes a second publish of the same letter fail.
   */
  async function publishDead(term: ResourceTerm): Promise<void> {
    const { rows } = await pool.query<{ seq: string; data: Buffer; tries: number; error: string }>(
      "SELECT seq, data, tries, error FROM bridge_dead WHERE resource = $1 AND NOT published ORDER BY seq",
      [term.clusterId],
    );
    for (const { seq, data, tries, error } of rows) {
      const letter: DeadLetter = { seq: Number(seq), data, tries, error };
      const subject = `${names.deadSubject}.${term.resource}.${seq}`;
      const text = encodeDead(letter, { instance, epoch: term.epoch });
      await publish
        .publish(subject, text, { expect: { lastSubjectSequence: 0 } })
        .catch((thrown: unknown) => {
          if (!isAlreadyThere(thrown)) throw thrown;
        });
      const done = "UPDATE bridge_dead SET published = true WHERE resource = $1 AND seq = $2";
      await pool.query(done, [term.clusterId, seq]);
    }
  }
}

export function openPostgresReader(url: string, names: Names): SinkReader {
  const pool = openPool(url);
  return {
    close: () => pool.end(),

    async positions() {
      const { rows } = await pool.query<
        Record<"resource" | "seq" | "stored" | "duplicates" | "dead", string>
      >("SELECT * FROM bridge_positions WHERE starts_with(resource, $1)", [`${names.group}/`]);
      return rows.map(
        ({ resource, seq, stored, duplicates, dead }): PartitionCount => ({
          partition: resource.slice(names.group.length + 1),
          seq: Number(seq),
          stored: Number(stored),
          duplicates: Number(duplicates),
          dead: Number(dead),
        }),
      );
    },

    async *stored() {
      for (let after = "0"; ; ) {
        const { rows } = await pool.query<
          Record<"id" | "symbol" | "n" | "partition" | "seq" | "epoch", string> & { price: number }
        >(
          `SELECT id, symbol, n, price, partition, seq, epoch FROM bridge_ticks
           WHERE stream = $1 AND id > $2 ORDER BY id LIMIT 10000`,
          [names.ticks, after],
        );
        const last = rows.at(-1);
        if (last === undefined) return;
        for (const { symbol, n, price, partition, seq, epoch } of rows) {
          const tick: StoredTick = {
            symbol,
            n: Number(n),
            price,
            partition,
            seq: Number(seq),
            epoch: Number(epoch),
          };
          yield tick;
        }
        after = last.id;
      }
    },
  };
}
