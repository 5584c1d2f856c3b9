import { describe, expect, test } from "vitest";
import { leaseMarginMs, leaseSpanMs, renewIntervalMs, takeoverWaitMs } from "../../src/election/lease.ts";
import {
  hasReached,
  type Instant,
  after as later,
  remainingMs,
  waitedUntil,
} from "../../src/election/time.ts";
import { MIN_MARGIN_MS } from "../../src/inquiry/durations.ts";

const at = (mono: number, boot = mono, wall = mono): Instant => ({ mono, boot, wall });

describe("the margin", () => {
  test.each([
    [1_000, 250],
    [3_000, 250],
    [5_000, 250],
    [5_001, 250.05],
    [10_000, 500],
    [60_000, 3_000],
  ])("of a lease of %i ms is %d ms, the rest is its span", (ttl, margin) => {
    expect(leaseMarginMs(ttl)).toBeCloseTo(margin);
    expect(leaseSpanMs(ttl)).toBeCloseTo(ttl - margin);
  });

  test("is never smaller than its minimum", () => {
    for (let ttl = 300; ttl < 100_000; ttl += 997)
      expect(leaseMarginMs(ttl)).toBeGreaterThanOrEqual(MIN_MARGIN_MS);
  });
});

describe("a leader renews", () => {
  test.each([
    ["every heartbeat on a single server", 10_000, 3_000, 1, 3_000],
    ["more often where a stream election takes most of the span", 10_000, 3_000, 3, 500],
    ["as often as the rest of the span requires", 12_000, 3_000, 3, 2_400],
    ["every heartbeat when the span is long enough", 60_000, 3_000, 5, 3_000],
    ["every heartbeat when that is shorter still", 10_000, 200, 3, 200],
  ])("%s", (_, ttl, heartbeat, replicas, interval) => {
    expect(renewIntervalMs(ttl, heartbeat, replicas)).toBe(interval);
  });
});

describe("a takeover waits for the longest of", () => {
  test.each([
    ["its own TTL", 10_000, 5_000, 0, 10_000],
    ["the holder's TTL", 10_000, 30_000, 0, 30_000],
    ["the bucket's max-age, when the record names no TTL", 10_000, undefined, 12_000, 12_000],
    ["its own TTL, when neither record nor bucket has one", 10_000, undefined, 0, 10_000],
    ["the holder's TTL, whatever the bucket's max-age", 10_000, 11_000, 60_000, 11_000],
  ])("%s", (_, own, holder, maxAge, wait) => {
    expect(takeoverWaitMs(own, holder, maxAge)).toBe(wait);
  });
});

describe("a deadline", () => {
  test("is reached as soon as either clock reaches it", () => {
    const deadline = later(at(1_000), 500);
    expect(hasReached(deadline, at(1_499))).toBe(false);
    expect(hasReached(deadline, at(1_500))).toBe(true);
    expect(hasReached(deadline, at(1_000, 1_500))).toBe(true);
    expect(hasReached(deadline, at(1_500, 1_000))).toBe(true);
  });

  test("does not depend on the wall clock, but moves with it for printing", () => {
    const deadline = later(at(1_000, 1_000, 5_000), 500);
    expect(deadline.wall).toBe(5_500);
    expect(hasReached(deadline, at(1_000, 1_000, 9_999_999))).toBe(false);
  });

  test("is reported by the clock that is nearer to it, and never negative", () => {
    const deadline = later(at(1_000), 500);
    expect(remainingMs(deadline, at(1_100, 1_300))).toBe(200);
    expect(remainingMs(deadline, at(1_300, 1_100))).toBe(200);
    expect(remainingMs(deadline, at(2_000))).toBe(0);
  });
});

test("a follower's wait ends by its monotonic clock alone", () => {
  expect(waitedUntil(at(1_000), 500, at(1_499.9))).toBe(false);
  expect(waitedUntil(at(1_000), 500, at(1_500))).toBe(true);
  expect(waitedUntil(at(1_000), 500, at(1_000, 9_000))).toBe(false);
});
