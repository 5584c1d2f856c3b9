/** Plays the histories of consecutive seeds and adds up the results. */
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

/** Plain data, because it is sent between threads. */
export interface SearchResult {
  readonly seeds: number;
  readonly failures: readonly Failure[];
  readonly terms: number;
  readonly strayed: number;
  readonly tally: TallyData;
  /** Of all seeds, independent of their order. */
  readonly traceHash: string;
}

export interface SearchOptions extends PlanOptions {
  readonly from: number;
  readonly seeds: number;
  /** Stops after that many failures. Default: never. */
  readonly maxFailures?: number;
  /** Called every few histories. */
  readonly onProgress?: () => void;
}

export async function search(options: SearchOptions): Promise<SearchResult> {
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
    // The garbage of a history stays reachable until the event loop turns.
    if (seed % TURN_EVERY === 0) {
      options.onProgress?.();
      await settle();
    }
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

/** Adds up the results of several searches. */
export function merge(all: readonly SearchResult[]): SearchResult {
  const tally = new Tally();
  const hash = new SetHash();
  for (const { tally: part, traceHash } of all) {
    tally.add(part);
    hash.merge(traceHash);
  }
  const sum = (of: (result: SearchResult) => number): number =>
    all.reduce((total, one) => total + of(one), 0);
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
