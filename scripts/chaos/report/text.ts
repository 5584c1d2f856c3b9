/** The report as text. */
import type { OverlapRow } from "./overlap-rows.ts";
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
    `  by crash detection     ${Object.entries(report.termsByCrashDetection)
      .map(([mode, terms]) => `${mode} ${terms}`)
      .join(", ")}`,
    `overlap of held terms    ${report.overlapMs} ms outside the documented residue`,
    ...report.overlaps.map(overlap),
    `false takeovers          ${report.falseTakeovers}, caused by the busy machine ${report.falseTakeoversByBusyMachine}`,
    `hosts lost               ${report.hostsLost.cablePulled} by a pulled cable, ${report.hostsLost.blackholed} by proxies`,
    `longest without a leader ${report.longestVacancyMs} ms (${report.longestVacancyFault ?? "no fault"}; a process did not run for ${report.longestVacancyStalledMs} ms of it); unexplained ${report.unexplainedVacancies}, needless term changes ${report.needlessTermChanges}, caused by the busy machine ${report.byBusyMachine}`,
    `fenced register          ${report.fencedWrites} writes, ${report.staleWritesAccepted} stale; ${report.refusedStale} refused as stale, ${report.unknownOutcomes} with unknown outcome`,
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

function overlap({ kind, count, maxMs, bound }: OverlapRow): string {
  const limit = bound === null ? "no bound" : `bound ${bound} ms`;
  return `  ${kind.padEnd(23)}${count} times, longest ${maxMs} ms, ${limit}`;
}

function ms(value: number): string {
  return (value === 0 ? "-" : `${Math.round(value)} ms`).padStart(8);
}

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join("\n");
}
