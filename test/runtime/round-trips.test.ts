import { describe, expect, test } from "vitest";
import type { Instant } from "../../src/election/time.ts";
import { RoundTrips } from "../../src/runtime/round-trips.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";

function setUp() {
  const time = new VirtualTime();
  const clock = new VirtualClock(time);
  /** How long an answer takes; `null`: there is none. */
  const server = { answersAfterMs: 0 as number | null, asked: 0 };
  const session = {
    roundTrip: (now: Instant) => {
      server.asked += 1;
      const { answersAfterMs } = server;
      return new Promise<Instant | null>((resolve) => {
        if (answersAfterMs !== null) time.after(answersAfterMs, () => resolve(now));
      });
    },
  };
  const tooSlow: number[] = [];
  const roundTrips = new RoundTrips(
    clock,
    session,
    () => 1_000,
    (tookMs) => tooSlow.push(tookMs),
  );
  return { time, clock, server, roundTrips, tooSlow, proven: () => roundTrips.isProven(clock.now()) };
}

describe("round trips", () => {
  test("prove nothing before start() and after stop(), and leave no timer", async () => {
    const { time, roundTrips, proven } = setUp();
    expect(proven()).toBe(false);
    roundTrips.start();
    expect(proven()).toBe(true);
    await time.advance(3_000);
    expect(proven()).toBe(true);
    roundTrips.stop();
    expect(proven()).toBe(false);
    expect(time.pending).toBe(0);
  });

  test("prove the connection for a second from the sending, not from the answer", async () => {
    const { time, server, roundTrips, proven } = setUp();
    server.answersAfterMs = 400;
    roundTrips.start();
    await time.advance(1_000);
    server.answersAfterMs = null; // The last answered one was sent after 1 000 ms and answered after 1 400 ms.
    await time.advance(999);
    expect(proven()).toBe(true);
    await time.advance(1);
    expect(proven()).toBe(false);
    roundTrips.stop();
  });

  test("go on while earlier ones are unanswered, and a late answer counts for what is left", async () => {
    const { time, server, roundTrips, proven } = setUp();
    server.answersAfterMs = 900;
    roundTrips.start();
    await time.advance(1_149);
    expect(proven()).toBe(false);
    await time.advance(1); // the answer to what was sent after 250 ms
    expect(proven()).toBe(true);
    await time.advance(5_000);
    expect(proven()).toBe(true);
    roundTrips.stop();
  });

  test("of an earlier start() prove nothing", async () => {
    const { time, server, roundTrips, proven } = setUp();
    server.answersAfterMs = 300;
    roundTrips.start();
    await time.advance(251);
    roundTrips.stop();
    await time.advance(300);
    expect(proven()).toBe(false);
  });

  test("call back once the connection is proven or nothing depends on it, and not after the cancellation", async () => {
    const { time, server, roundTrips } = setUp();
    const called: string[] = [];
    roundTrips.whenProven(() => called.push("not started"));
    server.answersAfterMs = null;
    roundTrips.start();
    roundTrips.whenProven(() => called.push("proven"));
    await time.advance(1_100);
    roundTrips.whenProven(() => called.push("proven again"));
    roundTrips.whenProven(() => called.push("cancelled"))();
    expect(called).toEqual(["not started", "proven"]);
    server.answersAfterMs = 1;
    await time.advance(300);
    expect(called).toEqual(["not started", "proven", "proven again"]);
    server.answersAfterMs = null;
    await time.advance(1_500);
    roundTrips.whenProven(() => called.push("stopped"));
    roundTrips.stop();
    expect(called.at(-1)).toBe("stopped");
  });

  test("that take a second or more for a second are reported, once until one is in time again", async () => {
    const { time, server, roundTrips, tooSlow } = setUp();
    roundTrips.start();
    server.answersAfterMs = 1_000;
    await time.advance(2_000);
    expect(tooSlow).toEqual([]);
    await time.advance(10_000);
    expect(tooSlow).toEqual([1_000]);
    server.answersAfterMs = 999;
    await time.advance(5_000);
    server.answersAfterMs = 1_200;
    await time.advance(5_000);
    expect(tooSlow).toEqual([1_000, 1_200]);
    roundTrips.stop();
  });

  test("that were late at one moment, because the network stood still, are not reported", async () => {
    const { time, clock, roundTrips, server, tooSlow } = setUp();
    roundTrips.start();
    const until = clock.now().mono + 6_000;
    for (; clock.now().mono < until - 250; await time.advance(250))
      server.answersAfterMs = until - clock.now().mono;
    server.answersAfterMs = 1;
    await time.advance(5_000);
    expect(tooSlow).toEqual([]);
    roundTrips.stop();
  });
});
