import { expect, test } from "vitest";
import type { Clock } from "../../src/runtime/ports.ts";
import { WakeTimer } from "../../src/runtime/wake-timer.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";

/** A timer on a state machine that only knows when it is next due, and how often timers were set. */
function rigged(): {
  time: VirtualTime;
  timer: WakeTimer;
  due: (atMono: number | null) => void;
  wakes: number[];
  timersSet: () => number;
} {
  const time = new VirtualTime();
  const virtual = new VirtualClock(time);
  let timersSet = 0;
  const clock: Clock = {
    now: () => virtual.now(),
    every: (ms, run) => virtual.every(ms, run),
    afterTurn: (run) => virtual.afterTurn(run),
    setTimer(delayMs, run) {
      timersSet += 1;
      return virtual.setTimer(delayMs, run);
    },
  };
  let dueMono: number | null = null;
  const wakes: number[] = [];
  const timer = new WakeTimer(
    clock,
    ({ mono }) => (dueMono === null ? null : Math.max(0, dueMono - mono)),
    () => {
      wakes.push(clock.now().mono);
      dueMono = null;
      timer.update();
    },
  );
  const due = (atMono: number | null): void => {
    dueMono = atMono;
    timer.update();
  };
  return { time, timer, due, wakes, timersSet: () => timersSet };
}

test("wakes when something is due, and not again", async () => {
  const { time, due, wakes } = rigged();
  due(100);
  await time.advance(1_000);
  expect(wakes).toEqual([100]);
  expect(time.pending).toBe(0);
});

test("sets a new timer for an earlier time, and keeps the one it has for a later", async () => {
  const { time, due, wakes, timersSet } = rigged();
  due(500);
  due(200);
  expect(timersSet()).toBe(2);
  for (let atMono = 300; atMono <= 900; atMono += 1) due(atMono);
  expect(timersSet()).toBe(2);
  await time.advance(2_000);
  expect(wakes).toEqual([900]);
  expect(timersSet()).toBe(3);
});

test("has no timer while nothing will be due", async () => {
  const { time, due, wakes } = rigged();
  due(100);
  due(null);
  expect(time.pending).toBe(0);
  await time.advance(1_000);
  expect(wakes).toEqual([]);
});
