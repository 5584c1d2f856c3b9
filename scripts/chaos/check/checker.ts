/** Checks the recordings of a world's processes. Pure. */
import { kindOf } from "../faults/catalogue.ts";
import type { HeldInterval, Recording } from "../node/recording.ts";
import type { CheckOptions, EpochProblem, FaultMark, Findings } from "./findings.ts";
import { lastFault } from "./lanes.ts";
import { BUSY_LOOP_MS, overlapsOf } from "./overlaps.ts";
import { falseTakeoversOf } from "./takeovers.ts";
import { needlessChangesOf, vacanciesOf } from "./vacancies.ts";

/** `recording.held` is ordered by the start of the intervals, `recording.events` by their time. */
export function check(recording: Recording, options: CheckOptions): Findings {
  const { held } = recording;
  const stalls = [...recording.stalls, ...options.stalls].sort((one, other) => one.fromMs - other.fromMs);
  return {
    terms: new Set(held.map(({ incarnation, epoch }) => `${incarnation} ${epoch}`)).size,
    overlaps: overlapsOf(held, options),
    epochProblems: epochProblemsOf(held, options.faults),
    vacancies: vacanciesOf(held, stalls, { ...options, blindMs: BUSY_LOOP_MS }),
    needlessChanges: needlessChangesOf(stalls, options.faults),
    falseTakeovers: falseTakeoversOf(recording, stalls, options),
  };
}

/** Ordered by the time at which they were first held, terms have strictly increasing epochs. */
function epochProblemsOf(held: readonly HeldInterval[], faults: readonly FaultMark[]): EpochProblem[] {
  const found: EpochProblem[] = [];
  const seen = new Set<string>();
  let newest: HeldInterval | null = null;
  for (const one of held) {
    const term = `${one.incarnation} ${one.epoch}`;
    if (seen.has(term)) continue;
    seen.add(term);
    if (newest !== null && one.epoch <= newest.epoch) {
      const fault = lastFault(faults, one.fromMs);
      const isOperators = fault !== null && kindOf(fault.name).blame === "operator";
      const text = `epoch ${one.epoch} of ${one.node} after epoch ${newest.epoch} of ${newest.node}`;
      found.push({ atMs: one.fromMs, isOperators, text });
    }
    if (newest === null || one.epoch > newest.epoch) newest = one;
  }
  return found;
}
