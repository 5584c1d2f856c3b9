/**
 * What a sink promises, so that each message counts exactly once:
 *
 * - `open` moves the fence to the term and then reads the position. From then on no earlier owner can write.
 * - `write` stores the ticks, the dead letters and the new position together or not at all, and only if the fence is at this term and the
 *   position is still the one that the batch begins at.
 * - A tick whose key and position are stored already is not stored again.
 *
 * A `write` that rejects may have been stored (the answer was lost). The caller opens again, and the position says which.
 */
import type { ResourceTerm } from "nats-leader/group";
import type { Tick } from "../tick.ts";

export interface Sink {
  /** "PostgreSQL 17.2" or "JetStream ledger". */
  readonly name: string;
  open(term: ResourceTerm): Promise<PartitionSink>;
  close(): Promise<void>;
}

export interface PartitionSink {
  /** Sequence of the last message that is stored, removed as a duplicate, or a dead letter; 0: none. */
  readonly position: number;
  write(batch: Batch): Promise<Written>;
}

/** Consecutive messages of one partition. */
export interface Batch {
  /** The position before the batch, and after it. */
  readonly prev: number;
  readonly last: number;
  readonly ticks: readonly SeqTick[];
  readonly dead: readonly DeadLetter[];
}

export interface SeqTick extends Tick {
  /** Sequence in the stream of ticks. */
  readonly seq: number;
}

export interface DeadLetter {
  readonly seq: number;
  /** The message as it came. */
  readonly data: Uint8Array;
  readonly tries: number;
  readonly error: string;
}

export interface Written {
  readonly stored: number;
  readonly duplicates: number;
}

/** The sums of one partition that the sink has kept together with its position: not one by one, so that storing a batch twice shows. */
export interface PartitionCount {
  readonly partition: string;
  readonly seq: number;
  readonly stored: number;
  readonly duplicates: number;
  readonly dead: number;
}

/** A stored tick, as the final count reads it. */
export interface StoredTick extends SeqTick {
  readonly partition: string;
  readonly epoch: number;
}

/** What the final count reads. */
export interface SinkReader {
  positions(): Promise<readonly PartitionCount[]>;
  /** All stored ticks, in the order in which they were stored. */
  stored(): AsyncIterable<StoredTick>;
  close(): Promise<void>;
}

/** What a dead letter looks like on its subject. */
export function encodeDead(
  letter: DeadLetter,
  by: { readonly instance: string; readonly epoch: number },
): string {
  const { seq, data, tries, error } = letter;
  return JSON.stringify({ seq, tries, error, ...by, data: Buffer.from(data).toString("utf8") });
}
