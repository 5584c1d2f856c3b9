/** Findings about groups from facts: both sides of every threshold. */
import { expect, test } from "vitest";
import type { ExaminedGroup, GroupCondition } from "../../src/doctor/facts.ts";
import { diagnose } from "../../src/doctor/findings/diagnose.ts";
import { MOVE_MS, UNOWNED_MS } from "../../src/doctor/findings/thresholds.ts";
import { conditionOf } from "../../src/doctor/sources/group-reader.ts";
import type { GroupMemberRow, GroupResourceRow, GroupView } from "../../src/manager/group-view.ts";
import { groupBucket } from "../../src/nats/group/group-bucket.ts";
import { bucket, facts } from "../support/doctor/healthy-cluster.ts";

const GROUP = "orders";

function member(memberId: string, change: Partial<GroupMemberRow> = {}): GroupMemberRow {
  return {
    memberId,
    state: "live",
    session: 1,
    incarnation: "i",
    coordinates: false,
    weight: 1,
    zone: null,
    maxOwned: null,
    owns: 2,
    planned: 2,
    refuses: [],
    listHash: "h",
    presence: true,
    renewedMs: 100,
    ttlMs: 10_000,
    ...change,
  };
}

const plan: NonNullable<GroupCondition["plan"]> = {
  revision: 9,
  madeBy: "a",
  ageMs: MOVE_MS + 1,
  members: ["a", "b"],
  bytes: 500,
  limitBytes: 1_000,
};

const view: GroupCondition = {
  groupId: GROUP,
  created: "c",
  coordinator: "a",
  plan,
  members: [member("a"), member("b")],
  resources: 4,
  owned: 4,
  moving: 0,
  unowned: 0,
  overdue: [],
};

const stream = bucket({ stream: `KV_GROUP_${GROUP}`, config: groupBucket(GROUP).newConfig(3, 0) });

function found(change: Partial<GroupCondition>, more: Partial<ExaminedGroup> = {}): string[] {
  const group = { groupId: GROUP, bucket: stream, problem: null, permissions: null };
  const one: ExaminedGroup = { ...group, view: { ...view, ...change }, ...more };
  return diagnose(facts({ groups: [one] })).map(
    ({ severity, code, where }) => `${severity} ${code} @ ${where}`,
  );
}

test("a healthy group gives no findings, and what could not be read gives none", () => {
  expect(found({})).toEqual([]);
  expect(found({}, { bucket: null, view: null })).toEqual([]);
});

/** The last value without a finding, the first value with it, the finding. */
const thresholds: readonly (readonly [string, Partial<GroupCondition>, Partial<GroupCondition>, string])[] = [
  ["members", {}, { members: [], coordinator: null }, `warning group-no-members @ group ${GROUP}`],
  ["a coordinator", {}, { coordinator: null }, `warning group-no-coordinator @ group ${GROUP}`],
  [
    "lists",
    { members: [member("a"), member("b")] },
    { members: [member("a"), member("b", { listHash: "other" })] },
    `warning group-lists-differ @ group ${GROUP}`,
  ],
  [
    "lease TTLs",
    {},
    { members: [member("a"), member("b", { ttlMs: 5_000 })] },
    `warning ttl-differs @ group ${GROUP}`,
  ],
  [
    "a session that was not renewed",
    {},
    { members: [member("a"), member("b", { state: "late", renewedMs: 12_000 })] },
    `critical group-session-late @ member b of group ${GROUP}`,
  ],
  [
    "presence",
    {},
    { members: [member("a"), member("b", { presence: false })] },
    `warning group-member-presence @ member b of group ${GROUP}`,
  ],
  [
    "refused resources",
    {},
    { members: [member("a"), member("b", { refuses: ["x"] })] },
    `warning group-member-refuses @ member b of group ${GROUP}`,
  ],
  [
    "a drained member",
    {},
    { members: [member("a"), member("b", { state: "draining" })] },
    `note group-member-draining @ member b of group ${GROUP}`,
  ],
  [
    "maxOwned",
    { members: [member("a"), member("b", { maxOwned: 3 })] },
    { members: [member("a"), member("b", { maxOwned: 2 })] },
    `note group-member-full @ member b of group ${GROUP}`,
  ],
  [
    "maxOwned with resources that have no owner",
    { unowned: 1 },
    { unowned: 1, members: [member("a"), member("b", { maxOwned: 2 })] },
    `warning group-member-full @ member b of group ${GROUP}`,
  ],
  [
    "the size of the plan",
    { plan: { ...plan, bytes: 800 } },
    { plan: { ...plan, bytes: 801 } },
    `warning group-plan-large @ group ${GROUP}`,
  ],
  [
    "a plan without members",
    {},
    { plan: { ...plan, members: [] } },
    `warning group-plan-too-large @ group ${GROUP}`,
  ],
  [
    "moves that do not end",
    { moving: 1, plan: { ...plan, ageMs: MOVE_MS } },
    { moving: 1, plan },
    `warning group-moves-stuck @ group ${GROUP}`,
  ],
  [
    "a member that is not planned for",
    { members: [member("c")], plan: { ...plan, ageMs: MOVE_MS } },
    { members: [member("c")], plan },
    `warning group-plan-old @ group ${GROUP}`,
  ],
  [
    "resources without an owner",
    { unowned: 1 },
    { unowned: 1, overdue: [{ resource: "x", why: "closed" }] },
    `critical group-unowned @ group ${GROUP}`,
  ],
];

