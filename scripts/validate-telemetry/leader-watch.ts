/**
 * Asks `/leader` of every node again and again: an account of who led when that does not come from the metrics. A node that answers 200 has led
 * at some moment between the question and the answer.
 */
import { setTimeout as pause } from "node:timers/promises";

const PAUSE_MS = 15;
const ANSWER_MS = 1_000;

export interface Held {
  readonly node: string;
  readonly epoch: number;
  readonly askedAt: number;
  readonly answeredAt: number;
}

export class LeaderWatch {
  readonly #ending = new AbortController();
  readonly #loops: Promise<void>[];
  readonly #held: Held[] = [];
  readonly #now = new Map<string, number>();
  /** Answers 200 with an epoch below one that another node had answered before the question was asked. */
  readonly twoLeaders: string[] = [];

  /** @param doors Base URL of each node. */
  constructor(doors: ReadonlyMap<string, string>) {
    this.#loops = [...doors].map(([node, url]) => this.#watch(node, `${url}/leader`));
  }

  /** Who leads as the newest answers say, with the largest epoch. */
  get leader(): { readonly node: string; readonly epoch: number } | null {
    const [first] = [...this.#now].sort(([, a], [, b]) => b - a);
    return first === undefined ? null : { node: first[0], epoch: first[1] };
  }

  /** Status of the last answer of each node: 200 for those in this list. */
  get leading(): readonly string[] {
    return [...this.#now.keys()];
  }

  /** Every term that was seen, by epoch. */
  get terms(): ReadonlyMap<number, string> {
    return new Map(this.#held.map(({ epoch, node }) => [epoch, node]));
  }

  /** From the last answer of the term with this epoch to the first answer of the next one, in ms: at least as long as there was no leader. */
  gapAfter(epoch: number): number {
    const last = this.#held.findLast((one) => one.epoch === epoch);
    const next = this.#held.find((one) => one.epoch > epoch);
    if (last === undefined || next === undefined) return Number.NaN;
    return next.answeredAt - last.askedAt;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#loops);
  }

  async #watch(node: string, url: string): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const askedAt = performance.now();
      const epoch = await epochAt(url, signal);
      if (epoch === null) this.#now.delete(node);
      else this.#take({ node, epoch, askedAt, answeredAt: performance.now() });
      await pause(PAUSE_MS, undefined, { signal }).catch(() => {});
    }
  }

  #take(held: Held): void {
    this.#now.set(held.node, held.epoch);
    const newer = this.#held.find((one) => one.epoch > held.epoch && one.answeredAt < held.askedAt);
    if (newer !== undefined) {
      this.twoLeaders.push(`${held.node} (epoch ${held.epoch}) after ${newer.node} (epoch ${newer.epoch})`);
    }
    // The first and the newest answer of each term are enough.
    const own = this.#held.filter((one) => one.epoch === held.epoch);
    const newest = own[1];
    if (newest !== undefined) this.#held.splice(this.#held.indexOf(newest), 1);
    this.#held.push(held);
  }
}

/** `null`: it does not lead, or does not answer. */
async function epochAt(url: string, signal: AbortSignal): Promise<number | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) });
    const answer = (await response.json()) as { readonly epoch?: unknown };
    return response.status === 200 ? Number(answer.epoch) : null;
  } catch {
    return null;
  }
}
