/** What the page shows, from what was seen: pure functions. */

import { describe, expect, test } from "vitest";
import type { LeaseRecord } from "../../src/election/types.ts";
import type { NodeRow } from "../../src/manager/cluster-nodes.ts";
import { NO_COURSE } from "../../src/manager/history-record.ts";
import { leaseHealthOf } from "../../src/manager/lease-health.ts";
import {
  type ClusterEvent,
  type ClusterState,
  clusterCard,
  initialCluster,
  pastView,
  stepCluster,
} from "../../src/ui/model/cluster.ts";
import { doctorView, NOT_EXAMINED, withFindings } from "../../src/ui/model/findings.ts";
import { withChanges } from "../../src/ui/model/group.ts";
import { extended } from "../../src/ui/model/lanes.ts";
import { LIMITS } from "../../src/ui/model/limits.ts";
import type { LaneSpan } from "../../src/ui/model/types.ts";

const START = 1_700_000_000_000;

function record(nodeId: string, epoch: number, acquiredAt: number): LeaseRecord {
  return { nodeId, epoch, acquiredAt, incarnation: `${nodeId}-${epoch}`, ttlMs: 10_000 };
}

function row(nodeId: string, change: Partial<NodeRow> = {}): NodeRow {
  return {
    nodeId,
    instance: `instance of ${nodeId}`,
    leads: false,
    role: "PASSIVE",
    state: "follower",
    epoch: 1,
    uptimeMs: 60_000,
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
    ...leaseHealthOf(null),
    ...change,
  };
}

/** The state after events at times after `START`. */
function stateAfter(...events: ReadonlyArray<readonly [atMs: number, event: ClusterEvent]>): ClusterState {
  return events.reduce(
    (state, [at, event]) => stepCluster(state, event, START + at),
    initialCluster("billing"),
  );
}

function seen(nodeId: string, epoch: number, acquiredMs: number, ageMs = 0): ClusterEvent {
  return { type: "record", record: record(nodeId, epoch, START + acquiredMs), ageMs, ttlMs: 10_000 };
}

function nodes(askedMs: number, ...rows: NodeRow[]): ClusterEvent {
  return { type: "nodes", askedAt: START + askedMs, rows };
}

const ENDED = { type: "ended", successor: null, problem: null } as const;

function laneOf(state: ClusterState, id: string): ReadonlyArray<readonly [string, number, number | null]> {
  const lane = clusterCard(state).nodes.find((node) => node.id === id)?.lane ?? [];
  return lane.map(([what, from, until]) => [what, from - START, until === null ? null : until - START]);
}

