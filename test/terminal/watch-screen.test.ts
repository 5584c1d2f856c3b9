/** Screens that are redrawn: they fit the terminal, whatever is shown. */
import { describe, expect, test } from "vitest";
import { ChangeTexts } from "../../src/cli/render/change-text.ts";
import { fitScreen, sizeToKeep } from "../../src/cli/render/fit-screen.ts";
import { type Line, line, showLine, widthOf } from "../../src/cli/render/text.ts";
import { type WatchState, watchScreen } from "../../src/cli/render/watch-screen.ts";
import type { NodeRow } from "../../src/manager/cluster-nodes.ts";
import type { ClusterStatus } from "../../src/manager/cluster-status.ts";
import type { LeaseHealth } from "../../src/manager/lease-health.ts";
import { HOSTILE } from "./hostile.ts";

const NOW = Date.UTC(2026, 0, 1);

const HEALTH: LeaseHealth = {
  server: "n1",
  leastMarginMs: 7_250,
  suspensions: 1,
  suspicions: { closed: 2, silent: 0, alive: 1, unanswered: 0, overtaken: 0 },
  beatRoundTripMs: 0.42,
};

const STATUS: ClusterStatus = {
  clusterId: "billing",
  nodeId: "a",
  role: "PRIMARY",
  leader: "a",
  epoch: 3,
  leaderKnown: true,
  vipHeld: false,
  uptimeMs: 61_000,
  connected: true,
  daemon: "running",
  state: "leader",
  competes: true,
  presence: "on",
  crashDetection: "presence",
  silenceMs: 2_000,
  blocked: null,
  ...HEALTH,
  lease: {
    holder: "a",
    epoch: 3,
    acquiredAt: null,
    ageMs: 1_000,
    ttlMs: 10_000,
    answers: true,
    heldByOther: false,
  },
  error: null,
};

function row(nodeId: string): NodeRow {
  return {
    nodeId,
    instance: "X",
    leads: nodeId === "a",
    role: "PASSIVE",
    state: "follower",
    epoch: 3,
    uptimeMs: 61_000,
    presence: "on",
    crashDetection: "presence",
    silenceMs: 2_000,
    competes: true,
    standby: null,
    standbyMs: null,
    leaseTtlMs: 10_000,
    blocked: null,
    version: "1.0.0",
    roundTripMs: 1.5,
    ...HEALTH,
  };
}

function stateWith(nodeIds: readonly string[], events: number, problem: string | null = null): WatchState {
  const texts = new ChangeTexts();
  const shown = Array.from({ length: events }, (_, index) =>
    texts.lineOf({ kind: "leader", leader: "a", epoch: index + 1, acquiredAt: 0, at: NOW }),
  );
  return { status: STATUS, nodes: nodeIds.map(row), outSince: null, problem, events: shown };
}

const shown = (lines: readonly Line[]): string[] => lines.map((one) => showLine(one, false));

describe("the screen of watch", () => {
  test("shows status, nodes and the newest changes on 80 columns and 24 rows", () => {
    const lines = shown(watchScreen(stateWith(["a", "b", "c"], 8), { columns: 80, rows: 24 }, NOW));
    expect(lines).toHaveLength(24);
    expect(lines[0]).toMatch(/^=== Cluster Status \[/);
    expect(lines.filter((one) => /^[abc] {5}follower/.test(one))).toHaveLength(3);
    expect(lines.at(-3)).toMatch(/a leads, epoch 8/);
    expect(lines.at(-1)).toBe("Press Ctrl+C to stop watching...");
  });

  test("keeps the newest changes when the nodes do not fit, and says how many lines are missing", () => {
    const ids = Array.from({ length: 40 }, (_, index) => `n${index}`);
    const lines = shown(watchScreen(stateWith(ids, 8), { columns: 80, rows: 24 }, NOW));
    expect(lines).toHaveLength(24);
    expect(lines.slice(-5)).toEqual([
      expect.stringMatching(/^… \d+ more lines$/),
      expect.stringMatching(/epoch 7$/),
      expect.stringMatching(/epoch 8$/),
      "",
      "Press Ctrl+C to stop watching...",
    ]);
  });

  test("gives up older changes before it cuts the nodes", () => {
    const lines = shown(watchScreen(stateWith(["a", "b"], 8), { columns: 160, rows: 20 }, NOW));
    expect(lines).toHaveLength(20);
    expect(lines.filter((one) => /^[ab] {5}follower/.test(one))).toHaveLength(2);
    expect(lines.at(-3)).toMatch(/epoch 8$/);
  });

  test("says since when the state is old", () => {
    const state = { ...stateWith(["a"], 1), outSince: NOW };
    const [title] = shown(watchScreen(state, { columns: 80, rows: 24 }, NOW));
    expect(title).toMatch(/=== not connected: as of \d{4}-/);
  });

  test.each([10, 3])("says on 60 columns and %i rows how many lines are missing", (rows) => {
    const lines = shown(watchScreen(stateWith(["a", "b"], 8), { columns: 60, rows }, NOW));
    expect(lines).toHaveLength(rows);
    expect(lines[0]).toMatch(/^=== Cluster Status \[/);
    expect(lines.at(-1)).toMatch(/^… \d+ more lines$/);
  });

  test("leaves all lines on the terminal, without what to press", () => {
    const ids = Array.from({ length: 40 }, (_, index) => `n${index}`);
    const left = shown(watchScreen(stateWith(ids, 8), sizeToKeep(80), NOW));
    for (const id of ids)
      expect(
        left.some((one) => one.startsWith(`${id} `)),
        id,
      ).toBe(true);
    expect(left.at(-1)).toMatch(/epoch 8$/);
    expect(left.filter((one) => /more lines|Ctrl/.test(one))).toEqual([]);
  });

  test.each([
    { columns: 80, rows: 24 },
    { columns: 60, rows: 20 },
    { columns: 40, rows: 10 },
    { columns: 200, rows: 60 },
    { columns: 10, rows: 3 },
    { columns: 1, rows: 1 },
  ])("fits $columns columns and $rows rows, whatever nodes call themselves", (size) => {
    for (const problem of [null, ...HOSTILE]) {
      const state = stateWith(["a", "b", ...HOSTILE], 8, problem);
      for (const one of [state, { ...state, nodes: [] }, { ...state, status: null, events: [] }]) {
        const lines = shown(watchScreen(one, size, NOW));
        expect(lines.length).toBeLessThanOrEqual(size.rows);
        expect(lines.filter((text) => widthOf(text) > size.columns)).toEqual([]);
      }
    }
  });
});

test("a screen that does not fit says how many lines are missing", () => {
  const body = ["1", "2", "3", "4"].map((text) => line`${text}`);
  const fitted = (rows: number): string[] =>
    shown(fitScreen([line`head`], body, [line`foot`], { columns: 20, rows }));
  expect(fitted(6)).toEqual(["head", "1", "2", "3", "4", "foot"]);
  expect(fitted(5)).toEqual(["head", "1", "2", "… 2 more lines", "foot"]);
  expect(fitted(3)).toEqual(["head", "… 4 more lines", "foot"]);
  expect(fitted(2)).toEqual(["head", "… 4 more lines"]);
  expect(fitted(1)).toEqual(["head"]);
  // What stays after the end.
  expect(fitted(Number.POSITIVE_INFINITY)).toEqual(["head", "1", "2", "3", "4"]);
});
