/** The report for people. */
import type { ChaosReport, FaultSummary } from "./report.ts";
import type { ChaosSum } from "./sum.ts";

export function reportText(report: ChaosReport | ChaosSum): string {
  const seeds = "seeds" in report ? `seeds ${report.seeds.join(", ")}` : `seed ${report.seed}`;
  const rows = Object.entries(report.byFault).map(([name, it]) => row(name, it));
  const verdict =
    report.problems.length === 0
      ? "All held."
      : `${report.problems.length} PROBLEMS\n${bullets(report.problems)}`;
  return [
    `${report.faults} faults in ${report.seconds} s, ${seeds}, lease ${report.leaseMs} ms, ${report.servers}, clocks ${report.clocks}`,
    `worlds ${report.worlds.join("; ")}`,
    "",
    ["fault".padEnd(30), "times", "new term", "vacancy", "overlap", "shadow"].join("  "),
    ...rows,
    "",
    `terms                    ${report.terms}`,
    `overlap of held terms    ${report.overlapMs} ms; longest after a one-sided reset ${report.oneSidedResetOverlapMs} ms, with a busy event loop ${report.busyLoopOverlapMs} ms, by an operator ${report.operatorOverlapMs} ms, with clocks set back ${report.clockOverlapMs} ms, with clocks of other rates ${report.clockRateOverlapMs} ms`,
    `longest without a leader ${report.longestVacancyMs} ms (${report.longestVacancyFault ?? "no fault"}; for ${report.longestVacancyStalledMs} ms of it a process did not get to run); unexplained ${report.unexplainedVacancies}, needless changes ${report.needlessTermChanges}, by the busy machine ${report.byBusyMachine}`,
    `fenced register          ${report.fencedWrites} writes, ${report.staleWritesAccepted} stale; ${report.refusedStale} refused, ${report.unknownOutcomes} unknown`,
    `unfenced shadow          ${report.shadowWrites} writes, ${report.unfencedShadowViolations} stale`,
    "",
    verdict,
    ...(report.notes.length === 0 ? [] : [bullets(report.notes)]),
  ].join("\n");
}

function row(name: string, it: FaultSummary): string {
  return [
    name.padEnd(30),
    String(it.faults).padStart(5),
    String(it.newTerms).padStart(8),
    ms(it.longestVacancyMs),
    ms(it.overlapMs),
    String(it.shadowViolations).padStart(6),
  ].join("  ");
}

function ms(value: number): string {
  return (value === 0 ? "-" : `${Math.round(value)} ms`).padStart(8);
}

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join("\n");
}
