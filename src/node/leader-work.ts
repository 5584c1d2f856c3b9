/** Work that is done in every term, beside the hooks: `runWhileLeader`. */
import { asError, ClusterError, messageOf } from "../errors.ts";
import type { Logger } from "../log/logger.ts";
import type { EventBody } from "./events.ts";
import type { HookRunner } from "./hooks.ts";
import { type RunningTerm, type Term, withSignal } from "./term.ts";

export interface Worker {
  readonly work: (term: Term) => void | Promise<void>;
  readonly signal: AbortSignal;
  readonly failed: (error: ClusterError) => void;
}

/** A worker and its run in the present term, if it is running. */
interface Registration {
  readonly worker: Worker;
  running: Promise<void>;
}

export interface LeaderWorkOptions {
  readonly hooks: HookRunner;
  readonly logger: Logger;
  readonly emit: (event: EventBody) => void;
  /** Work has thrown: the term must not go on without it. */
  readonly onFailed: (term: RunningTerm) => void;
}

export class LeaderWork {
  readonly #o: LeaderWorkOptions;
  readonly #workers = new Set<Registration>();

  constructor(o: LeaderWorkOptions) {
    this.#o = o;
  }

  /** Runs it in this term, if it has been announced, and in every later one. Returns its end, which waits for a run. */
  add(worker: Worker, term: RunningTerm | null): () => Promise<void> {
    const registration: Registration = { worker, running: Promise.resolve() };
    this.#workers.add(registration);
    if (term?.announced === true) {
      void this.#o.hooks.enqueue("onBecomeLeader", () => this.#start(term, registration));
    }
    return () => {
      this.#workers.delete(registration);
      return registration.running;
    };
  }

  /** A term has been announced: everybody begins. */
  startAll(term: RunningTerm): void {
    for (const registration of this.#workers) this.#start(term, registration);
  }

  #start(term: RunningTerm, registration: Registration): void {
    const { worker } = registration;
    if (term.signal.aborted || worker.signal.aborted || !this.#workers.has(registration)) return;
    if (term.work.has(registration)) return;
    const own = withSignal(term, AbortSignal.any([term.signal, worker.signal]));
    // Work of an earlier term that has not ended yet (it was lost, not handed over) ends first.
    registration.running = registration.running
      .then(() => (own.signal.aborted ? undefined : this.#o.hooks.runInside(() => worker.work(own))))
      .catch((error: unknown) => {
        // Work that ends by throwing because it was told to end has not failed.
        if (own.signal.aborted) return;
        this.#o.logger.error(
          { event: "hook-error", hook: "work", err: asError(error) },
          "leader work failed",
        );
        this.#o.emit({ type: "hook-error", hook: "work", error: asError(error) });
        worker.failed(
          new ClusterError("HOOK_FAILED", `leader work failed: ${messageOf(error)}`, { cause: error }),
        );
        this.#o.onFailed(term);
      });
    term.work.set(registration, registration.running);
  }
}
