import { describe, expect, test } from "vitest";
import { Freshness } from "../../src/runtime/freshness.ts";
import type { Clock } from "../../src/runtime/ports.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";

function setUp(): {
  time: VirtualTime;
  clock: VirtualClock;
  freshness: Freshness;
  link: { up: boolean };
  fresh: () => boolean;
} {
  const time = new VirtualTime();
  const clock = new VirtualClock(time);
  const link = { up: true };
  const freshness = new Freshness(clock, () => link.up);
  return { time, clock, freshness, link, fresh: () => freshness.isFresh(clock.now()) };
}

describe("freshness", () => {
  test("is false before start() and after stop()", () => {
    const { freshness, fresh } = setUp();
    expect(fresh()).toBe(false);
    freshness.start();
    expect(fresh()).toBe(true);
    freshness.stop();
    expect(fresh()).toBe(false);
  });

  test("lasts as long as the loop turns and the connection is open", async () => {
    const { time, freshness, fresh } = setUp();
    freshness.start();
    for (let i = 0; i < 100; i += 1) {
      await time.advance(37);
      expect(fresh()).toBe(true);
    }
    freshness.stop();
  });

  test("ends 250 ms after the last check that found the connection open, until the next one does", async () => {
    const { time, freshness, link, fresh } = setUp();
    freshness.start();
    await time.advance(100);
    link.up = false;
    await time.advance(249);
    expect(fresh()).toBe(true);
    await time.advance(2);
    expect(fresh()).toBe(false);
    link.up = true;
    await time.advance(50);
    expect(fresh()).toBe(true);
    freshness.stop();
  });

  test("ends with the first instruction after a pause, until the sockets were checked", async () => {
    const { time, clock, freshness, link, fresh } = setUp();
    freshness.start();
    await time.advance(10);
    clock.pause(1_000);
    time.after(500, () =>
      clock.deliver(() => {
        link.up = false;
      }),
    );
    await time.advance(999);
    expect(fresh()).toBe(false);
    await time.advance(500);
    expect(fresh()).toBe(false);
    freshness.stop();
  });

  test("ends with a suspension of the machine, during which the monotonic clock stops", async () => {
    const { time, clock, freshness, fresh } = setUp();
    freshness.start();
    await time.advance(10);
    clock.suspend(1_000);
    await time.advance(999);
    expect(fresh()).toBe(false);
    await time.advance(60);
    expect(fresh()).toBe(true);
    freshness.stop();
  });

  test("counts from the start of a long turn: the sockets may have been polled at its start", () => {
    let mono = 1_000;
    let tick = (): void => {};
    let endTurn = (): void => {};
    const clock: Clock = {
      now: () => ({ mono, boot: mono, wall: mono }),
      setTimer: () => () => {},
      every: (_periodMs, look) => {
        tick = look;
        return () => {};
      },
      afterTurn: (run) => {
        endTurn = run;
      },
    };
    const freshness = new Freshness(clock, () => true);
    freshness.start();
    mono = 1_200;
    tick();
    mono = 1_400; // not scheduled since the sockets were polled
    endTurn();
    expect(freshness.isFresh(clock.now())).toBe(true);
    mono = 1_449;
    expect(freshness.isFresh(clock.now())).toBe(true);
    mono = 1_450;
    expect(freshness.isFresh(clock.now())).toBe(false);
  });

  test("checks once per period however often it is started and stopped", async () => {
    const { time, freshness } = setUp();
    for (let i = 0; i < 10; i += 1) {
      freshness.start();
      freshness.start();
      await time.advance(50);
      freshness.stop();
      freshness.start();
    }
    expect(time.pending).toBe(1);
    freshness.stop();
    expect(time.pending).toBe(0);
  });

  test("leaves no timer behind when stopped between the timer and the turn of the loop", async () => {
    const { time, clock, freshness } = setUp();
    freshness.start();
    clock.afterTurn(() => {});
    time.at(50, () => freshness.stop());
    await time.advance(500);
    expect(time.pending).toBe(0);
  });
});
