import { after, type Instant, remainingMs } from "../election/time.ts";
import type { Clock, Session } from "./ports.ts";

/** A leader with a presence asks its server for a sign of life four times in the time for which one counts. */
const ASKS = 4;

/**
 * Has the server answered lately?
 *
 * With crash detection by presence, a closed connection entitles other nodes to take over. A client may notice the end of its connection
 * long after the server does: megabytes that it has yet to read can stand before it, or no packet says so. That the event
 * loop turns proves nothing then. A round trip does: when it began, the server had not closed the connection. What is proven is
 * the time of sending, whenever the answer is read.
 */
export class RoundTrips {
  readonly #clock: Clock;
  readonly #session: Pick<Session, "roundTrip">;
  readonly #provenForMs: () => number;
  #provenAt: Instant | null = null;
  #cancelTimer: (() => void) | null = null;
  /** Changes with `stop()`: an answer to an earlier question is none. */
  #run = 0;
  #waiting: (() => void)[] = [];
  /** Since when every answer has come too late to prove anything; `null`: the last one did not. */
  #lateSinceMono: number | null = null;
  #isReported = false;
  readonly #onTooSlow: (tookMs: number, provenForMs: number) => void;

  /**
   * @param provenForMs - The longest time, at present, for which a leader can be held after its server has closed the connection.
   * @param onTooSlow - Every answer has come too late for as long as one counts: the leader is not held, and will not be while that
   * lasts. Called once, until an answer is in time again.
   */
  constructor(
    clock: Clock,
    session: Pick<Session, "roundTrip">,
    provenForMs: () => number,
    onTooSlow: (tookMs: number, provenForMs: number) => void = () => {},
  ) {
    this.#clock = clock;
    this.#session = session;
    this.#provenForMs = provenForMs;
    this.#onTooSlow = onTooSlow;
  }

  /**
   * Starts asking. To be called when the write is sent whose ack may begin a term, with a time before that. It counts as proven: had
   * the connection been closed by then, there would be no ack.
   */
  start(now: Instant = this.#clock.now()): void {
    if (this.#provenAt !== null) return;
    this.#prove(now);
    this.#askLater();
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#provenAt = null;
    this.#lateSinceMono = null;
    this.#run += 1;
    this.#release();
  }

  isProven(now: Instant): boolean {
    return this.remainingMs(now) > 0;
  }

  /** For how long the last round trip still counts. */
  remainingMs(now: Instant): number {
    return this.#provenAt === null ? 0 : remainingMs(after(this.#provenAt, this.#provenForMs()), now);
  }

  /** Calls back when the connection is proven, or `stop()` has been called: at once if so. Returns the cancellation. */
  whenProven(run: () => void): () => void {
    if (this.#provenAt === null || this.isProven(this.#clock.now())) {
      run();
      return () => {};
    }
    this.#waiting.push(run);
    return () => {
      this.#waiting = this.#waiting.filter((one) => one !== run);
    };
  }

  #askLater(): void {
    this.#cancelTimer = this.#clock.setTimer(this.#provenForMs() / ASKS, () => {
      this.#ask();
      this.#askLater();
    });
  }

  #ask(): void {
    const run = this.#run;
    void this.#session.roundTrip(this.#clock.now()).then((sentAt) => {
      if (run !== this.#run || sentAt === null) return;
      this.#prove(sentAt);
      this.#noteLateness(sentAt);
    });
  }

  /** Not of one moment: a process or a network that stood still has many answers at once, and all are late. */
  #noteLateness(sentAt: Instant): void {
    const { mono } = this.#clock.now();
    const provenForMs = this.#provenForMs();
    if (mono - sentAt.mono < provenForMs) {
      this.#lateSinceMono = null;
      this.#isReported = false;
      return;
    }
    this.#lateSinceMono ??= mono;
    if (this.#isReported || mono - this.#lateSinceMono < provenForMs) return;
    this.#isReported = true;
    this.#onTooSlow(mono - sentAt.mono, provenForMs);
  }

  #prove(sentAt: Instant): void {
    if (this.#provenAt !== null && sentAt.mono < this.#provenAt.mono) return;
    this.#provenAt = sentAt;
    if (this.isProven(this.#clock.now())) this.#release();
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) run();
  }
}
