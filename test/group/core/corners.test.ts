/** Rare situations, each with its rule. */
import { describe, expect, test } from "vitest";
import { act, wakeDelayMs } from "../../../src/group/core/act.ts";
import type { Balance } from "../../../src/group/core/balance.ts";
import { step } from "../../../src/group/core/group.ts";
import {
  coordinatorOf,
  dependsOnConnection,
  membersOf,
  ownerOf,
  resourcesOf,
  unownedCount,
} from "../../../src/group/core/outlook.ts";
import type { GroupEntry } from "../../../src/group/core/types.ts";
import { ownedBy } from "../../support/group/owned-by.ts";
import { balance } from "./play/balance.ts";
import { claimEntry, endEntry, ownerKey, releaseEntry, Solo, sessionEntry, sessionKey } from "./play/solo.ts";
import { config, World } from "./play/world.ts";

/** Milliseconds until the member claims the resource r; `null`: not within 30 s. */
function untilClaimed(a: Solo, answer: () => void): number | null {
  for (let ms = 1_000; ms <= 30_000; ms += 1_000) {
    a.wait(1_000);
    if (a.sent("session.a") !== undefined) a.applied("session.a", a.state.knowing.sequence + 1);
    answer();
    if (a.sent("owner.r")?.record.kind === "claim") return ms;
  }
  return null;
}

