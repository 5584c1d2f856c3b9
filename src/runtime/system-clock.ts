import { randomBytes } from "node:crypto";
import { uptime } from "node:os";
import type { Instant } from "../election/time.ts";
import type { Clock, Random } from "./ports.ts";
import { MAX_TIMER_MS } from "./waiting.ts";

/** If the wall clock has moved by this much against the monotonic clock, it was set or the machine was suspended. */
const SUSPICIOUS_MS = 50;

/** The clocks of the operating system. Replaceable for tests. */
export interface RawClocks {
  /** Monotonic milliseconds; on Linux CLOCK_MONOTONIC, which stops while the machine is suspended. */
  monotonicMs(): number;
  wallMs(): number;
  /** Milliseconds since boot, including suspension; resolution about 10 ms. Slow to read (a file on Linux). */
  uptimeMs(): number;
}

const operatingSystem: RawClocks = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  uptimeMs: () => uptime() * 1000,
};

/**
 * The clocks of this process.
 *
 * Node has no cheap clock that counts suspension. So every reading compares two cheap ones: if the wall clock has moved against
 * the monotonic clock, it was set or the machine was suspended, and the uptime shows which. Setting the wall clock alone changes
 * nothing.
 */
export class SystemClock implements Clock {
  readonly #raw: RawClocks;
  #wallMinusMono: number;
  #uptimeMinusMono: number;
  #suspendedMs = 0;

  /** @param raw - For tests. A process has one clock: `systemClock()`. */
  constructor(raw: RawClocks) {
    this.#raw = raw;
    const mono = raw.monotonicMs();
    this.#wallMinusMono = raw.wallMs() - mono;
    this.#uptimeMinusMono = raw.uptimeMs() - mono;
  }

  now(): Instant {
    const mono = this.#raw.monotonicMs();
    const wall = this.#raw.wallMs();
    const moved = wall - mono - this.#wallMinusMono;
    if (moved > SUSPICIOUS_MS || moved < -SUSPICIOUS_MS) this.#detectSuspension(mono, wall);
    return { mono, boot: mono + this.#suspendedMs, wall };
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    // Rounded up: Node truncates to whole milliseconds, and a timer that fires early would be set again at once.
    const timer = setTimeout(fire, Math.min(Math.ceil(delayMs), MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  }

  every(periodMs: number, fire: () => void): () => void {
    const timer = setInterval(fire, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  }

  afterTurn(run: () => void): void {
    // The check phase follows the poll phase. Twice, because this may be called between the two.
    setImmediate(() => setImmediate(run));
  }

  #detectSuspension(mono: number, wall: number): void {
    this.#wallMinusMono = wall - mono;
    const suspendedMs = this.#raw.uptimeMs() - mono - this.#uptimeMinusMono;
    if (suspendedMs > this.#suspendedMs + SUSPICIOUS_MS) this.#suspendedMs = suspendedMs;
  }
}

let ofProcess: SystemClock | null = null;

/**
 * The clock of this process. One for all: `boot` counts the suspensions that its clock has seen, so the readings of two clocks have no
 * common origin, and a deadline by one may never pass by the other.
 */
export function systemClock(): SystemClock {
  ofProcess ??= new SystemClock(operatingSystem);
  return ofProcess;
}

export const systemRandom: Random = {
  id: () => randomBytes(12).toString("base64url"),
};
