/** What the bucket of a group says about past changes. */
import { expect, test } from "vitest";
import { groupHistoryTable } from "../../src/cli/render/group-history-table.ts";
import { showLine } from "../../src/cli/render/text.ts";
import type { GroupEntry, GroupKey, GroupRecord } from "../../src/group/core/types.ts";
import type { GroupContent } from "../../src/manager/group-client.ts";
import { groupChanges } from "../../src/manager/group-history.ts";
import { groupView } from "../../src/manager/group-view.ts";
import { author } from "../support/group/author.ts";

const session = (memberId: string, number: number | null): GroupRecord => ({
  ...author(memberId),
  kind: "session",
  number,
  ttlMs: 10_000,
  weight: 1,
  draining: false,
  refused: [],
  listHash: "h",
});
const end = (of: string, number: number, writer: string): GroupRecord => ({
  ...author(writer),
  kind: "session-end",
  of,
  number,
  reason: "closed",
});
const claim = (memberId: string, number: number): GroupRecord => ({
  ...author(memberId),
  kind: "claim",
  session: number,
});
const owner = (resource: string): GroupKey => ({ kind: "owner", resource });
const member = (memberId: string): GroupKey => ({ kind: "session", memberId });

/** Each message was stored one second after the one before; `null` is a delete marker, a text no record. */
function contentOf(
  ...messages: readonly (readonly [revision: number, GroupKey, GroupRecord | string | null])[]
): GroupContent {
  const entries = messages.map(([revision, key, record]) => {
    const found: GroupEntry =
      record === null
        ? { kind: "deleted", key, revision }
        : typeof record === "string"
          ? { kind: "garbage", key, revision, reason: record }
          : { kind: "record", key, revision, record };
    return [JSON.stringify(key), { entry: found, at: revision * 1_000 }] as const;
  });
  return { created: "c", entries: new Map(entries), upTo: messages.at(-1)?.[0] ?? 0, now: 60_000 };
}

test("a claim, a release with a successor, and the end of a session with its writer are named", () => {
  const content = contentOf(
    [5, owner("x"), claim("a", 1)],
    [6, owner("y"), { ...author("b"), kind: "release", epoch: 4, successor: "a" }],
    [7, owner("z"), claim("b", 2)],
    [8, member("a"), session("a", 1)],
    [9, member("b"), end("b", 2, "a")],
  );
  const changes = groupChanges(content);
  expect(changes.map(({ at, what, change, resource }) => [at, what, change, resource])).toEqual([
    [9_000, "session", "ended", null],
    [9_000, "resource", "lost", "z"],
    [6_000, "resource", "released", "y"],
    [5_000, "resource", "claimed", "x"],
  ]);
  expect(changes[0]).toMatchObject({ member: "b", epoch: 2, reason: "closed", by: "a" });
  expect(changes[1]).toMatchObject({ member: "b", epoch: 7, reason: "closed", by: "a" });
  expect(changes[2]).toMatchObject({ member: "b", epoch: 4, successor: "a" });
  const text = groupHistoryTable(changes, 200).map((line) => showLine(line, false));
  expect(text[1]).toMatch(/\(session\) +ended +b +2 +closed, by a$/);
  expect(text[2]).toMatch(/z +lost +b +7 +the session of its owner is over: closed, by a$/);
  expect(text[3]).toMatch(/y +released +b +4 +for a$/);
});

test("when a session ended is not known once its member has begun another one", () => {
  const content = contentOf([3, owner("x"), claim("a", 1)], [4, member("a"), session("a", null)]);
  expect(groupChanges(content)).toMatchObject([
    { what: "session", change: "began", epoch: 4 },
    { what: "resource", change: "lost", reason: "replaced", at: 3_000 },
  ]);
  expect(groupView("g", content).resources).toMatchObject([
    { state: "unowned", why: "replaced", forMs: null },
  ]);
});

test("deleted keys and messages of other programs are changes", () => {
  const content = contentOf([1, owner("x"), null], [2, owner("y"), "not JSON"], [3, { kind: "plan" }, null]);
  expect(groupChanges(content).map(({ what, change, resource }) => [what, change, resource])).toEqual([
    ["plan", "deleted", null],
    ["resource", "garbage", "y"],
    ["resource", "deleted", "x"],
  ]);
});

test("between two reads, only what has changed is returned, with the owners before; a renewal is no change", () => {
  const live = [member("a"), member("b")] as const;
  const before = contentOf(
    [1, live[0], session("a", null)],
    [2, live[1], session("b", null)],
    [3, owner("x"), claim("a", 1)],
    [4, owner("y"), claim("a", 1)],
  );
  const after = contentOf(
    [3, owner("x"), claim("a", 1)],
    [5, live[0], session("a", 1)],
    [6, live[1], session("b", 2)],
    [7, owner("y"), claim("b", 2)],
  );
  expect(groupChanges(after, before)).toMatchObject([
    { change: "claimed", resource: "y", from: "a", member: "b" },
  ]);
  expect(groupChanges({ ...after, created: "another bucket" }, before)).toHaveLength(2);
});

test("the table fits 40 columns, and loses no column", () => {
  const name = "a-resource-with-a-name-that-is-longer-than-forty-columns";
  const content = contentOf(
    [2, member("b"), session("b", null)],
    [4, owner(name), claim("b", 2)],
    [5, member("b"), end("b", 2, "a")],
  );
  const changes = groupChanges(content);
  const lines = groupHistoryTable(changes, 40).map((line) => showLine(line, false));
  // Columns that do not fit follow below, with the time again.
  for (const head of ["WHAT", "CHANGE", "MEMBER", "EPOCH", "NOTE"])
    expect(
      lines.some((line) => line.startsWith("TIME") && line.includes(head)),
      head,
    ).toBe(true);
  for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(40);
  for (const { change } of changes)
    expect(
      lines.some((line) => line.includes(change)),
      change,
    ).toBe(true);
});
