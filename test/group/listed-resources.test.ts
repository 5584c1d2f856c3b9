/** A resource that no member lists any more is no resource without an owner. */
import { expect, test } from "vitest";
import { listHash } from "../../src/group/core/hash.ts";
import type { GroupEntry, GroupKey, GroupRecord } from "../../src/group/core/types.ts";
import { groupView } from "../../src/manager/group-view.ts";
import { author } from "../support/group/author.ts";

/** Members with these lists, or these hashes of one, and released keys of these resources. */
function view(lists: Readonly<Record<string, readonly string[] | string>>, released: readonly string[]) {
  let revision = 0;
  const entries = new Map<string, { readonly entry: GroupEntry; readonly at: number }>();
  const put = (key: GroupKey, record: GroupRecord): void => {
    revision += 1;
    entries.set(`${revision}`, { entry: { kind: "record", key, revision, record }, at: 59_000 });
  };
  for (const [memberId, list] of Object.entries(lists))
    put(
      { kind: "session", memberId },
      {
        ...author(memberId),
        kind: "session",
        number: null,
        ttlMs: 10_000,
        weight: 1,
        draining: false,
        refused: [],
        listHash: typeof list === "string" ? list : listHash(list),
      },
    );
  for (const resource of released)
    put({ kind: "owner", resource }, { ...author("gone"), kind: "release", epoch: 7 });
  const found = groupView("g", { created: "c", entries, upTo: revision, now: 60_000 });
  expect(found.unowned).toBe(found.resources.length);
  return found.resources.map(({ resource }) => resource);
}

test("a number of partitions that was reduced leaves out the others, also while listed ones have no owner", () => {
  expect(view({ a: ["0", "1"] }, ["0", "1", "2", "3"])).toEqual(["0", "1"]);
  expect(view({ a: ["0", "1"], b: ["0", "1"] }, ["1", "2"])).toEqual(["1"]);
});

test("what the member with the longest list has is shown: it may have no owner because lists differ", () => {
  expect(view({ a: ["0", "1"], b: ["0", "1", "2"] }, ["0", "1", "2", "3"])).toEqual(["0", "1", "2"]);
});

test("names are left out only if the rest is the list of every member", () => {
  expect(view({ a: ["x"] }, ["x", "y"])).toEqual(["x", "y"]); // x is spare, too: the hash is not that of no name
  expect(view({ a: [] }, ["x", "y"])).toEqual([]);
});

test("nothing is left out without a member, or for a hash that no list can have", () => {
  expect(view({}, ["0", "1"])).toEqual(["0", "1"]);
  for (const hash of ["999999999999-0-0", "-1-0-0", "1.5-a-b", "x", ""]) {
    expect(view({ a: hash }, ["0", "1"])).toEqual(["0", "1"]);
  }
});
