import type { StopReason } from "../../application/types.ts";
import { ClusterError } from "../../errors.ts";
import { checkOptions } from "../waiting.ts";

/**
 * Starts and stops of a node or of a member: at most one incarnation `I` runs, and its end is waited for before the next one begins.
 * `name` is used in messages: `node "a"`.
 */
export class Lifecycle<I extends { readonly stopped: Promise<StopReason> }> {
  readonly #kind: "node" | "member";
  readonly #name: string;
  #current: I | null = null;
  #starting: { readonly done: Promise<void>; readonly abort: AbortController } | null = null;
  /** The last incarnation ended because its connection was closed for good. */
  #lostConnection = false;
  /** `stop()` was called since the last start. */
  #stopRequested = false;

  constructor(kind: "node" | "member", id: string) {
    this.#kind = kind;
    this.#name = `${kind} "${id}"`;
  }

  /** The incarnation that runs, also while it starts and stops. */
  get current(): I | null {
    return this.#current;
  }

  get stopRequested(): boolean {
    return this.#stopRequested;
  }

  /**
   * @param begin - Makes the incarnation; it hands it to `began()`. The signal aborts with the caller's, and at a stop.
   * @param failed - Called when the start has failed or was stopped, before this settles.
   */
  async start(
    options: { readonly signal?: AbortSignal },
    begin: (signal: AbortSignal) => Promise<void>,
    failed: () => void,
  ): Promise<void> {
    checkOptions(options);
    if (this.#current !== null || this.#starting !== null)
      throw new ClusterError("ALREADY_STARTED", `${this.#name} is already running`);
    const { signal } = options;
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal?.reason);
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#stopRequested = false;
    this.#lostConnection = false;
    const done = begin(abort.signal);
    this.#starting = { done, abort };
    try {
      await done;
    } catch (error) {
      failed();
      if (!this.#stopRequested) throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#starting = null;
    }
  }

  /** The incarnation runs. `ended` is called when it has stopped. */
  began(incarnation: I, ended: () => void): void {
    this.#current = incarnation;
    void incarnation.stopped.then((reason) => {
      this.#lostConnection = reason === "connection-closed";
      if (this.#current === incarnation) this.#current = null;
      ended();
    });
  }

  startAborted(signal: AbortSignal): ClusterError {
    return new ClusterError("ABORTED", `start of ${this.#name}: aborted`, { cause: signal.reason });
  }

  /** Stops what runs, or the start. Resolves with `nothing` when no incarnation has begun. */
  async stop<T>(nothing: T, stop: (incarnation: I) => Promise<T>): Promise<T> {
    this.#stopRequested = true;
    const current = this.#current;
    if (current !== null) return stop(current);
    if (this.#starting === null) return nothing;
    const { abort, done } = this.#starting;
    abort.abort(new ClusterError("STOPPED", `stop() was called while the ${this.#kind} was starting`));
    await done.catch(() => {});
    return nothing;
  }

  /** Throws `NOT_STARTED`, `STOPPED` after `stop()`, or `NO_CONNECTION` when the connection was closed under the incarnation. */
  require(): I {
    if (this.#current !== null) return this.#current;
    if (this.#lostConnection) {
      throw new ClusterError(
        "NO_CONNECTION",
        `${this.#name} has stopped: its NATS connection was closed for good; start it again with an open one`,
      );
    }
    if (this.#stopRequested)
      throw new ClusterError("STOPPED", `${this.#name} has stopped; call start() to use it again`);
    throw new ClusterError("NOT_STARTED", `${this.#name} is not running: call start() first`);
  }
}
