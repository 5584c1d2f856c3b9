/** The sinks, on the side of the benchmark: made before a run, and counted after it. */
import type { NatsConnection } from "@nats-io/transport-node";
import pg from "pg";
import { PostgresFence } from "../../src/fencing.ts";

import { CountingSink, Tally } from "../shared/counting-sink.ts";
import type { SinkPlace } from "./messages.ts";
import { LEDGER_HEAD, ledgerStream, sinkTables } from "./sinks.ts";

/** What a sink has stored. */
export interface Account {
  readonly stored: number;
  /** Numbers of a partition up to its largest one that were not stored. */
  readonly lost: number;
  readonly duplicatesAccepted: number;
  /** Batches, or rows, that were stored after one of a later term. */
  readonly staleAccepted: number;
}

/** Makes the sink, and returns how to count it. */
export async function prepareSink(
  connection: NatsConnection,
  place: SinkPlace,
): Promise<() => Promise<Account>> {
  const { kind, name, database } = place;
  switch (kind) {
    case "counting": {
      const sink = new CountingSink(connection, `sink.${name}`);
      return async () => sink.counts();
    }
    case "postgres": {
      const client = new pg.Client(database);
      await client.connect();
      await client.query(new PostgresFence({ resource: name }).setupSql());
      await client.query(sinkTables(name));
      await client.end();
      return () => countRows(place);
    }
    case "ledger": {
      const fence = `ledger_fence_${name}.>`;
      await connection.request(
        `$JS.API.STREAM.CREATE.${ledgerStream(name)}`,
        JSON.stringify({
          name: ledgerStream(name),
          subjects: [`ledger_${name}.>`, fence],
          allow_rollup_hdrs: true,
          deny_delete: true,
          allow_msg_ttl: true,
          allow_atomic: true,
        }),
      );
      return () => countLedger(connection, name);
    }
    default:
      throw new Error(`no sink ${kind satisfies never}`);
  }
}

async function countRows({ name, database }: SinkPlace): Promise<Account> {
  const client = new pg.Client(database);
  await client.connect();
  try {
    const { rows } = await client.query<Record<keyof Account, string>>(`
      SELECT sum(distinct_numbers) AS stored, sum(largest - distinct_numbers) AS lost, sum(all_rows - distinct_numbers) AS "duplicatesAccepted",
        (SELECT count(*) FROM (SELECT epoch, max(epoch) OVER (PARTITION BY resource ORDER BY id) AS largest FROM effects_${name}) AS e WHERE epoch < largest)
          AS "staleAccepted"
      FROM (SELECT count(*) AS all_rows, count(DISTINCT number) AS distinct_numbers, max(number) AS largest FROM effects_${name} GROUP BY resource) AS r`);
    const [row] = rows;
    return {
      stored: Number(row?.stored),
      lost: Number(row?.lost),
      duplicatesAccepted: Number(row?.duplicatesAccepted),
      staleAccepted: Number(row?.staleAccepted),
    };
  } finally {
    await client.end();
  }
}

async function countLedger(connection: NatsConnection, name: string): Promise<Account> {
  const tally = new Tally();
  const { jetstream, jetstreamManager } = await import("@nats-io/jetstream");
  const filter_subject = `ledger_${name}.>`;
  const manager = await jetstreamManager(connection);
  const { name: consumer, num_pending } = await manager.consumers.add(ledgerStream(name), {
    ack_policy: "none",
    filter_subject,
  });
  let left = num_pending;
  const messages = await (await jetstream(connection).consumers.get(ledgerStream(name), consumer)).consume();
  for await (const { subject, data } of messages) {
    const bytes = Buffer.from(data);
    const numbers = Array.from({ length: (bytes.length - LEDGER_HEAD) / 4 }, (_, index) =>
      bytes.readUInt32BE(LEDGER_HEAD + index * 4),
    );
    tally.add(subject.split(".").at(-1) ?? "", bytes.readDoubleBE(0), numbers);
    left -= 1;
    if (left === 0) break;
  }
  return tally.counts();
}
