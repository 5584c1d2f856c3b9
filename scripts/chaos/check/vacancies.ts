/** Times without a leader and terms that ended, and whether a fault or the machine explains them. */
import { kindOf } from "../faults/catalogue.ts";
import type { HeldInterval, Stall } from "../node/recording.ts";
import type { CheckOptions, FaultMark, NeedlessChange, Vacancy } from "./findings.ts";

/** Shorter gaps come from the sampling interval (10 ms where clocks are changed) and from momentary suspensions. */
const MIN_VACANCY_MS = 50;

interface VacancyOptions extends Pick<CheckOptions, "faults" | "recoveryMs"> {
  /** A stall this long before a vacancy still explains it: the leader suspends itself for it when its loop turns. */
  readonly blindMs: number;
}

export function vacanciesOf(
  held: readonly HeldInterval[],
  stalls: readonly Stall[],
  { faults, recoveryMs, blindMs }: VacancyOptions,
): Vacancy[] {
  const found: Vacancy[] = [];
  let heldUntilMs: number | null = null;
  for (const one of held) {
    if (heldUntilMs !== null && one.fromMs - heldUntilMs >= MIN_VACANCY_MS) {
      const gap = { fromMs: heldUntilMs, untilMs: one.fromMs };
      const fault = explainedBy(gap, faults, recoveryMs);
      const suspect = { fromMs: gap.fromMs - blindMs, untilMs: gap.untilMs };
      const cause = fault !== null ? "fault" : touchesAny(suspect, stalls) ? "machine" : "none";
      const ms = gap.untilMs - gap.fromMs;
      found.push({ fromMs: gap.fromMs, ms, stalledMs: coveredMs(gap, stalls), cause, fault });
    }
    heldUntilMs = Math.max(heldUntilMs ?? 0, one.untilMs);
  }
  return found;
}

/** A fault explains a vacancy that began while the fault lasted and ended within `recoveryMs` of its end. */
function explainedBy(gap: Stall, faults: readonly FaultMark[], recoveryMs: number): FaultMark | null {
  return (
    faults.findLast(
      ({ name, fromMs, mendedMs, settledMs }) =>
        kindOf(name).effect !== "nothing" &&
        gap.untilMs > fromMs &&
        // The last sample may be a few milliseconds older than the fault that prevented the next one.
        gap.fromMs < Math.max(mendedMs, settledMs) &&
        gap.untilMs <= mendedMs + recoveryMs,
    ) ?? null
  );
}

export function needlessChangesOf(stalls: readonly Stall[], faults: readonly FaultMark[]): NeedlessChange[] {
  return faults
    .filter(
      ({ name, epochBefore, epochAfter }) => kindOf(name).effect !== "any" && epochBefore !== epochAfter,
    )
    .map((fault) => ({
      fault,
      cause: touchesAny({ fromMs: fault.fromMs, untilMs: fault.settledMs }, stalls) ? "machine" : "none",
    }));
}

/** How much of `span` the stalls cover. They are ordered by their start and may overlap. */
function coveredMs(span: Stall, stalls: readonly Stall[]): number {
  let covered = 0;
  let upToMs = span.fromMs;
  for (const { fromMs, untilMs } of stalls) {
    const from = Math.max(fromMs, upToMs);
    const until = Math.min(untilMs, span.untilMs);
    if (until <= from) continue;
    covered += until - from;
    upToMs = until;
  }
  return covered;
}

export function touchesAny(span: Stall, stalls: readonly Stall[]): boolean {
  return stalls.some(({ fromMs, untilMs }) => untilMs > span.fromMs && fromMs < span.untilMs);
}
