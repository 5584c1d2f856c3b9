import { expect, test } from "vitest";
import { LeastMargin } from "../../src/runtime/least-margin.ts";

test("the least of the last minute is remembered for all readers", () => {
  const margin = new LeastMargin();
  expect(margin.read(0)).toBeNull();
  margin.note(500, 1_000);
  margin.note(900, 2_000);
  margin.note(700, 30_000);
  expect([margin.read(30_000), margin.read(30_000)]).toEqual([500, 500]);
  expect(margin.read(61_000)).toBe(500);
  // Its slice ends at 5 000.
  expect(margin.read(64_999)).toBe(500);
  expect(margin.read(65_000)).toBe(700);
  expect(margin.read(94_999)).toBe(700);
  expect(margin.read(95_000)).toBeNull();
  margin.note(100, 95_000);
  expect(margin.read(95_000)).toBe(100);
});
