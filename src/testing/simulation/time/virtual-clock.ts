import type { Instant } from "../../../election/time.ts";
import type { Clock } from "../../../runtime/ports.ts";
import type { Timer, VirtualTime } from "./virtual-time.ts";

export interface ClockFaults {
  /** Virtual milliseconds on this clock per true millisecond. */
  readonly rate?: number;
  /** What the wall clock is off by, in milliseconds. */
  readonly wallOffsetMs?: number;
}

/** What an event loop finds first when a stopped process continues. Both happen, it depends on where it was stopped. */
export type FirstAfterPause = "timers" | "messages";

/** A timer by the monotonic clock of a process, which may stand still meanwhile. */
class ClockTimer implements Timer {
  set = false;
  readonly dueMono: number;
  readonly run: () => void;
  readonly #wake: (timer: ClockTimer) => void;
  cancelled = false;

  constructor(dueMono: number, run: () => void, wake: (timer: ClockTimer) => void) {
    this.dueMono = dueMono;
    this.run = run;
    this.#wake = wake;
  }

  fire(): void {
    this.#wake(this);
  }
}

/** A look that is made again and again, see `every`. */
interface Regular {
  readonly periodMs: number;
  readonly look: () => void;
  /** True time of the next one while no timer waits for it; otherwise infinite. */
  dueAt: number;
  cancelTimer: (() => void) | null;
}

/** So long after a pause every look is made at its time: what it finds may change what others see of the process. */
export const EXACT_AFTER_PAUSE_MS = 500;

interface Late {
  readonly kind: "timers" | "messages" | "turns";
  readonly run: () => void;
}

