import { expect, test } from "vitest";
import { roundTripMs } from "../../src/election/silence.ts";

test("a round trip counts for half of F, at most a second", () => {
  expect([0, 500, 2_000, 10_000].map(roundTripMs)).toEqual([1_000, 250, 1_000, 1_000]);
});
