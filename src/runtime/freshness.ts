import { after, hasReached, type Instant } from "../election/time.ts";
import type { Clock } from "./ports.ts";

/** How often a leader with a presence looks at its connection, and how old the last look may be. */
const LOOK_EVERY_MS = 50;
const STALE_AFTER_MS = 250;

/**
 * Has the event loop turned lately, and was the connection open when it did?
 *
 * With crash detection by presence a closed connection means that others may be taking over. A process that was frozen,
 * or blocked in a long computation, has not seen its socket close. So after a pause it may not call itself leader until
 * one full turn of the loop has looked at the sockets and found the connection open. That an answer arrived proves
 * nothing: it may have waited in the socket since before the pause, with the end of the connection right behind it.
 */
export class Freshness {
  readonly #clock: Clock;
  readonly #isConnected: () => boolean;
  #staleAt: Instant | null = null;
  #stop: (() => void) | null = null;

  constructor(clock: Clock, isConnected: () => boolean) {
    this.#clock = clock;
    this.#isConnected = isConnected;
  }

  /**
   * Starts looking; to be called when the write is sent whose answer may make a leader. The moment itself counts as
   * seen: if the connection were closed by now, there would be no answer.
   */
  start(): void {
    if (this.#stop !== null) return;
    this.#see(this.#clock.now());
    let stopped = false;
    const look = (before: Instant): void => {
      if (!stopped && this.#isConnected()) this.#see(before);
    };
    const cancel = this.#clock.every(LOOK_EVERY_MS, () => {
      // The sockets are looked at some time between this moment and the end of the turn, and the process may be kept from
      // running in between: what was seen is as of now.
      const before = this.#clock.now();
      this.#clock.afterTurn(() => look(before));
    });
    this.#stop = () => {
      stopped = true;
      cancel();
    };
  }

  stop(): void {
    this.#stop?.();
    this.#stop = null;
    this.#staleAt = null;
  }

  isFresh(now: Instant): boolean {
    return this.#staleAt !== null && !hasReached(this.#staleAt, now);
  }

  /**
   * Calls back with what an answer says: at once, or after a pause when the loop has looked at its sockets. Otherwise a term
   * could begin that was replaced while the process stood still.
   */
  afterLook(run: () => void): void {
    const before = this.#clock.now();
    if (this.#staleAt === null || this.isFresh(before)) return run();
    this.#clock.afterTurn(() => {
      if (this.#staleAt !== null && this.#isConnected()) this.#see(before);
      run();
    });
  }

  #see(at: Instant): void {
    this.#staleAt = after(at, STALE_AFTER_MS);
  }
}