describe("a cluster", () => {
  test("is led from its first record on; a renewal moves the deadline and nothing else", () => {
    const first = stateAfter([0, seen("a", 1, -500, 400)]);
    expect(clusterCard(first)).toMatchObject({ phase: "led", leader: "a", epoch: 1, since: START - 500 });
    expect(first.lease).toEqual({ renewedAt: START - 400, ttlMs: 10_000 });
    const renewed = stepCluster(first, seen("a", 1, -500), START + 2_500);
    expect(renewed.lease?.renewedAt).toBe(START + 2_500);
    expect(clusterCard(renewed)).toEqual(clusterCard(first));
  });

  test("whose leader is killed has the next one at once; the vacancy is bounded by the last renewal", () => {
    const state = stateAfter([0, seen("a", 1, 0)], [2_500, seen("a", 1, 0)], [3_000, seen("b", 2, 2_998)]);
    expect(clusterCard(state)).toMatchObject({ phase: "led", leader: "b", epoch: 2 });
    expect(laneOf(state, "a")).toEqual([
      ["leading", 0, 3_000],
      ["absent", 3_000, null],
    ]);
    expect(pastView(state).terms).toMatchObject([
      { node: "b", epoch: 2, until: null, why: null, vacancyMs: 498, vacancyAtMost: true },
      { node: "a", epoch: 1, until: START + 3_000, why: "replaced", vacancyMs: null },
    ]);
  });

  test("that hands over shows the successor, then the vacancy", () => {
    const released: ClusterEvent = { ...ENDED, phase: "released", successor: "b" };
    const between = stateAfter([0, seen("a", 1, 0)], [1_000, released]);
    expect(clusterCard(between)).toMatchObject({ phase: "released", leader: null, successor: "b", epoch: 1 });
    expect(between.lease).toBeNull();
    const state = stepCluster(between, seen("b", 2, 1_003), START + 1_004);
    expect(clusterCard(state).successor).toBeNull();
    expect(pastView(state).terms).toMatchObject([
      { node: "b", vacancyMs: 3, vacancyAtMost: false },
      { node: "a", why: "released", to: "b" },
    ]);
    expect(laneOf(state, "a").at(-1)).toEqual(["following", 1_000, null]);
  });

  test.each(["expired", "deleted", "garbage", "vacant"] as const)(
    "has no leader when its lease is %s",
    (phase) => {
      const state = stateAfter([0, seen("a", 1, 0)], [500, { ...ENDED, phase }]);
      expect(clusterCard(state)).toMatchObject({ phase, leader: null, since: null, phaseSince: START + 500 });
      expect(pastView(state).terms[0]).toMatchObject({ why: phase, until: START + 500 });
    },
  );

  test("does not believe answers from before the leader changed", () => {
    const state = stateAfter(
      [0, seen("a", 1, 0)],
      [10, nodes(5, row("a", { leads: true, state: "leader" }), row("b"))],
      [1_000, seen("b", 2, 1_000)],
      [1_100, nodes(990, row("a", { leads: true, state: "leader" }), row("b"))],
    );
    expect(laneOf(state, "b").at(-1)?.[0]).toBe("leading");
    expect(laneOf(state, "a").at(-1)?.[0]).toBe("absent");
    const asked = stepCluster(state, nodes(1_200, row("b", { leads: true, state: "leader" })), START + 1_500);
    expect(laneOf(asked, "a").at(-1)).toEqual(["absent", 1_000, null]);
  });

  test("says of each node why it does not lead", () => {
    const state = stateAfter(
      [0, seen("a", 1, 0)],
      [
        100,
        nodes(
          50,
          row("a", { leads: true, state: "suspended" }),
          row("b", { standby: "cooldown", standbyMs: 4_000 }),
          row("c", { competes: false, standby: "withdrawn" }),
          row("d", { competes: false, standby: "observer" }),
          row("e", { role: "UNKNOWN", state: null }),
          row("f"),
          // A node of an earlier version does not report why.
          row("g", { competes: false, standby: null }),
        ),
      ],
    );
    expect(clusterCard(state).nodes.map(({ id, state: lane, whyNot }) => [id, lane, whyNot])).toEqual([
      ["a", "suspended", "suspended"],
      ["b", "following", "cooldown"],
      ["c", "observing", "withdrawn"],
      ["d", "observing", "observer"],
      ["e", "silent", "silent"],
      ["f", "following", null],
      ["g", "observing", "withdrawn"],
    ]);
    expect(clusterCard(state).nodes[1]?.whyNotUntil).toBe(START + 4_000);
  });

  test("keeps a node that is gone for a while, in its colour", () => {
    const here = stateAfter([0, seen("a", 1, 0)], [10, nodes(5, row("a", { leads: true }), row("b"))]);
    const tint = clusterCard(here).nodes[1]?.tint;
    const gone = stepCluster(here, nodes(100, row("a", { leads: true })), START + 200);
    expect(clusterCard(gone).nodes[1]).toMatchObject({ id: "b", state: "absent", whyNot: "absent", tint });
    const back = stepCluster(gone, nodes(300, row("a", { leads: true }), row("b")), START + 400);
    expect(clusterCard(back).nodes[1]).toMatchObject({ id: "b", state: "following", tint });
    const later = 1_000 + LIMITS.absentMs;
    const forgotten = stepCluster(gone, nodes(later, row("a", { leads: true })), START + later);
    expect(clusterCard(forgotten).nodes.map(({ id }) => id)).toEqual(["a"]);
  });

  test("takes over recorded terms: their reasons, and where nothing was seen their times", () => {
    const terms = [
      {
        nodeId: "b",
        epoch: 1,
        from: START - 60_000,
        until: START - 20_000,
        untilAtMost: false,
        why: "stopped",
        ...NO_COURSE,
      },
      {
        nodeId: "a",
        epoch: 2,
        from: START - 19_996,
        until: null,
        untilAtMost: false,
        why: null,
        ...NO_COURSE,
      },
    ];
    const history: ClusterEvent = { type: "history", history: { recorded: true, unreadable: 0, terms } };
    const state = stateAfter(
      [0, seen("a", 2, -19_996, 100)],
      [10, nodes(5, row("a", { leads: true }))],
      [20, history],
    );
    expect(pastView(state)).toMatchObject({
      recorded: true,
      truncated: false,
      terms: [
        { node: "a", epoch: 2, vacancyMs: 4, vacancyAtMost: false, until: null },
        { node: "b", epoch: 1, why: "stopped" },
      ],
    });
    expect(laneOf(state, "b")).toEqual([
      ["leading", -60_000, -20_000],
      ["absent", 20, null],
    ]);
  });

  test("keeps a bounded number of nodes, terms and spans, and says what it left out", () => {
    const many = Array.from({ length: LIMITS.nodesPerCluster + 7 }, (_, index) => row(`n${index}`));
    const crowded = stateAfter([0, nodes(-1, ...many)]);
    expect(clusterCard(crowded).nodes).toHaveLength(LIMITS.nodesPerCluster);
    expect(clusterCard(crowded).nodesLeftOut).toBe(7);
    const terms = LIMITS.termsPerCluster + 20;
    const state = stateAfter(
      ...Array.from({ length: terms }, (_, index): readonly [number, ClusterEvent] => [
        index * 1_000,
        seen(index % 2 === 0 ? "a" : "b", index + 1, index * 1_000),
      ]),
    );
    expect(pastView(state).terms).toHaveLength(LIMITS.termsPerCluster);
    expect(pastView(state).truncated).toBe(true);
    expect(pastView(state).terms[0]?.epoch).toBe(terms);
    expect(state.terms.length).toBeLessThanOrEqual(LIMITS.termsPerCluster + 1);
    let lane: readonly LaneSpan[] = [];
    for (let index = 0; index < 500; index++)
      lane = extended(lane, index % 2 === 0 ? "leading" : "suspended", START + index);
    expect(lane).toHaveLength(LIMITS.spansPerLane);
    expect(lane.at(-1)).toEqual(["suspended", START + 499, null]);
    // What is older than the timeline goes, too.
    const later = extended(lane, "absent", START + 2 * LIMITS.timelineMs);
    expect(later.map(([what]) => what)).toEqual(["suspended", "absent"]);
  });
});

