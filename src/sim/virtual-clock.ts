import type { Instant } from "../election/time.ts";
import type { Clock } from "../runtime/ports.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface ClockFaults {
  /** Virtual milliseconds on this clock per true millisecond. */
  readonly rate?: number;
  /** What the wall clock is off by, in milliseconds. */
  readonly wallOffsetMs?: number;
}

/** What an event loop finds first when a stopped process continues. Both happen, it depends on where it was stopped. */
export type FirstAfterPause = "timers" | "messages";

interface Late {
  readonly kind: "timers" | "messages" | "turns";
  readonly run: () => void;
}

/**
 * The clocks and the event loop of one process in a simulated world. Its clocks may run fast or slow, its wall clock may
 * be set, its machine suspended; the process may be stopped, continued and killed. Whatever is to happen *in* the process
 * goes through here: what arrives while it is stopped waits, in order, and what arrives after its death is lost.
 */
export class VirtualClock implements Clock {
  readonly #time: VirtualTime;
  readonly #rate: number;
  #wallOffsetMs: number;
  /** True milliseconds that the monotonic clock did not count, in suspensions that are over. */
  #stoodStillMs = 0;
  #suspension: { readonly from: number; readonly until: number } | null = null;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #first: FirstAfterPause = "timers";
  #late: Late[] = [];
  /** Late things that are about to happen now; whatever is new queues up behind them. */
  #catchingUp = 0;
  #killed = false;

  constructor(time: VirtualTime, faults: ClockFaults = {}) {
    this.#time = time;
    this.#rate = faults.rate ?? 1;
    this.#wallOffsetMs = faults.wallOffsetMs ?? 0;
  }

  /** False while the process is stopped, and for ever once it was killed. */
  get running(): boolean {
    return !this.#killed && this.#time.now >= this.#pausedUntil;
  }

  now(): Instant {
    const { now } = this.#time;
    return {
      mono: this.#mono(),
      boot: now * this.#rate,
      wall: 1_700_000_000_000 + now + this.#wallOffsetMs,
    };
  }

  #mono(): number {
    const { now } = this.#time;
    const suspension = this.#suspension;
    const present = suspension === null ? 0 : Math.min(now, suspension.until) - suspension.from;
    return (now - this.#stoodStillMs - present) * this.#rate;
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    // Like the real one: rounded up, at least one millisecond, by the monotonic clock.
    const dueMono = this.#mono() + Math.max(1, Math.ceil(delayMs));
    let cancelled = false;
    let cancel: (() => void) | null = null;
    const attempt = (): void => {
      if (cancelled) return;
      const missing = (dueMono - this.#mono()) / this.#rate;
      if (missing > 1e-6) cancel = this.#time.after(missing, wake);
      else fire();
    };
    const wake = (): void => this.#run("timers", attempt);
    attempt();
    return () => {
      cancelled = true;
      cancel?.();
    };
  }

  afterTurn(run: () => void): void {
    // Whatever else happens at this moment comes first; mostly that is nothing.
    if (this.#time.quiet && this.#isCurrent()) run();
    else this.#time.after(0, () => this.#run("turns", run));
  }

  /** Does the process run, with nothing left over from a pause? */
  #isCurrent(): boolean {
    return this.running && this.#late.length === 0 && this.#catchingUp === 0;
  }

  /** A message for this process arrives: handled now, after the pause, or never. */
  deliver(run: () => void): void {
    this.#run("messages", run);
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Calls back when a process that was stopped continues: from then on its state may be another without an event. */
  onContinue: (() => void) | null = null;

  /** The process is stopped (SIGSTOP) for that long, or until `resume()`; its clocks go on. */
  pause(ms: number, first: FirstAfterPause = "timers"): void {
    this.#first = first;
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#time.now + ms);
    if (this.#pausedUntil < Number.POSITIVE_INFINITY)
      this.#time.at(this.#pausedUntil, () => this.#continue());
  }

  /** SIGCONT, however long it was to be stopped. */
  resume(): void {
    if (this.#time.now >= this.#pausedUntil) return;
    this.#pausedUntil = this.#time.now;
    this.#continue();
  }

  /** The machine is suspended for that long: as `pause`, and the monotonic clock stands still. */
  suspend(ms: number, first: FirstAfterPause = "timers"): void {
    this.#endSuspension();
    this.#suspension = { from: this.#time.now, until: this.#time.now + ms };
    this.pause(ms, first);
  }

  /** The process is killed: nothing happens in it any more. */
  kill(): void {
    this.#killed = true;
    this.#late = [];
  }

  #run(kind: Late["kind"], run: () => void): void {
    if (this.#killed) return;
    if (this.#time.now < this.#pausedUntil || this.#late.length > 0) this.#late.push({ kind, run });
    else if (this.#catchingUp > 0) this.#time.after(0, () => this.#run(kind, run));
    else run();
  }

  #continue(): void {
    if (this.#time.now < this.#pausedUntil) return;
    this.onContinue?.();
    const late = this.#late;
    this.#late = [];
    const order =
      this.#first === "timers" ? ["timers", "messages", "turns"] : ["messages", "timers", "turns"];
    for (const kind of order) {
      for (const { run } of late.filter((one) => one.kind === kind)) {
        this.#catchingUp += 1;
        this.#time.after(0, () => {
          this.#catchingUp -= 1;
          if (this.#time.now < this.#pausedUntil) this.#run(kind as Late["kind"], run);
          else if (!this.#killed) run();
        });
      }
    }
  }

  #endSuspension(): void {
    if (this.#suspension === null) return;
    this.#stoodStillMs += Math.min(this.#time.now, this.#suspension.until) - this.#suspension.from;
    this.#suspension = null;
  }
}
