import type { Instant } from "../election/time.ts";
import type { Clock } from "./ports.ts";

/**
 * The timer of a state machine: wakes it when it next has something to do. A timer that fires sooner than needed stays, and the next one
 * is set when it fires: most events only put the wake-up off, and setting a timer for each would cost more.
 */
export class WakeTimer {
  readonly #clock: Clock;
  readonly #delayMs: (now: Instant) => number | null;
  readonly #wake: () => void;
  #cancel: (() => void) | null = null;
  /** When the present timer fires, in monotonic milliseconds. */
  #atMono = 0;

  /**
   * @param delayMs Milliseconds until something is due; 0: it is due now; `null`: nothing will be.
   * @param wake Called when something is due. It calls `update()`.
   */
  constructor(clock: Clock, delayMs: (now: Instant) => number | null, wake: () => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#wake = wake;
  }

  /** To be called when what is due may have changed. */
  update(): void {
    const now = this.#clock.now();
    const delayMs = this.#delayMs(now);
    if (delayMs !== null && this.#cancel !== null && this.#atMono <= now.mono + delayMs) return;
    this.#cancel?.();
    this.#cancel = null;
    if (delayMs === null) return;
    this.#atMono = now.mono + delayMs;
    this.#cancel = this.#clock.setTimer(delayMs, this.#fire);
  }

  readonly #fire = (): void => {
    this.#cancel = null;
    if (this.#delayMs(this.#clock.now()) === 0) this.#wake();
    else this.update();
  };
}
