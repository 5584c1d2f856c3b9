import fc from "fast-check";
import { expect, test } from "vitest";
import { rendezvousRank } from "../../src/group/core/hash.ts";

const idsUpTo = (count: number): string[] => Array.from({ length: count }, (_, index) => `member-${index}`);
/** The members by rank. */
const orderOf = (key: string, ids: readonly string[]): string[] => {
  const order: string[] = [];
  for (const id of ids) order[rendezvousRank(key, id, ids)] = id;
  return order;
};

test("the ranks of a key are 0, 1, 2, ... in whatever order the members are listed", () => {
  const ids = fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1 }), { maxLength: 12 });
  fc.assert(
    fc.property(fc.string(), ids, (key, members) => {
      const ranks = members.map((id) => rendezvousRank(key, id, members));
      expect(ranks.toSorted((a, b) => a - b)).toEqual([...members.keys()]);
      const turned = members.toReversed();
      expect(members.map((id) => rendezvousRank(key, id, turned))).toEqual(ranks);
      // A set without the member itself gives the same rank.
      expect(members.map((id) => rendezvousRank(key, id, new Set(members.filter((m) => m !== id))))).toEqual(
        ranks,
      );
    }),
  );
});

test("the hash stays as it is: members of different versions must agree", () => {
  const ids = idsUpTo(8);
  const order = (key: string): string =>
    orderOf(key, ids)
      .map((id) => id.slice(-1))
      .join("");
  expect(order("orders-17")).toBe("26375104");
  expect(order("\u{e4}\u{1f600}")).toBe("34670251");
});

test("a member that leaves changes no order among the others", () => {
  const ids = idsUpTo(10);
  for (let key = 0; key < 200; key += 1) {
    const order = orderOf(`session.${key}`, ids);
    expect(orderOf(`session.${key}`, ids.slice(1))).toEqual(order.filter((id) => id !== "member-0"));
  }
});

/** The 99.99 % quantile of chi-squared with 9 degrees of freedom. */
const CHI_SQUARED_9 = 33.72;

test.each<[string, (index: number) => string, (index: number) => string]>([
  ["keys and ids that differ in their last digit", (key) => `resource-${key}`, (id) => `member-${id}`],
  ["keys and ids that differ in their first character", (key) => `${key}-resource`, (id) => `${id}-member`],
  ["short keys and ids", (key) => key.toString(36), (id) => String.fromCharCode(97 + id)],
  ["long ids", (key) => `r${key}`, (id) => `${"host.".repeat(5)}${id}`],
])("each of ten members gets each rank equally often: %s", (_, keyAt, idAt) => {
  const ids = Array.from({ length: 10 }, (__, index) => idAt(index));
  const keys = 10_000;
  const times = ids.map(() => ids.map(() => 0));
  for (let key = 0; key < keys; key += 1) {
    for (const [member, id] of ids.entries()) {
      const row = times[rendezvousRank(keyAt(key), id, ids)] as number[];
      row[member] = (row[member] as number) + 1;
    }
  }
  const expected = keys / ids.length;
  for (const row of times) {
    const chiSquared = row.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquared).toBeLessThan(CHI_SQUARED_9);
  }
});

test("the second of a key is independent of its first: the keys of a dead member spread evenly over the others", () => {
  const ids = idsUpTo(11);
  const heirs = new Map<string, number>();
  let keys = 0;
  for (let key = 0; keys < 2_000; key += 1) {
    const [first, second] = orderOf(`resource-${key}`, ids);
    if (first !== "member-0" || second === undefined) continue;
    keys += 1;
    heirs.set(second, (heirs.get(second) ?? 0) + 1);
  }
  const expected = keys / 10;
  const chiSquared = [...heirs.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(heirs.size).toBe(10);
  expect(chiSquared).toBeLessThan(CHI_SQUARED_9);
});
