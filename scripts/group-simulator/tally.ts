/** What occurred in the histories, and how often. */
import type { GroupFaultName } from "./faults/names.ts";

export type Counts = Readonly<Record<string, number>>;

/** Plain data, because it is sent between threads. */
export interface TallyData {
  readonly faults: Counts;
  /** By the kind of record, and by what was on the key before. */
  readonly commits: Counts;
  readonly effects: Counts;
}

export class Tally implements TallyData {
  readonly faults: Record<string, number> = {};
  readonly commits: Record<string, number> = {};
  readonly effects: Record<string, number> = {};

  fault(name: GroupFaultName): void {
    this.faults[name] = (this.faults[name] ?? 0) + 1;
  }

  add({ faults = {}, commits = {}, effects = {} }: Partial<TallyData>): void {
    sumUp(this.faults, faults);
    sumUp(this.commits, commits);
    sumUp(this.effects, effects);
  }
}

function sumUp(total: Record<string, number>, more: Counts): void {
  for (const [name, times] of Object.entries(more)) total[name] = (total[name] ?? 0) + times;
}