test("equal changes of a group are one line", () => {
  const change = (resource: string, at: number) => ({
    at,
    revision: at,
    what: "resource" as const,
    change: "claimed" as const,
    resource,
    member: "a",
    from: "b",
    epoch: 7,
    successor: null,
    reason: null,
    by: null,
  });
  const first = withChanges(
    [],
    ["4", "3", "2", "1"].map((name) => change(name, 3_000)),
  );
  const cards = withChanges(first, [change("9", 20_000), change("8", 4_000)]);
  expect(cards.map(({ at, count, resources, from }) => ({ at, count, resources, from }))).toEqual([
    { at: 20_000, count: 1, resources: ["9"], from: "b" },
    { at: 4_000, count: 5, resources: ["8", "4", "3"], from: "b" },
  ]);
  const hostile = withChanges([], [change("a\u202eb<img>", 1)]);
  expect(hostile[0]?.resources).toEqual(["a\\u202eb<img>"]);
  const many = Array.from({ length: 500 }, (_, index) => change(String(index), (500 - index) * 10_000));
  expect(withChanges([], many)).toHaveLength(LIMITS.changesPerGroup);
});

test("a finding about what several examinations share is shown once; findings about what is gone are dropped", () => {
  const finding = (where: string, severity: "critical" | "note") => ({
    severity,
    code: "x",
    where,
    what: "w",
    todo: "t",
  });
  const all = new Set(["cluster/a", "cluster/b"]);
  let state = withFindings(NOT_EXAMINED, "cluster/a", [finding("server n1", "critical")], all, START);
  state = withFindings(
    state,
    "cluster/b",
    [finding("node b", "note"), finding("server n1", "critical")],
    all,
    START,
  );
  expect(doctorView(state).findings).toMatchObject([
    { where: "server n1", subjects: ["cluster/a", "cluster/b"] },
    { where: "node b", subjects: ["cluster/b"] },
  ]);
  const rest = withFindings(state, "cluster/a", [], new Set(["cluster/a"]), START + 1);
  expect(doctorView(rest)).toMatchObject({ findings: [], examined: 1, examinedAt: START + 1 });
});
