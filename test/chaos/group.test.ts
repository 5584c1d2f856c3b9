import { describe, expect, test } from "vitest";
import type { HeldInterval } from "../../scripts/chaos/node/recording.ts";
import {
  type FaultMark,
  findingsOf,
  ledgerFindings,
  staleEpochs,
} from "../../scripts/chaos-group/check/findings.ts";
import { FAULT_NAMES, type FaultName, kindOf } from "../../scripts/chaos-group/faults/faults.ts";
import { makeSchedule, profiles } from "../../scripts/chaos-group/schedule.ts";

function held(lane: string, epoch: number, fromMs: number, untilMs: number, processNumber = 1): HeldInterval {
  return {
    node: lane,
    processNumber,
    incarnation: `${lane}${processNumber}`,
    epoch,
    fromMs,
    untilMs,
    sampledMs: untilMs,
  };
}

function mark(name: FaultName, fromMs: number, mendedMs: number, settledMs: number): FaultMark {
  return { number: 1, name, fromMs, mendedMs, settledMs };
}

function found(
  intervals: readonly HeldInterval[],
  faults: readonly FaultMark[] = [],
  crashDetection: "presence" | "silence" | "lease" = "presence",
): ReturnType<typeof findingsOf> {
  return findingsOf("r", intervals, { faults, detectionOf: () => ({ crashDetection, silenceMs: 1_000 }) });
}

describe("two members of a resource at once", () => {
  test("are found, and nothing allows it without a fault", () => {
    const { overlaps } = found([held("a", 1, 0, 100), held("b", 2, 90, 200)]);
    expect(overlaps).toMatchObject([
      { ms: 10, boundMs: 0, fault: null, old: { node: "a" }, next: { node: "b" } },
    ]);
  });

  test("are allowed for as long as a round trip counts, after the end of a connection that its record names", () => {
    const cut = mark("reset-server-side", 80, 100, 200);
    const intervals = [held("a", 1, 0, 100), held("b", 2, 90, 200)];
    expect(found(intervals, [cut]).overlaps).toMatchObject([{ boundMs: 500, fault: "reset-server-side" }]);
    expect(found(intervals, [cut], "silence").overlaps).toMatchObject([{ boundMs: 0 }]);
    expect(found(intervals, [mark("kill", 80, 100, 200)]).overlaps).toMatchObject([{ boundMs: 0 }]);
  });

  test("are not bounded while a clock is wrong, and are again later", () => {
    const fast = mark("clock-fast", 80, 100, 200);
    expect(found([held("a", 1, 0, 100), held("b", 2, 90, 200)], [fast]).overlaps).toMatchObject([
      { boundMs: null },
    ]);
    expect(found([held("a", 1, 0, 5_000), held("b", 2, 4_000, 6_000)], [fast]).overlaps).toMatchObject([
      { boundMs: 0 },
    ]);
  });

  test("are none if one process holds it twice, or one after the other", () => {
    expect(found([held("a", 1, 0, 100), held("a", 2, 90, 200), held("b", 3, 200, 300)]).overlaps).toEqual([]);
  });
});

describe("epochs", () => {
  test("that do not increase are found, also equal ones of two processes", () => {
    expect(found([held("a", 5, 0, 10), held("b", 4, 20, 30)]).epochProblems).toHaveLength(1);
    expect(found([held("a", 5, 0, 10), held("b", 5, 20, 30)]).epochProblems).toHaveLength(1);
  });

  test("of a term that was suspended and goes on are no problem", () => {
    expect(found([held("a", 5, 0, 10), held("a", 5, 20, 30), held("b", 6, 40, 50)]).epochProblems).toEqual(
      [],
    );
  });
});

test("the time in which no member holds a resource is that of the fault", () => {
  const { vacancies } = found([held("a", 1, 0, 100), held("b", 2, 350, 400)], [mark("kill", 100, 110, 360)]);
  expect(vacancies).toEqual([{ resource: "r", ms: 250, fault: "kill" }]);
});

describe("a ledger", () => {
  const entry = (n: number, epoch: number, by = "a 1"): { n: number; epoch: number; by: string } => ({
    n,
    epoch,
    by,
  });

  test("without a gap, in order of its epochs, has no problem", () => {
    const entries = [entry(1, 4), entry(2, 4), entry(3, 9, "b 1")];
    const problems = ledgerFindings("r", entries, [
      { n: 2, by: "a 1" },
      { n: 3, by: "b 1" },
    ]);
    expect(problems).toEqual({ entries: 3, stale: [], twice: [], lost: [] });
  });

  test("shows what is stale, what is stored twice, and what is missing", () => {
    expect(ledgerFindings("r", [entry(1, 9), entry(2, 4)], []).stale).toHaveLength(1);
    expect(ledgerFindings("r", [entry(1, 4), entry(1, 4)], []).twice).toHaveLength(1);
    expect(ledgerFindings("r", [entry(1, 4), entry(3, 4)], []).lost).toHaveLength(1);
  });

  test("shows an entry that was acknowledged to its writer, and that is not there or of another writer", () => {
    expect(ledgerFindings("r", [entry(1, 4)], [{ n: 2, by: "a 1" }]).lost).toHaveLength(1);
    expect(ledgerFindings("r", [entry(1, 4, "b 1")], [{ n: 1, by: "a 1" }]).lost).toHaveLength(1);
  });

  test("without a fence counts every entry behind a larger epoch", () => {
    expect(staleEpochs([1, 1, 5, 1, 5, 4, 6])).toBe(2);
  });
});

describe("the schedule of a run of groups", () => {
  const worlds = profiles(3, { servers: null, clocks: true });

  test("is decided by its seed, and has every kind before it repeats one", () => {
    const options = { seed: 7, faults: 200, worlds, only: [] };
    expect(makeSchedule(options)).toEqual(makeSchedule(options));
    expect(makeSchedule({ ...options, seed: 8 })).not.toEqual(makeSchedule(options));
    const dealt = makeSchedule({ ...options, faults: 3 * FAULT_NAMES.length }).flat();
    expect(new Set(dealt)).toEqual(new Set(FAULT_NAMES));
  });

  test("has only faults that a world can play", () => {
    for (const [index, names] of makeSchedule({ seed: 1, faults: 300, worlds, only: [] }).entries()) {
      const { servers, clocks } = worlds[index] ?? { servers: 1, clocks: false };
      for (const name of names) {
        const { needs } = kindOf(name);
        if (needs === "cluster") expect(servers).toBe(3);
        if (needs === "clocks") expect(clocks).toBe(true);
      }
    }
    expect(() =>
      makeSchedule({ seed: 1, faults: 1, worlds: worlds.slice(0, 1), only: ["route-split"] }),
    ).toThrow("no world of this run can inject route-split");
  });
});
