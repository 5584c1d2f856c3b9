/**
 * Keeps requests from taking the event loop: what takes long to make is made by one request at a time, and its result is used again for a
 * time in proportion. However many clients ask, at most a tenth of the time is spent on it.
 */

/** For how many times as long as it took to make, a result is used again. */
const REUSE_FACTOR = 9;

export class Paced<T> {
  readonly #nowMs: () => number;
  #last: { readonly value: T; readonly untilMs: number } | null = null;
  #making: Promise<T> | null = null;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** The last result, or one that is being made, or a new one. A failure is not kept. */
  async get(make: () => T | Promise<T>): Promise<T> {
    if (this.#last !== null && this.#nowMs() < this.#last.untilMs) return this.#last.value;
    this.#making ??= this.#make(make).finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  async #make(make: () => T | Promise<T>): Promise<T> {
    const startedMs = this.#nowMs();
    const value = await make();
    const endedMs = this.#nowMs();
    this.#last = { value, untilMs: endedMs + REUSE_FACTOR * (endedMs - startedMs) };
    return value;
  }
}