describe("sessions of others", () => {
  test("a session whose key an operator has purged is fenced after W, if an answer shows a claim of it", () => {
    const a = new Solo(["r"]).live([claimEntry(2, "r", "b", 1)]);
    expect(a.isReading("session.b")).toBe(false);
    a.wait(9_900);
    expect(a.sent("session.b")).toBeUndefined();
    if (a.sent("session.a") !== undefined) a.applied("session.a", 9);
    a.wait(200);
    expect(a.sent("session.b")).toMatchObject({ expect: 0, record: { kind: "session-end", number: 1 } });
  });

  test("a claim that only a message shows is read before anything is written about its session", () => {
    const a = new Solo(["r"]).live();
    a.watched(claimEntry(2, "x", "evil", 1));
    expect(a.isReading("session.evil")).toBe(true);
    a.reads("session.evil", null, 2);
    expect(a.isReading("owner.x")).toBe(true);
    a.reads("owner.x", null, 2);
    for (let ms = 0; ms < 12_000; ms += 1_000) {
      a.wait(1_000);
      if (a.sent("session.a") !== undefined) a.applied("session.a", 100 + ms);
      if (a.isReading("session.evil")) a.reads("session.evil", null, 100 + ms);
    }
    expect(a.sent("session.evil")).toBeUndefined();
  });

  test("a claim of a session that has not begun is replaced after W", () => {
    for (const session of [sessionEntry(1, "b", null, { weight: 0 }), endEntry(1, "b", 1)]) {
      const a = new Solo(["r"]).live([session, claimEntry(2, "r", "b", 19)]);
      const sentAfterMs = untilClaimed(a, () => {});
      expect(sentAfterMs).toBe(10_000);
      expect(a.sent("owner.r")).toMatchObject({ expect: 2, record: { kind: "claim", memberId: "a" } });
    }
  });

  test("a claim is not false before an answer that is as new as the claim shows a smaller number", () => {
    const session = sessionEntry(1, "b", null, { weight: 0 });
    const claim = claimEntry(4, "r", "b", 19);
    const a = new Solo(["r"]).live([session, claimEntry(2, "r", "b", 1)]);
    a.watched(claim);
    expect(a.isReading("session.b")).toBe(true);
    // Of a server that is behind.
    const behind = untilClaimed(a, () => {
      if (a.isReading("session.b")) a.reads("session.b", session, 3);
    });
    expect(behind).toBeNull();
    const upToDate = untilClaimed(a, () => {
      if (a.isReading("session.b")) a.reads("session.b", session, 4);
    });
    expect(upToDate).toBeGreaterThan(0);
    expect(a.sent("owner.r")).toMatchObject({ expect: 4, record: { kind: "claim", memberId: "a" } });
  });

  test("garbage in the place of an owner is reported, but not each of many at once", () => {
    const a = new Solo(["r", "s"]).live();
    const garbage = (revision: number, resource: string): GroupEntry => ({
      kind: "garbage",
      key: ownerKey(resource),
      revision,
      reason: "not JSON",
    });
    const reports = (): readonly string[] => a.warnings().filter((code) => code === "GARBAGE_RECORD");
    a.watched(garbage(2, "r"));
    a.watched(garbage(3, "s"));
    expect(reports()).toHaveLength(1);
    a.wait(1_000);
    a.watched(garbage(4, "s"));
    expect(reports()).toHaveLength(2);
  });

  test("garbage over a session is waited out, then ended", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    const garbage: GroupEntry = { kind: "garbage", key: sessionKey("b"), revision: 4, reason: "not JSON" };
    a.watched(garbage);
    expect(a.warnings()).toContain("GARBAGE_RECORD");
    a.reads("session.b", garbage);
    expect(a.warnings().filter((code) => code === "GARBAGE_RECORD")).toHaveLength(1);
    a.wait(3_000).applied("session.a", 5).wait(6_900);
    expect(a.sent("session.b")).toBeUndefined();
    a.wait(200);
    expect(a.sent("session.b")).toMatchObject({ expect: 4, record: { number: 1 } });
  });

  test("a delete marker, and a record of another member on the key, are no records of it", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null)]);
    a.watched({ kind: "deleted", key: sessionKey("b"), revision: 3 });
    a.watched({ ...sessionEntry(4, "c", null), key: sessionKey("b") });
    a.watched({ ...endEntry(5, "c", 1), key: sessionKey("b") });
    expect(a.warnings().filter((code) => code === "GARBAGE_RECORD")).toHaveLength(3);
    expect(a.state.sessions.get("b")?.kind).toBe("vacant");
  });

  test("a forged number at the revision of a renewal is replaced by what the answer shows", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    a.watched(sessionEntry(4, "b", 900, { nonce: 4 }));
    expect(a.isReading("session.b")).toBe(true);
    a.reads("session.b", sessionEntry(4, "b", 1, { nonce: 4 }));
    a.wait(1_000);
    expect(a.sent("owner.r")).toBeUndefined();
    expect(a.state.sessions.get("b")?.overUpTo).toBe(0);
  });

  test("where the message and the answer differ, the wait starts over", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    a.watched(sessionEntry(4, "b", 1, { nonce: 3 }));
    a.wait(3_000).applied("session.a", 5);
    a.wait(1_500);
    a.reads("session.b", sessionEntry(4, "b", 1, { nonce: 4 }), 5);
    expect(a.state.sessions.get("b")?.since?.mono).toBe(a.now.mono);
  });

  test("a member that restarts under a larger number frees what its predecessor owned", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    const again = sessionEntry(4, "b", null, { incarnation: "b2" });
    a.watched(again);
    expect(a.isReading("session.b")).toBe(true);
    a.reads("session.b", again);
    a.wait(1_300);
    if (a.sent("owner.r") === undefined) a.wait(1_000);
    expect(a.sent("owner.r")).toMatchObject({ expect: 2 });
  });
});

