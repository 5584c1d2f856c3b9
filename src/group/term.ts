import { ClusterError } from "../errors.ts";
import { clockTrueSignal, type Term } from "../node/term.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import type { DisownReason } from "./application/types.ts";

/**
 * One unbroken period in which one member owns one resource. Each term is one object, the same in every hook, event and run of work.
 * It is a `Term` in all that concerns its work, and can be given to everything in `nats-leader/fencing`.
 */
export interface ResourceTerm extends Omit<Term, "clusterId" | "nodeId" | "lossReason"> {
  readonly groupId: string;
  readonly memberId: string;
  /** Name of the resource. */
  readonly resource: string;
  /**
   * The fencing token: a positive integer, larger than the epoch of every earlier term of this resource. Send it with every write to
   * what several owners can reach, and let that refuse smaller epochs. Epochs of two resources cannot be compared.
   */
  readonly epoch: number;
  /** `<groupId>/<resource>`, for fences: what its epochs can be compared with. No cluster can have such an id. */
  readonly clusterId: string;
  /** The same as `memberId`, for fences. */
  readonly nodeId: string;
  /** Why the term ended; `null` while it runs. */
  readonly lossReason: DisownReason | null;
}

/** The session of a member and its terms, by the clocks. */
export interface SessionClock {
  /** May this member act as the owner of the resource at this moment? */
  isHeld(resource: string): boolean;
  /** Until the first of lease and stretch ends, of the session, or of the term of a resource; 0 while suspended. */
  remainingMs(resource?: string): number;
  /** As `remainingMs`, and with crash detection by presence no longer than the last round trip counts. */
  provenRemainingMs(resource?: string): number;
  leaseRemainingMs(resource?: string): number;
  /** Ends a session and terms whose deadline has passed, without waiting for a timer. */
  expire(): void;
}

/** What the terms of a member have in common. */
export interface TermContext {
  readonly groupId: string;
  readonly memberId: string;
  readonly incarnation: string;
  readonly clock: SessionClock;
  untilHeld(term: OwnTerm, options: WaitOptions): Promise<void>;
}

/**
 * A `ResourceTerm` as the member keeps it. Thousands exist at a time: its signal is made when it is read for the first time.
 *
 * A term ends in up to three moments: `end()`, as soon as the core says so; `abort()`, when it is the resource's turn; `close()`, when
 * another member may own the resource.
 */
export class OwnTerm implements ResourceTerm {
  readonly resource: string;
  readonly epoch: number;
  readonly acquiredAt: number;
  readonly #context: TermContext;
  #controller: AbortController | null = null;
  #lossReason: DisownReason | null = null;
  #why: Error | null = null;
  #isAborted = false;
  #isClosed = false;

  constructor(context: TermContext, resource: string, epoch: number, acquiredAt: number) {
    this.#context = context;
    this.resource = resource;
    this.epoch = epoch;
    this.acquiredAt = acquiredAt;
  }

  get groupId(): string {
    return this.#context.groupId;
  }

  get memberId(): string {
    return this.#context.memberId;
  }

  get incarnation(): string {
    return this.#context.incarnation;
  }

  get clusterId(): string {
    return `${this.groupId}/${this.resource}`;
  }

  get nodeId(): string {
    return this.memberId;
  }

  get lossReason(): DisownReason | null {
    return this.#lossReason;
  }

  get held(): boolean {
    return this.#lossReason === null && this.#context.clock.isHeld(this.resource);
  }

  get remainingMs(): number {
    return this.#isClosed ? 0 : this.#context.clock.remainingMs(this.resource);
  }

  get provenRemainingMs(): number {
    return this.#isClosed ? 0 : this.#context.clock.provenRemainingMs(this.resource);
  }

  get leaseRemainingMs(): number {
    return this.#isClosed ? 0 : this.#context.clock.leaseRemainingMs(this.resource);
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      clockTrueSignal(this.#controller, () => this.over());
      if (this.#isAborted) this.#controller.abort(this.#reason());
    }
    return this.#controller.signal;
  }

  /** The signal, if it was ever read. */
  get givenSignal(): AbortSignal | undefined {
    return this.#controller?.signal;
  }

  untilHeld(options: WaitOptions = {}): Promise<void> {
    return this.#context.untilHeld(this, options);
  }

  /** Why the term is over, by the clocks; `null` while it is not. */
  over(): { readonly reason: Error } | null {
    const { clock } = this.#context;
    if (this.#lossReason === null && clock.leaseRemainingMs(this.resource) <= 0) clock.expire();
    if (this.#lossReason === null && clock.leaseRemainingMs(this.resource) > 0) return null;
    return { reason: this.#reason() };
  }

  /** From now on it is not held. */
  end(reason: DisownReason): void {
    this.#lossReason ??= reason;
  }

  /** Aborts the signal. */
  abort(): void {
    this.#isAborted = true;
    // An error with its stack costs more than everything else here.
    if (this.#controller !== null) this.#controller.abort(this.#reason());
  }

  /** It was released or lost: another member may own the resource. */
  close(): void {
    this.#isClosed = true;
  }

  /** What the signal aborts with: the same for every reader. */
  #reason(): Error {
    const why = this.#lossReason ?? "expired";
    this.#why ??= new ClusterError(
      "NOT_LEADER",
      `the term of resource "${this.resource}" with epoch ${this.epoch} has ended: ${why}`,
    );
    return this.#why;
  }
}
