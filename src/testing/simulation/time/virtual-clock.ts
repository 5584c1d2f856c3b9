import type { Instant } from "../../../election/time.ts";
import type { Clock } from "../../../runtime/ports.ts";
import type { Timer, VirtualTime } from "./virtual-time.ts";

export interface ClockFaults {
  /** Milliseconds on this clock per true millisecond. Default 1. */
  readonly rate?: number;
  /** Error of the wall clock, in milliseconds. Default 0. */
  readonly wallOffsetMs?: number;
}

/** What the event loop of a stopped process handles first when it continues. Both occur: it depends on where it was stopped. */
export type FirstAfterPause = "timers" | "messages";

/** A timer by the monotonic clock of a process, which may stop while the timer runs. */
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

/** See `every`. */
interface PeriodicCheck {
  readonly periodMs: number;
  readonly run: () => void;
  /** True time of the next run while it has no timer; otherwise infinite. */
  dueAt: number;
  cancelTimer: (() => void) | null;
}

/** For this long after a pause, periodic checks have timers: what they find may change what others observe. */
export const EXACT_AFTER_PAUSE_MS = 500;

/** Something that waits for a stopped process to continue. */
interface Late {
  readonly kind: "blocking code" | "timers" | "messages" | "turns";
  readonly run: () => void;
  /** Of timers, which run in the order of these times; 0 for anything else. */
  readonly dueMono: number;
}

/**
 * The clocks and the event loop of one process in a simulated world. Its clocks may run fast or slow, its wall clock may
 * be set, its machine may be suspended; the process may be stopped, continued and killed. Everything that happens *in* the
 * process goes through this class: what arrives while the process is stopped waits, in order, and what arrives after it was
 * killed is lost.
 *
 * With settling "announced", a periodic check has no timer. It runs just before its result could be observed: before
 * anything else happens in the process, before its clock is read, before it is stopped. This saves most of the timers of a
 * history and changes nothing else (`test/simulator/settling.test.ts`).
 */
export class VirtualClock implements Clock {
  readonly #time: VirtualTime;
  readonly #rate: number;
  #wallOffsetMs: number;
  /** True milliseconds of past suspensions, which the monotonic clock did not count. */
  #suspendedMs = 0;
  #suspension: { readonly from: number; readonly until: number } | null = null;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #first: FirstAfterPause = "timers";
  #late: Late[] = [];
  /** Number of late events that are due now; new events queue behind them. */
  #catchingUp = 0;
  #killed = false;
  #checks: PeriodicCheck[] = [];
  /** The earliest `dueAt` of the checks. */
  #checkDueAt = Number.POSITIVE_INFINITY;
  #exactUntil = Number.NEGATIVE_INFINITY;
  /** While an overdue check runs: the time at which it was due. */
  #asOf: number | null = null;

  /** The last reading and its time: most moments are read more than once. */
  #reading: Instant | null = null;
  #readAt = 0;

  constructor(time: VirtualTime, faults: ClockFaults = {}) {
    this.#time = time;
    this.#rate = faults.rate ?? 1;
    this.#wallOffsetMs = faults.wallOffsetMs ?? 0;
  }

  /** False while the process is stopped and after it was killed. */
  get running(): boolean {
    return !this.#killed && this.#time.now >= this.#pausedUntil;
  }

  now(): Instant {
    if (this.#time.now >= this.#checkDueAt) this.#runOverdueChecks();
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
    return (now - this.#suspendedMs - present) * this.#rate;
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    // Like the system's timers: by the monotonic clock, rounded up, at least one millisecond.
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

  /** True milliseconds until the monotonic clock reaches `dueMono`, unless it stops. */
  #missingMs(dueMono: number): number {
    return (dueMono - this.#mono(this.#time.now)) / this.#rate;
  }

  readonly #wake = (timer: ClockTimer): void => {
    if (this.caughtUp) this.#attempt(timer);
    else this.#run("timers", () => this.#attempt(timer), timer.dueMono);
  };

  #attempt(timer: ClockTimer): void {
    if (timer.cancelled) return;
    if (this.#time.now >= this.#checkDueAt) this.#runOverdueChecks();
    const missingMs = this.#missingMs(timer.dueMono);
    if (missingMs > 1e-6) this.#time.set(timer, this.#time.now + missingMs);
    else timer.run();
  }

  every(periodMs: number, run: () => void): () => void {
    const check: PeriodicCheck = { periodMs, run, dueAt: Number.POSITIVE_INFINITY, cancelTimer: null };
    this.#checks.push(check);
    this.#schedule(check, this.#mono(this.#time.now) + periodMs);
    return () => this.#end(check);
  }

  #schedule(check: PeriodicCheck, dueMono: number): void {
    const { now, settling } = this.#time;
    if (settling === "announced" && now >= this.#exactUntil && this.caughtUp) {
      this.#time.untimed += 1;
      check.dueAt = now + (dueMono - this.#mono(now)) / this.#rate;
      this.#checkDueAt = Math.min(this.#checkDueAt, check.dueAt);
      return;
    }
    check.cancelTimer = this.#timerAt(dueMono, () => {
      check.cancelTimer = null;
      check.run();
      if (this.#checks.includes(check)) this.#schedule(check, this.#mono(this.#time.now) + check.periodMs);
    });
  }

  /** Runs each overdue check as of the last time at which it was due: that run subsumes the earlier ones. */
  #runOverdueChecks(): void {
    const { now } = this.#time;
    this.#checkDueAt = Number.POSITIVE_INFINITY;
    for (const check of this.#checks) {
      if (check.dueAt <= now) {
        const stepMs = check.periodMs / this.#rate;
        this.#asOf = check.dueAt + Math.floor((now - check.dueAt) / stepMs) * stepMs;
        check.dueAt = this.#asOf + stepMs;
        check.run();
        this.#asOf = null;
      }
      this.#checkDueAt = Math.min(this.#checkDueAt, check.dueAt);
    }
  }

