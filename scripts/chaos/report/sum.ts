/** Adds up the reports of several runs into one. */
import { readFileSync } from "node:fs";
import type { FaultName } from "../faults/names.ts";
import type { ChaosReport, FaultSummary } from "./report.ts";

type NumberOf<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T];

const COUNTS = [
  "faults",
  "terms",
  "overlapMs",
  "staleWritesAccepted",
  "unfencedShadowViolations",
  "epochsNotIncreasing",
  "operatorEpochsBack",
  "unexplainedVacancies",
  "needlessTermChanges",
  "byBusyMachine",
  "fencedWrites",
  "shadowWrites",
  "refusedStale",
  "unknownOutcomes",
  "seconds",
] as const satisfies readonly NumberOf<ChaosReport>[];

const LONGEST = [
  "oneSidedResetOverlapMs",
  "busyLoopOverlapMs",
  "operatorOverlapMs",
  "clockOverlapMs",
  "clockRateOverlapMs",
] as const satisfies readonly NumberOf<ChaosReport>[];

export interface ChaosSum extends Omit<ChaosReport, "seed"> {
  readonly seeds: readonly number[];
}

/** @throws `Error` if there is no report or the runs had different lease TTLs. */
export function sumReports(reports: readonly ChaosReport[]): ChaosSum {
  const [first] = reports;
  if (first === undefined) throw new Error("--sum needs at least one report");
  const { seed: _, ...rest } = first;
  for (const { leaseMs } of reports)
    if (leaseMs !== first.leaseMs)
      throw new Error(`--sum needs reports with the same --lease, not ${first.leaseMs} and ${leaseMs} ms`);
  const total = (key: NumberOf<ChaosReport>): number =>
    Math.round(reports.reduce((sum, it) => sum + it[key], 0) * 1000) / 1000;
  const most = (key: NumberOf<ChaosReport>): number => Math.max(...reports.map((it) => it[key]));
  const longest = reports.reduce((one, other) =>
    other.longestVacancyMs > one.longestVacancyMs ? other : one,
  );
  const { longestVacancyMs, longestVacancyFault, longestVacancyStalledMs } = longest;
  const named = (key: "problems" | "notes"): string[] =>
    reports.flatMap((it) => it[key].map((line) => `seed ${it.seed}: ${line}`));
  return {
    ...rest,
    ...(Object.fromEntries(COUNTS.map((key) => [key, total(key)])) as Pick<
      ChaosReport,
      (typeof COUNTS)[number]
    >),
    ...(Object.fromEntries(LONGEST.map((key) => [key, most(key)])) as Pick<
      ChaosReport,
      (typeof LONGEST)[number]
    >),
    longestVacancyMs,
    longestVacancyFault,
    longestVacancyStalledMs,
    seeds: reports.map(({ seed }) => seed),
    byFault: sumByFault(reports),
    problems: named("problems"),
    notes: named("notes"),
  };
}

function sumByFault(reports: readonly ChaosReport[]): Partial<Record<FaultName, FaultSummary>> {
  const sums: Partial<Record<FaultName, FaultSummary>> = {};
  for (const { byFault } of reports) {
    for (const [name, it] of Object.entries(byFault) as [FaultName, FaultSummary][]) {
      const sum = sums[name];
      sums[name] =
        sum === undefined
          ? it
          : {
              group: it.group,
              faults: sum.faults + it.faults,
              newTerms: sum.newTerms + it.newTerms,
              longestVacancyMs: Math.max(sum.longestVacancyMs, it.longestVacancyMs),
              overlapMs: Math.max(sum.overlapMs, it.overlapMs),
              shadowViolations: sum.shadowViolations + it.shadowViolations,
            };
    }
  }
  return sums;
}

export function readReports(files: readonly string[]): ChaosReport[] {
  return files.map((file) => JSON.parse(readFileSync(file, "utf8")) as ChaosReport);
}