describe("the plan key", () => {
  const unplannable: Balance = { ...balance, encode: () => new Uint8Array([1]) };

  test("a write of the plan without an answer: the key is read, and the plan sent again", () => {
    const a = new Solo(["r"]).live();
    a.applied("coordinator", 2).applied("owner.r", 3);
    expect(a.sent("plan")).toMatchObject({ expect: 0 });
    a.unanswered("plan").reads("plan", null, 3);
    a.wait(300);
    expect(a.sent("plan")).toMatchObject({ expect: 0 });
    a.conflict("plan");
    a.wait(300);
    a.reads("plan", null, 3);
    a.wait(600);
    expect(a.sent("plan")).toMatchObject({ expect: 0 });
  });

  test("a plan waits until the claims that are due have been answered, but not for long", () => {
    const a = new Solo(["r1", "r2"]).live();
    a.applied("coordinator", 2).applied("owner.r1", 3);
    expect(a.sent("plan")).toBeUndefined();
    a.applied("owner.r2", 4);
    expect(a.sent("plan")).toMatchObject({ expect: 0 });
    const b = new Solo(["r1", "r2"]).live();
    b.applied("coordinator", 2).applied("owner.r1", 3).wait(499);
    expect(b.sent("plan")).toBeUndefined();
    expect(b.wait(1).sent("plan")).toMatchObject({ expect: 0 });
  });

  test("a plan that cannot be decoded is garbage", () => {
    const a = new Solo(["r"], { balance: unplannable }).live();
    a.applied("coordinator", 2).wait(500).applied("plan", 3);
    expect(a.state.plan.revision).toBe(3);
    const record = { memberId: "b", incarnation: "b1", nonce: 1, generation: "g1", above: 0 };
    const plan: GroupEntry = {
      kind: "record",
      key: { kind: "plan" },
      revision: 4,
      record: { ...record, kind: "plan", coordinator: 1, plan: new Uint8Array([1]) },
    };
    a.applied("owner.r", 5).watched(plan);
    expect(a.warnings()).toContain("GARBAGE_RECORD");
    expect(a.isReading("plan")).toBe(true);
    a.readFails("plan").wait(300).reads("plan", plan, 5);
    expect(a.sent("plan")).toMatchObject({ expect: 4 });
  });

  test("the plan of a later coordinator: this one reads whether it still is one", () => {
    const a = new Solo(["r"]).live();
    a.applied("coordinator", 2).applied("owner.r", 3).applied("plan", 4);
    const record = { memberId: "b", incarnation: "b1", nonce: 1, generation: "g1", above: 0 };
    const bytes = balance.encode({ members: ["a", "b"], assignment: new Map([["r", "b"]]) }) as Uint8Array;
    const plan: GroupEntry = {
      kind: "record",
      key: { kind: "plan" },
      revision: 5,
      record: { ...record, kind: "plan", coordinator: 90, plan: bytes },
    };
    a.watched(plan).reads("plan", plan);
    expect(a.isReading("coordinator")).toBe(true);
    a.reads("coordinator", null, 5);
    expect(a.texts).toContain("coordinating: no");
  });
});

