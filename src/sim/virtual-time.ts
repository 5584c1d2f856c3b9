import type { Instant } from "../election/time.ts";
import type { Clock } from "../runtime/ports.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** How many turns of the microtask queue follow every timer: more than the longest chain of promises in a port. */
const MICROTASK_TURNS = 12;

/** True time of a simulated world, in milliseconds. Moves only when told to. */
export class VirtualTime {
  #now = 0;
  #order = 0;
  #timers: Timer[] = [];

  get now(): number {
    return this.#now;
  }

  /** Calls `fire` at that time; timers of one time fire in the order they were set. Returns the cancellation. */
  at(time: number, fire: () => void): () => void {
    const timer: Timer = { at: Math.max(time, this.#now), order: this.#order++, fire };
    let index = this.#timers.length;
    for (let before = this.#timers[index - 1]; index > 0 && before !== undefined && before.at > timer.at; ) {
      index -= 1;
      before = this.#timers[index - 1];
    }
    this.#timers.splice(index, 0, timer);
    return () => {
      const found = this.#timers.indexOf(timer);
      if (found >= 0) this.#timers.splice(found, 1);
    };
  }

  after(ms: number, fire: () => void): () => void {
    return this.at(this.#now + ms, fire);
  }

  /** Lets that much time pass, firing what is due in order, with promises settled in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (let next = this.#timers[0]; next !== undefined && next.at <= until; next = this.#timers[0]) {
      this.#timers.shift();
      this.#now = next.at;
      next.fire();
      await settle();
    }
    this.#now = until;
  }
}

/** Lets every promise that can settle without time passing do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < MICROTASK_TURNS; turn += 1) await undefined;
}

export interface ClockFaults {
  /** Virtual milliseconds on this clock per true millisecond. */
  readonly rate?: number;
  /** What the wall clock is off by, in milliseconds. */
  readonly wallOffsetMs?: number;
}

/** A node's clocks in a simulated world: they may run fast or slow, the wall may be set, the machine may be suspended. */
export class VirtualClock implements Clock {
  readonly #time: VirtualTime;
  readonly #rate: number;
  #wallOffsetMs: number;
  #suspendedMs = 0;
  #pausedUntil = 0;

  constructor(time: VirtualTime, faults: ClockFaults = {}) {
    this.#time = time;
    this.#rate = faults.rate ?? 1;
    this.#wallOffsetMs = faults.wallOffsetMs ?? 0;
  }

  now(): Instant {
    const boot = this.#time.now * this.#rate;
    return {
      mono: boot - this.#suspendedMs,
      boot,
      wall: 1_700_000_000_000 + this.#time.now + this.#wallOffsetMs,
    };
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    let cancel: () => void = () => {};
    const attempt = (): void => {
      if (this.#time.now < this.#pausedUntil) cancel = this.#time.at(this.#pausedUntil, attempt);
      else fire();
    };
    cancel = this.#time.after(delayMs / this.#rate, attempt);
    return () => cancel();
  }

  afterTurn(run: () => void): void {
    this.#time.after(0, run);
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** The process is stopped (SIGSTOP) for that long: its timers fire late, its clocks go on. */
  pause(ms: number): void {
    this.#pausedUntil = this.#time.now + ms;
  }

  /** The machine is suspended for that long: as `pause`, and the monotonic clock stands still. */
  suspend(ms: number): void {
    this.pause(ms);
    this.#suspendedMs += ms * this.#rate;
  }

  get pausedUntil(): number {
    return this.#pausedUntil;
  }
}
