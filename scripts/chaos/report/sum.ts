/** Adds up the reports of several runs into one. */
import { readFileSync } from "node:fs";
import type { FaultName } from "../faults/names.ts";
import { sumRows } from "./overlap-rows.ts";
import type { ChaosReport, FaultSummary } from "./report.ts";

type NumberOf<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T];

const COUNTS = [
  "faults",
  "terms",
  "overlapMs",
  "falseTakeovers",
  "falseTakeoversByBusyMachine",
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
    termsByCrashDetection: sumOf(reports.map((it) => it.termsByCrashDetection)),
    hostsLost: sumOf(reports.map((it) => it.hostsLost)),
    overlaps: sumRows(reports.map((it) => it.overlaps)),
    longestVacancyMs,
    longestVacancyFault,
    longestVacancyStalledMs,
    seeds: reports.map(({ seed }) => seed),
    byFault: sumByFault(reports),
    problems: named("problems"),
    notes: named("notes"),
  };
}

function sumOf<K extends string>(counts: readonly Readonly<Record<K, number>>[]): Record<K, number> {
  const [first] = counts;
  if (first === undefined) throw new Error("bug: nothing to add up");
  const names = Object.keys(first) as K[];
  const total = (name: K): number => counts.reduce((sum, it) => sum + it[name], 0);
  return Object.fromEntries(names.map((name) => [name, total(name)])) as Record<K, number>;
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
