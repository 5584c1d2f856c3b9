import { type BeatsUnderWay, echo, NO_BEATS, sendBeat } from "../election/beats.ts";
import type { Instant } from "../election/time.ts";
import type { Clock, Random } from "./ports.ts";

/**
 * When the first beat is sent, for an election that begins to depend on beats: it has just sent the write to acquire the lease. Its ack
 * is not to wait for a beat and its echo, and nothing depends on beats before `silenceMs` is over.
 */
const FIRST_AFTER_MS = 10;

/** What `Beats` reports. */
export interface BeatsListener {
  /** Publishes a beat on the present connection. */
  send(token: string): void;
  /** The first echo on the present connection has arrived: what this process sends to itself comes back. */
  comesBack(): void;
  /** The server has counted a beat that was sent then, on the present connection. `tookMs`: round trip of the beat that shows it. */
  proven(sentAt: Instant, tookMs: number): void;
}

/** Sends the beats of a connection and takes in their echoes. One per connection, whatever depends on it. */
export class Beats {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #listener: BeatsListener;
  #connected = false;
  #everyMs: number | null = null;
  #underWay: BeatsUnderWay = NO_BEATS;
  #returns = false;
  #cancelTimer: (() => void) | null = null;
  /** When the last beat was to be sent, in monotonic milliseconds. */
  #plannedAtMono = 0;

  constructor(clock: Clock, random: Random, listener: BeatsListener) {
    this.#clock = clock;
    this.#random = random;
    this.#listener = listener;
  }

  /** Has a beat come back on the present connection? */
  get returns(): boolean {
    return this.#returns;
  }

  /** A connection begins. One beat shows whether what is sent comes back. */
  connected(): void {
    this.ended();
    this.#connected = true;
    this.#send();
    this.#setTimer();
  }

  /** The connection has ended: the echoes of its beats are none. */
  ended(): void {
    this.#connected = false;
    this.#underWay = NO_BEATS;
    this.#returns = false;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  /** From now on a beat is sent so often; `null`: none. */
  every(everyMs: number | null): void {
    if (everyMs === this.#everyMs) return;
    const began = this.#everyMs === null;
    this.#everyMs = everyMs;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (!this.#connected || everyMs === null) return;
    const { mono } = this.#clock.now();
    if (began) this.#plannedAtMono = mono + Math.min(FIRST_AFTER_MS, everyMs) - everyMs;
    // What is overdue at the new interval is not put off by it.
    else if (mono >= this.#plannedAtMono + everyMs) this.#send();
    this.#setTimer();
  }

  /** Returns for how long the beat was under way; `null`: it is none of the present connection. */
  echoed(token: string): number | null {
    const { beats, sentAt, proven } = echo(this.#underWay, token);
    this.#underWay = beats;
    if (sentAt === null) return null;
    const tookMs = this.#clock.now().mono - sentAt.mono;
    if (!this.#returns) {
      this.#returns = true;
      this.#listener.comesBack();
    }
    if (proven !== null) this.#listener.proven(proven, tookMs);
    return tookMs;
  }

  #setTimer(): void {
    const everyMs = this.#everyMs;
    if (everyMs === null || this.#cancelTimer !== null) return;
    const { mono } = this.#clock.now();
    // From the last planned time, so that the delays of timers do not add up. What was missed is not made up for.
    const dueAtMono = this.#plannedAtMono + everyMs;
    const atMono = dueAtMono > mono ? dueAtMono : mono + everyMs;
    this.#cancelTimer = this.#clock.setTimer(atMono - mono, () => {
      this.#cancelTimer = null;
      this.#send(atMono);
      this.#setTimer();
    });
  }

  #send(plannedAtMono?: number): void {
    const token = this.#random.id();
    // Read before the beat is handed to the client.
    const now = this.#clock.now();
    this.#plannedAtMono = plannedAtMono ?? now.mono;
    this.#underWay = sendBeat(this.#underWay, token, now);
    this.#listener.send(token);
  }
}
