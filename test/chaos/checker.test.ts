/** The checker against recordings with known violations. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { check } from "../../scripts/chaos/check/checker.ts";
import { type CheckOptions, type FaultMark, isForbidden } from "../../scripts/chaos/check/findings.ts";
import type { Detection } from "../../scripts/chaos/detection.ts";
import type { FaultName } from "../../scripts/chaos/faults/names.ts";
import {
  type HeldInterval,
  parseRecording,
  type RecordedEvent,
  RecordingWriter,
  readRecording,
  type Stall,
} from "../../scripts/chaos/node/recording.ts";

const RECOVERY_MS = 5000;
const PRESENCE: Detection = { crashDetection: "presence", silenceMs: 1000 };
const SILENCE: Detection = { crashDetection: "silence", silenceMs: 1000 };
const LEASE: Detection = { crashDetection: "lease", silenceMs: 0 };

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
  nodes: Detection = PRESENCE,
  events: readonly RecordedEvent[] = [],
) {
  return check({ held: intervals, stalls, events }, optionsOf(faults, { a: nodes, b: nodes, c: nodes }));
}

function optionsOf(
  faults: readonly FaultMark[],
  detections: CheckOptions["detections"],
  stalls: readonly Stall[] = [],
): CheckOptions {
  return { faults, stalls, detections, leaseMs: 2000, recoveryMs: RECOVERY_MS };
}

/** The overlaps as the report shows them: kind, milliseconds, bound. */
function judged(
  intervals: readonly HeldInterval[],
  faults: readonly FaultMark[],
  detections: CheckOptions["detections"],
): [string, number, number | null, boolean][] {
  const { overlaps } = check({ held: intervals, stalls: [], events: [] }, optionsOf(faults, detections));
  return overlaps.map((it) => [it.kind, it.ms, it.boundMs, isForbidden(it)]);
}

