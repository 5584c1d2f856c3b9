/** What both sinks of the data bridge promise: examples/data-bridge/sink/sink.ts. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Names, namesOf } from "../../examples/data-bridge/names.ts";
import { openLedgerReader, openLedgerSink } from "../../examples/data-bridge/sink/ledger.ts";
import {
  openPostgresReader,
  openPostgresSink,
  preparePostgres,
} from "../../examples/data-bridge/sink/postgres.ts";
import type { DeadLetter, SeqTick, Sink, SinkReader } from "../../examples/data-bridge/sink/sink.ts";
import { prepareStreams, readAll } from "../../examples/data-bridge/streams.ts";
import {
  findPostgres,
  type PostgresServer,
  startPostgres,
} from "../../examples/singleton-writer/private-postgres.ts";
import type { ResourceTerm } from "../../src/group.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const missing = findPostgres() === null;

function tick(symbol: string, n: number, seq: number): SeqTick {
  return { symbol, n, seq, price: n };
}

function letter(seq: number): DeadLetter {
  return { seq, data: Buffer.from(`message ${seq}`), tries: 3, error: "no price" };
}

describe.each([
  ["ledger", false],
  [`postgres${missing ? " (SKIPPED: PostgreSQL is not installed)" : ""}`, missing],
] as const)("the sink %s", (title, isSkipped) => {
  const kind = title === "ledger" ? "ledger" : "postgres";
  let nats: NatsConnection;
  let postgres: PostgresServer | null = null;
  let url = "";
  let names: Names;
  let sink: Sink;
  let reader: SinkReader;

  beforeAll(async () => {
    if (isSkipped) return;
    nats = await connect({ servers: server.url });
    if (kind === "ledger") return;
    postgres = await startPostgres();
    url = `postgres://${postgres.user}@${postgres.host}:${postgres.port}/${postgres.database}`;
    await preparePostgres(url);
  });
  afterAll(async () => {
    await nats?.close();
    await postgres?.stop();
  });
  beforeEach(async () => {
    if (isSkipped) return;
    names = namesOf(freshId("S"));
    await prepareStreams(nats, names, kind);
    const options = { nats, names, instance: "i" };
    sink = kind === "ledger" ? openLedgerSink(options) : openPostgresSink({ ...options, url });
    reader = kind === "ledger" ? openLedgerReader(nats, names, 1) : openPostgresReader(url, names);
    const [sinkHere, readerHere] = [sink, reader];
    atEnd(async () => {
      await sinkHere.close();
      await readerHere.close();
    });
  });

  const termOf = (epoch: number): ResourceTerm => {
    const term = { epoch, nodeId: `n${epoch}`, incarnation: `i${epoch}`, resource: "0" };
    return { ...term, clusterId: `${names.group}/0`, signal: new AbortController().signal } as ResourceTerm;
  };
  const stored = async (): Promise<string[]> =>
    (await listOf(reader.stored())).map(({ symbol, n, seq, epoch }) => `${symbol}${n} @${seq} by ${epoch}`);
  const letters = async (): Promise<string[]> => {
    const messages = await listOf(
      readAll(nats, kind === "ledger" ? names.ledger : names.dead, `${names.deadSubject}.>`),
    );
    return messages.map((message) => message.json<{ data: string }>().data);
  };

  test.skipIf(isSkipped)("stores ticks in order, each once: within a batch, and in later ones", async () => {
    const at = await sink.open(termOf(5));
    expect(at.position).toBe(0);
    const first = [tick("A", 1, 1), tick("B", 1, 3), tick("C", 1, 4), tick("A", 1, 6)];
    expect(await at.write({ prev: 0, last: 6, ticks: first, dead: [] })).toEqual({
      stored: 3,
      duplicates: 1,
    });
    const second = [tick("B", 1, 7), tick("A", 2, 8)];
    expect(await at.write({ prev: 6, last: 8, ticks: second, dead: [] })).toEqual({
      stored: 1,
      duplicates: 1,
    });
    expect(at.position).toBe(8);
    expect(await stored()).toEqual(["A1 @1 by 5", "B1 @3 by 5", "C1 @4 by 5", "A2 @8 by 5"]);
    expect(await reader.positions()).toMatchObject([
      { partition: "0", seq: 8, stored: 4, duplicates: 2, dead: 0 },
    ]);
  });

  test.skipIf(isSkipped)("refuses a former owner, and its successor begins where it ended", async () => {
    const former = await sink.open(termOf(5));
    await former.write({ prev: 0, last: 1, ticks: [tick("A", 1, 1)], dead: [] });
    const present = await sink.open(termOf(9));
    expect(present.position).toBe(1);
    const late = former.write({ prev: 1, last: 2, ticks: [tick("A", 2, 2)], dead: [letter(2)] });
    await expect(late).rejects.toMatchObject({ code: "STALE_EPOCH" });
    await expect(sink.open(termOf(5))).rejects.toMatchObject({ code: "STALE_EPOCH" });
    await present.write({ prev: 1, last: 2, ticks: [tick("A", 2, 2)], dead: [] });
    expect(await stored()).toEqual(["A1 @1 by 5", "A2 @2 by 9"]);
    expect(await letters()).toEqual([]);
  });

  test.skipIf(isSkipped)("stores nothing of a batch that does not begin at the position", async () => {
    const [one, other] = [await sink.open(termOf(5)), await sink.open(termOf(5))];
    await one.write({ prev: 0, last: 1, ticks: [tick("A", 1, 1)], dead: [] });
    // The same owner after a lost answer: `other` does not know what `one` has stored.
    await expect(
      other.write({ prev: 0, last: 2, ticks: [tick("B", 1, 2)], dead: [letter(1)] }),
    ).rejects.toThrow();
    expect(await stored()).toEqual(["A1 @1 by 5"]);
    expect(await letters()).toEqual([]);
    expect((await sink.open(termOf(5))).position).toBe(1);
  });

  test.skipIf(isSkipped)("publishes each dead letter once, as it came", async () => {
    const at = await sink.open(termOf(5));
    await at.write({ prev: 0, last: 3, ticks: [tick("A", 1, 1)], dead: [letter(2), letter(3)] });
    await sink.open(termOf(9));
    expect(await letters()).toEqual(["message 2", "message 3"]);
    expect(await reader.positions()).toMatchObject([{ seq: 3, stored: 1, dead: 2 }]);
  });
});

async function listOf<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of source) list.push(one);
  return list;
}
