import type { LossReason } from "../election/types.ts";

/** One unbroken period of leadership of one incarnation. Ends exactly once; a later term is another object. */
export interface Term {
  readonly clusterId: string;
  readonly nodeId: string;
  /** Drawn at random by each `start()`. Distinguishes two processes with one node id. */
  readonly incarnation: string;
  /**
   * The fencing token: a positive integer, larger than that of every earlier term of the cluster. Send it with every write to
   * something that several leaders can reach, and make that refuse smaller tokens (`nats-leader/fencing`).
   */
  readonly epoch: number;
  /** Start of the term, Unix milliseconds on this node's wall clock. For display only. */
  readonly acquiredAt: number;
  /**
   * Aborts when the work must stop: on a step-down and on `stop()` *before* the lease is released, on any other loss at once.
   * `signal.reason` is a `ClusterError`. Not aborted by a suspension (see `held`).
   */
  readonly signal: AbortSignal;
  /**
   * May this node act as the leader at this moment? Compares clocks at every access, so it is false from the deadline on
   * even if no code has run since. Also false while the connection is down (`crashDetection: "presence"`) and while draining.
   */
  readonly held: boolean;
  /**
   * Milliseconds until the deadline, if no further renewal is confirmed; 0 when the term has ended. As long as `held` is true, no
   * other node leads before the deadline. For resources that end by themselves, such as a virtual IP.
   */
  readonly remainingMs: number;
  /** Why the term ended; `null` while it runs. */
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
