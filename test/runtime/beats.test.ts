import { describe, expect, test } from "vitest";
import { BeatWatch } from "../../src/runtime/beat-watch.ts";
import { Beats } from "../../src/runtime/beats.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";

function setUp(echoAfterMs: number | null = 2) {
  const time = new VirtualTime();
  const clock = new VirtualClock(time);
  const log: string[] = [];
  const line = { echoAfterMs };
  let count = 0;
  const beats = new Beats(
    clock,
    { id: () => String(++count) },
    {
      send: (token) => {
        log.push(`${time.now} sends ${token}`);
        const { echoAfterMs: afterMs } = line;
        if (afterMs !== null) time.after(afterMs, () => beats.echoed(token));
      },
      comesBack: () => log.push(`${time.now} comes back`),
      proven: ({ mono }) => log.push(`${time.now} proves ${mono}`),
    },
  );
  return { time, clock, log, line, beats };
}

describe("beats", () => {
  test("a new connection sends one, which shows whether beats come back", async () => {
    const { time, log, beats } = setUp();
    beats.connected();
    await time.advance(1_000);
    expect(log).toEqual(["0 sends 1", "2 comes back"]);
    expect(beats.returns).toBe(true);
    beats.ended();
    expect(beats.returns).toBe(false);
    expect(time.pending).toBe(0);
  });

  test("are sent at the interval soon after the first request, and each proves the one before", async () => {
    const { time, log, beats } = setUp();
    beats.connected();
    await time.advance(10);
    log.length = 0;
    beats.every(250);
    await time.advance(520);
    expect(log).toEqual([
      "20 sends 2",
      "22 proves 0",
      "270 sends 3",
      "272 proves 20",
      "520 sends 4",
      "522 proves 270",
    ]);
    beats.every(null);
    expect(time.pending).toBe(0);
  });

  test("after a pause are not made up for", async () => {
    const { time, clock, log, beats } = setUp();
    beats.connected();
    beats.every(100);
    await time.advance(210);
    log.length = 0;
    clock.pause(5_000);
    await time.advance(5_150);
    expect(log.filter((entry) => entry.includes("sends"))).toHaveLength(2);
    beats.every(null);
  });

  test("go on at another interval: what is overdue at it is sent at once", async () => {
    const { time, log, beats } = setUp(null);
    beats.connected();
    beats.every(1_000);
    await time.advance(100);
    log.length = 0;
    beats.every(50);
    await time.advance(100);
    expect(log).toEqual(["100 sends 3", "150 sends 4", "200 sends 5"]);
    beats.every(null);
  });

  test("are sent although the interval changes all the time", async () => {
    const { time, log, beats } = setUp(null);
    beats.connected();
    for (let change = 0; change < 50; change += 1) {
      beats.every(change % 2 === 0 ? 62.5 : 250);
      await time.advance(40);
    }
    expect(log.length).toBeGreaterThan(20);
    beats.every(null);
  });

  test("of an ended connection prove nothing on the next one", async () => {
    const { time, log, line, beats } = setUp(null);
    beats.connected();
    beats.every(100);
    await time.advance(250);
    beats.ended();
    line.echoAfterMs = 2;
    beats.connected();
    log.length = 0;
    for (const token of ["1", "2", "3", "4"]) beats.echoed(token);
    expect(log).toEqual([]);
    await time.advance(250);
    expect(log.filter((entry) => entry.includes("proves"))).toEqual(["352 proves 250", "452 proves 350"]);
    beats.every(null);
  });
});

describe("the watch of another connection's beats", () => {
  const watch = () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const log: string[] = [];
    const beats = new BeatWatch(clock, 300, (isSilent) =>
      log.push(`${time.now} ${isSilent ? "silent" : "heard"}`),
    );
    return { time, clock, log, beats };
  };

  test("reports silence once, and once that it is over", async () => {
    const { time, log, beats } = watch();
    for (let beat = 0; beat < 4; beat += 1) {
      await time.advance(250);
      beats.heard();
    }
    await time.advance(1_000);
    beats.heard();
    await time.advance(100);
    beats.heard();
    await time.advance(299);
    expect(log).toEqual(["1300 silent", "2000 heard"]);
    await time.advance(2);
    expect(log).toEqual(["1300 silent", "2000 heard", "2400 silent"]);
    beats.stop();
    expect(time.pending).toBe(0);
  });

  test("reports silence where no beat was ever heard, and nothing after its end", async () => {
    const { time, log } = watch();
    await time.advance(300);
    expect(log).toEqual(["300 silent"]);
    const other = watch();
    other.beats.stop();
    await other.time.advance(1_000);
    expect(other.log).toEqual([]);
  });
});