/**
 * The clocks and the event loop of one process in a simulated world. Its clocks may run fast or slow, its wall clock may
 * be set, its machine suspended; the process may be stopped, continued and killed. Whatever is to happen *in* the process
 * goes through here: what arrives while it is stopped waits, in order, and what arrives after its death is lost.
 *
 * Where time settles only what is announced, a regular look is made no sooner than somebody could tell: before anything
 * else happens in the process, before its clock is read, before it is stopped. Most of a history's timers are spared so,
 * and nothing else is different (`test/simulator/settling.test.ts`).
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
  #regulars: Regular[] = [];
  /** The earliest `dueAt` of them. */
  #lookDueAt = Number.POSITIVE_INFINITY;
  #exactUntil = Number.NEGATIVE_INFINITY;
  /** While a look is made up for: the time at which it was due. */
  #asOf: number | null = null;

  /** The last reading, and when it was taken: most moments are asked for more than once. */
  #reading: Instant | null = null;
  #readAt = 0;

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
    if (this.#time.now >= this.#lookDueAt) this.#makeUp();
    const now = this.#asOf ?? this.#time.now;
    if (this.#reading === null || now !== this.#readAt) {
      this.#readAt = now;
      this.#reading = {
        mono: this.#mono(now),
        boot: now * this.#rate,
        wall: 1_700_000_000_000 + now + this.#wallOffsetMs,
      };
    }
    return this.#reading;
  }

  #mono(now: number): number {
    const suspension = this.#suspension;
    const present = suspension === null ? 0 : Math.min(now, suspension.until) - suspension.from;
    return (now - this.#stoodStillMs - present) * this.#rate;
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    // Like the real one: rounded up, at least one millisecond, by the monotonic clock.
    return this.#timerAt(this.#mono(this.#time.now) + Math.max(1, Math.ceil(delayMs)), fire);
  }

  #timerAt(dueMono: number, run: () => void): () => void {
    const timer = new ClockTimer(dueMono, run, this.#wake);
    this.#time.set(timer, this.#time.now + this.#missingMs(dueMono));
    return () => {
      timer.cancelled = true;
      this.#time.cancel(timer);
    };
  }

  /** True milliseconds until the monotonic clock gets there, if it goes on. */
  #missingMs(dueMono: number): number {
    return (dueMono - this.#mono(this.#time.now)) / this.#rate;
  }

  readonly #wake = (timer: ClockTimer): void => {
    if (this.caughtUp) this.#attempt(timer);
    else this.#run("timers", () => this.#attempt(timer));
  };

  #attempt(timer: ClockTimer): void {
    if (timer.cancelled) return;
    if (this.#time.now >= this.#lookDueAt) this.#makeUp();
    const missingMs = this.#missingMs(timer.dueMono);
    if (missingMs > 1e-6) this.#time.set(timer, this.#time.now + missingMs);
    else timer.run();
  }

  every(periodMs: number, look: () => void): () => void {
    const regular: Regular = { periodMs, look, dueAt: Number.POSITIVE_INFINITY, cancelTimer: null };
    this.#regulars.push(regular);
    this.#schedule(regular, this.#mono(this.#time.now) + periodMs);
    return () => this.#end(regular);
  }

  #schedule(regular: Regular, dueMono: number): void {
    const { now, settling } = this.#time;
    if (settling === "announced" && now >= this.#exactUntil && this.caughtUp) {
      this.#time.untimed += 1;
      regular.dueAt = now + (dueMono - this.#mono(now)) / this.#rate;
      this.#lookDueAt = Math.min(this.#lookDueAt, regular.dueAt);
      return;
    }
    regular.cancelTimer = this.#timerAt(dueMono, () => {
      regular.cancelTimer = null;
      regular.look();
      if (this.#regulars.includes(regular))
        this.#schedule(regular, this.#mono(this.#time.now) + regular.periodMs);
    });
  }

  /** Makes the looks that are due, each as of its time. The last one of several says all that those before it said. */
  #makeUp(): void {
    const { now } = this.#time;
    this.#lookDueAt = Number.POSITIVE_INFINITY;
    for (const regular of this.#regulars) {
      if (regular.dueAt <= now) {
        const stepMs = regular.periodMs / this.#rate;
        this.#asOf = regular.dueAt + Math.floor((now - regular.dueAt) / stepMs) * stepMs;
        regular.dueAt = this.#asOf + stepMs;
        regular.look();
        this.#asOf = null;
      }
      this.#lookDueAt = Math.min(this.#lookDueAt, regular.dueAt);
    }
  }

  #end(regular: Regular): void {
    const index = this.#regulars.indexOf(regular);
    if (index >= 0) this.#regulars.splice(index, 1);
    this.#untime(regular);
    regular.cancelTimer?.();
  }

  #untime(regular: Regular): void {
    if (regular.dueAt < Number.POSITIVE_INFINITY) this.#time.untimed -= 1;
    regular.dueAt = Number.POSITIVE_INFINITY;
  }

  afterTurn(run: () => void): void {
    // Whatever else happens at this moment comes first; mostly that is nothing.
    if (this.#asOf !== null || (this.#time.quiet && this.caughtUp)) run();
    else this.#time.after(0, () => this.#run("turns", run));
  }

  /** Does the process run, with nothing left over from a pause? */
  get caughtUp(): boolean {
    return this.running && this.#late.length === 0 && this.#catchingUp === 0;
  }

  /** A message for this process arrives: handled now, after the pause, or never. */
  deliver(run: () => void): void {
    this.#run("messages", run);
  }

  /** As `deliver`, without a closure where it is handled now: nearly always. */
  deliverTo<T>(receive: (what: T) => void, what: T): void {
    if (!this.caughtUp) return this.#run("messages", () => receive(what));
    if (this.#time.now >= this.#lookDueAt) this.#makeUp();
    receive(what);
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
    this.#reading = null;
  }

  /** Calls back when a process that was stopped continues: from then on its state may be another without an event. */
  onContinue: (() => void) | null = null;

  /** The process is stopped (SIGSTOP) for that long, or until `resume()`; its clocks go on. */
  pause(ms: number, first: FirstAfterPause = "timers"): void {
    const { now } = this.#time;
    if (now >= this.#lookDueAt) this.#makeUp();
    this.#first = first;
    this.#pausedUntil = Math.max(this.#pausedUntil, now + ms);
    this.#beExactUntil(this.#pausedUntil + EXACT_AFTER_PAUSE_MS);
    if (this.#pausedUntil < Number.POSITIVE_INFINITY)
      this.#time.at(this.#pausedUntil, () => this.#continue());
  }

  /** SIGCONT, however long it was to be stopped. */
  resume(): void {
    const { now } = this.#time;
    if (now >= this.#pausedUntil) return;
    this.#pausedUntil = now;
    this.#beExactUntil(now + EXACT_AFTER_PAUSE_MS);
    this.#continue();
  }

  /** Every look gets a timer, until then. */
  #beExactUntil(until: number): void {
    const { now } = this.#time;
    this.#exactUntil = until;
    this.#lookDueAt = Number.POSITIVE_INFINITY;
    for (const regular of this.#regulars) {
      if (regular.cancelTimer !== null) continue;
      const dueMono = this.#mono(now) + (regular.dueAt - now) * this.#rate;
      this.#untime(regular);
      this.#schedule(regular, dueMono);
    }
  }

  /** The machine is suspended for that long: as `pause`, and the monotonic clock stands still. */
  suspend(ms: number, first: FirstAfterPause = "timers"): void {
    if (this.#time.now >= this.#lookDueAt) this.#makeUp();
    this.#endSuspension();
    this.#suspension = { from: this.#time.now, until: this.#time.now + ms };
    this.pause(ms, first);
  }

  /** The process is killed: nothing happens in it any more. */
  kill(): void {
    this.#killed = true;
    this.#late = [];
    for (const regular of [...this.#regulars]) this.#end(regular);
    this.#lookDueAt = Number.POSITIVE_INFINITY;
  }

  #run(kind: Late["kind"], run: () => void): void {
    if (this.#killed) return;
    if (this.#time.now >= this.#lookDueAt) this.#makeUp();
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