  #end(check: PeriodicCheck): void {
    const index = this.#checks.indexOf(check);
    if (index >= 0) this.#checks.splice(index, 1);
    this.#clearDue(check);
    check.cancelTimer?.();
  }

  #clearDue(check: PeriodicCheck): void {
    if (check.dueAt < Number.POSITIVE_INFINITY) this.#time.untimed -= 1;
    check.dueAt = Number.POSITIVE_INFINITY;
  }

  afterTurn(run: () => void): void {
    // Everything else of this moment comes first. Mostly there is nothing else.
    if (this.#asOf !== null || (this.#time.quiet && this.caughtUp)) run();
    else this.#time.after(0, () => this.#run("turns", run));
  }

  /** Whether the process runs and has handled everything that waited for the end of a pause. */
  get caughtUp(): boolean {
    return this.running && this.#late.length === 0 && this.#catchingUp === 0;
  }

  /** A message for this process arrives. `receive` is called now, after the pause, or never. */
  deliver(receive: () => void): void;
  deliver<T>(receive: (message: T) => void, message: T): void;
  deliver<T>(receive: (message?: T) => void, message?: T): void {
    // A closure only where the message has to wait: that is rare.
    if (!this.caughtUp) return this.#run("messages", () => receive(message));
    if (this.#time.now >= this.#checkDueAt) this.#runOverdueChecks();
    receive(message);
  }

  /** The wall clock is set. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
    this.#reading = null;
  }

  /** Called when a stopped process continues: its state may change from then on without an event. */
  onContinue: (() => void) | null = null;

  /** The process is stopped (SIGSTOP) for `ms` or until `resume()`; its clocks go on. */
  pause(ms: number, first: FirstAfterPause = "timers"): void {
    const { now } = this.#time;
    if (now >= this.#checkDueAt) this.#runOverdueChecks();
    this.#first = first;
    this.#pausedUntil = Math.max(this.#pausedUntil, now + ms);
    this.#beExactUntil(this.#pausedUntil + EXACT_AFTER_PAUSE_MS);
    if (this.#pausedUntil < Number.POSITIVE_INFINITY)
      this.#time.at(this.#pausedUntil, () => this.#continue());
  }

  /** Code of this process blocks its event loop for `ms`. `then` is the rest of that code: it runs before anything that has waited. */
  block(ms: number, then: () => void): void {
    this.#late.unshift({ kind: "blocking code", run: then, dueMono: 0 });
    this.pause(ms, this.#first);
  }

  /** SIGCONT: ends the pause early. */
  resume(): void {
    const { now } = this.#time;
    if (now >= this.#pausedUntil) return;
    this.#pausedUntil = now;
    this.#beExactUntil(now + EXACT_AFTER_PAUSE_MS);
    this.#continue();
  }

  /** Gives every periodic check a timer until then. */
  #beExactUntil(until: number): void {
    const { now } = this.#time;
    this.#exactUntil = until;
    this.#checkDueAt = Number.POSITIVE_INFINITY;
    for (const check of this.#checks) {
      if (check.cancelTimer !== null) continue;
      const dueMono = this.#mono(now) + (check.dueAt - now) * this.#rate;
      this.#clearDue(check);
      this.#schedule(check, dueMono);
    }
  }

  /** The machine is suspended for `ms`: as `pause`, and the monotonic clock stops. */
  suspend(ms: number, first: FirstAfterPause = "timers"): void {
    if (this.#time.now >= this.#checkDueAt) this.#runOverdueChecks();
    this.#endSuspension();
    this.#suspension = { from: this.#time.now, until: this.#time.now + ms };
    this.pause(ms, first);
  }

  /** The process is killed: nothing runs in it afterwards. */
  kill(): void {
    this.#killed = true;
    this.#late = [];
    for (const check of [...this.#checks]) this.#end(check);
    this.#checkDueAt = Number.POSITIVE_INFINITY;
  }

  #run(kind: Late["kind"], run: () => void, dueMono = 0): void {
    if (this.#killed) return;
    if (this.#time.now >= this.#checkDueAt) this.#runOverdueChecks();
    if (this.#time.now < this.#pausedUntil || this.#late.length > 0) this.#late.push({ kind, run, dueMono });
    else if (this.#catchingUp > 0) this.#time.after(0, () => this.#run(kind, run, dueMono));
    else run();
  }

  #continue(): void {
    if (this.#time.now < this.#pausedUntil) return;
    this.onContinue?.();
    const late = this.#late.sort((one, other) => one.dueMono - other.dueMono);
    this.#late = [];
    const [first, second] = this.#first === "timers" ? ["timers", "messages"] : ["messages", "timers"];
    for (const kind of ["blocking code", first, second, "turns"]) {
      for (const { run, dueMono } of late.filter((one) => one.kind === kind)) {
        this.#catchingUp += 1;
        this.#time.after(0, () => {
          this.#catchingUp -= 1;
          if (this.#time.now < this.#pausedUntil) this.#run(kind as Late["kind"], run, dueMono);
          else if (!this.#killed) run();
        });
      }
    }
  }

  #endSuspension(): void {
    if (this.#suspension === null) return;
    this.#suspendedMs += Math.min(this.#time.now, this.#suspension.until) - this.#suspension.from;
    this.#suspension = null;
  }
}
