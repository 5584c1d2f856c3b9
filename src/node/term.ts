import type { LossReason } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import type { WaitOptions } from "../runtime/waiting.ts";

/** One unbroken period of leadership. Each term is one object, the same in every hook, event and run of leader work. */
export interface Term {
  readonly clusterId: string;
  readonly nodeId: string;
  /** Random id of the `start()` that the term belongs to. Distinguishes two processes with one node id. */
  readonly incarnation: string;
  /**
   * The fencing token: a positive integer, larger than the epoch of every earlier term of the cluster. Send it with every write
   * to a resource that several leaders can reach, and let the resource refuse smaller epochs.
   */
  readonly epoch: number;
  /** When the term began, in Unix milliseconds by this node's wall clock. For display only. */
  readonly acquiredAt: number;
  /**
   * Aborts when the work has to stop: on a step-down and on `stop()` *before* the lease is released, on every other loss at
   * once. `signal.reason` is a `ClusterError`. `signal.aborted` compares clocks whenever it is read, so it is true from the
   * deadline on even if no other code has run since. Does not abort when the term is suspended (see `held`).
   */
  readonly signal: AbortSignal;
  /**
   * May the leader act at this moment? Compares clocks at every call. False from the deadline on, while the connection is lost or
   * its server has been silent for `silenceMs` (neither with `crashDetection: "lease"`), and while the term is being given up. With
   * `crashDetection: "presence"` also, without the event `suspended`, from 250 ms after the event loop has stopped, or half of
   * `silenceMs` (at most 1 s) after the last question that the server has answered, until it answers again. It can become true again:
   * end a loop on `signal`, and wait with `untilHeld()` where an interruption matters.
   */
  readonly held: boolean;
  /**
   * Milliseconds before which no other node leads, if nothing more is confirmed: until the lease ends or, while the leader promises
   * silence (`silenceMs`), until `silenceMs` after it sent the last beat that is proven, whichever is first. For what has to end by
   * itself, such as a virtual IP. 0 when the lease is released or lost, and while the term is suspended. While the term is being given
   * up the lease is kept, and this stays above 0 as for a term that is held.
   *
   * Exception: with `crashDetection: "presence"` another node may lead as soon as the connection is closed. `held` is false then, at
   * the latest half of `silenceMs` after (one second, if that is less or no silence is promised), and this can be above 0: see
   * `provenRemainingMs`.
   */
  readonly remainingMs: number;
  /**
   * As `remainingMs`, and with `crashDetection: "presence"` at most until half of `silenceMs` (at most 1 s) after the last question
   * that the server has answered was sent: for what has to end by itself and can be continued, such as another process. With
   * `"presence"` it works beside another leader for at most that time, with any other crash detection not at all. A question is sent
   * four times in that time. 0 while the server does not answer, without any event.
   */
  readonly provenRemainingMs: number;
  /**
   * Milliseconds until the lease ends if no further renewal is confirmed; 0 when it is released or lost. Another node may lead before
   * that, as soon as `remainingMs` is 0. Whatever an earlier leader with the same `leaseTtlMs` has left behind ends before this.
   */
  readonly leaseRemainingMs: number;
  /** Why the term ended; `null` while it runs. */
  readonly lossReason: LossReason | null;
  /**
   * Resolves when the term is held: at once if it is.
   *
   * @param options - End the wait.
   * @throws ClusterError `NOT_LEADER` when the term ends first; `ABORTED` or `TIMEOUT`.
   * @example
   * ```ts
   * while (!term.signal.aborted) {
   *   await term.untilHeld();
   *   await writeOnce(term.epoch);
   * }
   * ```
   */
  untilHeld(options?: WaitOptions): Promise<void>;
}

export type TermIdentity = Pick<Term, "clusterId" | "nodeId" | "incarnation" | "epoch" | "acquiredAt">;

/** The lease of a term, by the clocks. */
export interface LeaseClock {
  isHeld(): boolean;
  /** Until the first of lease and stretch ends (`src/election/silence.ts`). */
  remainingMs(epoch: number): number;
  provenRemainingMs(epoch: number): number;
  leaseRemainingMs(epoch: number): number;
  /** Ends a term whose deadline has passed, without waiting for a timer. */
  expire(): void;
}

/** A `Term` as the incarnation keeps it. */
export class RunningTerm implements Term {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly epoch: number;
  readonly acquiredAt: number;
  readonly signal: AbortSignal;
  readonly untilHeld: (options?: WaitOptions) => Promise<void>;
  readonly #controller = new AbortController();
  readonly #lease: LeaseClock;
  #lossReason: LossReason | null = null;
  #why: Error | null = null;

  constructor(identity: TermIdentity, lease: LeaseClock, untilHeld: (options: WaitOptions) => Promise<void>) {
    this.clusterId = identity.clusterId;
    this.nodeId = identity.nodeId;
    this.incarnation = identity.incarnation;
    this.epoch = identity.epoch;
    this.acquiredAt = identity.acquiredAt;
    this.#lease = lease;
    this.untilHeld = (options = {}) => untilHeld(options);
    this.signal = clockTrueSignal(this.#controller, () => this.#over());
  }

  get held(): boolean {
    return this.#lossReason === null && this.#lease.isHeld();
  }

  get remainingMs(): number {
    return this.#lease.remainingMs(this.epoch);
  }

  get provenRemainingMs(): number {
    return this.#lease.provenRemainingMs(this.epoch);
  }

  get leaseRemainingMs(): number {
    return this.#lease.leaseRemainingMs(this.epoch);
  }

  get lossReason(): LossReason | null {
    return this.#lossReason;
  }

  end(reason: LossReason): void {
    if (this.#lossReason !== null) return;
    this.#lossReason = reason;
    // It may have been read before, by the clocks.
    this.#why ??= endOfTerm(this.epoch, reason);
    this.#controller.abort(this.#why);
  }

  /** Why the term is over, by the clocks; `null` while it is not. */
  #over(): { readonly reason: Error } | null {
    if (this.#lossReason === null && this.#lease.leaseRemainingMs(this.epoch) <= 0) this.#lease.expire();
    if (this.#lossReason === null && this.#lease.leaseRemainingMs(this.epoch) > 0) return null;
    this.#why ??= endOfTerm(this.epoch, "expired");
    return { reason: this.#why };
  }
}

/** What the signals of a term abort with. */
function endOfTerm(epoch: number, reason: LossReason): ClusterError {
  return new ClusterError("NOT_LEADER", `the term with epoch ${epoch} has ended: ${reason}`);
}

/**
 * The controller's signal, which asks the clock whenever it is read: a process that was frozen reads it before any timer of its
 * own has run. `over` has the reason, which every reader gets, also one that is called before the controller has aborted.
 */
export function clockTrueSignal(
  controller: AbortController,
  over: () => { readonly reason: unknown } | null,
): AbortSignal {
  const { signal } = controller;
  const aborted = getterOf("aborted");
  const reason = getterOf("reason");
  const end = (): { readonly reason: unknown } | null =>
    aborted.call(signal) === true ? { reason: reason.call(signal) } : over();
  return Object.defineProperties(signal, {
    aborted: { get: () => end() !== null },
    reason: { get: () => end()?.reason },
    throwIfAborted: {
      value: () => {
        const ended = end();
        if (ended !== null) throw ended.reason;
      },
    },
  });
}

function getterOf(name: "aborted" | "reason"): () => unknown {
  const getter = Object.getOwnPropertyDescriptor(AbortSignal.prototype, name)?.get;
  if (getter === undefined) throw new Error(`bug: AbortSignal.prototype has no getter ${name}`);
  return getter as () => unknown;
}
