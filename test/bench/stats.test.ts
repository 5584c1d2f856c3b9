import { describe, expect, test } from "vitest";
import { htmlChart, svgChart } from "../../src/bench/chart.ts";
import { HeldLedger, largestOverlap } from "../../src/bench/held.ts";
import { LeaderWatch } from "../../src/bench/leader-watch.ts";
import type { ChildReport } from "../../src/bench/messages.ts";
import { type FailoverReport, isSound } from "../../src/bench/options.ts";
import { bins, percentile, summarize, textHistogram } from "../../src/bench/stats.ts";
import type { Term } from "../../src/node/term.ts";

describe("percentiles", () => {
  const oneToHundred = Array.from({ length: 100 }, (_, index) => 100 - index);

  test("are samples, by nearest rank", () => {
    expect(summarize(oneToHundred)).toEqual({ p50: 50, p90: 90, p99: 99, max: 100 });
    expect(percentile([3, 1, 2], 50)).toBe(2);
    expect(percentile([3, 1], 50)).toBe(1);
  });

  test("of few samples are the largest one", () => {
    expect(percentile([5, 7], 99)).toBe(7);
    expect(summarize([5])).toEqual({ p50: 5, p90: 5, p99: 5, max: 5 });
  });

  test("of no samples are 0", () => {
    expect(summarize([])).toEqual({ p50: 0, p90: 0, p99: 0, max: 0 });
  });

  test("are rounded to microseconds", () => {
    expect(summarize([1.23456]).max).toBe(1.235);
  });
});

describe("the histogram", () => {
  test("has every sample in exactly one bar", () => {
    const samples = [0, 0.1, 9.99, 10, 10.01, 55, 99.5, 100];
    const bars = bins(samples, 10);
    expect(bars.length).toBeLessThanOrEqual(11);
    expect(bars.reduce((sum, { count }) => sum + count, 0)).toBe(samples.length);
    for (const [index, bar] of bars.entries()) {
      if (index > 0) expect(bar.from).toBe(bars[index - 1]?.to);
    }
  });

  test("accepts equal samples, zeros and no samples", () => {
    expect(bins([7, 7, 7]).reduce((sum, { count }) => sum + count, 0)).toBe(3);
    expect(bins([0, 0]).reduce((sum, { count }) => sum + count, 0)).toBe(2);
    expect(bins([])).toEqual([]);
    expect(textHistogram([])).toBe("");
  });

  test("as text has the longest bar for the most samples", () => {
    expect(textHistogram([1, 1, 1, 2, 3], 2)).toBe(
      [
        "1-2 ms | ################################################## 3",
        "2-3 ms | ################################## 2",
      ].join("\n"),
    );
  });
});

describe("held intervals", () => {
  test("of two nodes overlap by the time both were held", () => {
    const a = { node: "a", epoch: 1, from: 0, until: 10 };
    expect(largestOverlap([a, { node: "b", epoch: 2, from: 7.5, until: 20 }])).toBe(2.5);
    expect(largestOverlap([a, { node: "b", epoch: 2, from: 10, until: 20 }])).toBe(0);
    expect(largestOverlap([a, { node: "a", epoch: 2, from: 5, until: 20 }])).toBe(0);
    expect(largestOverlap([])).toBe(0);
  });

  test("are built from reports, of which the first one that ends an interval counts", () => {
    const ledger = new HeldLedger();
    ledger.hold("a", 1, 0);
    ledger.hold("a", 1, 3);
    ledger.release("a", 5);
    ledger.release("a", 9);
    ledger.hold("b", 2, 6);
    expect(ledger.intervals(8)).toEqual([
      { node: "a", epoch: 1, from: 0, until: 5 },
      { node: "b", epoch: 2, from: 6, until: 8 },
    ]);
  });

  test("of a frozen process count as overlap only from the moment it is held again", () => {
    const ledger = new HeldLedger();
    ledger.hold("a", 1, 0);
    ledger.release("a", 4);
    ledger.hold("b", 2, 10);
    ledger.hold("a", 1, 12);
    ledger.release("a", 15);
    expect(largestOverlap(ledger.intervals(20))).toBe(3);
  });
});

