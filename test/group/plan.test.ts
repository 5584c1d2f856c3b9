/** Single cases of plan() and place(). That no assignment is better, plan-optimal.test.ts checks. */
import { expect, test } from "vitest";
import { place, plan } from "../../src/group/plan/plan.ts";
import { MAX_WEIGHT } from "../../src/group/plan/problem.ts";
import type { Assignment, PlanInput, PlanMember, PlanResource } from "../../src/group/plan/types.ts";

const member = (id: string, more: Partial<PlanMember> = {}): PlanMember => ({
  id,
  weight: 1,
  draining: false,
  ...more,
});
const numbered = (prefix: string, index: number): string => `${prefix}${String(index).padStart(5, "0")}`;
const membersUpTo = (count: number): PlanMember[] =>
  Array.from({ length: count }, (_, index) => member(numbered("m", index)));
const resourcesUpTo = (count: number, more: Partial<PlanResource> = {}): PlanResource[] =>
  Array.from({ length: count }, (_, index) => ({ name: numbered("r", index), ...more }));

function owned(resources: readonly PlanResource[], { owners }: Assignment): PlanResource[] {
  return resources.map((resource) => {
    const owner = owners.get(resource.name);
    return owner === undefined ? resource : { ...resource, owner };
  });
}

/** How many resources each member has, by id. */
function counts({ owners }: Assignment): Record<string, number> {
  const found: Record<string, number> = {};
  for (const owner of owners.values()) found[owner] = (found[owner] ?? 0) + 1;
  return found;
}

test("three members share six partitions in order of name, two each", () => {
  const { owners, unplaced, moves } = plan({ members: membersUpTo(3), resources: resourcesUpTo(6) });
  expect([...owners.values()]).toEqual(["m00000", "m00000", "m00001", "m00001", "m00002", "m00002"]);
  expect({ unplaced, moves }).toEqual({ unplaced: [], moves: 0 });
});

test.each([
  [3, 1_000],
  [10, 1_000],
  [100, 1_024],
])(
  "when one of %d members dies, neither function moves one of the other resources of %d",
  (memberCount, resourceCount) => {
    const resources = resourcesUpTo(resourceCount);
    const before = plan({ members: membersUpTo(memberCount), resources });
    const input = { members: membersUpTo(memberCount).slice(1), resources: owned(resources, before) };
    for (const after of [plan(input), place(input)]) {
      expect(after.moves).toBe(0);
      expect(after.unplaced).toEqual([]);
      for (const [name, owner] of before.owners)
        if (owner !== "m00000") expect(after.owners.get(name)).toBe(owner);
    }
    expect(counts(place(input))).toEqual(counts(plan(input)));
  },
);

test.each([
  [3, 1_000, 250],
  [10, 1_000, 90],
  [100, 1_024, 10],
])(
  "when a member joins %d others, plan() moves only its share of %d: %d",
  (memberCount, resourceCount, share) => {
    const resources = resourcesUpTo(resourceCount);
    const before = plan({ members: membersUpTo(memberCount), resources });
    const input = { members: membersUpTo(memberCount + 1), resources: owned(resources, before) };
    const after = plan(input);
    expect(after.moves).toBe(share);
    expect(counts(after)[numbered("m", memberCount)]).toBe(share);
    expect(place(input).owners).toEqual(before.owners);
  },
);

test("shares follow the weights; weight 0 takes nothing and gives up what it has in plan(), not in place()", () => {
  const members = [member("a", { weight: 1 }), member("b", { weight: 3 }), member("c", { weight: 0 })];
  const resources = resourcesUpTo(8, { owner: "c" });
  expect(counts(plan({ members, resources }))).toEqual({ a: 2, b: 6 });
  expect(plan({ members, resources }).moves).toBe(8);
  expect(counts(place({ members, resources }))).toEqual({ c: 8 });
});

test("a cap limits a share, and the others divide the rest by weight", () => {
  const members = [member("a", { weight: 5, maxOwned: 3 }), member("b"), member("c", { weight: 2 })];
  expect(counts(plan({ members, resources: resourcesUpTo(12) }))).toEqual({ a: 3, b: 3, c: 6 });
});

test("without room for all, the caps are filled and the last resources are unplaced", () => {
  const members = [member("a", { maxOwned: 2 }), member("b", { maxOwned: 1 }), member("c", { maxOwned: 0 })];
  const { owners, unplaced } = plan({ members, resources: resourcesUpTo(5) });
  expect([...owners.values()]).toEqual(["a", "a", "b"]);
  expect(unplaced).toEqual(["r00003", "r00004"]);
});

test("without a member, everything is unplaced", () => {
  const resources = resourcesUpTo(2, { owner: "gone" });
  for (const call of [plan, place])
    expect(call({ members: [], resources })).toEqual({
      owners: new Map(),
      unplaced: ["r00000", "r00001"],
      moves: 0,
    });
});

test("a draining member takes nothing; plan() gives its resources to the others, place() leaves them", () => {
  const members = [member("a", { draining: true }), member("b"), member("c")];
  const resources = [...resourcesUpTo(4, { owner: "a" }), { name: "x1" }, { name: "x2" }];
  const planned = plan({ members, resources });
  expect(counts(planned)).toEqual({ b: 3, c: 3 });
  expect(planned.moves).toBe(4);
  const placed = place({ members, resources });
  expect(counts(placed)).toEqual({ a: 4, b: 1, c: 1 });
  expect(placed.moves).toBe(0);
});

