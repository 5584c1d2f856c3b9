/** One thing that is to happen. */
interface Timer {
  readonly at: number;
  /** Timers of one time fire in the order they were set. */
  readonly order: number;
  readonly fire: () => void;
  cancelled: boolean;
}

/**
 * When code that waits for promises gets to run.
 *
 * `always`: a full turn of the event loop follows every timer, so any application code may take part. `announced`: only
 * promises of the fakes are waited for, one step deep. That is all a driver needs, and ten times as fast.
 */
export type Settling = "always" | "announced";

/** True time of a simulated world, in milliseconds. Moves only when told to. */
export class VirtualTime {
  readonly settling: Settling;
  readonly #heap: Timer[] = [];
  #now = 0;
  #order = 0;
  #pending = 0;
  #unsettled = false;
  /** What is to happen without a timer of its own. */
  untimed = 0;

  constructor(settling: Settling = "always") {
    this.settling = settling;
  }

  get now(): number {
    return this.#now;
  }

  /** What is set and has not happened. */
  get pending(): number {
    return this.#pending + this.untimed;
  }

  /** Is there nothing left that happens at this very moment? */
  get quiet(): boolean {
    const next = this.#heap[0];
    return next === undefined || next.at > this.#now;
  }

  /** Calls `fire` at that time; timers of one time fire in the order they were set. Returns the cancellation. */
  at(time: number, fire: () => void): () => void {
    const timer: Timer = {
      at: time > this.#now ? time : this.#now,
      order: this.#order++,
      fire,
      cancelled: false,
    };
    this.#pending += 1;
    this.#push(timer);
    return () => {
      if (timer.cancelled) return;
      timer.cancelled = true;
      this.#pending -= 1;
    };
  }

  after(ms: number, fire: () => void): () => void {
    return this.at(this.#now + ms, fire);
  }

  /** A fake has settled a promise: whoever waits for it comes before the next timer. */
  announce(): void {
    this.#unsettled = true;
  }

  /**
   * Lets that much time pass, firing what is due in order, with promises settled in between. `afterEach` sees the world
   * after everything that happened in it.
   */
  async advance(ms: number, afterEach?: () => void): Promise<void> {
    const until = this.#now + ms;
    const always = this.settling === "always";
    if (always) await settle();
    afterEach?.();
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#pop();
      if (next.cancelled) continue;
      next.cancelled = true;
      this.#pending -= 1;
      this.#now = next.at;
      next.fire();
      if (always) await settle();
      else if (this.#unsettled) {
        this.#unsettled = false;
        await undefined;
      }
      afterEach?.();
    }
    this.#now = until;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as Timer;
      if (!isBefore(timer, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Timer, heap[below] as Timer)) below += 1;
      const child = heap[below] as Timer;
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Lets every promise that can settle without time passing do so: one turn of the real event loop. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
