/** Clocks by round trips: the truth lies within what is claimed. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ClockHistory, readingOf } from "../../src/doctor/clocks/clock.ts";

const OFFSET_LIMIT = 1e6;

/** A remote clock that is set `offsetMs` ahead and runs `ratePpm` fast, asked at `at`, the answer anywhere in between. */
function sampled(
  looks: readonly { readonly at: number; readonly tripMs: number; readonly part: number }[],
  offsetMs: number,
  ratePpm: number,
): ClockHistory {
  const history = new ClockHistory();
  for (const { at, tripMs, part } of looks) {
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

const look = fc.record({
  at: fc.double({ min: 0, max: 20_000, noNaN: true }),
  tripMs: fc.double({ min: 0.1, max: 300, noNaN: true }),
  part: fc.double({ min: 0, max: 1, noNaN: true }),
});

test("the true rate lies within the error that is claimed", () => {
  fc.assert(
    fc.property(
      fc.array(look, { minLength: 2, maxLength: 20 }),
      fc.integer({ min: -OFFSET_LIMIT, max: OFFSET_LIMIT }),
      fc.integer({ min: -60_000, max: 60_000 }),
      (looks, offsetMs, ratePpm) => {
        const ordered = [...looks].sort((a, b) => a.at + a.tripMs / 2 - (b.at + b.tripMs / 2));
        const { rate } = sampled(ordered, offsetMs, ratePpm);
        fc.pre(rate !== null);
        // What a clock gains within a round trip is the rate's own size of the error: 6 % of it at most.
        expect(Math.abs((rate?.ratePpm ?? 0) - ratePpm)).toBeLessThanOrEqual(
          (rate?.rateErrorPpm ?? 0) * 1.06 + 1,
        );
      },
    ),
  );
});

test("the true offset lies within the error that is claimed, which the shortest round trip decides", () => {
  fc.assert(
    fc.property(
      fc.array(look, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: -OFFSET_LIMIT, max: OFFSET_LIMIT }),
      (looks, offsetMs) => {
        const { offset } = sampled(looks, offsetMs, 0);
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
  // Half a millisecond more: our own wall clock counts whole ones.
  expect(offset).toEqual({ offsetMs: 7, offsetErrorMs: 1.5 });
});

test("one look says nothing of a rate, none nothing at all", () => {
  expect(readingOf(new ClockHistory())).toBeNull();
  const once = sampled([{ at: 0, tripMs: 1, part: 0.5 }], 5, 0);
  expect(readingOf(once)).toMatchObject({ offsetMs: 5, ratePpm: null });
  expect(readingOf(new ClockHistory(), once)).toBeNull();
});

test("looks of long ago are forgotten: a clock that was repaired is well again", () => {
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
