import fc from "fast-check";
import { expect, test } from "vitest";
import { beatIntervalMs, missingBeatMs, silenceWaitMs } from "../../src/inquiry/durations.ts";

test("the wait between two questions outlasts the stretch of a holder whose clock is 5 % slow, and leaves 250 ms at an equal pace", () => {
  fc.assert(
    fc.property(fc.integer({ min: 500, max: 1_800_000 }), (silenceMs) => {
      expect(silenceWaitMs(silenceMs)).toBeGreaterThanOrEqual(silenceMs / 0.95);
      expect(silenceWaitMs(silenceMs) - silenceMs).toBeGreaterThanOrEqual(250);
    }),
  );
});

test("eight beats fit into F, and one counts as missing after 1.25 intervals", () => {
  expect(beatIntervalMs(2_000)).toBe(250);
  expect(missingBeatMs(2_000)).toBe(312.5);
});
