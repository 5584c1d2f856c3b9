import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ClusterError } from "../../src/errors.ts";
import {
  decodePlan,
  encodePlan,
  MAX_INFLATED_PLAN_BYTES,
  MAX_PLAN_BYTES,
  type StoredPlan,
} from "../../src/group/plan/plan-codec.ts";

const EMPTY: StoredPlan = { members: [], owners: new Map(), unplaced: [] };

const names = fc.uniqueArray(fc.string({ unit: "binary", minLength: 1, maxLength: 20 }), { maxLength: 30 });
const plans: fc.Arbitrary<StoredPlan> = fc
  .tuple(names, names, fc.array(fc.nat(), { minLength: 30, maxLength: 30 }))
  .map(([members, resources, numbers]) => {
    const pairs = resources.map((name, index): readonly [string, string | undefined] => {
      const number = (numbers[index] as number) % (members.length + 1);
      return [name, members[number]];
    });
    const owners = new Map(pairs.filter((pair): pair is [string, string] => pair[1] !== undefined));
    return { members, owners, unplaced: resources.filter((name) => !owners.has(name)) };
  });

const deflated = (text: string): Uint8Array => deflateSync(new TextEncoder().encode(text));
const packed = (json: unknown): Uint8Array => deflated(JSON.stringify(json));
const reasonOf = (bytes: Uint8Array): string => {
  const decoded = decodePlan(bytes);
  if (decoded.kind === "garbage") return decoded.reason;
  throw new Error("the plan was accepted");
};

/** A text without structure, the same in every run: deflating it saves a quarter. */
function noise(length: number, seed: number): string {
  let state = seed;
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  const units = Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return alphabet[state >>> 26];
  });
  return units.join("");
}

const noisyPlan = (count: number): StoredPlan => ({
  ...EMPTY,
  unplaced: Array.from({ length: count }, (_, index) => noise(64, index + 1)),
});

test("a plan is decoded as it was encoded, with its lists in order", () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const decoded = decodePlan(encodePlan(plan));
      const expected = {
        members: plan.members.toSorted(),
        owners: new Map([...plan.owners].sort(([a], [b]) => (a < b ? -1 : 1))),
        unplaced: plan.unplaced.toSorted(),
      };
      expect(decoded).toEqual({ kind: "plan", plan: expected });
      if (decoded.kind === "plan") expect([...decoded.plan.owners]).toEqual([...expected.owners]);
    }),
  );
});

test("10 000 numbered resources take less than 30 kB; as many random names of 64 characters fit", () => {
  const members = Array.from({ length: 100 }, (_, index) => `member-${index}`);
  const numbered = Array.from({ length: 10_000 }, (_, index): [string, string] => [
    `resource-${index}`,
    members[index % 100] as string,
  ]);
  expect(encodePlan({ members, owners: new Map(numbered), unplaced: [] }).length).toBeLessThan(30_000);
  const noisy = noisyPlan(10_000);
  const bytes = encodePlan(noisy);
  expect(bytes.length).toBeLessThan(600_000);
  expect(decodePlan(bytes)).toMatchObject({ kind: "plan", plan: { unplaced: noisy.unplaced.toSorted() } });
});

test("a plan that is too large is refused, with its size and the limit", () => {
  const error = errorOf(noisyPlan(20_000));
  expect(error.code).toBe("INVALID_CONFIG");
  expect(error.message).toMatch(
    /^the plan of 20000 resources has \d+ bytes compressed; at most 900000 are allowed: use fewer resources/,
  );
  const many = Array.from({ length: 35_000 }, (_, index) => `${"a".repeat(250)}${index}`);
  expect(errorOf({ ...EMPTY, unplaced: many }).message).toMatch(
    /has \d+ bytes before compression; at most 8388608 are allowed/,
  );
});

test.each<[string, StoredPlan, RegExp]>([
  [
    "an unknown owner",
    { ...EMPTY, owners: new Map([["r", "x"]]) },
    /owner "x" of resource "r" is not a member/,
  ],
  ["a member twice", { ...EMPTY, members: ["a", "a"] }, /a member is listed twice/],
  [
    "a resource with an owner and without one",
    { members: ["a"], owners: new Map([["r", "a"]]), unplaced: ["r"] },
    /a resource is listed twice/,
  ],
  ["an empty name", { ...EMPTY, unplaced: [""] }, /a resource is not a text of 1 to 255 characters/],
  ["a long id", { ...EMPTY, members: ["a".repeat(256)] }, /a member is not a text of 1 to 255 characters/],
])("%s is not encoded", (_, plan, message) => {
  expect(errorOf(plan).message).toMatch(message);
});

