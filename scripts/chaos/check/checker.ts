/** Checks the recordings of a world's processes. Pure. */
import { kindOf } from "../faults/catalogue.ts";
import type { HeldInterval, Recording } from "../node/recording.ts";
import type { CheckOptions, EpochProblem, FaultMark, Findings, Overlap } from "./findings.ts";
import { needlessChangesOf, vacanciesOf } from "./vacancies.ts";

/** `STALE_AFTER_MS` of src/runtime/freshness.ts: how long a leader trusts its connection while its event loop is blocked. */
export const BUSY_LOOP_MS = 250;

/** `PROVEN_FOR_MS` of src/runtime/round-trips.ts: how long a leader is held whose server has closed its connection silently. */
export const UNPROVEN_MS = 1_000;

/** `recording.held` is ordered by the start of the intervals. */
export function check(recording: Recording, options: CheckOptions): Findings {
  const { held } = recording;
  const stalls = [...recording.stalls, ...options.stalls].sort((one, other) => one.fromMs - other.fromMs);
  return {
    terms: new Set(held.map(({ incarnation, epoch }) => `${incarnation} ${epoch}`)).size,
    overlaps: overlapsOf(held, options),
    epochProblems: epochProblemsOf(held, options.faults),
    vacancies: vacanciesOf(held, stalls, { ...options, blindMs: BUSY_LOOP_MS }),
    needlessChanges: needlessChangesOf(stalls, options.faults),
  };
}

function sameProcess(one: HeldInterval, other: HeldInterval): boolean {
  return one.node === other.node && one.processNumber === other.processNumber;
}

function overlapsOf(held: readonly HeldInterval[], options: CheckOptions): Overlap[] {
  const found: Overlap[] = [];
  let open: HeldInterval[] = [];
  for (const one of held) {
    open = open.filter((other) => other.untilMs > one.fromMs);
    for (const other of open) {
      if (sameProcess(one, other)) continue;
      const ms = Math.min(one.untilMs, other.untilMs) - one.fromMs;
      if (ms <= 0) continue;
      const fault = lastFault(options.faults, one.fromMs);
      const blame = fault === null ? "none" : kindOf(fault.name).blame;
      const busy = blame === "none" && options.presence && isBusyLoop(other, one, ms);
      found.push({
        fromMs: one.fromMs,
        ms,
        blame: busy ? "busy-loop" : blame,
        fault,
        one: other,
        other: one,
      });
    }
    open.push(one);
  }
  return found;
}

/**
 * With presence, a leader learns that its connection is closed when its event loop turns, and another node may lead by
 * then. The leader suspends itself only if the loop was blocked for `BUSY_LOOP_MS`. So the turn that was blocked for less,
 * and the start of the next turn, may still answer yes. This applies only if the last sample before the blocked turn was
 * taken before the other node led.
 */
function isBusyLoop(old: HeldInterval, next: HeldInterval, ms: number): boolean {
  return old.untilMs < next.untilMs && old.sampledMs <= next.fromMs && ms <= BUSY_LOOP_MS;
}

function lastFault(faults: readonly FaultMark[], atMs: number): FaultMark | null {
  return faults.findLast(({ fromMs }) => fromMs <= atMs) ?? null;
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
      const blame = fault !== null && kindOf(fault.name).blame === "operator" ? "operator" : "none";
      const text = `epoch ${one.epoch} of ${one.node} after epoch ${newest.epoch} of ${newest.node}`;
      found.push({ atMs: one.fromMs, blame, text });
    }
    if (newest === null || one.epoch > newest.epoch) newest = one;
  }
  return found;
}
