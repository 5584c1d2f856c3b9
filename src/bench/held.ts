/** Who could act as the leader when, by the processes' own records, and whether two could at once. */

/** From `from` to `until`, `node` called itself leader. Milliseconds of the host's monotonic clock. */
export interface HeldInterval {
  readonly node: string;
  readonly epoch: number;
  readonly from: number;
  /** Infinity while it lasts. */
  readonly until: number;
}

/** The longest time during which two different nodes were held. 0: never. */
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

/** Collects the intervals of many nodes from what they report. */
export class HeldLedger {
  readonly #closed: HeldInterval[] = [];
  readonly #open = new Map<string, HeldInterval>();

  /** The node calls itself leader from now on. Repeated in the same term it changes nothing. */
  hold(node: string, epoch: number, at: number): void {
    const open = this.#open.get(node);
    if (open?.epoch === epoch) return;
    if (open !== undefined) this.release(node, at);
    this.#open.set(node, { node, epoch, from: at, until: Number.POSITIVE_INFINITY });
  }

  /** It does not any more. The earliest word counts: when a process is killed, its own reports may be late. */
  release(node: string, at: number): void {
    const open = this.#open.get(node);
    if (open === undefined) return;
    this.#open.delete(node);
    this.#closed.push({ ...open, until: Math.max(at, open.from) });
  }

  /** Those still held end at `now`. */
  intervals(now: number): HeldInterval[] {
    return [...this.#closed, ...[...this.#open.values()].map((open) => ({ ...open, until: now }))];
  }
}
