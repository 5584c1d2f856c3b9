import type { Clock } from "./ports.ts";

/**
 * Listens for the beats of another connection. Reports once that they are missing, and once that they are heard again. Late reports
 * only put off a takeover.
 */
export class BeatWatch {
  readonly #clock: Clock;
  readonly #missingMs: number;
  readonly #report: (isSilent: boolean) => void;
  #heardAtMono: number;
  #isSilent = false;
  #cancelTimer: (() => void) | null = null;

  /** `missingMs`: after so long without a beat, from now on, the connection counts as silent. */
  constructor(clock: Clock, missingMs: number, report: (isSilent: boolean) => void) {
    this.#clock = clock;
    this.#missingMs = missingMs;
    this.#report = report;
    this.#heardAtMono = clock.now().mono;
    this.#wait(missingMs);
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** A beat was heard, or nothing could be heard until now. */
  heard(): void {
    this.#heardAtMono = this.#clock.now().mono;
    if (!this.#isSilent) return;
    this.#isSilent = false;
    this.#wait(this.#missingMs);
    this.#report(false);
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  #wait(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#clock.setTimer(delayMs, () => {
      this.#cancelTimer = null;
      const restMs = this.#heardAtMono + this.#missingMs - this.#clock.now().mono;
      if (restMs > 0) return this.#wait(restMs);
      this.#isSilent = true;
      this.#report(true);
    });
  }
}
