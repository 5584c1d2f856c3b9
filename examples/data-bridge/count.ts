/** The final count: whether each message of the stream was dealt with exactly once. Without I/O. */
import type { PartitionCount, StoredTick } from "./sink/sink.ts";
import { decodeTick, type Tick } from "./tick.ts";

/** Positions of one symbol. In order it needs no memory; what is out of order is kept until the gap before it is filled. */
export class Series {
  #last = 0;
  readonly #beyond = new Set<number>();

  /** `false` if it is in the series already. */
  add(n: number): boolean {
    if (this.has(n)) return false;
    this.#beyond.add(n);
    while (this.#beyond.delete(this.#last + 1)) this.#last += 1;
    return true;
  }

  has(n: number): boolean {
    return n <= this.#last || this.#beyond.has(n);
  }

  *[Symbol.iterator](): Generator<number> {
    for (let n = 1; n <= this.#last; n++) yield n;
    yield* this.#beyond;
  }

  get size(): number {
    return this.#last + this.#beyond.size;
  }
}

class AllSeries {
  readonly #series = new Map<string, Series>();

  add({ symbol, n }: Pick<Tick, "symbol" | "n">): boolean {
    let series = this.#series.get(symbol);
    if (series === undefined) {
      series = new Series();
      this.#series.set(symbol, series);
    }
    return series.add(n);
  }

  has({ symbol, n }: Pick<Tick, "symbol" | "n">): boolean {
    return this.#series.get(symbol)?.has(n) ?? false;
  }

  get size(): number {
    return [...this.#series.values()].reduce((sum, series) => sum + series.size, 0);
  }

  *[Symbol.iterator](): Generator<Pick<Tick, "symbol" | "n">> {
    for (const [symbol, series] of this.#series) for (const n of series) yield { symbol, n };
  }
}

/** What the count has found. `ok`: nothing was lost, stored twice, or written by an owner that was replaced. */
export interface Verdict {
  readonly ok: boolean;
  /** Messages in the stream of ticks. */
  readonly messages: number;
  /** Different ticks among them, by key and position. */
  readonly ticks: number;
  readonly stored: number;
  readonly duplicatesRemoved: number;
  readonly deadLetters: number;
  /** Acknowledged by the stream or in it, and neither stored nor a dead letter. */
  readonly lost: number;
  /** Stored more than once, or stored and a dead letter. */
  readonly duplicates: number;
  /** Stored by an owner after a newer owner of its partition had stored. */
  readonly staleAccepted: number;
  /** One sentence for each kind of contradiction. */
  readonly problems: readonly string[];
}

interface Lane {
  messages: number;
  last: number;
  storedSeq: number;
  epoch: number;
}

export class Count {
  readonly #inStream = new AllSeries();
  readonly #stored = new AllSeries();
  readonly #dead = new AllSeries();
  readonly #lanes = new Map<string, Lane>();
  readonly #problems = new Map<string, number>();
  #messages = 0;
  #storedRows = 0;
  #deadLetters = 0;
  #removed = 0;
  #duplicates = 0;
  #stale = 0;

  /** A message of the stream of ticks, in its order. */
  addMessage(partition: string, seq: number, data: Uint8Array): void {
    const lane = this.#lane(partition);
    lane.messages += 1;
    lane.last = seq;
    this.#messages += 1;
    const tick = keyOf(data);
    if (tick !== null) this.#inStream.add(tick);
  }

  /** A tick of the sink, in the order of storing. */
  addStored(tick: StoredTick): void {
    this.#storedRows += 1;
    if (!this.#stored.add(tick)) this.#duplicates += 1;
    if (!this.#inStream.has(tick)) this.#problem("stored ticks are not in the stream");
    const lane = this.#lane(tick.partition);
    if (tick.epoch < lane.epoch) this.#stale += 1;
    else if (tick.seq <= lane.storedSeq) this.#problem("ticks were not stored in the order of the stream");
    lane.epoch = Math.max(lane.epoch, tick.epoch);
    lane.storedSeq = Math.max(lane.storedSeq, tick.seq);
  }

  /** After all stored ticks. */
  addDead(data: Uint8Array): void {
    this.#deadLetters += 1;
    const tick = keyOf(data);
    if (tick === null) return;
    this.#dead.add(tick);
    if (this.#stored.has(tick)) this.#duplicates += 1;
  }

  /** The sums that the sink has kept with its position. */
  addPosition({ partition, seq, stored, duplicates, dead }: PartitionCount): void {
    const lane = this.#lane(partition);
    this.#removed += duplicates;
    if (seq !== lane.last)
      this.#problem(`partition ${partition} ends at ${seq} and not at its last message, ${lane.last}`);
    const sum = stored + duplicates + dead;
    if (sum !== lane.messages)
      this.#problem(`partition ${partition} has ${lane.messages} messages, and the sink counted ${sum}`);
  }

  /** @param acknowledged - The last position of each symbol whose ticks the stream has acknowledged. */
  verdict(acknowledged: ReadonlyMap<string, number>): Verdict {
    let lost = 0;
    for (const tick of this.#inStream) if (!this.#stored.has(tick) && !this.#dead.has(tick)) lost += 1;
    for (const [symbol, last] of acknowledged) {
      for (let n = 1; n <= last; n++) {
        if (this.#inStream.has({ symbol, n })) continue;
        lost += 1;
        this.#problem("acknowledged ticks are not in the stream");
      }
    }
    const problems = [...this.#problems].map(([text, count]) => (count === 1 ? text : `${text} (${count})`));
    return {
      ok: lost + this.#duplicates + this.#stale === 0 && problems.length === 0,
      messages: this.#messages,
      ticks: this.#inStream.size,
      stored: this.#storedRows,
      duplicatesRemoved: this.#removed,
      deadLetters: this.#deadLetters,
      lost,
      duplicates: this.#duplicates,
      staleAccepted: this.#stale,
      problems,
    };
  }

  #lane(partition: string): Lane {
    let lane = this.#lanes.get(partition);
    if (lane === undefined) {
      lane = { messages: 0, last: 0, storedSeq: 0, epoch: 0 };
      this.#lanes.set(partition, lane);
    }
    return lane;
  }

  #problem(text: string): void {
    this.#problems.set(text, (this.#problems.get(text) ?? 0) + 1);
  }
}

/** `null`: a message without a key, which is counted by its position alone. */
function keyOf(data: Uint8Array): Tick | null {
  try {
    return decodeTick(data);
  } catch {
    return null;
  }
}