test("as many resources as balance allows are in their zone, even if they move for it", () => {
  const members = [member("a", { zone: "x" }), member("b", { zone: "y" })];
  const resources = [
    { name: "1", zone: "y", owner: "a" },
    { name: "2", zone: "x", owner: "b" },
    { name: "3", zone: "x" },
    { name: "4", zone: "x" },
  ];
  const { owners, moves } = plan({ members, resources });
  // Only 1 is moved to its zone. One resource of zone x has to be at b: the one that is there already.
  expect(Object.fromEntries(owners)).toEqual({ 1: "b", 2: "b", 3: "a", 4: "a" });
  expect(moves).toBe(1);
});

test("place() fills up the member with the least load by weight, and leaves one that has too much alone", () => {
  const members = [member("a"), member("b"), member("c", { weight: 2 })];
  const resources = [
    ...["1", "2", "3", "4", "5"].map((name) => ({ name, owner: "a" })),
    { name: "6", owner: "b" },
    ...["7", "8", "9"].map((name) => ({ name })),
  ];
  const after = place({ members, resources });
  expect(counts(after)).toEqual({ a: 5, b: 1, c: 3 });
  expect(after.moves).toBe(0);
});

test("place(): a member above its cap does not change how the others share the rest", () => {
  const members = [member("a", { weight: 5, maxOwned: 1 }), member("b"), member("c")];
  const resources = [
    ...resourcesUpTo(10, { owner: "a" }),
    ...["x1", "x2", "x3", "x4"].map((name) => ({ name })),
  ];
  expect(counts(place({ members, resources }))).toEqual({ a: 10, b: 2, c: 2 });
});

test("a refused resource goes to another member, also if the refusing one owns it", () => {
  const members = membersUpTo(2);
  const resources = resourcesUpTo(2, { owner: "m00000" });
  const refusals = [{ resource: "r00000", member: "m00000" }];
  for (const call of [plan, place])
    expect(Object.fromEntries(call({ members, resources, refusals }).owners)).toEqual({
      r00000: "m00001",
      r00001: "m00000",
    });
});

test("refusals may fill a member above its share, spread evenly, before a resource is unplaced", () => {
  const resources = resourcesUpTo(9);
  const refusals = resources.map(({ name }) => ({ resource: name, member: "a" }));
  const members = [member("a"), member("b"), member("c")];
  expect(Object.values(counts(plan({ members, resources, refusals }))).sort()).toEqual([4, 5]);
  const capped = [member("a"), member("b", { maxOwned: 3 }), member("c", { maxOwned: 4 })];
  const after = plan({ members: capped, resources, refusals });
  expect(counts(after)).toEqual({ b: 3, c: 4 });
  expect(after.unplaced).toHaveLength(2);
});

test("the order in which members refuse a resource does not matter", () => {
  const members = [member("a", { maxOwned: 2 }), member("c", { weight: 0 }), member("d", { weight: 0 })];
  const resources = [
    { name: "1", owner: "a" },
    ...["0", "2", "3", "4", "5", "6", "7"].map((name) => ({ name })),
  ];
  const pairs = (...list: string[]) =>
    list.map((pair) => ({ resource: pair.charAt(0), member: pair.charAt(1) }));
  const one = pairs("0a", "3c", "2c", "2d", "3d");
  const other = pairs("2c", "2d", "3d", "3c", "0a");
  expect(place({ members, resources, refusals: one })).toEqual(
    place({ members, resources, refusals: other }),
  );
});

test("refusals of unknown resources and members are ignored", () => {
  const refusals = [
    { resource: "unknown", member: "m00000" },
    { resource: "r00000", member: "unknown" },
  ];
  expect(plan({ members: membersUpTo(1), resources: resourcesUpTo(1), refusals }).owners.size).toBe(1);
});

test("names are ordered by code units, not by a locale", () => {
  const names = ["b", "B", "a", "\u{e4}", "Z", "\u{1f600}", "\u{ff5e}"];
  const { owners } = plan({ members: [member("m")], resources: names.map((name) => ({ name })) });
  expect([...owners.keys()]).toEqual(["B", "Z", "a", "b", "\u{e4}", "\u{1f600}", "\u{ff5e}"]);
});

test("10 000 resources, weights up to the largest one: the shares are exact", () => {
  const members = [member("a", { weight: MAX_WEIGHT }), member("b", { weight: MAX_WEIGHT - 1 })];
  expect(counts(plan({ members, resources: resourcesUpTo(19_999) }))).toEqual({ a: 10_000, b: 9_999 });
});

test.each<[string, PlanInput, RegExp]>([
  ["a member twice", { members: [member("a"), member("a")], resources: [] }, /member "a" is listed twice/],
  [
    "a resource twice",
    { members: [], resources: [{ name: "2" }, { name: "1" }, { name: "2" }] },
    /resource "2" is listed twice/,
  ],
  [
    "half a weight",
    { members: [member("a", { weight: 0.5 })], resources: [] },
    /weight of member "a" is 0.5/,
  ],
  ["a negative weight", { members: [member("a", { weight: -1 })], resources: [] }, /is -1: it must be/],
  [
    "too large a weight",
    { members: [member("a", { weight: MAX_WEIGHT + 1 })], resources: [] },
    /from 0 to 10000/,
  ],
  [
    "half a cap",
    { members: [member("a", { maxOwned: 0.5 })], resources: [] },
    /maxOwned of member "a" is 0.5/,
  ],
  ["a negative cap", { members: [member("a", { maxOwned: -1 })], resources: [] }, /maxOwned .* is -1/],
])("%s is refused", (_, input, message) => {
  for (const call of [plan, place]) {
    expect(() => call(input)).toThrow(RangeError);
    expect(() => call(input)).toThrow(message);
  }
});
