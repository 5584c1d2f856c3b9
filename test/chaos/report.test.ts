/** A run is judged by its recordings: from the text of a recording to the exit code. */
import { describe, expect, test } from "vitest";
import { check } from "../../scripts/chaos/check/checker.ts";
import type { FaultMark } from "../../scripts/chaos/check/findings.ts";
import type { Detection } from "../../scripts/chaos/detection.ts";
import type { FaultName } from "../../scripts/chaos/faults/names.ts";
import { parseRecording } from "../../scripts/chaos/node/recording.ts";
import { readOptions } from "../../scripts/chaos/options.ts";
import { isSound, summarize } from "../../scripts/chaos/report/report.ts";
import { reportText } from "../../scripts/chaos/report/text.ts";
import { EMPTY_REGISTER, type StaleWrite } from "../../scripts/chaos/servers/register.ts";
import type { WorldReport } from "../../scripts/chaos/world.ts";

const DETECTIONS = {
  a: { crashDetection: "presence", silenceMs: 500 },
  b: { crashDetection: "silence", silenceMs: 500 },
  c: { crashDetection: "lease", silenceMs: 0 },
} as const satisfies Record<string, Detection>;

const ns = (ms: number): string => String(ms * 1e6).padStart(20, "0");
const held = (node: string, epoch: number, fromMs: number, untilMs: number): string =>
  `held ${node} 1 ${node}1 ${epoch} ${ns(fromMs)} ${ns(untilMs)} ${ns(untilMs - 2)}`;
const event = (node: string, text: string, atMs: number): string => `event ${node} 1 ${text} ${ns(atMs)}`;

function fault(name: FaultName, fromMs: number, mendedMs: number): FaultMark {
  const times = { fromMs, mendedMs, settledMs: mendedMs };
  return { number: 7, name, ...times, leader: "a", epochBefore: 1, epochAfter: 2 };
}

/** The report of a run whose only world has this recording. */
function reportOf(
  lines: readonly string[],
  faults: readonly FaultMark[],
  namespaces = false,
  stale: readonly StaleWrite[] = [],
) {
  const recording = parseRecording(lines.join("\n"));
  const leaseMs = 2000;
  const world: WorldReport = {
    number: 1,
    profile: { servers: 1, crashDetection: "mixed", clocks: false, disks: false, namespaces },
    detections: DETECTIONS,
    version: "2.15.1",
    faults,
    held: recording.held,
    findings: check(recording, { faults, stalls: [], detections: DETECTIONS, leaseMs, recoveryMs: 5000 }),
    contents: { ...EMPTY_REGISTER, fenced: 1, shadow: 1, stale },
    outcomes: {},
    failure: null,
  };
  const support = { faketime: true, disks: true, namespaces };
  return summarize([world], { options: readOptions([]), spanMs: 1750, seconds: 1, ...support, broken: [] });
}

describe("the report of a run", () => {
  const reset = [fault("reset-server-side", 900, 3000)];

  test("with overlaps within the documented residue is sound and shows them by kind and bound", () => {
    const report = reportOf(
      [held("a", 1, 0, 1200), held("b", 2, 1000, 5000), event("a", "lose-leadership-superseded", 1300)],
      reset,
    );
    expect(report).toMatchObject({
      overlapMs: 0,
      overlaps: [{ kind: "one-sided-reset", count: 1, maxMs: 200, bound: 250 }],
      termsByCrashDetection: { presence: 1, silence: 1, lease: 0 },
      falseTakeovers: 0,
      problems: [],
    });
    expect(isSound(report)).toBe(true);
    expect(reportText(report)).toContain("one-sided-reset        1 times, longest 200 ms, bound 250 ms");
  });

  test("with an overlap longer than the residue allows is not sound", () => {
    const report = reportOf([held("a", 1, 0, 1251), held("b", 2, 1000, 5000)], reset);
    expect(report).toMatchObject({
      overlapMs: 251,
      overlaps: [{ kind: "one-sided-reset", count: 1, maxMs: 251, bound: 250 }],
    });
    expect(report.problems).toEqual([
      expect.stringContaining(
        "a (epoch 1, presence 500 ms) and b (epoch 2) led at once for 251.000 ms, one-sided-reset allows 250 ms, at fault 7 (reset-server-side)",
      ),
    ]);
    expect(isSound(report)).toBe(false);
  });

  test.each(["b", "c"] as const)(
    "with any overlap of node %s, which names no presence, is not sound",
    (old) => {
      const report = reportOf([held(old, 1, 0, 1001), held("a", 2, 1000, 5000)], reset);
      expect(report).toMatchObject({
        overlapMs: 1,
        overlaps: [{ kind: "forbidden", count: 1, maxMs: 1, bound: 0 }],
      });
      expect(report.problems).toHaveLength(1);
      expect(isSound(report)).toBe(false);
    },
  );

  test("with a false takeover is not sound", () => {
    const lines = [
      held("b", 1, 0, 8000),
      held("a", 2, 8500, 20_000),
      event("b", "lose-leadership-superseded", 8600),
    ];
    const report = reportOf(lines, [fault("service-flood", 8300, 9000)]);
    expect(report).toMatchObject({ falseTakeovers: 0, problems: [] });
    const quiet = reportOf(lines, [fault("slow", 8300, 9000)]);
    expect(quiet.falseTakeovers).toBe(1);
    expect(quiet.problems).toContainEqual(
      expect.stringContaining(
        "a (epoch 2) replaced b (epoch 1), which was alive, connected and not disturbed",
      ),
    );
    expect(isSound(quiet)).toBe(false);
  });

  test("with stale writes in the fenced register is not sound, and names world and terms", () => {
    const stale = [41, 42, 50].map((sequence) => ({
      subject: "register.fenced",
      epoch: 6,
      newest: 7,
      sequence,
      atMs: 0,
    }));
    const report = reportOf([], [], false, stale);
    expect(report.staleWritesAccepted).toBe(3);
    expect(report.problems).toEqual([
      expect.stringMatching(
        /^world 1: .*: register.fenced accepted 3 writes of epoch 6 after epoch 7, sequences 41 to 50$/,
      ),
    ]);
    expect(isSound(report)).toBe(false);
  });

  test("says how lost hosts vanished", () => {
    const lost = [fault("host-lost", 10, 20), fault("host-lost", 30, 40)];
    expect(reportOf([], lost, true).hostsLost).toEqual({ cablePulled: 2, blackholed: 0 });
    expect(reportOf([], lost, false).hostsLost).toEqual({ cablePulled: 0, blackholed: 2 });
  });
});
