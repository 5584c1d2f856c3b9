/** `runWhileLeader`: work that runs in every term, after `onBecomeLeader`. */
import { ClusterError, messageOf } from "../errors.ts";
import type { HookRunner } from "./hooks.ts";
import { type RunningTerm, type Term, withSignal } from "./term.ts";

export interface Worker {
  readonly work: (term: Term) => void | Promise<void>;
  readonly signal: AbortSignal;
  readonly failed: (error: ClusterError) => void;
}

interface Registration {
  readonly worker: Worker;
  /** Its latest run. */
  running: Promise<void>;
}

export class LeaderWork {
  readonly #hooks: HookRunner;
  readonly #onError: (thrown: unknown, term: RunningTerm) => void;
  readonly #workers = new Set<Registration>();
  /** The latest term whose work was started. */
  #term: RunningTerm | null = null;

  constructor(hooks: HookRunner, onError: (thrown: unknown, term: RunningTerm) => void) {
    this.#hooks = hooks;
    this.#onError = onError;
  }

  /**
   * Runs the worker in the running term and in every later one. Returns the removal, which resolves when a run in progress
   * has ended.
   */
  add(worker: Worker): () => Promise<void> {
    const registration: Registration = { worker, running: Promise.resolve() };
    this.#workers.add(registration);
    const term = this.#term;
    if (term?.signal.aborted === false) {
      void this.#hooks.enqueue("onBecomeLeader", () => this.#start(term, registration));
    }
    return () => {
      this.#workers.delete(registration);
      return registration.running;
    };
  }

  startAll(term: RunningTerm): void {
    this.#term = term;
    for (const registration of this.#workers) this.#start(term, registration);
  }

  #start(term: RunningTerm, registration: Registration): void {
    const { worker } = registration;
    if (term.signal.aborted || worker.signal.aborted || !this.#workers.has(registration)) return;
    if (term.work.has(registration)) return;
    const own = withSignal(term, AbortSignal.any([term.signal, worker.signal]));
    // Runs never overlap: a run of a term that was lost without a drain may not have ended yet.
    registration.running = registration.running
      .then(() => (own.signal.aborted ? undefined : this.#hooks.runInside(() => worker.work(own))))
      .catch((thrown: unknown) => {
        // Throwing after an abort is a normal way to end.
        if (own.signal.aborted) return;
        worker.failed(
          new ClusterError("HOOK_FAILED", `leader work failed: ${messageOf(thrown)}`, { cause: thrown }),
        );
        this.#onError(thrown, term);
      });
    term.work.set(registration, registration.running);
  }
}
