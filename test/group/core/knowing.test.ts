/** What a member knows, and from what: bulk reads, messages, gaps, buckets that vanish or lose history. */
import { describe, expect, test } from "vitest";
import { wakeDelayMs } from "../../../src/group/core/act.ts";
import type { GroupEntry } from "../../../src/group/core/types.ts";
import { claimEntry, endEntry, ownerKey, releaseEntry, Solo, sessionEntry } from "./play/solo.ts";
import { World } from "./play/world.ts";

describe("gaps", () => {
  test("a message ahead of a gap waits; a bulk read from the gap brings what was missed", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    a.watched(endEntry(6, "b", 1));
    expect(a.isReading("session.b")).toBe(false);
    a.wait(25);
    expect(a.texts).toContain("read-after #3 3");
    a.changes([releaseEntry(4, "r", 2, { successor: "a" })], 5);
    // The gap is closed: the message that waited is taken in, too.
    expect(a.sent("owner.r")).toMatchObject({ expect: 4 });
    expect(a.state.knowing.sequence).toBe(6);
  });

  test("a message that is late closes the gap without a bulk read", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    a.watched(sessionEntry(5, "c", null)).watched(releaseEntry(4, "r", 2));
    a.wait(900);
    expect(a.count("read-after")).toBe(1);
  });

  test("the ack of an own renewal is a check point: what it shows to be missing is read", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    a.wait(3_000).applied("session.a", 9);
    a.wait(300);
    expect(a.texts).toContain("read-after #3 3");
    a.changes([releaseEntry(7, "r", 2)], 9);
    expect(a.sent("owner.r")).toBeUndefined();
    a.wait(1_100);
    expect(a.sent("owner.r")).toMatchObject({ expect: 7 });
  });

  test("a forged message with a large revision is forgotten, and hides nothing", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    a.watched(claimEntry(900, "r", "c", 5));
    for (let reads = 0; reads < 3; reads += 1) a.wait(300).changes([], 3);
    expect(a.state.knowing.ahead.size).toBe(0);
    a.wait(1_000);
    expect(a.count("read-after")).toBe(4);
    a.watched(releaseEntry(4, "r", 2, { successor: "a" }));
    expect(a.sent("owner.r")).toMatchObject({ expect: 4 });
  });

  test("a replica that is behind is asked again", () => {
    const a = new Solo(["r"]).live([sessionEntry(5, "b", null)]);
    a.watched(sessionEntry(9, "c", null))
      .wait(25)
      .changes([], 4);
    expect(a.state.knowing.sequence).toBe(6);
    a.wait(300).changes([releaseEntry(8, "r", 3)], 8);
    expect(a.state.knowing.sequence).toBe(9);
  });

  test("a bulk read that fails is repeated, and warned about once", () => {
    const a = new Solo();
    a.send({ type: "bucket-opened", generation: "g1" })
      .connected()
      .changesFail()
      .wait(300)
      .changesFail()
      .wait(600);
    expect(a.count("read-after")).toBe(3);
    expect(a.warnings()).toEqual(["STORE_FAILING"]);
    a.changes([], 0);
    expect(a.state.knowing.complete).toBe(true);
    // An answer that was not asked for.
    a.send({ type: "changes", request: 99, outcome: { kind: "no-bucket" } });
    expect(a.effects).toEqual([]);
  });

  test("messages before the bucket is open, and strays of another bucket, are ignored", () => {
    const a = new Solo().watched(claimEntry(1, "r", "b", 1));
    a.live();
    a.watched(claimEntry(2, "r", "b", 1, { generation: "g0" }));
    expect(a.state.knowing.sequence).toBe(1);
    expect(a.state.knowing.ahead.size).toBe(0);
  });
});

