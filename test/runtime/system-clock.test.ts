import { afterEach, describe, expect, test, vi } from "vitest";
import { type RawClocks, SystemClock, systemClock, systemRandom } from "../../src/runtime/system-clock.ts";

/** Three clocks set by the test, and a count of the readings of the slow one. */
class HandClocks implements RawClocks {
  mono = 1_000;
  wall = 1_700_000_000_000;
  uptime = 500_000;
  uptimeReads = 0;

  monotonicMs(): number {
    return this.mono;
  }

  wallMs(): number {
    return this.wall;
  }

  uptimeMs(): number {
    this.uptimeReads += 1;
    return this.uptime;
  }

  pass(ms: number): void {
    this.mono += ms;
    this.wall += ms;
    this.uptime += ms;
  }

  suspend(ms: number): void {
    this.wall += ms;
    this.uptime += ms;
  }
}

describe("SystemClock", () => {
  const started = (): { raw: HandClocks; clock: SystemClock } => {
    const raw = new HandClocks();
    return { raw, clock: new SystemClock(raw) };
  };
  afterEach(() => {
    vi.useRealTimers();
  });

  test("has two clocks that agree until a suspension, and reads the slow one only once", () => {
    const { raw, clock } = started();
    for (let i = 0; i < 100; i += 1) {
      raw.pass(1_000);
      const now = clock.now();
      expect(now.boot).toBe(now.mono);
    }
    expect(raw.uptimeReads).toBe(1);
  });

  test("counts a suspension on the boot clock, not on the monotonic one", () => {
    const { raw, clock } = started();
    const before = clock.now();
    raw.suspend(8_000);
    const now = clock.now();
    expect(now.mono - before.mono).toBe(0);
    expect(now.boot - before.boot).toBe(8_000);
    raw.pass(500);
    expect(clock.now().boot - before.boot).toBe(8_500);
  });

  test("adds up several suspensions", () => {
    const { raw, clock } = started();
    const before = clock.now();
    for (const ms of [1_000, 60, 2_000]) {
      raw.suspend(ms);
      clock.now();
      raw.pass(100);
    }
    expect(clock.now().boot - before.boot).toBe(3_360);
  });

  test("ignores a step of the wall clock in either direction", () => {
    const { raw, clock } = started();
    const before = clock.now();
    raw.wall += 3_600_000;
    expect(clock.now().boot).toBe(before.boot);
    raw.wall -= 7_200_000;
    expect(clock.now().boot).toBe(before.boot);
    raw.pass(10);
    expect(clock.now().boot).toBe(before.boot + 10);
  });

  test("detects a suspension even if the wall clock is set at the same time", () => {
    const { raw, clock } = started();
    const before = clock.now();
    raw.suspend(5_000);
    raw.wall -= 60_000;
    expect(clock.now().boot - before.boot).toBe(5_000);
  });

  test("tolerates the uptime's coarse resolution and a slow drift of the wall clock", () => {
    const { raw, clock } = started();
    for (let i = 0; i < 1_000; i += 1) {
      raw.pass(1_000);
      raw.wall += 1;
      raw.uptime = Math.floor(raw.uptime / 10) * 10;
      const now = clock.now();
      expect(now.boot).toBe(now.mono);
    }
  });

  test("never goes back", () => {
    const { raw, clock } = started();
    let last = clock.now().boot;
    for (const ms of [100, -5_000, 4_000, -100, 60]) {
      if (ms > 0) raw.suspend(ms);
      else raw.wall += ms;
      raw.pass(1);
      const { boot } = clock.now();
      expect(boot).toBeGreaterThanOrEqual(last);
      last = boot;
    }
  });

  test("sets timers that never fire early and can be cancelled", () => {
    vi.useFakeTimers();
    const { clock } = started();
    const fired: string[] = [];
    clock.setTimer(10.2, () => fired.push("a"));
    clock.setTimer(10.2, () => fired.push("b"))();
    vi.advanceTimersByTime(10);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(["a"]);
  });

  test("sets no timer that is longer than the platform's, which would fire after 1 ms", () => {
    vi.useFakeTimers();
    const timers = vi.spyOn(globalThis, "setTimeout");
    const { clock } = started();
    for (const delayMs of [2 ** 31, Number.POSITIVE_INFINITY]) clock.setTimer(delayMs, () => {})();
    expect(timers.mock.calls.map(([, delayMs]) => delayMs)).toEqual([2 ** 31 - 1, 2 ** 31 - 1]);
    timers.mockRestore();
  });

  test("calls every period until cancelled", () => {
    vi.useFakeTimers();
    const clock = systemClock();
    let looks = 0;
    const cancel = clock.every(50, () => {
      looks += 1;
    });
    vi.advanceTimersByTime(149);
    expect(looks).toBe(2);
    cancel();
    vi.advanceTimersByTime(100);
    expect(looks).toBe(2);
  });

  test("runs afterTurn once the loop has polled its sockets", async () => {
    const clock = systemClock();
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      clock.afterTurn(() => {
        order.push("after the turn");
        resolve();
      });
      setImmediate(() => order.push("check phase"));
      queueMicrotask(() => order.push("microtask"));
    });
    expect(order).toEqual(["microtask", "check phase", "after the turn"]);
  });

  test("reads the operating system's clocks by default", () => {
    const clock = systemClock();
    const first = clock.now();
    const second = clock.now();
    expect(second.mono).toBeGreaterThanOrEqual(first.mono);
    expect(Math.abs(first.wall - Date.now())).toBeLessThan(1_000);
  });
});

test("a process has one clock: readings of two that have seen different suspensions must not be compared", () => {
  const raw = new HandClocks();
  const early = new SystemClock(raw);
  raw.suspend(8_000);
  const suspended = early.now();
  const late = new SystemClock(raw).now();
  expect([suspended.mono, suspended.boot - late.boot]).toEqual([late.mono, 8_000]);
  expect(systemClock()).toBe(systemClock());
});

test("identifiers are long, safe in subjects, and unique", () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => systemRandom.id()));
  expect(ids.size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{16}$/);
});