describe("a watched leader", () => {
  test("is held from the first answer that is true to the last one", () => {
    const reports: ChildReport[] = [];
    let [now, epoch, leads] = [0, 1, false];
    const node = { isLeader: () => leads, term: { epoch: 0 } as Term };
    const watch = new LeaderWatch(
      node,
      (message) => reports.push(message),
      () => now,
    );
    const ask = (at: number, answer: boolean): void => {
      [now, leads, node.term] = [at, answer, { epoch } as Term];
      watch.ask();
    };
    ask(1, false);
    ask(2, true);
    ask(5, true);
    ask(9, false);
    ask(10, true);
    epoch = 2;
    ask(12, true);
    expect(reports).toEqual([
      { type: "held", at: 2, epoch: 1, by: "watch" },
      { type: "unheld", at: 5, epoch: 1, by: "watch" },
      { type: "held", at: 10, epoch: 1, by: "watch" },
      { type: "unheld", at: 10, epoch: 1, by: "watch" },
      { type: "held", at: 12, epoch: 2, by: "watch" },
    ]);
  });

  test("is held while it answers true, even if it has no term any more", () => {
    const reports: ChildReport[] = [];
    let [now, leads] = [0, true];
    const node = { isLeader: () => leads, term: { epoch: 7 } as Term | null };
    const watch = new LeaderWatch(
      node,
      (message) => reports.push(message),
      () => now,
    );
    watch.ask();
    [now, node.term] = [3, null];
    watch.ask();
    [now, leads] = [4, false];
    watch.ask();
    expect(reports).toEqual([
      { type: "held", at: 0, epoch: 7, by: "watch" },
      { type: "unheld", at: 3, epoch: 7, by: "watch" },
    ]);
  });

  test("was last held when its last period ended, or is held now", () => {
    const ledger = new HeldLedger();
    expect([ledger.isHeld("a"), ledger.lastHeld("a", 9)]).toEqual([false, null]);
    ledger.hold("a", 1, 1);
    expect([ledger.isHeld("a"), ledger.lastHeld("a", 9)]).toEqual([true, 9]);
    ledger.release("a", 4);
    ledger.hold("b", 2, 5);
    expect([ledger.isHeld("a"), ledger.lastHeld("a", 9)]).toEqual([false, 4]);
  });
});

describe("a report", () => {
  const summary = { p50: 1, p90: 1, p99: 1, max: 1 };
  const report: FailoverReport = {
    mode: "kill",
    rounds: 2,
    ttlMs: 10_000,
    server: "2.15.1",
    servers: 1,
    nodes: 3,
    crashDetection: "presence",
    silenceMs: 2_000,
    sample: "kill <to> become",
    samplesMs: [1, 2],
    ...summary,
    leaderChanges: 2,
    overlapMs: 0,
    epochs: [1, 2, 3],
    epochsIncrease: true,
    floor: {
      advisory: summary,
      connz: summary,
      cas: summary,
      handover: summary,
      killP50: 3,
      scriptKill: summary,
    },
    load: [0, 0],
  };

  test("is unsound with an overlap, with epochs that do not increase, and with a thawed node that still leads", () => {
    expect(isSound(report)).toBe(true);
    expect(isSound({ ...report, overlapMs: 0.001 })).toBe(false);
    expect(isSound({ ...report, epochsIncrease: false })).toBe(false);
    expect(isSound({ ...report, thaws: [{ frozenMs: 1, leaderAfter: true }] })).toBe(false);
  });

  test("is drawn as SVG and HTML with escaped text", () => {
    const svg = svgChart(report);
    expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(svg).toContain("kill &lt;to> become");
    expect(svg.match(/<rect /g)?.length).toBeGreaterThan(2);
    expect(svgChart({ ...report, samplesMs: [] })).not.toContain("NaN");
    expect(htmlChart(report)).toContain("<!doctype html>");
  });
});
