/**
 * What the page shows, by key, each with the number of its last change. A viewer that has seen everything up to a number needs only what has
 * changed since: no queue per viewer is kept, and a slow one gets the newest state of each key once.
 */
import { randomBytes } from "node:crypto";
import { printableJson } from "../../log/printable.ts";

/** Of keys that are gone, so many are remembered. A viewer that has seen less gets everything. */
const MAX_GONE = 1_000;

interface Item {
  readonly changed: number;
  readonly json: string;
  /** Shown only to viewers of it; `null`: to all. */
  readonly topic: string | null;
}

export interface Changes {
  readonly full: boolean;
  /** The viewer has now seen everything up to it. */
  readonly upTo: number;
  /** Key and JSON. */
  readonly set: ReadonlyArray<readonly [key: string, json: string]>;
  readonly gone: readonly string[];
}

export class Board {
  /** Distinguishes the numbers of this board from those of another run. */
  readonly run: string = randomBytes(6).toString("hex");
  readonly #items = new Map<string, Item>();
  readonly #gone = new Map<string, number>();
  readonly #listeners = new Set<() => void>();
  #last = 0;
  /** Keys that were gone at or before it are forgotten. */
  #forgotten = 0;

  /** Number of the last change. */
  get last(): number {
    return this.#last;
  }

  /** An equal value is no change. Characters that hide or reorder text become escapes, in every text of the value. */
  set(key: string, value: unknown, topic: string | null = null): void {
    const json = printableJson(value);
    if (this.#items.get(key)?.json === json) return;
    this.#items.set(key, { changed: ++this.#last, json, topic });
    this.#gone.delete(key);
    this.#notify();
  }

  delete(key: string): void {
    if (!this.#items.delete(key)) return;
    this.#gone.set(key, ++this.#last);
    const [oldest] = this.#gone;
    if (this.#gone.size > MAX_GONE && oldest !== undefined) {
      this.#gone.delete(oldest[0]);
      this.#forgotten = oldest[1];
    }
    this.#notify();
  }

  /** Deletes the keys that begin with `prefix`, apart from those in `keep`. */
  deleteUnder(prefix: string, keep: ReadonlySet<string> = new Set()): void {
    for (const key of [...this.#items.keys()]) if (key.startsWith(prefix) && !keep.has(key)) this.delete(key);
  }

  has(key: string): boolean {
    return this.#items.has(key);
  }

  /** @param seen - `null`: nothing. */
  since(seen: number | null, topic: string | null): Changes {
    const full = seen === null || seen < this.#forgotten || seen > this.#last;
    const after = full ? -1 : seen;
    const set: Array<readonly [string, string]> = [];
    for (const [key, item] of this.#items) {
      if (item.changed > after && (item.topic === null || item.topic === topic)) set.push([key, item.json]);
    }
    const gone = full ? [] : [...this.#gone].flatMap(([key, changed]) => (changed > after ? [key] : []));
    return { full, upTo: this.#last, set, gone };
  }

  /** Returns the function that removes the listener. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