describe("stop", () => {
  test("without a connection nothing is waited for", () => {
    const a = new Solo(["r"]).live();
    a.applied("owner.r", 2);
    a.send({ type: "disconnected" }).send({ type: "stop", restarting: false });
    a.send({ type: "drained", resource: "r", epoch: 2 });
    expect(a.texts).toContain("STOPPED");
    expect(wakeDelayMs(a.state, a.now)).toBeNull();
    expect(step(a.state, { type: "tick" }, a.now)).toEqual([]);
    act(a.state);
  });

  test("before a session, and during a begin", () => {
    expect(new Solo().send({ type: "stop", restarting: false }).texts).toContain("STOPPED");
    const a = new Solo().open();
    const begin = a.own("session.a", 1);
    a.send({ type: "stop", restarting: false }).send({ type: "stop", restarting: true });
    a.send({ type: "draining", draining: true });
    expect(a.count("stopped")).toBe(0);
    // It was applied: no other member has to wait for it.
    a.applied("session.a", 1).reads("session.a", begin);
    expect(a.sent("session.a")).toMatchObject({ expect: 1, record: { kind: "session-end", reason: "left" } });
    a.applied("session.a", 2);
    expect(a.texts).toContain("STOPPED");
  });

  test("the end of a begin that is refused is repeated with growing pauses: the answers that show the begin are out of date", () => {
    const a = new Solo().open();
    const begin = a.own("session.a", 1);
    a.send({ type: "stop", restarting: false });
    a.applied("session.a", 1);
    let ends = 0;
    for (let ms = 0; ms < 10_000; ms += 10) {
      if (a.isReading("session.a")) a.reads("session.a", begin, 1);
      if (a.sent("session.a") !== undefined) {
        expect(a.sent("session.a")).toMatchObject({ expect: 1, record: { kind: "session-end" } });
        a.conflict("session.a");
        ends += 1;
      }
      a.wait(10);
    }
    expect(ends).toBe(7);
    if (!a.isReading("session.a")) a.wait(config.heartbeatIntervalMs).conflict("session.a");
    a.reads("session.a", endEntry(2, "a", 1, { memberId: "b" }));
    expect(a.texts).toContain("STOPPED");
  });

  test("the end marker does not wait for the answers to releases and claims in flight", () => {
    const a = new Solo(["r1", "r2", "r3"]).live();
    a.applied("owner.r1", 2).applied("owner.r2", 3);
    expect(a.sent("owner.r3")).toMatchObject({ record: { kind: "claim" } });
    a.send({ type: "stop", restarting: false }).applied("session.a", 4);
    a.send({ type: "drained", resource: "r1", epoch: 2 });
    expect(a.sent("owner.r1")).toMatchObject({ expect: 2, record: { kind: "release" } });
    expect(a.sent("session.a")).toBeUndefined();
    a.send({ type: "drained", resource: "r2", epoch: 3 });
    expect(a.sent("session.a")).toMatchObject({ expect: 4, record: { kind: "session-end", reason: "left" } });
    // The late claim begins no term, and every term ends once.
    a.applied("owner.r3", 5).applied("owner.r1", 6).applied("session.a", 7);
    expect(a.all.map(({ type }) => type).filter((type) => type === "own" || type === "released")).toEqual([
      "own",
      "own",
      "released",
      "released",
    ]);
    expect(a.state.stopped).toBe(true);
  });

  test("the end marker is refused, or gets no answer: the key is read", () => {
    const a = new Solo().live();
    a.applied("coordinator", 2).conflict("owner.r");
    a.send({ type: "stop", restarting: true });
    expect(a.sent("session.a")).toMatchObject({ record: { kind: "session-end", reason: "restarting" } });
    const end = a.own("session.a", 5);
    a.unanswered("session.a").reads("session.a", end);
    expect(a.texts).toContain("STOPPED");
  });

  test("a suspended session gives nothing up in order: it may be over", () => {
    const a = new Solo(["r"], { crashDetection: "presence" }).live();
    a.applied("coordinator", 2).applied("owner.r", 3);
    a.send({ type: "disconnected" });
    expect(a.texts).toContain("SUSPENDED");
    a.connected({ serverId: "s", clientId: 2, presence: "p2" }).send({ type: "draining", draining: true });
    expect(a.count("drain")).toBe(0);
    a.applied("session.a", 4);
    expect(a.texts).toContain("RESUMED");
    expect(a.count("drain")).toBe(1);
  });

  test("the connection is lost while it leaves", () => {
    const a = new Solo().live();
    a.applied("coordinator", 2).conflict("owner.r");
    a.send({ type: "stop", restarting: true });
    a.send({ type: "disconnected" }).unanswered("session.a");
    expect(a.texts).toContain("STOPPED");
  });
});

