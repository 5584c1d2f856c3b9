/** Checks how calls are answered that hooks and work make of their own node, by a bookkeeping of its own. */
import type {
  ApplicationConfig,
  ApplicationEffect,
  ApplicationEvent,
  Caller,
} from "../../../src/application/types.ts";
import type { Instant } from "../../../src/election/time.ts";
import type { ApplicationBook } from "./application-book.ts";

/** Timers fire on whole milliseconds, rounded up. */
const TIMER_SLACK_MS = 2;

interface Call {
  readonly caller: Caller;
  readonly beganMono: number;
}

export class SelfWaitWatch {
  readonly #selfWaitMs: number;
  readonly #book: ApplicationBook;
  readonly #violated: (what: string) => void;
  /** Calls made in application code that have no answer yet. */
  readonly #calls = new Map<number, Call>();
  #sinceMono: number | null = null;
  #closes = false;

  constructor(config: ApplicationConfig, book: ApplicationBook, violated: (what: string) => void) {
    this.#selfWaitMs = config.selfWaitMs;
    this.#book = book;
    this.#violated = violated;
  }

  /** After the book has taken the event. */
  step(event: ApplicationEvent, effects: readonly ApplicationEffect[], now: Instant): void {
    const made = "caller" in event && event.caller.inside.length > 0 ? event : null;
    if (made !== null) this.#calls.set(made.wait, { caller: made.caller, beganMono: now.mono });
    const answered = new Set<number>();
    for (const effect of effects) {
      if (effect.type === "close") this.#closes = true;
      if (effect.type !== "settle") continue;
      answered.add(effect.wait);
      if (effect.settlement.kind === "begun") this.#checkBegun(effect.wait, event, now);
    }
    if (made?.caller.awaited === true && !answered.has(made.wait))
      this.#violated("code awaits a drain that waits for it");
    for (const wait of answered) this.#calls.delete(wait);
    this.check(now);
  }

  /** Since when everything that a drain waits for may wait for it; `null` if it does not. */
  get sinceMono(): number | null {
    return this.#sinceMono;
  }

  /** An answer before the outcome is known is for code that has to end first, and for nothing else. */
  #checkBegun(wait: number, event: ApplicationEvent, now: Instant): void {
    const call = this.#calls.get(wait);
    if (call === undefined)
      return this.#violated("a call from outside is answered before its outcome is known");
    if (call.caller.awaited) {
      if (!("wait" in event) || event.wait !== wait)
        this.#violated("code that awaits a drain is answered late");
      return;
    }
    if (now.mono < call.beganMono + this.#selfWaitMs)
      this.#violated("a call that may come from a handler is answered at once");
    for (const [id, { epoch }] of this.#book.codes) {
      const holds =
        this.#book.electionEnded ||
        (epoch !== null && epoch === this.#draining() && id !== this.#book.activeCall);
      if (holds && !this.#mayWait(id))
        this.#violated("a call that may come from a handler is answered while other code has to end");
    }
  }

  /** After a step, or when an answer should have been given. */
  check({ mono }: Instant): void {
    const holders = this.#holders();
    if (holders.length === 0 || !holders.every((id) => this.#mayWait(id))) {
      this.#sinceMono = null;
      return;
    }
    this.#sinceMono ??= mono;
    for (const { caller, beganMono } of this.#calls.values()) {
      const dueMono = Math.max(this.#sinceMono, beganMono) + this.#selfWaitMs;
      if (mono > dueMono + TIMER_SLACK_MS && caller.inside.some((id) => holders.includes(id)))
        this.#violated("code that waits for its own end is not answered");
    }
  }

  #holders(): number[] {
    if (this.#closes) return [];
    const { codes, activeCall, electionEnded } = this.#book;
    const draining = this.#draining();
    if (!electionEnded && draining === null) return [];
    return [...codes].flatMap(([id, { epoch }]) =>
      electionEnded || epoch === draining || id === activeCall ? [id] : [],
    );
  }

  #draining(): number | null {
    for (const [epoch, { drainBeganMono, drained }] of this.#book.terms)
      if (drainBeganMono !== null && !drained) return epoch;
    return null;
  }

  #mayWait(id: number): boolean {
    return [...this.#calls.values()].some(({ caller }) => caller.inside.includes(id));
  }
}