test.each(thresholds)("%s", (_title, before, after, finding) => {
  expect(found(before)).toEqual([]);
  expect(found(after)).toEqual([finding]);
});

test("the bucket: missing, unreadable, with another history, without a way to keep records, with one replica", () => {
  const of = (change: Partial<ExaminedGroup>): string[] => found({}, { view: null, ...change });
  const config = (change: object): string[] =>
    of({ bucket: { ...stream, config: { ...stream.config, ...change } } });
  const where = `bucket GROUP_${GROUP}`;
  expect(of({ bucket: { ...stream, exists: false } })).toEqual([`warning bucket-missing @ group ${GROUP}`]);
  expect(of({ bucket: null, problem: "no answer" })).toEqual([`critical bucket-unreadable @ group ${GROUP}`]);
  for (const change of [
    { max_msgs_per_subject: 5 },
    { deny_delete: false },
    { deny_purge: false },
    { max_age: 1e9 },
  ])
    expect(config(change)).toEqual([`critical bucket-incompatible @ ${where}`]);
  expect(of({ bucket: { ...stream, republish: false } })).toEqual([`warning no-republish @ ${where}`]);
  expect(of({ bucket: { ...stream, storage: "memory" } })).toEqual([`warning memory-storage @ ${where}`]);
  expect(of({ bucket: { ...stream, replicas: 1, clustered: false } })).toEqual([
    `warning replicas @ ${where}`,
  ]);
  expect(of({ bucket: { ...stream, leader: null } })).toEqual([`critical bucket-leaderless @ ${where}`]);
});

test("a missing permission of the role is a finding, with the command that prints all", () => {
  const permissions = {
    role: "operator" as const,
    command: "nats-leader permissions operator --group orders",
    tried: [{ direction: "publish" as const, subject: "s", purpose: "p", vital: true, allowed: false }],
  };
  const group: ExaminedGroup = { groupId: GROUP, bucket: stream, problem: null, view, permissions };
  expect(diagnose(facts({ groups: [group] }))).toMatchObject([
    { severity: "critical", code: "permission-missing", todo: expect.stringContaining(permissions.command) },
  ]);
});

test("a resource is overdue after its last term, or as long as the plan has had it", () => {
  const row = (resource: string, change: Partial<GroupResourceRow>): GroupResourceRow => ({
    resource,
    state: "unowned",
    owner: null,
    epoch: 5,
    target: null,
    forMs: UNOWNED_MS + 1,
    why: "closed",
    ...change,
  });
  const rows = [
    row("a", {}),
    row("b", { forMs: UNOWNED_MS }),
    row("c", { state: "owned", owner: "m" }),
    row("d", { forMs: null, epoch: 0, why: null }),
    // When the session of its last owner ended is not known.
    row("e", { forMs: null, why: "replaced" }),
  ];
  const whole: GroupView = { ...view, resources: rows };
  const { resources, overdue } = conditionOf(whole);
  expect([resources, overdue.map(({ resource }) => resource)]).toEqual([5, ["a", "d"]]);
  const young = { ...whole, plan: { ...plan, ageMs: UNOWNED_MS } };
  expect(conditionOf(young).overdue.map(({ resource }) => resource)).toEqual(["a"]);
});
