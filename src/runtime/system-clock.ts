import { randomBytes } from "node:crypto";
import { uptime } from "node:os";
import type { Instant } from "../election/time.ts";
import type { Clock, Random } from "./ports.ts";

/** A wall clock that moved this much against the monotonic one was stepped, or the machine was suspended. */
const SUSPICIOUS_MS = 50;

/** What the operating system offers. Replaceable so that the rules below can be tested. */
export interface RawClocks {
  /** Monotonic milliseconds; on Linux CLOCK_MONOTONIC, which stands still while the machine is suspended. */
  monotonicMs(): number;
  wallMs(): number;
  /** Time since boot including suspension, in milliseconds, resolution about 10 ms. Slow to read (a file on Linux). */
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
 * Node has no cheap clock that counts suspension. So two cheap ones are compared at every reading: when the wall clock
 * runs away from the monotonic one, either somebody set it or the machine was suspended, and the uptime tells which.
 * A step of the wall clock alone changes nothing.
 */
export class SystemClock implements Clock {
  readonly #raw: RawClocks;
  #wallMinusMono: number;
  #uptimeMinusMono: number;
  #suspendedMs = 0;

  constructor(raw: RawClocks = operatingSystem) {
    this.#raw = raw;
    const mono = raw.monotonicMs();
    this.#wallMinusMono = raw.wallMs() - mono;
    this.#uptimeMinusMono = raw.uptimeMs() - mono;
  }

  now(): Instant {
    const mono = this.#raw.monotonicMs();
    const wall = this.#raw.wallMs();
    const moved = wall - mono - this.#wallMinusMono;
    if (moved > SUSPICIOUS_MS || moved < -SUSPICIOUS_MS) this.#lookForSuspension(mono, wall);
    return { mono, boot: mono + this.#suspendedMs, wall };
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    // Rounded up: Node truncates to whole milliseconds and would fire early, again and again.
    const timer = setTimeout(fire, Math.ceil(delayMs));
    timer.unref();
    return () => clearTimeout(timer);
  }

  every(periodMs: number, look: () => void): () => void {
    const timer = setInterval(look, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  }

  afterTurn(run: () => void): void {
    // The check phase comes after the poll phase; twice, because we may be called between the two.
    setImmediate(() => setImmediate(run));
  }

  #lookForSuspension(mono: number, wall: number): void {
    this.#wallMinusMono = wall - mono;
    const stoodStillMs = this.#raw.uptimeMs() - mono - this.#uptimeMinusMono;
    if (stoodStillMs > this.#suspendedMs + SUSPICIOUS_MS) this.#suspendedMs = stoodStillMs;
  }
}

export const systemRandom: Random = {
  id: () => randomBytes(12).toString("base64url"),
};
