import { Answer } from "../fakes/answer.ts";

/** One thing that is to happen, once. */
export interface Timer {
  /** Is it set? Not any more when it fires, and when it is cancelled. */
  set: boolean;
  fire(): void;
}

/**
 * When code that waits for promises gets to run.
 *
 * `always`: a full turn of the event loop follows every timer, so any application code may take part. `announced`: fakes
 * answer within the event, and the few promises they settle are waited for, one step deep. That is all a driver needs, and
 * ten times as fast.
 */
export type Settling = "always" | "announced";

/** True time of a simulated world, in milliseconds. Moves only when told to. */
export class VirtualTime {
  readonly settling: Settling;
  /** A binary heap, in three arrays: objects would box each time that is compared. What was cancelled stays until its turn. */
  readonly #timers: Timer[] = [];
  readonly #ats: number[] = [];
  readonly #orders: number[] = [];
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
    const next = this.#ats[0];
    return next === undefined || next > this.#now;
  }

  /** Calls `fire` at that time; timers of one time fire in the order they were set. Returns the cancellation. */
  at(time: number, fire: () => void): () => void {
    const timer: Timer = { set: false, fire };
    this.set(timer, time);
    return () => this.cancel(timer);
  }

  after(ms: number, fire: () => void): () => void {
    return this.at(this.#now + ms, fire);
  }

  /** As `at`, without a closure for whoever never cancels, or keeps the timer itself. It may be set anew once it has fired. */
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

  /** What a fake will answer, as code that waits for it needs it: a promise, or something that spares its turns. */
  answer<T>(begin: (resolve: (value: T) => void) => void): PromiseLike<T> {
    if (this.settling === "always") return new Promise(begin);
    const answer = new Answer<T>();
    begin((value) => answer.settle(value));
    return answer;
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
    // What is set now comes after everything of the same time.
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

/** Lets every promise that can settle without time passing do so: one turn of the real event loop. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
