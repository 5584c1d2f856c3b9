/** The checker against recordings with known violations. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { check } from "../../scripts/chaos/check/checker.ts";
import type { FaultMark } from "../../scripts/chaos/check/findings.ts";
import type { FaultName } from "../../scripts/chaos/faults/names.ts";
import {
  type HeldInterval,
  parseRecording,
  RecordingWriter,
  readRecording,
  type Stall,
} from "../../scripts/chaos/node/recording.ts";

const RECOVERY_MS = 5000;

function held(node: string, epoch: number, fromMs: number, untilMs: number, processNumber = 1): HeldInterval {
  const incarnation = `${node}${processNumber}`;
  return { node, processNumber, incarnation, epoch, fromMs, untilMs, sampledMs: untilMs - 2 };
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
  test("are not reported for consecutive terms, even if one begins exactly when the other ends", () => {
    const all = [held("a", 1, 0, 100), held("b", 2, 100, 200), held("a", 3, 250, 300)];
    expect(findings(all)).toMatchObject({ terms: 3, overlaps: [], epochProblems: [] });
  });

  test("of a few milliseconds are reported with both holders", () => {
    const [a, b] = [held("a", 1, 0, 103.5), held("b", 2, 100, 200)];
    expect(findings([a, b]).overlaps).toEqual([
      { fromMs: 100, ms: 3.5, blame: "none", fault: null, one: a, other: b },
    ]);
  });

  test("are reported for a term that began long before and never ended", () => {
    const all = [held("a", 1, 0, 1000), held("b", 2, 10, 20), held("c", 3, 500, 600)];
    expect(findings(all).overlaps.map(({ ms }) => ms)).toEqual([10, 100]);
  });

  test("are reported for two processes with one node id", () => {
    expect(findings([held("a", 1, 0, 100, 1), held("a", 2, 90, 200, 2)]).overlaps).toMatchObject([
      { ms: 10 },
    ]);
  });

  test("are not reported for a term that was suspended and resumed", () => {
    expect(findings([held("a", 1, 0, 100), held("a", 1, 120, 200)]).overlaps).toEqual([]);
  });

  test.each([
    ["freeze", "none"],
    ["reset-server-side", "one-sided"],
    ["key-purged", "operator"],
    ["clock-back", "clock"],
  ] as const)("under the fault %s are blamed on: %s", (name, blame) => {
    const all = [held("a", 1, 0, 110), held("b", 2, 100, 200)];
    expect(findings(all, [fault("kill", 10, 20), fault(name, 90, 150)]).overlaps).toMatchObject([
      { blame, fault: { name } },
    ]);
  });

  test("by the first sample after a blocked event loop are blamed on it, with presence and up to 250 ms", () => {
    const late = (untilMs: number): HeldInterval[] => [
      { ...held("a", 1, 0, untilMs), sampledMs: 90 },
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

  test("are not excused by a fault that came later", () => {
    const all = [held("a", 1, 0, 110), held("b", 2, 100, 200)];
    expect(findings(all, [fault("reset-server-side", 105, 150)]).overlaps).toMatchObject([{ blame: "none" }]);
  });
});

describe("epochs", () => {
  test("that decrease or repeat are reported", () => {
    const all = [held("a", 5, 0, 10), held("b", 4, 20, 30), held("c", 5, 40, 50)];
    expect(findings(all).epochProblems.map(({ text }) => text)).toEqual([
      "epoch 4 of b after epoch 5 of a",
      "epoch 5 of c after epoch 5 of a",
    ]);
  });

  test("may repeat within one term, and are blamed on an operator who deleted the bucket", () => {
    const all = [held("a", 5, 0, 10), held("a", 5, 20, 30), held("b", 1, 60, 70)];
    expect(findings(all, [fault("bucket-deleted", 40, 50)]).epochProblems).toMatchObject([
      { blame: "operator" },
    ]);
  });
});

describe("vacancies", () => {
  const gap = [held("a", 1, 0, 1000), held("b", 2, 1800, 3000)];

  test("are explained by a fault that began at the same time", () => {
    expect(findings(gap, [fault("freeze", 1001, 1700)]).vacancies).toMatchObject([
      { fromMs: 1000, ms: 800, cause: "fault", fault: { name: "freeze" } },
    ]);
  });

  test("are not explained without a fault, by a fault that was over, or by one without an effect", () => {
    for (const faults of [[], [fault("freeze", 100, 300)], [fault("kill-follower", 990, 1700)]])
      expect(findings(gap, faults).vacancies).toMatchObject([{ cause: "none", fault: null }]);
  });

  test("are not explained when they last longer than the fault's recovery", () => {
    const long = [held("a", 1, 0, 1000), held("b", 2, 1200 + RECOVERY_MS + 1, 20_000)];
    expect(findings(long, [fault("freeze", 990, 1200)]).vacancies).toMatchObject([{ cause: "none" }]);
  });

  test("during a stall of the machine are attributed to the machine", () => {
    const stalls = [{ fromMs: 900, untilMs: 1200 }];
    const found = check(
      { held: gap, stalls },
      { faults: [], stalls: [], presence: true, recoveryMs: RECOVERY_MS },
    );
    expect(found.vacancies).toMatchObject([{ cause: "machine", stalledMs: 200 }]);
  });

  test("report how long a process did not run, counting overlapping stalls once", () => {
    const stalls = [
      { fromMs: 1600, untilMs: 2500 },
      { fromMs: 900, untilMs: 1200 },
      { fromMs: 1100, untilMs: 1300 },
      { fromMs: 1150, untilMs: 1160 },
    ];
    expect(findings(gap, [], stalls).vacancies).toMatchObject([{ stalledMs: 500 }]);
  });

  test("of a few milliseconds are not reported", () => {
    expect(findings([held("a", 1, 0, 1000), held("b", 2, 1010, 2000)]).vacancies).toEqual([]);
  });
});

test("a term that ends under a fault without an effect is a needless change", () => {
  const faults = [
    fault("slow", 0, 100, [3, 4]),
    fault("slow", 200, 300, [4, 4]),
    fault("kill", 400, 500, [4, 5]),
  ];
  expect(findings([], faults).needlessChanges).toMatchObject([
    { fault: { name: "slow", epochAfter: 4 }, cause: "none" },
  ]);
});

describe("a recording", () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-recording-"));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("contains at any moment until when its process has called itself leader", () => {
    const writer = new RecordingWriter(join(folder, "a-1.held"), "a", 1);
    writer.held("x", 7, 1_000_000, 1_100_000, 1);
    expect(readRecording(folder).held).toMatchObject([
      { epoch: 7, fromMs: 1.1, untilMs: 1.1, sampledMs: 1.1 },
    ]);
    writer.held("x", 7, 3_000_000, 3_100_000, 2);
    writer.held("x", 7, 4_000_000, 4_100_000, 3);
    writer.held("x", 7, 5_000_000, 5_100_000, 3); // in the same turn
    writer.stall(6_000_000, 9_000_000);
    expect(readRecording(folder)).toEqual({
      held: [
        { node: "a", processNumber: 1, incarnation: "x", epoch: 7, fromMs: 1.1, untilMs: 5, sampledMs: 1.1 },
      ],
      stalls: [{ fromMs: 6, untilMs: 9 }],
    });
    writer.held("x", 7, 7_000_000, 7_100_000, 4);
    expect(readRecording(folder).held).toMatchObject([{ untilMs: 7, sampledMs: 3 }]);
    writer.held("x", 7, 8_000_000, 8_100_000, 6); // turn 5 was a whole turn
    expect(readRecording(folder).held).toMatchObject([{ untilMs: 8, sampledMs: 7 }]);
    writer.notHeld();
    writer.held("x", 7, 20_000_000, 20_100_000, 9);
    writer.held("x", 8, 30_000_000, 30_100_000, 9);
    expect(readRecording(folder).held.map(({ epoch, fromMs, untilMs }) => [epoch, fromMs, untilMs])).toEqual([
      [7, 1.1, 8],
      [7, 20.1, 20.1],
      [8, 30.1, 30.1],
    ]);
    writer.close();
  });

  test("is read without a last line that a SIGKILL truncated", () => {
    const line = "held a 1 x 7 00000000000001000000 00000000000002000000 00000000000001500000";
    expect(parseRecording(`${line}\n${line.slice(0, -5)}`).held).toHaveLength(1);
  });
});
