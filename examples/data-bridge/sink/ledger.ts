/**
 * The sink without a database: a JetStream stream with a fence for each partition. A batch is one atomic write of the server
 * (nats-server 2.12 or later): the ticks, each on a subject of its own that must be empty, the dead letters, and the position, whose
 * subject must still have the revision that was read.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { ClusterError, type FencedMessage, FencedStream, type FencedWriter } from "nats-leader/fencing";
import type { ResourceTerm } from "nats-leader/group";
import type { Names } from "../names.ts";
import { lastOn, readAll } from "../streams.ts";
import {
  type Batch,
  encodeDead,
  type PartitionCount,
  type PartitionSink,
  type SeqTick,
  type Sink,
  type SinkReader,
  type Written,
} from "./sink.ts";

export interface LedgerOptions {
  readonly nats: NatsConnection;
  readonly names: Names;
  /** Id of this instance. */
  readonly instance: string;
}

interface Position extends Omit<PartitionCount, "partition"> {
  /** Sequence of this position in the ledger; 0: there is none yet. */
  readonly revision: number;
}

const NONE: Position = { revision: 0, seq: 0, stored: 0, duplicates: 0, dead: 0 };

export function openLedgerSink({ nats, names, instance }: LedgerOptions): Sink {
  const streams = new Map<string, Promise<FencedStream>>();
  return {
    name: "JetStream ledger",

    async close() {
      for (const stream of streams.values()) (await stream.catch(() => null))?.close();
    },

    async open(term: ResourceTerm): Promise<PartitionSink> {
      const { resource } = term;
      const writer = await (await connect(resource)).open(term);
      let at = await positionOf(nats, names, resource);
      return {
        get position() {
          return at.seq;
        },
        async write(batch) {
          const { next, written } = await writeBatch(writer, term, at, batch);
          at = next;
          return written;
        },
      };
    },
  };

  /** One for each partition, with a fence of its own. One that could not be opened is opened again. */
  function connect(partition: string): Promise<FencedStream> {
    const known = streams.get(partition);
    if (known !== undefined) return known;
    const fence = `${names.fenceSubject}.${partition}`;
    const opening = FencedStream.connect(nats, { stream: names.ledger, fence });
    streams.set(partition, opening);
    opening.catch(() => streams.delete(partition));
    return opening;
  }

  async function writeBatch(
    writer: FencedWriter,
    term: ResourceTerm,
    at: Position,
    batch: Batch,
  ): Promise<{ readonly next: Position; readonly written: Written }> {
    if (batch.prev !== at.seq) throw new Error(`the batch does not begin at the stored position ${at.seq}`);
    let ticks = distinct(batch.ticks);
    for (;;) {
      const duplicates = batch.ticks.length - ticks.length;
      const next = {
        seq: batch.last,
        stored: at.stored + ticks.length,
        duplicates: at.duplicates + duplicates,
        dead: at.dead + batch.dead.length,
      };
      try {
        const { sequence } = await writer.batch(messagesOf(term, batch, ticks, at.revision, next));
        return { next: { ...next, revision: sequence }, written: { stored: ticks.length, duplicates } };
      } catch (error) {
        if (!(error instanceof ClusterError && error.code === "CONFLICT")) throw error;
        // A tick is stored already: the server has refused the whole batch. It is written again without what is stored.
        const fresh = await notStored(term.resource, ticks);
        if (fresh.length === ticks.length) throw error; // it is the position: open() reads it again
        ticks = fresh;
      }
    }
  }

  function messagesOf(
    term: ResourceTerm,
    { dead }: Batch,
    ticks: readonly SeqTick[],
    revision: number,
    next: Omit<Position, "revision">,
  ): FencedMessage[] {
    const { resource: partition, epoch } = term;
    const by = { instance, epoch };
    return [
      ...ticks.map((tick) => ({
        subject: subjectOfTick(partition, tick),
        data: JSON.stringify({ price: tick.price, seq: tick.seq, ...by }),
        options: { expectLast: 0 },
      })),
      ...dead.map((letter) => ({
        subject: `${names.deadSubject}.${partition}.${letter.seq}`,
        data: encodeDead(letter, by),
        options: { expectLast: 0 },
      })),
      {
        subject: `${names.ledgerSubject}.position.${partition}`,
        data: JSON.stringify(next),
        options: { expectLast: revision },
      },
    ];
  }

  async function notStored(partition: string, ticks: readonly SeqTick[]): Promise<SeqTick[]> {
    const found = await Promise.all(
      ticks.map((tick) => lastOn(nats, names.ledger, subjectOfTick(partition, tick))),
    );
    return ticks.filter((_, index) => found[index] === null);
  }

  function subjectOfTick(partition: string, { symbol, n }: SeqTick): string {
    return `${names.ledgerSubject}.tick.${partition}.${symbol}.${n}`;
  }
}

/** The first of each, in order. */
function distinct(ticks: readonly SeqTick[]): readonly SeqTick[] {
  const seen = new Set<string>();
  return ticks.filter(({ symbol, n }) => {
    const key = `${symbol}.${n}`;
    return !seen.has(key) && seen.add(key);
  });
}

async function positionOf(nats: NatsConnection, names: Names, partition: string): Promise<Position> {
  const found = await lastOn(nats, names.ledger, `${names.ledgerSubject}.position.${partition}`);
  return found === null ? NONE : { ...found.json<Omit<Position, "revision">>(), revision: found.seq };
}

export function openLedgerReader(nats: NatsConnection, names: Names, partitions: number): SinkReader {
  return {
    close: async () => {},

    positions: () =>
      Promise.all(
        Array.from({ length: partitions }, async (_, index) => ({
          ...(await positionOf(nats, names, String(index))),
          partition: String(index),
        })),
      ),

    async *stored() {
      for await (const message of readAll(nats, names.ledger, `${names.ledgerSubject}.tick.>`)) {
        const [, , partition = "", symbol = "", n = ""] = message.subject.split(".");
        const { price, seq, epoch } = message.json<{ price: number; seq: number; epoch: number }>();
        yield { symbol, n: Number(n), price, partition, seq, epoch };
      }
    },
  };
}
