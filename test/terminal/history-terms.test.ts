/** Past terms, combined from the records of their leaders. */
import { expect, test } from "vitest";
import { type HistoryEntry, termsOf } from "../../src/manager/history-record.ts";

const begin = (node_id: string, epoch: number, at: number): HistoryEntry => ({
  kind: "begin",
  node_id,
  epoch,
  at,
});
const end = (node_id: string, epoch: number, at: number, reason: string): HistoryEntry => ({
  kind: "end",
  node_id,
  epoch,
  at,
  reason,
});
const ends = (entries: readonly HistoryEntry[]) =>
  termsOf(entries, 2).map(({ until, untilAtMost, why }) => [until, untilAtMost, why]);

test.each(["expired", "superseded", "deleted"])(
  "a leader that learned late that its term had ended (%s) led at most until the next one",
  (reason) => {
    const entries = [begin("a", 1, 1_000), begin("b", 2, 5_000), end("a", 1, 24_000, reason)];
    expect(ends(entries)).toEqual([
      [5_000, true, reason],
      [null, false, null],
    ]);
  },
);

test("an end that was recorded before the next term, or by a leader that gave its term up, is shown as recorded", () => {
  expect(ends([begin("a", 1, 1_000), end("a", 1, 4_000, "expired"), begin("b", 2, 5_000)])[0]).toEqual([
    4_000,
    false,
    "expired",
  ]);
  // The clocks of two hosts differ.
  expect(ends([begin("a", 1, 1_000), begin("b", 2, 5_000), end("a", 1, 5_100, "released")])[0]).toEqual([
    5_100,
    false,
    "released",
  ]);
});

test("a leader that recorded no end led at most until the next one", () => {
  expect(ends([begin("a", 1, 1_000), begin("b", 2, 5_000)])[0]).toEqual([5_000, true, "silent"]);
});
