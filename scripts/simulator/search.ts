/** Plays many seeds one after another, and adds up what was seen. */

import { settle } from "../../src/testing/simulation/time/virtual-time.ts";
import { Tally, type TallyData } from "./check/tally.ts";
import { History } from "./history.ts";
import { type PlanOptions, planOf } from "./plan.ts";
import { SetHash } from "./trace-hash.ts";

const TURN_EVERY = 8;

export interface Failure {
  readonly seed: number;
  readonly violation: string;
}

/** Plain data: it travels between threads. */
export interface Findings {
  readonly seeds: number;
  readonly failures: readonly Failure[];
  readonly terms: number;
  readonly strayed: number;
  readonly tally: TallyData;
  /** Of all seeds together, whatever their order. */
  readonly traceHash: string;
}

export interface SearchOptions extends PlanOptions {
  readonly from: number;
  readonly seeds: number;
  /** Stops at that many failures. Default: at none. */
  readonly maxFailures?: number;
}

export async function search(options: SearchOptions): Promise<Findings> {
  const tally = new Tally();
  const hash = new SetHash();
  const failures: Failure[] = [];
  const { from, maxFailures = Number.POSITIVE_INFINITY } = options;
  let [terms, strayed, seed] = [0, 0, from];
  while (seed < from + options.seeds && failures.length < maxFailures) {
    const outcome = await new History(planOf(seed, options), tally).run();
    hash.add(seed, outcome.hash);
    terms += outcome.terms;
    strayed += outcome.strayed ? 1 : 0;
    if (outcome.violation !== null) failures.push({ seed, violation: outcome.violation });
    seed += 1;
    // What a history leaves behind is kept alive until the event loop turns.
    if (seed % TURN_EVERY === 0) await settle();
  }
  const { faults, elections, transitions } = tally;
  return {
    seeds: seed - from,
    failures,
    terms,
    strayed,
    tally: { faults, elections, transitions },
    traceHash: hash.digits,
  };
}

/** Puts the findings of several searches together. */
export function merge(all: readonly Findings[]): Findings {
  const tally = new Tally();
  const hash = new SetHash();
  for (const { tally: part, traceHash } of all) {
    tally.add(part);
    hash.merge(traceHash);
  }
  const sum = (of: (findings: Findings) => number): number => all.reduce((total, one) => total + of(one), 0);
  const { faults, elections, transitions } = tally;
  return {
    seeds: sum(({ seeds }) => seeds),
    failures: all.flatMap(({ failures }) => failures).sort((one, other) => one.seed - other.seed),
    terms: sum(({ terms }) => terms),
    strayed: sum(({ strayed }) => strayed),
    tally: { faults, elections, transitions },
    traceHash: hash.digits,
  };
}
