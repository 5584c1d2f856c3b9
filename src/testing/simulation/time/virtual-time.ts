import { Answer } from "../fakes/answer.ts";

export interface Timer {
  /** True from `VirtualTime.set()` until the timer fires or is cancelled. */
  set: boolean;
  fire(): void;
}

/**
 * When code that waits for promises runs.
 *
 * `always`: a full turn of the event loop follows every timer, so any application code works. `announced`: fakes answer
 * within the event, and only promises that a fake announces are settled, one level deep. This suffices for a driver and is
 * ten times as fast.
 */
export type Settling = "always" | "announced";

/** True time of a simulated world, in milliseconds. Moves only in `advance()`. */
export class VirtualTime {
  readonly settling: Settling;
  /** A binary heap in three arrays, which avoids boxing the times. A cancelled timer stays in it until its time. */
  readonly #timers: Timer[] = [];
  readonly #ats: number[] = [];
  readonly #orders: number[] = [];
  #now = 0;
  #order = 0;
  #pending = 0;
  #unsettled = false;
  /** Number of pending periodic checks without a timer, see `VirtualClock`. */
  untimed = 0;

  constructor(settling: Settling = "always") {
    this.settling = settling;
  }

  get now(): number {
    return this.#now;
  }

  /** Number of things that are set and have not happened. */
  get pending(): number {
    return this.#pending + this.untimed;
  }

  /** Whether no timer is left for the present moment. */
  get quiet(): boolean {
    const next = this.#ats[0];
    return next === undefined || next > this.#now;
  }

  /** Calls `fire` at that time. Timers of one time fire in the order in which they were set. Returns a function that cancels. */
  at(time: number, fire: () => void): () => void {
    const timer: Timer = { set: false, fire };
    this.set(timer, time);
    return () => this.cancel(timer);
  }

  after(ms: number, fire: () => void): () => void {
    return this.at(this.#now + ms, fire);
  }

  /** As `at`, for a timer object of the caller, which saves a closure. A timer that has fired may be set again. */
  set(timer: Timer, time: number): void {
    timer.set = true;
    this.#pending += 1;
    this.#push(timer, time > this.#now ? time : this.#now, this.#order++);
  }

  cancel(timer: Timer): void {
    if (!timer.set) return;
    timer.set = false;
    this.#pending -= 1;
  }

  /** The answer of a fake: a promise, or with settling "announced" an `Answer`, which needs no turn of the event loop. */
  answer<T>(begin: (resolve: (value: T) => void) => void): PromiseLike<T> {
    if (this.settling === "always") return new Promise(begin);
    const answer = new Answer<T>();
    begin((value) => answer.settle(value));
    return answer;
  }

  /** A fake has settled a promise: code that waits for it runs before the next timer. */
  announce(): void {
    this.#unsettled = true;
  }

  /** Advances time by `ms`. Fires due timers in order and settles promises after each. Calls `afterEach` after each timer. */
  async advance(ms: number, afterEach?: () => void): Promise<void> {
    const until = this.#now + ms;
    const always = this.settling === "always";
    if (always) await settle();
    afterEach?.();
    for (let at = this.#ats[0]; at !== undefined && at <= until; at = this.#ats[0]) {
      const timer = this.#pop();
      if (!timer.set) continue;
      timer.set = false;
      this.#pending -= 1;
      this.#now = at;
      timer.fire();
      if (always) await settle();
      else if (this.#unsettled) {
        this.#unsettled = false;
        await undefined;
      }
      afterEach?.();
    }
    this.#now = until;
  }

  #push(timer: Timer, at: number, order: number): void {
    const [timers, ats, orders] = [this.#timers, this.#ats, this.#orders];
    let index = timers.length;
    // A new timer fires after all others of the same time.
    while (index > 0) {
      const above = (index - 1) >> 1;
      if ((ats[above] as number) <= at) break;
      timers[index] = timers[above] as Timer;
      ats[index] = ats[above] as number;
      orders[index] = orders[above] as number;
      index = above;
    }
    timers[index] = timer;
    ats[index] = at;
    orders[index] = order;
  }

  #pop(): Timer {
    const [timers, ats, orders] = [this.#timers, this.#ats, this.#orders];
    const first = timers[0] as Timer;
    const last = timers.pop() as Timer;
    const at = ats.pop() as number;
    const order = orders.pop() as number;
    const size = timers.length;
    if (size === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= size) break;
      if (below + 1 < size && this.#isBefore(below + 1, ats[below] as number, orders[below] as number))
        below += 1;
      if (!this.#isBefore(below, at, order)) break;
      timers[index] = timers[below] as Timer;
      ats[index] = ats[below] as number;
      orders[index] = orders[below] as number;
      index = below;
    }
    timers[index] = last;
    ats[index] = at;
    orders[index] = order;
    return first;
  }

  #isBefore(index: number, at: number, order: number): boolean {
    const other = this.#ats[index] as number;
    return other < at || (other === at && (this.#orders[index] as number) < order);
  }
}

/** Waits for one turn of the real event loop: settles every promise that needs no time to pass. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
