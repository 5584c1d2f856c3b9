import type { Clock } from "./ports.ts";

/** How often a leader with a presence looks at its connection, and how old the last look may be. */
const LOOK_EVERY_MS = 50;
const STALE_AFTER_MS = 250;

/**
 * Has the event loop turned lately, and was the connection open when it did?
 *
 * With crash detection by presence a closed connection means that others may be taking over. A process that was frozen,
 * or blocked in a long computation, has not seen its socket close. So after a pause it may not call itself leader until
 * one full turn of the loop has looked at the sockets and found the connection open.
 */
export class Freshness {
  readonly #clock: Clock;
  readonly #isConnected: () => boolean;
  #seenAtMono = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | null = null;

  constructor(clock: Clock, isConnected: () => boolean) {
    this.#clock = clock;
    this.#isConnected = isConnected;
  }

  /** Starts looking. An I/O event has just been handled, so this very moment counts as seen. */
  start(): void {
    if (this.#cancel !== null) return;
    this.#seenAtMono = this.#clock.now().mono;
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#seenAtMono = Number.NEGATIVE_INFINITY;
  }

  isFresh(nowMono: number): boolean {
    return nowMono - this.#seenAtMono < STALE_AFTER_MS;
  }

  #schedule(): void {
    this.#cancel = this.#clock.setTimer(LOOK_EVERY_MS, () => {
      this.#clock.afterTurn(() => {
        if (this.#cancel === null) return;
        if (this.#isConnected()) this.#seenAtMono = this.#clock.now().mono;
        this.#schedule();
      });
    });
  }
}
