interface Timer {
  readonly at: number;
  readonly fire: () => void;
  cancelled: boolean;
}

/** How many turns of the microtask queue follow every timer: more than the longest chain of promises in a port. */
const MICROTASK_TURNS = 12;

/** True time of a simulated world, in milliseconds. Moves only when told to. */
export class VirtualTime {
  #now = 0;
  #timers: Timer[] = [];

  get now(): number {
    return this.#now;
  }

  /** Timers that are set and have not fired. */
  get pending(): number {
    return this.#timers.filter((timer) => !timer.cancelled).length;
  }

  /** Calls `fire` at that time; timers of one time fire in the order they were set. Returns the cancellation. */
  at(time: number, fire: () => void): () => void {
    const timer: Timer = { at: Math.max(time, this.#now), fire, cancelled: false };
    let index = this.#timers.length;
    for (let before = this.#timers[index - 1]; before !== undefined && before.at > timer.at; ) {
      index -= 1;
      before = this.#timers[index - 1];
    }
    this.#timers.splice(index, 0, timer);
    return () => {
      timer.cancelled = true;
    };
  }

  after(ms: number, fire: () => void): () => void {
    return this.at(this.#now + ms, fire);
  }

  /**
   * Lets that much time pass, firing what is due in order, with promises settled in between. `afterEach` sees the world
   * after everything that happened in it.
   */
  async advance(ms: number, afterEach?: () => void): Promise<void> {
    const until = this.#now + ms;
    await settle();
    afterEach?.();
    for (let next = this.#timers[0]; next !== undefined && next.at <= until; next = this.#timers[0]) {
      this.#timers.shift();
      if (next.cancelled) continue;
      this.#now = next.at;
      next.fire();
      await settle();
      afterEach?.();
    }
    this.#now = until;
  }
}

/** Lets every promise that can settle without time passing do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < MICROTASK_TURNS; turn += 1) await undefined;
}
