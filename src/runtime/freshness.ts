import { after, hasReached, type Instant } from "../election/time.ts";
import type { Clock } from "./ports.ts";

/** How often a leader with a presence checks its connection, and for how long one check counts. */
const CHECK_EVERY_MS = 50;
const STALE_AFTER_MS = 250;

/**
 * Has the event loop turned lately, and was the connection open when it did?
 *
 * With crash detection by presence, a closed connection entitles other nodes to take over. A process that was frozen, or blocked
 * by a long computation, has not handled the end of its socket yet. So after a pause it is not held until one full turn of the
 * loop has checked the sockets and found the connection open. The arrival of an answer proves nothing: it may have waited in
 * the socket since before the pause, with the end of the connection right behind it.
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
   * Starts the checks. To be called when the write is sent whose ack may begin a term, with a time before that. It counts as a check: had
   * the connection been closed by then, there would be no ack.
   */
  start(now: Instant = this.#clock.now()): void {
    if (this.#stop !== null) return;
    this.#confirm(now);
    let stopped = false;
    const check = (before: Instant): void => {
      if (!stopped && this.#isConnected()) this.#confirm(before);
    };
    const cancel = this.#clock.every(CHECK_EVERY_MS, () => {
      // The loop polls the sockets at some time between this moment and the end of the turn, and the process may be stopped in
      // between: the check proves the connection as of this moment.
      const before = this.#clock.now();
      this.#clock.afterTurn(() => check(before));
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
   * Calls back with an answer: at once, or after a pause once the loop has checked its sockets. Otherwise a term could begin that
   * was replaced while the process stood still.
   */
  afterCheck(run: () => void): void {
    const before = this.#clock.now();
    if (this.#staleAt === null || this.isFresh(before)) return run();
    this.#clock.afterTurn(() => {
      if (this.#staleAt !== null && this.#isConnected()) this.#confirm(before);
      run();
    });
  }

  #confirm(at: Instant): void {
    this.#staleAt = after(at, STALE_AFTER_MS);
  }
}
