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
      oneSidedResetOverlapMs: 900,
      longestVacancyMs: 70,
      longestVacancyFault: "kill",
      byFault: { kill: { ...kills, faults: 3, longestVacancyMs: 70 } },
    }),
    report(2, {
      faults: 4,
      overlapMs: 1.5,
      oneSidedResetOverlapMs: 1200,
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
    oneSidedResetOverlapMs: 1200,
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

test("a world that did not start is a problem even if all others are sound", () => {
  const facts = {
    options: readOptions([]),
    spanMs: 1750,
    seconds: 1,
    faketime: true,
    disks: true,
    namespaces: true,
  };
  expect(isSound(summarize([], { ...facts, broken: ["world 1 did not start: no nats-server"] }))).toBe(false);
});