describe("what others read off the state, and what it refuses", () => {
  test("what can be read off the state", () => {
    const play = new World("Two members.", ["r1", "r2"]);
    const a = play.member("a", { profile: { weight: 2, zone: "z", maxOwned: 5 } }).start();
    play.until(1_000);
    const b = play.member("b", { profile: { weight: 2, zone: "y", maxOwned: 4 } }).start();
    expect(membersOf(b.state)).toEqual([]);
    play.until(9_000);
    expect(membersOf(a.state)).toMatchObject([
      { memberId: "a", weight: 2, zone: "z", maxOwned: 5, draining: false, session: 1 },
      { memberId: "b", weight: 2, zone: "y", maxOwned: 4, draining: false, incarnation: "b1" },
    ]);
    expect(coordinatorOf(b.state, play.now)).toBe("a");
    expect(["r1", "r2", "r3"].map((name) => ownerOf(b.state, name, play.now)?.memberId)).toEqual([
      "a",
      "b",
      undefined,
    ]);
    expect(resourcesOf(b.state, play.now)).toMatchObject([
      { resource: "r1", owner: "a", target: "a", unownedSinceMono: null },
      { resource: "r2", owner: "b", target: "b", unownedSinceMono: null },
    ]);
    expect(ownedBy(a.state)).toMatchObject([{ resource: "r1", phase: "held" }]);
    const solo = new Solo(["r"]);
    expect(resourcesOf(solo.state, solo.now)).toMatchObject([{ owner: null, unownedSinceMono: 0 }]);
    expect(coordinatorOf(solo.state, solo.now)).toBeNull();
    b.kill();
    expect(dependsOnConnection(a.state)).toBe(false);
  });

  test("a member that is cut off reports no owner once the leases have run out by its clock", () => {
    const play = new World("Two members.", ["r1", "r2"]);
    const a = play.member("a").start();
    play.until(1_000);
    const b = play.member("b").start();
    play.until(9_000);
    const owners = (now = play.now) => resourcesOf(b.state, now).map(({ owner }) => owner);
    expect(owners()).toEqual(["a", "b"]);
    b.disconnect();
    a.disconnect();
    play.until(10_000);
    expect([owners(), unownedCount(b.state, play.now)]).toEqual([["a", "b"], 0]);
    // Compared when it is read: the member makes no step at these times.
    const atMono = (mono: number, boot = mono) => ({ mono, boot, wall: play.now.wall });
    const outMono = (b.state.sessions.get("a")?.receivedAt.mono ?? 0) + config.leaseTtlMs;
    const ownMono = b.state.own.deadline.mono;
    expect(ownMono).toBeGreaterThan(outMono);
    expect(owners(atMono(outMono - 1))).toEqual(["a", "b"]);
    expect(owners(atMono(outMono))).toEqual([null, "b"]);
    expect(owners(atMono(ownMono - 1))).toEqual([null, "b"]);
    expect(resourcesOf(b.state, atMono(ownMono))).toMatchObject([
      { owner: null, unownedSinceMono: outMono },
      { owner: null, unownedSinceMono: ownMono },
    ]);
    // Its own session ends by the faster one of its two clocks.
    expect(owners(atMono(play.now.mono, ownMono))).toEqual(["a", null]);
    play.until(25_000);
    expect(b.state.own.phase).toBe("none");
    expect([owners(), unownedCount(b.state, play.now)]).toEqual([[null, null], 2]);
    expect([ownerOf(b.state, "r1", play.now), coordinatorOf(b.state, play.now)]).toEqual([null, null]);
    // What the protocol goes by is as before: no answer has shown that the session of a is over.
    expect(b.state.resources.get("r1")).toMatchObject({ kind: "claimed", owner: "a" });
    expect(membersOf(b.state).map(({ memberId }) => memberId)).toEqual(["a"]);
  });

  test("what is impossible is reported as a bug", () => {
    const a = new Solo(["r"]);
    a.state.bucket.status = "open";
    a.connected();
    expect(() => a.reads("session.a", null, 0, null as never)).toThrow("bug: a write without a bucket");
  });

  test("a resource that is added to the list while it is owned elsewhere, and a foreign one that is forgotten", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "x", "b", 1)]);
    a.send({ type: "resources", resources: [{ name: "x", zone: "z" }] });
    expect(a.state.resources.get("x")?.spec).toEqual({ name: "x", zone: "z" });
    a.watched(releaseEntry(4, "x", 2, { successor: "a" }));
    expect(a.sent("owner.x")).toMatchObject({ expect: 4, record: { kind: "claim" } });
    expect(ownerKey("x")).toEqual({ kind: "owner", resource: "x" });
  });
});

