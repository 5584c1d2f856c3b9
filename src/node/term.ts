import type { LossReason } from "../election/types.ts";

/**
 * One unbroken period of leadership, as the application holds it. Ends exactly once; a later term is another object.
 */
export interface Term {
  readonly clusterId: string;
  readonly nodeId: string;
  /** Which start of that node: drawn at random by every `start()`. Tells two processes with one node id apart. */
  readonly incarnation: string;
  /**
   * The term's fencing token: a positive integer, larger than that of every earlier term of the cluster. Send it with
   * every write to something that several leaders could reach, and let that refuse smaller ones.
   */
  readonly epoch: number;
  /** When the term began, Unix milliseconds on this node's wall clock. For humans. */
  readonly acquiredAt: number;
  /**
   * Aborts when work has to stop: on step-down and stop *before* the lease is given away, on every other loss at once.
   * `signal.reason` is a `ClusterError`. Not aborted by a mere suspension (see `held`).
   */
  readonly signal: AbortSignal;
  /**
   * May the leader act right now? Computed at every call from the clocks, so it is false from the deadline on even when
   * no code has run since. Also false while the connection is down (`crashDetection: "presence"`) and while draining.
   */
  readonly held: boolean;
  /**
   * Milliseconds until the deadline, if no further renewal is confirmed; 0 when the term is over. Nobody else leads before
   * it unless the connection is lost (`held` is false then). For what must end by itself, such as a virtual IP.
   */
  readonly remainingMs: number;
  /** Why it ended; `null` while it runs. */
  readonly lossReason: LossReason | null;
}

/** The election as a term asks it. */
export interface LeaseClock {
  /** May this node act as the leader at this moment? */
  isHeld(): boolean;
  remainingMs(epoch: number): number;
}

/** A `Term` as the incarnation keeps it. */
export class RunningTerm implements Term {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly epoch: number;
  readonly acquiredAt: number;
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #lease: LeaseClock;
  #lossReason: LossReason | null = null;
  /** Leader work of this term: each worker runs once, and a drain waits for all of them. */
  readonly work: Map<object, Promise<void>> = new Map();
  /** `onBecomeLeader` was called, so `onLoseLeadership` must be, too. */
  announced = false;

  constructor(
    identity: Pick<Term, "clusterId" | "nodeId" | "incarnation" | "epoch" | "acquiredAt">,
    lease: LeaseClock,
  ) {
    this.clusterId = identity.clusterId;
    this.nodeId = identity.nodeId;
    this.incarnation = identity.incarnation;
    this.epoch = identity.epoch;
    this.acquiredAt = identity.acquiredAt;
    this.signal = this.#controller.signal;
    this.#lease = lease;
  }

  get held(): boolean {
    return this.#lossReason === null && this.#lease.isHeld();
  }

  get remainingMs(): number {
    return this.#lease.remainingMs(this.epoch);
  }

  get lossReason(): LossReason | null {
    return this.#lossReason;
  }

  end(reason: LossReason, why: Error): void {
    if (this.#lossReason !== null) return;
    this.#lossReason = reason;
    this.#controller.abort(why);
  }
}

/** The same term with another signal. */
export function withSignal(term: Term, signal: AbortSignal): Term {
  return Object.freeze({
    clusterId: term.clusterId,
    nodeId: term.nodeId,
    incarnation: term.incarnation,
    epoch: term.epoch,
    acquiredAt: term.acquiredAt,
    signal,
    get held(): boolean {
      return term.held;
    },
    get remainingMs(): number {
      return term.remainingMs;
    },
    get lossReason(): LossReason | null {
      return term.lossReason;
    },
  });
}
