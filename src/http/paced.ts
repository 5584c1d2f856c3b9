/**
 * Keeps requests from taking the event loop: what takes long to make is made by one request at a time, and its result is used again for a
 * time in proportion to the processor time that it took. Time without processor time (the process was stopped, or waited) costs the loop
 * nothing, and makes a result old instead.
 */
import { systemClock } from "../runtime/system-clock.ts";

/** For how many times the processor time that it took to make, a result is used again. */
const REUSE_FACTOR = 9;
/** Since its making began. An older result is not used: the lease that it reports may have expired in the meantime. */
const MAX_AGE_MS = 1_000;

/** Replaceable for tests. */
export interface PaceClocks {
  /** Goes on while the process or the machine is suspended. */
  nowMs(): number;
  /** Processor time of the process. */
  cpuMs(): number;
}

const operatingSystem: PaceClocks = {
  nowMs: () => systemClock().now().boot,
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
};

interface Made<T> {
  readonly value: T;
  readonly startedMs: number;
  /** When it is no longer used again. */
  readonly untilMs: number;
}

export class Paced<T> {
  readonly #clocks: PaceClocks;
  #last: Made<T> | null = null;
  #making: Promise<T> | null = null;

  constructor(clocks: PaceClocks = operatingSystem) {
    this.#clocks = clocks;
  }

  /** The last result, or one that is being made, or a new one. A failure is not kept. */
  async get(make: () => T | Promise<T>): Promise<T> {
    if (this.#last !== null && this.#clocks.nowMs() < this.#last.untilMs) return this.#last.value;
    this.#making ??= this.#make(make).finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  async #make(make: () => T | Promise<T>): Promise<T> {
    let made = await this.#makeOnce(make);
    // Most likely the process stood still. Once only: a source that always takes this long gets no faster.
    if (this.#clocks.nowMs() - made.startedMs > MAX_AGE_MS) made = await this.#makeOnce(make);
    this.#last = made;
    return made.value;
  }

  async #makeOnce(make: () => T | Promise<T>): Promise<Made<T>> {
    const startedMs = this.#clocks.nowMs();
    const startedCpuMs = this.#clocks.cpuMs();
    const value = await make();
    const reuseMs = REUSE_FACTOR * (this.#clocks.cpuMs() - startedCpuMs);
    const untilMs = Math.min(this.#clocks.nowMs() + reuseMs, startedMs + MAX_AGE_MS);
    return { value, startedMs, untilMs };
  }
}
