/** Times with two leaders, counted by reason and bound. */
import type { Overlap, OverlapKind } from "../check/findings.ts";

export interface OverlapRow {
  readonly kind: OverlapKind;
  readonly count: number;
  readonly maxMs: number;
  /**
   * What `maxMs` may be, in milliseconds. It depends on the `silenceMs` of the leader that should have stopped, so a kind may have
   * several rows. `null`: no lease can exclude these.
   */
  readonly bound: number | null;
}

export function overlapRows(overlaps: readonly Overlap[]): OverlapRow[] {
  return merged(
    overlaps.map(({ kind, ms, boundMs }) => ({
      kind,
      count: 1,
      maxMs: Math.round(ms * 1000) / 1000,
      bound: boundMs,
    })),
  );
}

export function sumRows(reports: readonly (readonly OverlapRow[])[]): OverlapRow[] {
  return merged(reports.flat());
}

function merged(rows: readonly OverlapRow[]): OverlapRow[] {
  const found = new Map<string, OverlapRow>();
  for (const row of rows) {
    const key = `${row.kind} ${row.bound}`;
    const seen = found.get(key);
    found.set(
      key,
      seen === undefined
        ? row
        : { ...seen, count: seen.count + row.count, maxMs: Math.max(seen.maxMs, row.maxMs) },
    );
  }
  return [...found.values()].sort(
    (one, other) => one.kind.localeCompare(other.kind) || (one.bound ?? 0) - (other.bound ?? 0),
  );
}
