/** Clock readings by round trips: the true value lies within the error bound. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ClockHistory, readingOf } from "../../src/doctor/clocks/clock.ts";

const OFFSET_LIMIT = 1e6;

/** Samples of a clock with this offset and rate. `part`: when within the round trip the clock was read, from 0 to 1. */
function sampled(
  samples: readonly { readonly at: number; readonly tripMs: number; readonly part: number }[],
  offsetMs: number,
  ratePpm: number,
): ClockHistory {
  const history = new ClockHistory();
  for (const { at, tripMs, part } of samples) {
    const read = at + tripMs * part;
    const middle = at + tripMs / 2;
    history.add({
      wallMs: middle,
      monoMs: middle,
      remoteMs: read + offsetMs + (read * ratePpm) / 1e6,
      errorMs: tripMs / 2,
    });
  }
  return history;
}

const sample = fc.record({
  at: fc.double({ min: 0, max: 20_000, noNaN: true }),
  tripMs: fc.double({ min: 0.1, max: 300, noNaN: true }),
  part: fc.double({ min: 0, max: 1, noNaN: true }),
});

test("the true rate lies within the error bound", () => {
  fc.assert(
    fc.property(
      fc.array(sample, { minLength: 2, maxLength: 20 }),
      fc.integer({ min: -OFFSET_LIMIT, max: OFFSET_LIMIT }),
      fc.integer({ min: -60_000, max: 60_000 }),
      (samples, offsetMs, ratePpm) => {
        const ordered = [...samples].sort((a, b) => a.at + a.tripMs / 2 - (b.at + b.tripMs / 2));
        const { rate } = sampled(ordered, offsetMs, ratePpm);
        fc.pre(rate !== null);
        // The clock also drifts during the round trips, at a rate of at most 6 %.
        expect(Math.abs((rate?.ratePpm ?? 0) - ratePpm)).toBeLessThanOrEqual(
          (rate?.rateErrorPpm ?? 0) * 1.06 + 1,
        );
      },
    ),
  );
});

test("the true offset lies within the error bound, which comes from the shortest round trip", () => {
  fc.assert(
    fc.property(
      fc.array(sample, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: -OFFSET_LIMIT, max: OFFSET_LIMIT }),
      (samples, offsetMs) => {
        const { offset } = sampled(samples, offsetMs, 0);
        expect(Math.abs((offset?.offsetMs ?? Number.NaN) - offsetMs)).toBeLessThanOrEqual(
          (offset?.offsetErrorMs ?? 0) + 1e-6,
        );
      },
    ),
  );
  const { offset } = sampled(
    [
      { at: 0, tripMs: 100, part: 0 },
      { at: 200, tripMs: 2, part: 0.5 },
    ],
    7,
    0,
  );
  // The error includes 0.5 ms: our wall clock has a resolution of 1 ms.
  expect(offset).toEqual({ offsetMs: 7, offsetErrorMs: 1.5 });
});

test("one sample gives no rate, and no sample gives no reading", () => {
  expect(readingOf(new ClockHistory())).toBeNull();
  const once = sampled([{ at: 0, tripMs: 1, part: 0.5 }], 5, 0);
  expect(readingOf(once)).toMatchObject({ offsetMs: 5, ratePpm: null });
  expect(readingOf(new ClockHistory(), once)).toBeNull();
});

test("old samples are discarded, so that a repaired clock gives no finding", () => {
  const history = new ClockHistory();
  const add = (at: number, remoteMs: number): void =>
    history.add({ wallMs: at, monoMs: at, remoteMs, errorMs: 0.1 });
  add(0, 0);
  add(10_000, 20_000);
  expect(history.rate?.ratePpm).toBeCloseTo(1e6, -1);
  add(200_000, 210_000);
  expect(history.rate).toBeNull();
  add(210_000, 220_000);
  expect(history.rate?.ratePpm).toBeCloseTo(0, 3);
});
