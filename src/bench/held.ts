/** When each node was held, by the processes' own reports, and whether two nodes ever were at once. */

/** A period in which `node` answered `isLeader()` with true. Milliseconds of the host's monotonic clock. */
export interface HeldInterval {
  readonly node: string;
  readonly epoch: number;
  readonly from: number;
  /** Infinity while the period lasts. */
  readonly until: number;
}

/** The longest time during which two different nodes were held. 0 if that never happened. */
export function largestOverlap(intervals: readonly HeldInterval[]): number {
  let largest = 0;
  for (const [index, one] of intervals.entries()) {
    for (const other of intervals.slice(index + 1)) {
      if (one.node === other.node) continue;
      const shared = Math.min(one.until, other.until) - Math.max(one.from, other.from);
      largest = Math.max(largest, shared);
    }
  }
  return largest;
}

/** Builds the intervals of many nodes from their reports. */
export class HeldLedger {
  readonly #closed: HeldInterval[] = [];
  readonly #open = new Map<string, HeldInterval>();

  /** The node is held from `at` on. No effect if it already is in the same term. */
  hold(node: string, epoch: number, at: number): void {
    const open = this.#open.get(node);
    if (open?.epoch === epoch) return;
    if (open !== undefined) this.release(node, at);
    this.#open.set(node, { node, epoch, from: at, until: Number.POSITIVE_INFINITY });
  }

  /** The node is no longer held. The first call counts: reports of a killed process may arrive late. */
  release(node: string, at: number): void {
    const open = this.#open.get(node);
    if (open === undefined) return;
    this.#open.delete(node);
    this.#closed.push({ ...open, until: Math.max(at, open.from) });
  }

  isHeld(node: string): boolean {
    return this.#open.has(node);
  }

  /** When the node was last held; `now` if it still is, `null` if it never was. */
  lastHeld(node: string, now: number): number | null {
    const ends = this.intervals(now).filter((one) => one.node === node);
    return ends.length === 0 ? null : Math.max(...ends.map(({ until }) => until));
  }

  /** All intervals; those that still last end at `now`. */
  intervals(now: number): HeldInterval[] {
    return [...this.#closed, ...[...this.#open.values()].map((open) => ({ ...open, until: now }))];
  }
}
