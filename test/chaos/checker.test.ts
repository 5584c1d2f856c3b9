/** The checker finds what was planted. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { check, type FaultMark } from "../../scripts/chaos/check/checker.ts";
import type { FaultName } from "../../scripts/chaos/faults/catalogue.ts";
import {
  type HeldInterval,
  HistoryWriter,
  parseHistory,
  readHistory,
  type Stall,
} from "../../scripts/chaos/node/recording.ts";

const RECOVERY_MS = 5000;

function held(node: string, epoch: number, fromMs: number, untilMs: number, life = 1): HeldInterval {
  return { node, life, incarnation: `${node}${life}`, epoch, fromMs, untilMs, lookedMs: untilMs - 2 };
}

function fault(
  name: FaultName,
  fromMs: number,
  mendedMs: number,
  epochs: readonly [number, number] = [1, 2],
): FaultMark {
  const [epochBefore, epochAfter] = epochs;
  return {
    number: 1,
    name,
    fromMs,
    mendedMs,
    settledMs: mendedMs + 50,
    leader: "a",
    epochBefore,
    epochAfter,
  };
}

function findings(
  intervals: readonly HeldInterval[],
  faults: readonly FaultMark[] = [],
  stalls: readonly Stall[] = [],
) {
  return check({ held: intervals, stalls }, { faults, stalls: [], presence: true, recoveryMs: RECOVERY_MS });
}

describe("overlaps", () => {
  test("one term after another is none, also when one ends as the other begins", () => {
    const all = [held("a", 1, 0, 100), held("b", 2, 100, 200), held("a", 3, 250, 300)];
    expect(findings(all)).toMatchObject({ terms: 3, overlaps: [], epochProblems: [] });
  });

  test("of a few milliseconds is found, with both holders", () => {
    const [a, b] = [held("a", 1, 0, 103.5), held("b", 2, 100, 200)];
    expect(findings([a, b]).overlaps).toEqual([
      { fromMs: 100, ms: 3.5, blame: "none", fault: null, one: a, other: b },
    ]);
  });

  test("is found with a term long ago that never ended, past others in between", () => {
    const all = [held("a", 1, 0, 1000), held("b", 2, 10, 20), held("c", 3, 500, 600)];
    expect(findings(all).overlaps.map(({ ms }) => ms)).toEqual([10, 100]);
  });

  test("of two processes under one node id is one", () => {
    expect(findings([held("a", 1, 0, 100, 1), held("a", 2, 90, 200, 2)]).overlaps).toMatchObject([
      { ms: 10 },
    ]);
  });

  test("of a suspended and resumed term with itself is none", () => {
    expect(findings([held("a", 1, 0, 100), held("a", 1, 120, 200)]).overlaps).toEqual([]);
  });

  test.each([
    ["freeze", "none"],
    ["reset-server-side", "one-sided"],
    ["key-purged", "operator"],
    ["clock-back", "clock"],
  ] as const)("under %s is blamed on: %s", (name, blame) => {
    const all = [held("a", 1, 0, 110), held("b", 2, 100, 200)];
    expect(findings(all, [fault("kill", 10, 20), fault(name, 90, 150)]).overlaps).toMatchObject([
      { blame, fault: { name } },
    ]);
  });

  test("by the first look after a loop that stood still is told apart, with presence and up to 250 ms", () => {
    const late = (untilMs: number): HeldInterval[] => [
      { ...held("a", 1, 0, untilMs), lookedMs: 90 },
      held("b", 2, 100, 900),
    ];
    const blames = (intervals: HeldInterval[], presence: boolean): string[] =>
      check(
        { held: intervals, stalls: [] },
        { faults: [], stalls: [], presence, recoveryMs: RECOVERY_MS },
      ).overlaps.map(({ blame }) => blame);
    expect(blames(late(150), true)).toEqual(["busy-loop"]);
    expect(blames(late(150), false)).toEqual(["none"]);
    expect(blames(late(351), true)).toEqual(["none"]);
    expect(blames([held("a", 1, 0, 150), held("b", 2, 100, 900)], true)).toEqual(["none"]);
  });

  test("before a fault that would excuse it is not excused", () => {
    const all = [held("a", 1, 0, 110), held("b", 2, 100, 200)];
    expect(findings(all, [fault("reset-server-side", 105, 150)]).overlaps).toMatchObject([{ blame: "none" }]);
  });
});

describe("epochs", () => {
  test("that go back or come twice are found", () => {
    const all = [held("a", 5, 0, 10), held("b", 4, 20, 30), held("c", 5, 40, 50)];
    expect(findings(all).epochProblems.map(({ text }) => text)).toEqual([
      "epoch 4 of b after epoch 5 of a",
      "epoch 5 of c after epoch 5 of a",
    ]);
  });

  test("of one term may come again, and an operator's deletion is told apart", () => {
    const all = [held("a", 5, 0, 10), held("a", 5, 20, 30), held("b", 1, 60, 70)];
    expect(findings(all, [fault("bucket-deleted", 40, 50)]).epochProblems).toMatchObject([
      { blame: "operator" },
    ]);
  });
});

describe("vacancies", () => {
  const gap = [held("a", 1, 0, 1000), held("b", 2, 1800, 3000)];

  test("are explained by a fault that came when they began", () => {
    expect(findings(gap, [fault("freeze", 1001, 1700)]).vacancies).toMatchObject([
      { fromMs: 1000, ms: 800, cause: "fault", fault: { name: "freeze" } },
    ]);
  });

  test("are not, by nothing, by one that was over, or by one that nobody should notice", () => {
    for (const faults of [[], [fault("freeze", 100, 300)], [fault("kill-follower", 990, 1700)]])
      expect(findings(gap, faults).vacancies).toMatchObject([{ cause: "none", fault: null }]);
  });

  test("are not when they outlast all that the fault can do", () => {
    const long = [held("a", 1, 0, 1000), held("b", 2, 1200 + RECOVERY_MS + 1, 20_000)];
    expect(findings(long, [fault("freeze", 990, 1200)]).vacancies).toMatchObject([{ cause: "none" }]);
  });

  test("in which the machine stood still are the machine's", () => {
    const stalls = [{ fromMs: 900, untilMs: 1200 }];
    const found = check(
      { held: gap, stalls },
      { faults: [], stalls: [], presence: true, recoveryMs: RECOVERY_MS },
    );
    expect(found.vacancies).toMatchObject([{ cause: "machine", stalledMs: 200 }]);
  });

  test("say for how much of them a process did not get to run, each moment counted once", () => {
    const stalls = [
      { fromMs: 1600, untilMs: 2500 },
      { fromMs: 900, untilMs: 1200 },
      { fromMs: 1100, untilMs: 1300 },
      { fromMs: 1150, untilMs: 1160 },
    ];
    expect(findings(gap, [], stalls).vacancies).toMatchObject([{ stalledMs: 500 }]);
  });

  test("of a few milliseconds are not worth a word", () => {
    expect(findings([held("a", 1, 0, 1000), held("b", 2, 1010, 2000)]).vacancies).toEqual([]);
  });
});

test("a term that ends under a fault that nobody should notice is a needless change", () => {
  const faults = [
    fault("slow", 0, 100, [3, 4]),
    fault("slow", 200, 300, [4, 4]),
    fault("kill", 400, 500, [4, 5]),
  ];
  expect(findings([], faults).needlessChanges).toMatchObject([
    { fault: { name: "slow", epochAfter: 4 }, cause: "none" },
  ]);
});

describe("a history file", () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-history-"));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("says at any moment until when its process has called itself leader", () => {
    const writer = new HistoryWriter(join(folder, "a-1.held"), "a", 1);
    writer.yes("x", 7, 1_000_000, 1_100_000, 1);
    expect(readHistory(folder).held).toMatchObject([{ epoch: 7, fromMs: 1.1, untilMs: 1.1, lookedMs: 1.1 }]);
    writer.yes("x", 7, 3_000_000, 3_100_000, 2);
    writer.yes("x", 7, 4_000_000, 4_100_000, 3);
    writer.yes("x", 7, 5_000_000, 5_100_000, 3); // still in that turn
    writer.stall(6_000_000, 9_000_000);
    expect(readHistory(folder)).toEqual({
      held: [{ node: "a", life: 1, incarnation: "x", epoch: 7, fromMs: 1.1, untilMs: 5, lookedMs: 1.1 }],
      stalls: [{ fromMs: 6, untilMs: 9 }],
    });
    writer.yes("x", 7, 7_000_000, 7_100_000, 4);
    expect(readHistory(folder).held).toMatchObject([{ untilMs: 7, lookedMs: 3 }]);
    writer.yes("x", 7, 8_000_000, 8_100_000, 6); // the fifth turn was a whole one
    expect(readHistory(folder).held).toMatchObject([{ untilMs: 8, lookedMs: 7 }]);
    writer.no();
    writer.yes("x", 7, 20_000_000, 20_100_000, 9);
    writer.yes("x", 8, 30_000_000, 30_100_000, 9);
    expect(readHistory(folder).held.map(({ epoch, fromMs, untilMs }) => [epoch, fromMs, untilMs])).toEqual([
      [7, 1.1, 8],
      [7, 20.1, 20.1],
      [8, 30.1, 30.1],
    ]);
    writer.close();
  });

  test("whose last line a SIGKILL cut off is read without it", () => {
    const line = "held a 1 x 7 00000000000001000000 00000000000002000000 00000000000001500000";
    expect(parseHistory(`${line}\n${line.slice(0, -5)}`).held).toHaveLength(1);
  });
});