test.each<[string, unknown, RegExp]>([
  ["no object", 7, /not a JSON object/],
  ["null", null, /not a JSON object/],
  ["no members", { resources: [], owners: [] }, /the members of the plan are not a list/],
  ["no resources", { members: [], owners: [] }, /the resources of the plan are not a list/],
  ["no owners", { members: [], resources: [] }, /the owners of the plan are not a list/],
  ["a resource too few", { members: ["a"], resources: [], owners: [0] }, /0 resources and 1 owners/],
  ["an owner too few", { members: ["a"], resources: ["r"], owners: [] }, /1 resources and 0 owners/],
  ["an index above the members", { members: ["a"], resources: ["r"], owners: [1] }, /none of its 1 members/],
  ["an index below -1", { members: ["a"], resources: ["r"], owners: [-2] }, /none of its 1 members/],
  ["half an index", { members: ["a"], resources: ["r"], owners: [0.5] }, /none of its 1 members/],
  ["a huge index", { members: ["a"], resources: ["r"], owners: [2 ** 53] }, /none of its 1 members/],
  ["an index as a text", { members: ["a"], resources: ["r"], owners: ["0"] }, /none of its 1 members/],
  ["a property of lists", { members: ["a"], resources: ["r"], owners: ["length"] }, /none of its 1 members/],
  ["a member twice", { members: ["a", "a"], resources: [], owners: [] }, /a member is listed twice/],
  ["resources out of order", { members: [], resources: ["b", "a"], owners: [-1, -1] }, /out of order/],
  ["a number as a name", { members: [], resources: [1], owners: [-1] }, /is not a text/],
  ["an empty name", { members: [""], resources: [], owners: [] }, /is not a text/],
  ["a long name", { members: ["a".repeat(256)], resources: [], owners: [] }, /is not a text/],
])("%s is garbage", (_, json, reason) => {
  expect(reasonOf(packed(json))).toMatch(reason);
});

test("what is not deflated, not UTF-8 or not JSON is garbage", () => {
  const good = encodePlan({ members: ["a"], owners: new Map([["r", "a"]]), unplaced: [] });
  const flipped = Uint8Array.from(good);
  flipped[good.length - 1] = (good.at(-1) as number) ^ 1;
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /not deflated/],
    [good.subarray(0, good.length - 1), /not deflated/],
    [flipped, /not deflated/],
    [deflateSync(Uint8Array.of(0xff)), /not UTF-8/],
    [deflated("{"), /not JSON/],
    [deflated("[".repeat(1_000_000)), /not JSON/],
  ];
  for (const [bytes, reason] of cases) expect(reasonOf(bytes)).toMatch(reason);
});

test("a bomb is refused before it is inflated, and one at the limit is parsed", () => {
  const limit = MAX_INFLATED_PLAN_BYTES;
  const bomb = deflateSync(new Uint8Array(64 * 1024 * 1024));
  expect(bomb.length).toBeLessThan(MAX_PLAN_BYTES);
  expect(reasonOf(bomb)).toBe(`the plan has more than ${limit} bytes when inflated`);
  expect(reasonOf(deflateSync(new Uint8Array(limit + 1)))).toMatch(/more than 8388608 bytes/);
  expect(reasonOf(deflateSync(new Uint8Array(limit)))).toMatch(/not JSON/);
  expect(reasonOf(new Uint8Array(MAX_PLAN_BYTES + 1))).toBe("the plan has 900001 bytes");
});

test("whatever the bytes are, the answer is a plan that can be encoded, or a reason", () => {
  const number = fc.oneof(fc.integer({ min: -2, max: 3 }), fc.double(), fc.jsonValue());
  const list = fc.oneof(
    fc.array(fc.constantFrom("a", "b", "c", "")),
    fc.array(fc.jsonValue()),
    fc.jsonValue(),
  );
  const columns = fc.record(
    { members: list, resources: list, owners: fc.oneof(fc.array(number), fc.jsonValue()) },
    { requiredKeys: [] },
  );
  const mangled = fc.tuple(plans, fc.nat(), fc.integer({ min: 1, max: 255 })).map(([plan, at, bits]) => {
    const bytes = Uint8Array.from(encodePlan(plan));
    bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ bits;
    return bytes;
  });
  const inputs = fc.oneof(
    columns.map(packed),
    fc.jsonValue().map(packed),
    fc.uint8Array(),
    fc.uint8Array().map((bytes) => deflateSync(bytes)),
    mangled,
  );
  fc.assert(
    fc.property(inputs, (bytes) => {
      const decoded = decodePlan(bytes);
      if (decoded.kind === "garbage") expect(decoded.reason).not.toBe("");
      else expect(decodePlan(encodePlan(decoded.plan))).toEqual(decoded);
    }),
    { numRuns: 2_000 },
  );
});

function errorOf(plan: StoredPlan): ClusterError {
  try {
    encodePlan(plan);
  } catch (error) {
    if (error instanceof ClusterError) return error;
    throw error;
  }
  throw new Error("the plan was encoded");
}
