/** Plays the histories of consecutive seeds and adds up the results. */
import { settle } from "../../src/testing/simulation/time/virtual-time.ts";
import { SetHash } from "../simulator/trace-hash.ts";
import { History } from "./history.ts";
import { planOf } from "./plan.ts";
import { Tally, type TallyData } from "./tally.ts";

const TURN_EVERY = 8;

interface Failure {
  readonly seed: number;
  readonly violation: string;
}

/** Plain data, because it is sent between threads. */
export interface GroupSearchResult {
  readonly seeds: number;
  readonly failures: readonly Failure[];
  readonly terms: number;
  readonly tally: TallyData;
  /** Of all seeds, independent of their order. */
  readonly traceHash: string;
}

export interface GroupSearchOptions {
  readonly from: number;
  readonly seeds: number;
  /** Stops after that many failures. Default: never. */
  readonly maxFailures?: number;
  /** Called every few histories. */
  readonly onProgress?: () => void;
}

export async function search(options: GroupSearchOptions): Promise<GroupSearchResult> {
  const tally = new Tally();
  const hash = new SetHash();
  const failures: Failure[] = [];
  const { from, maxFailures = Number.POSITIVE_INFINITY } = options;
  let [terms, seed] = [0, from];
  while (seed < from + options.seeds && failures.length < maxFailures) {
    const outcome = await new History(planOf(seed), tally).run();
    hash.add(seed, outcome.hash);
    terms += outcome.terms;
    if (outcome.violation !== null) failures.push({ seed, violation: outcome.violation });
    seed += 1;
    // The garbage of a history stays reachable until the event loop turns.
    if (seed % TURN_EVERY === 0) {
      options.onProgress?.();
      await settle();
    }
  }
  return { seeds: seed - from, failures, terms, tally: plain(tally), traceHash: hash.digits };
}

/** Adds up the results of several searches. */
export function merge(all: readonly GroupSearchResult[]): GroupSearchResult {
  const tally = new Tally();
  const hash = new SetHash();
  let [seeds, terms] = [0, 0];
  for (const one of all) {
    tally.add(one.tally);
    hash.merge(one.traceHash);
    seeds += one.seeds;
    terms += one.terms;
  }
  const failures = all.flatMap((one) => one.failures).sort((one, other) => one.seed - other.seed);
  return { seeds, failures, terms, tally: plain(tally), traceHash: hash.digits };
}

function plain({ faults, commits, effects }: Tally): TallyData {
  return { faults, commits, effects };
}