describe("the bucket", () => {
  test("it cannot be opened: retried, and each time warned about", () => {
    const a = new Solo().connected();
    expect(a.texts).toEqual(["open-bucket above 0"]);
    a.send({ type: "bucket-failed", error: new Error("no") }).wait(300);
    expect(a.texts).toEqual(["open-bucket above 0"]);
    a.send({ type: "bucket-failed", error: new Error("no") });
    expect(a.warnings()).toEqual(["BUCKET_UNUSABLE", "BUCKET_UNUSABLE"]);
    expect(wakeDelayMs(a.state, a.now)).toBe(500);
  });

  test("it is deleted and recreated: every number continues above, and nothing is claimed before W", () => {
    const play = new World("The bucket is deleted.", ["r"]);
    const a = play.member("a").start();
    play.until(1_000);
    const b = play.member("b").start();
    play.until(9_000);
    const before = play.epochs.get("r") ?? 0;
    play.recreate(50);
    for (const member of [a, b]) member.send({ type: "bucket-gone" });
    play.until(9_100);
    expect(String(play)).toContain("WARNING BUCKET_RECREATED");
    expect(a.ownedNames).toEqual([]);
    play.until(18_900);
    expect([...a.ownedNames, ...b.ownedNames]).toEqual([]);
    play.until(22_000);
    expect([...a.ownedNames, ...b.ownedNames]).toEqual(["r"]);
    expect(play.epochs.get("r")).toBeGreaterThan(before);
  });

  test("a key is read and the bucket is gone: the session ends, and the bucket is opened again above every number", () => {
    const a = new Solo(["r"]).live();
    a.applied("owner.r", 7);
    a.send({ type: "bucket-gone" }).readsNoBucket("session.a");
    expect(a.texts).toContain("LOSE r/7: deleted");
    expect(a.texts).toContain("open-bucket above 7");
    expect(a.warnings()).toEqual(["BUCKET_MISSING"]);
    // The write of the coordinator's key is answered after all: it was sent to the bucket that is gone.
    a.send({ type: "bucket-opened", generation: "g2" });
    a.applied("coordinator", 8);
    expect(a.count("coordinating")).toBe(0);
    a.reads("session.a", null, 7, "g2").changes([], 7, "g2");
    expect(a.sent("session.a")).toMatchObject({ expect: 0, record: { above: 7 } });
  });

  test("a bulk read, or an answer about a key, shows another bucket", () => {
    const a = new Solo(["r"]);
    a.send({ type: "bucket-opened", generation: "g1" }).connected().changes([], 5, "g2");
    expect(a.warnings()).toEqual(["BUCKET_RECREATED"]);
    const b = new Solo(["r"]);
    b.send({ type: "bucket-opened", generation: "g1" }).connected().reads("session.a", null, 5, "g2");
    expect(b.warnings()).toEqual(["BUCKET_RECREATED"]);
    const c = new Solo(["r"]);
    c.send({ type: "bucket-opened", generation: "g1" }).connected();
    c.send({ type: "changes", request: 2, outcome: { kind: "no-bucket" } });
    expect(c.warnings()).toEqual(["BUCKET_MISSING"]);
  });

  test("the servers have lost history: the session ends, and nothing is claimed before W", () => {
    const a = new Solo(["r"]).live([sessionEntry(40, "b", null)]);
    a.watched(sessionEntry(42, "b", 40));
    a.wait(3_000).applied("session.a", 12);
    expect(a.warnings()).toContain("HISTORY_LOST");
    expect(a.texts).toContain("SESSION 41 ENDED: deleted");
    a.changes([], 12).reads("session.a", null, 12).applied("session.a", 13);
    expect(a.texts).toContain("SESSION 42");
    expect(a.sent("owner.r")).not.toMatchObject({ record: { session: 42 } });
  });

  test("a record of another bucket that stands in this one is not believed", () => {
    const stray = claimEntry(3, "r", "b", 1, { generation: "g0" });
    const a = new Solo(["r"]).live([stray]);
    expect(a.state.resources.get("r")).toMatchObject({ kind: "blocked", owner: null });
    const huge = claimEntry(3, "r", "b", 1, { above: 2 ** 60 });
    expect(new Solo(["r"]).live([huge]).state.resources.get("r")).toMatchObject({ kind: "blocked" });
    const release = releaseEntry(3, "r", 2 ** 60);
    expect(new Solo(["r"]).live([release]).state.resources.get("r")).toMatchObject({ kind: "blocked" });
    const wrong: GroupEntry = { ...endEntry(3, "b", 1), key: ownerKey("r") };
    expect(new Solo(["r"]).live([wrong]).state.resources.get("r")).toMatchObject({ kind: "blocked" });
  });
});