describe("overlaps", () => {
  test("are not reported for consecutive terms, even if one begins exactly when the other ends", () => {
    const all = [held("a", 1, 0, 100), held("b", 2, 100, 200), held("a", 3, 250, 300)];
    expect(findings(all)).toMatchObject({ terms: 3, overlaps: [], epochProblems: [] });
  });

  test("of a few milliseconds are reported with both holders", () => {
    const [a, b] = [held("a", 1, 0, 103.5), held("b", 2, 100, 200)];
    expect(findings([a, b]).overlaps).toEqual([
      { fromMs: 100, ms: 3.5, kind: "forbidden", boundMs: 0, fault: null, old: a, next: b },
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

  test("of an old leader that calls itself leader again are blamed on it, not on the next one", () => {
    const all = [held("a", 1, 0, 90), held("b", 2, 100, 300), held("a", 1, 150, 200)];
    const found = judged(all, [fault("reset-server-side", 80, 400)], { a: SILENCE, b: PRESENCE });
    expect(found).toEqual([["forbidden", 50, 0, true]]);
  });

  test.each([
    ["freeze", "forbidden", 0],
    ["host-lost", "forbidden", 0],
    ["reset-server-side", "one-sided-reset", 500],
    ["freeze-and-reset-server-side", "one-sided-reset", 500],
    ["backlog", "backlog", 500],
    ["slow-consumer", "backlog", 500],
    ["block-and-cut", "blocked-loop", 250],
    ["key-purged", "operator", null],
    ["clock-back", "clock", null],
  ] as const)(
    "of a leader with presence under the fault %s are of the kind %s, with a bound",
    (name, kind, boundMs) => {
      const all = [held("a", 1, 0, 110), held("b", 2, 100, 200)];
      expect(findings(all, [fault("kill", 10, 20), fault(name, 90, 150)]).overlaps).toMatchObject([
        { kind, boundMs, fault: { name } },
      ]);
    },
  );

  test.each([
    [{ crashDetection: "presence", silenceMs: 1000 }, 500],
    [{ crashDetection: "presence", silenceMs: 500 }, 250],
    [{ crashDetection: "presence", silenceMs: 0 }, 1000],
  ] as const)(
    "of a leader with %o may last %i ms after a one-sided reset or a backlog, and no longer",
    (a, bound) => {
      for (const [name, kind] of [
        ["reset-server-side", "one-sided-reset"],
        ["backlog", "backlog"],
      ] as const) {
        const lasting = (ms: number) => [held("a", 1, 0, 100 + ms), held("b", 2, 100, 2000)];
        const marks = [fault(name, 50, 1500)];
        expect(judged(lasting(bound), marks, { a, b: SILENCE })).toEqual([[kind, bound, bound, false]]);
        expect(judged(lasting(bound + 1), marks, { a, b: SILENCE })).toEqual([
          [kind, bound + 1, bound, true],
        ]);
      }
    },
  );

  test.each(["reset-server-side", "backlog", "block-and-cut", "host-lost", "kill"] as const)(
    "of a leader with silence or lease are forbidden under the fault %s, whatever the mode of the next one",
    (name) => {
      for (const a of [SILENCE, LEASE])
        for (const b of [PRESENCE, SILENCE, LEASE])
          expect(
            judged([held("a", 1, 0, 101), held("b", 2, 100, 200)], [fault(name, 50, 150)], { a, b }),
          ).toEqual([["forbidden", 1, 0, true]]);
    },
  );

  test("by the first sample after a blocked event loop are blamed on it, with presence and up to 250 ms", () => {
    const late = (untilMs: number): HeldInterval[] => [
      { ...held("a", 1, 0, untilMs), sampledMs: 90 },
      held("b", 2, 100, 900),
    ];
    const kinds = (intervals: HeldInterval[], a: Detection): string[] =>
      judged(intervals, [], { a, b: SILENCE }).map(([kind]) => kind);
    expect(kinds(late(150), PRESENCE)).toEqual(["blocked-loop"]);
    expect(kinds(late(150), SILENCE)).toEqual(["forbidden"]);
    expect(kinds(late(150), LEASE)).toEqual(["forbidden"]);
    expect(kinds(late(351), PRESENCE)).toEqual(["forbidden"]);
    expect(kinds([held("a", 1, 0, 150), held("b", 2, 100, 900)], PRESENCE)).toEqual(["forbidden"]);
  });

  test("with a clock 1.25 times as fast or slow may last 1.26 spans less a lease", () => {
    const lasting = (ms: number) => [held("a", 1, 0, 100 + ms), held("b", 2, 100, 2000)];
    const marks = [fault("clock-rate-far", 50, 1500)];
    const isWrong = (ms: number) => judged(lasting(ms), marks, { a: SILENCE, b: LEASE })[0]?.[3];
    expect([isWrong(209), isWrong(210)]).toEqual([false, true]);
  });

  test("are not excused by a fault that came later", () => {
    const all = [held("a", 1, 0, 110), held("b", 2, 100, 200)];
    expect(findings(all, [fault("reset-server-side", 105, 150)]).overlaps).toMatchObject([
      { kind: "forbidden" },
    ]);
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
      { isOperators: true },
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
    expect(findings(gap, [], stalls).vacancies).toMatchObject([{ cause: "machine", stalledMs: 200 }]);
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

describe("false takeovers", () => {
  const replaced = [held("a", 1, 0, 9000), held("b", 2, 9500, 20_000)];
  const event = (text: string, atMs: number, node = "a", processNumber = 1): RecordedEvent => ({
    node,
    processNumber,
    text,
    atMs,
  });
  const superseded = event("lose-leadership-superseded", 9600);
  const count = (
    events: readonly RecordedEvent[],
    {
      faults = [],
      stalls = [],
      nodes = SILENCE,
    }: { faults?: readonly FaultMark[]; stalls?: readonly Stall[]; nodes?: Detection } = {},
  ) => findings(replaced, faults, stalls, nodes, events).falseTakeovers.map(({ cause }) => cause);

  test("are those of a leader that was alive, connected and not disturbed", () => {
    const connected = [event("nats-disconnect", 1000), event("nats-reconnect", 1200)];
    for (const nodes of [SILENCE, PRESENCE])
      expect(count([...connected, superseded], { nodes })).toEqual(["none"]);
    expect(count([event("lose-leadership-expired", 9600)])).toEqual(["none"]);
    expect(findings(replaced, [], [], SILENCE, [superseded]).falseTakeovers).toMatchObject([
      { atMs: 9500, old: { node: "a" }, next: { node: "b" } },
    ]);
  });

  test("are not those of a leader that died, gave up its term, or lost it to an operator", () => {
    expect(count([])).toEqual([]);
    for (const text of ["lose-leadership-released", "lose-leadership-stopped", "lose-leadership-deleted"])
      expect(count([event(text, 9600)])).toEqual([]);
  });

  test("are not those of a leader whose connection was closed", () => {
    expect(count([event("nats-disconnect", 8900), superseded])).toEqual([]);
    expect(count([event("nats-disconnect", 9550), superseded])).toEqual([]);
    expect(count([event("nats-disconnect", 1000), superseded])).toEqual([]);
    // Of another process.
    expect(count([event("nats-disconnect", 8900, "b"), superseded])).toEqual(["none"]);
    expect(count([event("nats-disconnect", 8900, "a", 2), superseded])).toEqual(["none"]);
  });

  test("are not those under a fault, or soon after it, unless the fault must not end a term", () => {
    expect(count([superseded], { faults: [fault("freeze", 8800, 9700)] })).toEqual([]);
    expect(count([superseded], { faults: [fault("blackhole", 2000, 7500)] })).toEqual([]);
    expect(count([superseded], { faults: [fault("blackhole", 2000, 5000)] })).toEqual(["none"]);
    expect(count([superseded], { faults: [fault("slow", 8800, 9700)] })).toEqual(["none"]);
  });

  test("are attributed to the machine if it stalled a process", () => {
    expect(count([superseded], { stalls: [{ fromMs: 8700, untilMs: 8900 }] })).toEqual(["machine"]);
  });

  test("need a promise of silence, and another node that asks", () => {
    expect(count([superseded], { nodes: LEASE })).toEqual([]);
    expect(count([superseded], { nodes: { crashDetection: "presence", silenceMs: 0 } })).toEqual([]);
    const { falseTakeovers } = check(
      { held: replaced, stalls: [], events: [superseded] },
      optionsOf([], { a: SILENCE, b: LEASE }),
    );
    expect(falseTakeovers).toEqual([]);
  });
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
    writer.event("warning-SESSION", 9_500_000);
    expect(readRecording(folder)).toEqual({
      held: [
        { node: "a", processNumber: 1, incarnation: "x", epoch: 7, fromMs: 1.1, untilMs: 5, sampledMs: 1.1 },
      ],
      stalls: [{ fromMs: 6, untilMs: 9 }],
      events: [{ node: "a", processNumber: 1, text: "warning-SESSION", atMs: 9.5 }],
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
