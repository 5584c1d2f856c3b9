/** Stretches, and the connection on which a session depends. */
import { describe, expect, test } from "vitest";
import { wakeDelayMs } from "../../../src/group/core/act.ts";
import { beatsEveryMs, dependsOnConnection } from "../../../src/group/core/outlook.ts";
import { Solo } from "./play/solo.ts";

const presence = (clientId: number) => ({ serverId: "s", clientId, presence: `p${clientId}` });

describe("stretches and connections", () => {
  test("a stretch that has ended does not go on: only a renewal of the next one makes the session held", () => {
    const a = new Solo(["r"], { crashDetection: "silence", silenceMs: 2_000 });
    a.live([], { serverId: "s", clientId: 1, account: "acc" });
    a.applied("owner.r", 2);
    a.pass(2_100).tick();
    expect(a.texts).toContain("SUSPENDED");
    // The renewal of the next stretch is under way: the record that stands there promises silence in the last one.
    expect(a.held("r")).toBe(false);
    // It ends, too, before the answer is here.
    a.pass(2_100).applied("session.a", 3);
    expect(a.texts).not.toContain("RESUMED");
    a.applied("session.a", 4);
    expect(a.texts).toContain("RESUMED");
    expect(a.held("r")).toBe(true);
  });

  test("a connection whose number is not known: the record names none", () => {
    const a = new Solo();
    a.send({ type: "bucket-opened", generation: "g1" })
      .connected(null)
      .changes([], 0)
      .reads("session.a", null);
    expect(a.sent("session.a")?.record).not.toHaveProperty("session");
    a.applied("session.a", 1);
    expect(a.texts).toContain("SESSION 1");
  });

  test("from the send of a begin on, a member depends on its connection", () => {
    const a = new Solo([], { crashDetection: "presence", silenceMs: 2_000 });
    expect(dependsOnConnection(a.state)).toBe(false);
    a.connected({ ...presence(1), account: "acc" });
    expect(dependsOnConnection(a.state)).toBe(false);
    expect(beatsEveryMs(a.state)).toBeNull();
    a.send({ type: "bucket-opened", generation: "g1" }).changes([], 0).reads("session.a", null);
    expect(dependsOnConnection(a.state)).toBe(true);
    expect(beatsEveryMs(a.state)).toBe(250);
    a.unanswered("session.a");
    expect(dependsOnConnection(a.state)).toBe(true);
  });

  test("a write of another stretch that may still be applied: the session is not held", () => {
    const binding = { serverId: "s", clientId: 1, account: "acc" };
    const a = new Solo(["r"], { crashDetection: "silence", silenceMs: 2_000 }).live([], binding);
    a.applied("owner.r", 2);
    expect(a.held("r")).toBe(true);
    const { own, link } = a.state;
    own.unsettled = [
      { nonce: 9, number: 1, above: 0, sentAt: a.now, binding, promises: true, stretch: 0, version: 0 },
    ];
    expect(a.held("r")).toBe(false);
    own.unsettled = [];
    own.stretch = 0;
    expect(a.held("r")).toBe(false);
    link.stretch = null;
    expect(a.held("r")).toBe(false);
  });

  test("round trips that are too long for beats: the session promises nothing while that lasts, and says so once", () => {
    const a = new Solo(["r"], { crashDetection: "silence", silenceMs: 2_000 });
    a.live([], { serverId: "s", clientId: 1, account: "acc" });
    a.applied("owner.r", 2);
    let revision = 2;
    /** For so long a beat is proven every 250 ms, this long after its send. What the renewals of that time promise. */
    const promises = (forMs: number, roundTripMs: number): unknown[] => {
      const found: unknown[] = [];
      for (let ms = 0; ms < forMs; ms += 250) {
        a.wait(250);
        const { mono, boot, wall } = a.now;
        const sentAt = { mono: mono - roundTripMs, boot: boot - roundTripMs, wall: wall - roundTripMs };
        a.send({ type: "beat-proven", sentAt });
        const renewal = a.sent("session.a")?.record;
        if (renewal?.kind !== "session") continue;
        found.push(renewal.session?.silence?.ms);
        revision += 1;
        a.applied("session.a", revision);
      }
      return found;
    };
    expect(new Set(promises(9_000, 1_499))).toEqual(new Set([2_000]));
    expect(a.warnings()).toEqual([]);
    // From 3/4 of F on the next beat may be proven when the stretch has ended. For F that may have been a pause.
    const dropped = promises(12_000, 1_500);
    expect(dropped.at(-1)).toBeUndefined();
    expect(dropped.filter((ms) => ms === undefined).length).toBeGreaterThan(1);
    expect(a.warnings()).toEqual([expect.stringContaining("SLOW_CONNECTION")]);
    // Without the promise round trips of any length keep the session held.
    promises(9_000, 5_000);
    expect(a.held("r")).toBe(true);
    expect(promises(9_000, 100).at(-1)).toBe(2_000);
    expect(a.warnings()).toHaveLength(1);
  });

  test("the beats of the own session: how often, and what they are worth", () => {
    const a = new Solo(["r"], { crashDetection: "silence", silenceMs: 2_000 });
    a.send({ type: "beat-proven", sentAt: a.now });
    expect(beatsEveryMs(a.state)).toBeNull();
    a.live([], { serverId: "s", clientId: 1, account: "acc" });
    expect(beatsEveryMs(a.state)).toBe(250);
    expect(dependsOnConnection(a.state)).toBe(false);
    a.applied("owner.r", 2);
    a.pass(1_000).send({ type: "beat-proven", sentAt: a.now });
    a.send({ type: "beat-proven", sentAt: { mono: 0, boot: 0, wall: 0 } });
    a.pass(1_900);
    expect(a.held("r")).toBe(true);
    a.pass(200);
    expect(a.held("r")).toBe(false);
    expect(wakeDelayMs(a.state, a.now)).toBe(0);
    a.tick();
    expect(a.texts).toContain("SUSPENDED");
    // The renewal is sent in the next stretch.
    a.applied("session.a", 3);
    expect(a.held("r")).toBe(true);
  });
});
