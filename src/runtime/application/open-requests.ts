import type { Outcome } from "../../application/types.ts";
import { limitOf, type WaitOptions } from "../waiting.ts";
import { runCode } from "./application-code.ts";
import { repeatsAbort } from "./repeated-abort.ts";

/** Work that the application has registered. */
export interface Registered<Work> {
  readonly work: Work;
  /** The code that has registered it; `null`: none that the application side knows. */
  readonly inside: number | null;
  readonly signal: AbortSignal | undefined;
}

interface PendingWait<Answer> {
  readonly resolve: (answer: Answer) => void;
  readonly release: () => void;
}

interface PendingWork<Work, WorkEnd> extends Registered<Work> {
  readonly resolve: (end: WorkEnd) => void;
}

type AbortEvent =
  | { readonly type: "abort-wait"; readonly wait: number }
  | { readonly type: "abort-worker"; readonly worker: number };

/** What an incarnation's application has asked for and has no answer to: waits, and registered work. Each settles once. */
export class OpenRequests<Event, Answer, Work, WorkEnd> {
  readonly #dispatch: (event: Event | AbortEvent) => void;
  readonly #keepAlive: (limitMs: number) => () => void;
  readonly #waits = new Map<number, PendingWait<Answer>>();
  readonly #workers = new Map<number, PendingWork<Work, WorkEnd>>();
  #lastId = 0;

  /** @param keepAlive - Keeps the process alive for as long as a wait with this limit lasts. Returns the end. */
  constructor(dispatch: (event: Event | AbortEvent) => void, keepAlive: (limitMs: number) => () => void) {
    this.#dispatch = dispatch;
    this.#keepAlive = keepAlive;
  }

  /** Dispatches an event that adds a wait; resolves with its settlement. */
  ask(options: WaitOptions, event: (wait: number, timeoutMs: number) => Event): Promise<Answer> {
    const timeoutMs = limitOf(options);
    const { signal } = options;
    const wait = ++this.#lastId;
    return new Promise((resolve) => {
      const onAbort = (): void => this.#dispatch({ type: "abort-wait", wait });
      const release = this.#keepAlive(timeoutMs);
      this.#waits.set(wait, {
        resolve,
        release: () => {
          release();
          signal?.removeEventListener("abort", onAbort);
        },
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#dispatch(event(wait, timeoutMs));
      if (signal?.aborted === true) onAbort();
    });
  }

  answer(id: number, answer: Answer): void {
    const wait = this.#waits.get(id);
    this.#waits.delete(id);
    wait?.resolve(answer);
    wait?.release();
  }

  /** Dispatches an event that adds work; resolves when it is over. Its signal has not aborted. */
  register(registered: Registered<Work>, event: (worker: number) => Event): Promise<WorkEnd> {
    const { signal } = registered;
    const worker = ++this.#lastId;
    return new Promise((resolve) => {
      const onAbort = (): void => this.#dispatch({ type: "abort-worker", worker });
      this.#workers.set(worker, {
        ...registered,
        resolve: (end) => {
          resolve(end);
          signal?.removeEventListener("abort", onAbort);
        },
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#dispatch(event(worker));
    });
  }

  registered(worker: number): Registered<Work> | undefined {
    return this.#workers.get(worker);
  }

  endWork(id: number, end: WorkEnd): void {
    const worker = this.#workers.get(id);
    this.#workers.delete(id);
    worker?.resolve(end);
  }
}

/** Carries out a part of a step. Its failure is reported, and must not take anything else with it: waits would stay pending. */
export function attempt(
  what: string,
  act: () => void,
  defect: (during: string, error: unknown) => void,
): void {
  try {
    act();
  } catch (error) {
    try {
      defect(what, error);
    } catch {
      // There is no other place to report it to.
    }
  }
}

/**
 * Enters application code that was given these signals, after the present event has been handled completely. Never rejects: whatever
 * the code throws is a value here.
 */
export async function outcomeOf(
  owner: object,
  code: number,
  signals: () => readonly (AbortSignal | undefined)[],
  enter: () => unknown,
  parent: number | null = null,
): Promise<Outcome> {
  await Promise.resolve();
  try {
    await runCode(owner, code, enter, parent);
    return { kind: "returned" };
  } catch (error) {
    return { kind: "threw", error, abort: repeatsAbort(error, signals()) };
  }
}