describe("more rare orders", () => {
  test("more than 16 renewals without an answer: the oldest is forgotten", () => {
    const a = new Solo([], { leaseTtlMs: 600_000, heartbeatIntervalMs: 3_000 }).live();
    const first = a.state.own.revision;
    for (let renewals = 0; renewals < 40; renewals += 1) {
      a.wait(3_000);
      if (a.sent("session.a") !== undefined) a.unanswered("session.a");
      if (a.isReading("session.a")) a.readFails("session.a");
    }
    expect(a.state.own.unsettled).toHaveLength(16);
    expect(a.state.own.revision).toBe(first);
  });

  test("a message that shows what an answer has shown already changes nothing", () => {
    const a = new Solo(["r"]).live();
    a.conflict("owner.r").reads("owner.r", claimEntry(2, "r", "b", 2));
    a.reads("session.b", sessionEntry(3, "b", 2));
    a.watched(claimEntry(2, "r", "b", 2)).watched(sessionEntry(3, "b", 2));
    expect(a.effects).toEqual([]);
    expect(a.state.knowing.sequence).toBe(3);
  });

  test("a late renewal is read before anything has shown that the stream has reached it", () => {
    const a = new Solo(["r"]).live();
    a.watched(sessionEntry(2, "b", null)).wait(4_600);
    expect(a.isReading("session.b")).toBe(true);
    a.reads("session.b", sessionEntry(2, "b", null));
    expect(a.state.sessions.get("b")?.since?.mono).toBe(a.now.mono);
  });

  test("two answers that the bucket is gone, and lost history without a session", () => {
    const a = new Solo();
    a.send({ type: "bucket-opened", generation: "g1" }).connected().readsNoBucket("session.a");
    a.send({ type: "changes", request: 2, outcome: { kind: "no-bucket" } });
    expect(a.warnings()).toEqual(["BUCKET_MISSING"]);
    const b = new Solo().open([claimEntry(40, "x", "b", 3)]);
    b.applied("session.a", 12);
    expect(b.warnings()).toContain("HISTORY_LOST");
    expect(b.count("session-ended")).toBe(0);
    expect(b.state.resources.has("x")).toBe(false);
  });

  test("messages that are repeated or about nothing that is known", () => {
    const a = new Solo(["r"]).open([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    const begin = a.own("session.a", 3);
    a.watched(begin).watched(sessionEntry(4, "b", 1));
    // The stream is known to have reached 3, not yet 4.
    a.applied("session.a", 3);
    expect(a.state.sessions.get("b")?.since).toBeNull();
    a.send({ type: "read", request: 99, outcome: { kind: "no-bucket" } });
    expect(a.effects).toEqual([]);
    a.send({ type: "move", resource: "r", to: "b" });
    expect(a.texts).toEqual(["move-refused r to b: not-coordinator"]);
    a.watched(claimEntry(5, "x", "b", 1));
    expect(resourcesOf(a.state, a.now).map(({ resource }) => resource)).toEqual(["r"]);
    // A session of another bucket.
    a.watched(sessionEntry(6, "c", null, { above: 2 ** 60 }));
    expect(a.state.sessions.get("c")?.kind).toBe("vacant");
  });

  test("refused releases back off while reads are out of date", () => {
    const a = new Solo(["r"]).live();
    const mine = a.own("owner.r", 2);
    a.applied("owner.r", 2);
    a.send({ type: "draining", draining: true }).send({ type: "drained", resource: "r", epoch: 2 });
    let releases = 0;
    for (let round = 0; round < 20; round += 1) {
      if (a.sent("owner.r") !== undefined) {
        releases += 1;
        a.conflict("owner.r");
      }
      if (a.isReading("owner.r")) a.reads("owner.r", mine, 2);
      a.wait(50);
      if (a.sent("session.a") !== undefined) a.applied("session.a", 100 + round);
    }
    expect(releases).toBeGreaterThan(1);
    expect(releases).toBeLessThan(6);
  });

  test("bulk reads replace what messages have shown wrongly, and what is not in the first one is not there", () => {
    const a = new Solo(["r"]);
    a.send({ type: "bucket-opened", generation: "g1" }).connected();
    a.reads("session.a", null, 0).applied("session.a", 1);
    expect(a.count("session-begun")).toBe(1);
    expect(a.sent("owner.r")).toBeUndefined();
    a.changes([], 1);
    expect(a.sent("owner.r")).toMatchObject({ expect: 0 });
    expect(endEntry(1, "b", 1).kind).toBe("record");
  });
});
