import { describe, expect, test } from "vitest";
import { type BeatsUnderWay, echo, NO_BEATS, sendBeat } from "../../src/election/beats.ts";

const at = (mono: number) => ({ mono, boot: mono, wall: 0 });

/** What the echo of `token` proves: the time at which the proven beat was sent, or `null`. */
function proves(beats: BeatsUnderWay, token: string): number | null {
  return echo(beats, token).proven?.mono ?? null;
}

describe("an echo", () => {
  test("proves the newest beat whose echo had arrived before its own beat was sent", () => {
    let beats = sendBeat(NO_BEATS, "a", at(0));
    beats = sendBeat(beats, "b", at(100));
    expect(proves(beats, "a")).toBeNull();
    beats = echo(beats, "a").beats;
    expect(proves(beats, "b")).toBeNull();
    beats = sendBeat(beats, "c", at(200));
    beats = echo(beats, "b").beats;
    expect(proves(beats, "c")).toBe(0);
    beats = sendBeat(beats, "d", at(300));
    expect(proves(beats, "d")).toBe(100);
  });

  test("of a beat that came back out of turn moves nothing back", () => {
    let beats = sendBeat(sendBeat(NO_BEATS, "a", at(0)), "b", at(100));
    beats = echo(beats, "b").beats;
    beats = echo(beats, "a").beats;
    beats = sendBeat(beats, "c", at(200));
    expect(proves(beats, "c")).toBe(100);
  });

  test("counts once, and only if it is one of this connection's", () => {
    let beats = sendBeat(NO_BEATS, "a", at(0));
    expect(echo(beats, "x")).toEqual({ beats, sentAt: null, proven: null });
    beats = echo(beats, "a").beats;
    expect(echo(beats, "a").sentAt).toBeNull();
    expect(echo(NO_BEATS, "a").sentAt).toBeNull();
  });

  test("that is 64 beats late is forgotten: nothing grows with a connection that does not answer", () => {
    let beats = NO_BEATS;
    for (let beat = 0; beat < 1_000; beat += 1) beats = sendBeat(beats, String(beat), at(beat));
    expect(beats.sent).toHaveLength(64);
    expect(echo(beats, "935").sentAt).toBeNull();
    expect(echo(beats, "936").sentAt).toEqual(at(936));
  });
});
