import { expect, test } from "vitest";
import { readOptions } from "../../scripts/chaos/options.ts";
import { type ChaosReport, isSound, summarize } from "../../scripts/chaos/report/report.ts";
import { sumReports } from "../../scripts/chaos/report/sum.ts";

const EMPTY = summarize([], {
  options: readOptions([]),
  spanMs: 1750,
  seconds: 60,
  faketime: true,
  disks: true,
  namespaces: true,
  broken: [],
});

function report(seed: number, change: Partial<ChaosReport>): ChaosReport {
  return { ...EMPTY, seed, ...change };
}

const kills = { group: "process", newTerms: 2, overlapMs: 0, shadowViolations: 1 } as const;

test("reports of several runs add up: counts are summed, of the longest times the maximum is taken", () => {
  const sum = sumReports([
    report(1, {
      faults: 3,
      overlaps: [
        { kind: "one-sided-reset", count: 2, maxMs: 120, bound: 250 },
        { kind: "one-sided-reset", count: 3, maxMs: 480, bound: 500 },
      ],
      falseTakeovers: 1,
      termsByCrashDetection: { presence: 3, silence: 2, lease: 1 },
      hostsLost: { cablePulled: 1, blackholed: 2 },
      longestVacancyMs: 70,
      longestVacancyFault: "kill",
      byFault: { kill: { ...kills, faults: 3, longestVacancyMs: 70 } },
    }),
    report(2, {
      faults: 4,
      overlapMs: 1.5,
      overlaps: [
        { kind: "forbidden", count: 1, maxMs: 1.5, bound: 0 },
        { kind: "one-sided-reset", count: 4, maxMs: 490, bound: 500 },
        { kind: "operator", count: 1, maxMs: 700, bound: null },
      ],
      falseTakeovers: 2,
      termsByCrashDetection: { presence: 1, silence: 1, lease: 1 },
      hostsLost: { cablePulled: 4, blackholed: 0 },
      longestVacancyMs: 50,
      byFault: { kill: { ...kills, faults: 4, longestVacancyMs: 50 } },
      problems: ["two led at once"],
    }),
  ]);
  expect(sum).toMatchObject({
    seeds: [1, 2],
    faults: 7,
    seconds: 120,
    overlapMs: 1.5,
    overlaps: [
      { kind: "forbidden", count: 1, maxMs: 1.5, bound: 0 },
      { kind: "one-sided-reset", count: 2, maxMs: 120, bound: 250 },
      { kind: "one-sided-reset", count: 7, maxMs: 490, bound: 500 },
      { kind: "operator", count: 1, maxMs: 700, bound: null },
    ],
    falseTakeovers: 3,
    termsByCrashDetection: { presence: 4, silence: 3, lease: 2 },
    hostsLost: { cablePulled: 5, blackholed: 2 },
    longestVacancyMs: 70,
    longestVacancyFault: "kill",
    byFault: { kill: { faults: 7, newTerms: 4, longestVacancyMs: 70, shadowViolations: 2 } },
    problems: ["seed 2: two led at once"],
  });
  expect(isSound(sum)).toBe(false);
});

test("runs with different lease TTLs are not added up", () => {
  expect(() => sumReports([report(1, {}), report(2, { leaseMs: 9000 })])).toThrow(/2000 and 9000 ms/);
  expect(() => sumReports([])).toThrow(/at least one report/);
});

test("a world without a report is a problem even if all others are sound", () => {
  const facts = {
    options: readOptions([]),
    spanMs: 1750,
    seconds: 1,
    faketime: true,
    disks: true,
    namespaces: true,
  };
  expect(isSound(summarize([], { ...facts, broken: ["world 1 gave no report: no nats-server"] }))).toBe(
    false,
  );
});
