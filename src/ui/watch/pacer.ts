/** Runs jobs in the order in which they were added, at most some at the same time: a page must not flood an account with requests. */
export class Pacer {
  readonly #most: number;
  readonly #waiting: Array<() => Promise<void>> = [];
  #running = 0;
  #closed = false;

  constructor(most: number) {
    this.#most = most;
  }

  /** @param job - Never rejects. */
  add(job: () => Promise<void>): void {
    if (this.#closed) return;
    this.#waiting.push(job);
    this.#next();
  }

  /** Jobs that run are left to themselves. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
  }

  #next(): void {
    while (this.#running < this.#most) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#running += 1;
      void job().finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }
}
