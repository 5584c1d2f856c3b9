/** Who held the lease when, seen from outside, and whether that is what the library guarantees. */
import type { NodeStatus } from "../../runtime/backend.ts";

/** One stretch of time in which a node could act as the leader. A term that was suspended has several. */
export interface HeldTerm {
  /** Name of the process. */
  readonly process: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly epoch: number;
  /** True time, in milliseconds. */
  readonly fromMs: number;
  /** `null`: it still holds. */
  readonly untilMs: number | null;
}

/** A node that runs, and what it says of itself. */
export interface HeldBy {
  readonly process: string;
  readonly status: NodeStatus;
}

interface Stretch {
  readonly term: { -readonly [Key in keyof HeldTerm]: HeldTerm[Key] };
  readonly leaseTtlMs: number;
}

export class HeldTerms {
  readonly #all: HeldTerm[] = [];
  #open: Stretch[] = [];
  #newest: HeldTerm | null = null;
  #lenientUntil = Number.NEGATIVE_INFINITY;
  /** Told when a stretch begins (`true`) and ends. */
  readonly #tell: (term: HeldTerm, begins: boolean) => void;

  constructor(tell: (term: HeldTerm, begins: boolean) => void) {
    this.#tell = tell;
  }

  get all(): readonly HeldTerm[] {
    return this.#all;
  }

  /** Somebody takes the bucket away: epochs may start anew, and whoever leads may believe in its lease to the end. */
  lenient(now: number): void {
    const longestMs = Math.max(0, ...this.#open.map(({ leaseTtlMs }) => leaseTtlMs));
    this.#lenientUntil = Math.max(this.#lenientUntil, now + longestMs);
    this.#newest = null;
  }

  /** Takes in who holds now. Returns what is wrong with that, or `null`. */
  look(now: number, holders: readonly HeldBy[]): string | null {
    if (holders.length === 0 && this.#open.length === 0) return null;
    this.#open = this.#open.filter(({ term }) => {
      if (holders.some((holder) => isSame(term, holder))) return true;
      term.untilMs = now;
      this.#tell(term, false);
      return false;
    });
    let wrong: string | null = null;
    for (const holder of holders) {
      if (!this.#open.some(({ term }) => isSame(term, holder))) wrong ??= this.#begin(now, holder);
    }
    if (this.#open.length < 2 || now <= this.#lenientUntil) return wrong;
    return `${this.#open.map(({ term }) => nameOf(term)).join(" and ")} hold the lease at once`;
  }

  #begin(now: number, { process, status }: HeldBy): string | null {
    const { nodeId, incarnation, epoch, leaseTtlMs } = status;
    const term = { process, nodeId, incarnation, epoch, fromMs: now, untilMs: null };
    this.#open.push({ term, leaseTtlMs });
    this.#all.push(term);
    this.#tell(term, true);
    const newest = this.#newest;
    if (newest === null || epoch > newest.epoch) this.#newest = term;
    if (newest === null || epoch > newest.epoch || isSame(newest, { process, status })) return null;
    return now <= this.#lenientUntil ? null : `${nameOf(term)} comes after ${nameOf(newest)}`;
  }
}

function isSame(term: HeldTerm, { status }: HeldBy): boolean {
  return term.incarnation === status.incarnation && term.epoch === status.epoch;
}

function nameOf({ process, epoch }: HeldTerm): string {
  return `${process} with epoch ${epoch}`;
}
