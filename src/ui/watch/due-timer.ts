/** A timer that can be set again: the earlier of two times counts, so that frequent requests do not put it off. */
export class DueTimer {
  readonly #act: () => void;
  #timer: NodeJS.Timeout | null = null;
  #at = 0;
  #closed = false;

  constructor(act: () => void) {
    this.#act = act;
  }

  /** Acts in so many milliseconds, or earlier if it is due earlier. */
  in(ms: number): void {
    const at = performance.now() + ms;
    if (this.#closed || (this.#timer !== null && this.#at <= at)) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#at = at;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#act();
    }, ms);
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
