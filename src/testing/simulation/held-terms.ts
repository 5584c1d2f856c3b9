/** Records which node held the lease when, and checks the guarantees of the library from outside. */
import type { NodeStatus } from "../../runtime/backend.ts";

/** A period in which a node held the lease without interruption. A term that was suspended has several. */
export interface HeldTerm {
  /** Name of the process. */
  readonly process: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly epoch: number;
  /** True time, in milliseconds. */
  readonly fromMs: number;
  /** `null`: the node still holds the lease. */
  readonly untilMs: number | null;
}

/** A running node and its status. */
export interface HeldBy {
  readonly process: string;
  readonly status: NodeStatus;
}

interface OpenPeriod {
  readonly term: { -readonly [Key in keyof HeldTerm]: HeldTerm[Key] };
  readonly leaseTtlMs: number;
}

export class HeldTerms {
  readonly #all: HeldTerm[] = [];
  #open: OpenPeriod[] = [];
  #newest: HeldTerm | null = null;
  /** Violations are tolerated until then. */
  #tolerantUntil = Number.NEGATIVE_INFINITY;
  readonly #onChange: (term: HeldTerm, begins: boolean) => void;

  /** `onChange` is called when a period begins (`true`) and ends (`false`). */
  constructor(onChange: (term: HeldTerm, begins: boolean) => void) {
    this.#onChange = onChange;
  }

  get all(): readonly HeldTerm[] {
    return this.#all;
  }

  /** The bucket is deleted: epochs may restart, and present holders may hold their lease until it expires. */
  tolerateDeletion(now: number): void {
    const longestMs = Math.max(0, ...this.#open.map(({ leaseTtlMs }) => leaseTtlMs));
    this.#tolerantUntil = Math.max(this.#tolerantUntil, now + longestMs);
    this.#newest = null;
  }

  /** Records the present holders. Returns the violation, or `null` if there is none. */
  observe(now: number, holders: readonly HeldBy[]): string | null {
    if (holders.length === 0 && this.#open.length === 0) return null;
    this.#open = this.#open.filter(({ term }) => {
      if (holders.some((holder) => isSame(term, holder))) return true;
      term.untilMs = now;
      this.#onChange(term, false);
      return false;
    });
    let wrong: string | null = null;
    for (const holder of holders) {
      if (!this.#open.some(({ term }) => isSame(term, holder))) wrong ??= this.#begin(now, holder);
    }
    if (this.#open.length < 2 || now <= this.#tolerantUntil) return wrong;
    return `${this.#open.map(({ term }) => nameOf(term)).join(" and ")} hold the lease at once`;
  }

  #begin(now: number, { process, status }: HeldBy): string | null {
    const { nodeId, incarnation, epoch, leaseTtlMs } = status;
    const term = { process, nodeId, incarnation, epoch, fromMs: now, untilMs: null };
    this.#open.push({ term, leaseTtlMs });
    this.#all.push(term);
    this.#onChange(term, true);
    const newest = this.#newest;
    if (newest === null || epoch > newest.epoch) this.#newest = term;
    if (newest === null || epoch > newest.epoch || isSame(newest, { process, status })) return null;
    return now <= this.#tolerantUntil ? null : `${nameOf(term)} begins after ${nameOf(newest)}`;
  }
}

function isSame(term: HeldTerm, { status }: HeldBy): boolean {
  return term.incarnation === status.incarnation && term.epoch === status.epoch;
}

function nameOf({ process, epoch }: HeldTerm): string {
  return `${process} with epoch ${epoch}`;
}
