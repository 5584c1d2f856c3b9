/** What a member knows, and from what: bulk reads, messages, gaps, answers, buckets that vanish or lose history. */
import { describe, expect, test } from "vitest";
import { wakeDelayMs } from "../../../src/group/core/act.ts";
import type { GroupEntry } from "../../../src/group/core/types.ts";
import { claimEntry, endEntry, ownerKey, releaseEntry, Solo, sessionEntry, sessionKey } from "./play/solo.ts";
import { keyText } from "./play/text.ts";
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

describe("messages that contradict what should be known", () => {
  const knowingB = (...resources: string[]): Solo =>
    new Solo(["r", ...resources]).live([sessionEntry(5, "b", null), claimEntry(6, "r", "b", 5)]);

  test("the key of the first one is read at once, the keys of others when retryDelayMs is over", () => {
    const a = knowingB("x", "y").watched(sessionEntry(4, "c", null));
    expect(a.isReading("session.c")).toBe(true);
    a.watched(claimEntry(3, "x", "b", 5)).watched(claimEntry(4, "y", "b", 5));
    a.watched({ kind: "garbage", key: { kind: "plan" }, revision: 2, reason: "x" });
    a.wait(249);
    expect([a.count("read"), a.isReading("owner.x")]).toEqual([2, false]);
    a.wait(1);
    expect(["owner.x", "owner.y", "plan"].map((key) => a.isReading(key))).toEqual([true, true, true]);
    for (const key of ["owner.x", "owner.y", "plan", "session.c"]) a.reads(key, null, 7);
    a.wait(1_000);
    expect(a.count("read")).toBe(5);
  });

  test("one that shows what is known, or what no list of this member has, causes no read", () => {
    const a = knowingB()
      .watched(claimEntry(6, "r", "b", 5))
      .watched(sessionEntry(5, "b", null));
    a.watched(claimEntry(5, "r", "c", 4))
      .watched(claimEntry(6, "x", "b", 5))
      .wait(1_000);
    expect(a.count("read")).toBe(1);
    expect(a.state.resources.has("x")).toBe(false);
  });

  test("a forged one has the revision of the next message, among others: what that one shows is known in retryDelayMs", () => {
    const a = knowingB();
    a.watched(sessionEntry(3, "x", null)).watched(sessionEntry(4, "y", null));
    a.watched(sessionEntry(8, "b", 5, { nonce: 99 })).watched(releaseEntry(8, "r", 6, { successor: "a" }));
    expect(a.sent("owner.r")).toBeUndefined();
    a.wait(250).reads("owner.r", releaseEntry(8, "r", 6, { successor: "a" }));
    expect(a.sent("owner.r")).toMatchObject({ expect: 8, record: { kind: "claim" } });
  });

  test("a begin at the revision of a forged end is read at once, although an older answer has put off the next read", () => {
    const a = knowingB().watched(endEntry(8, "b", 5));
    expect(a.isReading("session.b")).toBe(true);
    a.reads("session.b", sessionEntry(5, "b", null), 7);
    expect(a.isReading("session.b")).toBe(false);
    const begin = sessionEntry(8, "b", null, { nonce: 30 });
    a.watched(begin);
    expect(a.isReading("session.b")).toBe(true);
    a.reads("session.b", begin, 8);
    expect(a.state.sessions.get("b")).toMatchObject({ kind: "live", number: 8, proven: true });
  });

  test("one about a key that is being read waits for that answer, which may be older", () => {
    const a = knowingB().watched(endEntry(8, "b", 5));
    const begin = sessionEntry(8, "b", null, { nonce: 30 });
    a.watched(begin).wait(50);
    expect(a.count("read")).toBe(2);
    a.reads("session.b", sessionEntry(5, "b", null), 7);
    expect(a.count("read")).toBe(3);
    a.reads("session.b", begin, 8).wait(1_000);
    expect(a.count("read")).toBe(3);
  });

  test("a flood costs 16 reads in retryDelayMs, or one bulk read in W, and no memory", () => {
    const names = Array.from({ length: 40 }, (_, index) => `x${index}`);
    const flood = (a: Solo, keys: readonly string[]): void => {
      for (const name of keys) a.watched(sessionEntry(4, name, null));
      const reading = keys.filter((name) => a.isReading(`session.${name}`));
      for (const name of reading) a.reads(`session.${name}`, null, 7);
    };
    const readsOfForged = ({ all }: Solo): number =>
      all.filter((effect) => effect.type === "read" && keyText(effect.key).startsWith("session.x")).length;
    const few = knowingB();
    for (let ms = 0; ms < 10_000; ms += 50) {
      flood(few, names.slice(0, 16));
      few.wait(50);
    }
    expect(readsOfForged(few)).toBeLessThanOrEqual(1 + 16 * (10_000 / 250));
    expect(few.count("read-after")).toBe(1);

    const many = knowingB();
    for (let ms = 0; ms < 30_000; ms += 50) {
      flood(many, names);
      many.wait(50);
      expect(many.state.knowing.hints.size).toBeLessThanOrEqual(17);
      if (many.state.knowing.request !== null)
        many.changes([sessionEntry(5, "b", null), claimEntry(6, "r", "b", 5)], 7);
    }
    expect([readsOfForged(many), many.count("read-after")]).toEqual([1, 4]);
    expect(many.state.sessions.size).toBe(3);
  });

  test("a read of everything shows what was forged over an earlier message", () => {
    const a = knowingB("x");
    const release = releaseEntry(8, "x", 3, { successor: "b" });
    // Forged: b's claim stands. What was stored at revision 8 is the release.
    a.watched(claimEntry(8, "r", "c", 2))
      .watched(release)
      .reads("owner.x", release)
      .wait(250);
    expect(a.texts).toContain("read-after #5 0");
    const forged = a.state.resources.get("r");
    expect(forged).toMatchObject({ owner: "c", revision: 8 });
    a.changes([sessionEntry(5, "b", null), claimEntry(6, "r", "b", 5), release], 8);
    expect(forged).toMatchObject({ owner: "b", session: 5, revision: 6 });
  });

  test("a read of everything shows what was forged at the revision of a message of the same key", () => {
    const a = knowingB();
    a.watched(claimEntry(8, "r", "c", 2, { nonce: 50 }));
    a.send({ type: "disconnected" }).pass(100).connected();
    expect(a.texts).toContain("read-after #4 8");
    a.changes([], 8);
    expect(a.state.resources.get("r")).toMatchObject({ owner: "c" });
    a.watched(claimEntry(9, "r", "c", 2))
      .watched(sessionEntry(9, "b", 5))
      .reads("session.b", sessionEntry(9, "b", 5))
      .wait(250);
    a.changes([sessionEntry(9, "b", 5), releaseEntry(8, "r", 6)], 9);
    expect(a.state.resources.get("r")).toMatchObject({ kind: "released", revision: 8 });
  });

  test("an ack at the revision of a message of another shows that it was forged: everything is read", () => {
    const a = knowingB().wait(3_000);
    const renewal = a.own("session.a", 8);
    a.watched(claimEntry(8, "r", "c", 2))
      .watched(renewal)
      .applied("session.a", 8)
      .wait(250);
    expect(a.texts).toContain("read-after #5 0");
    a.changes([sessionEntry(5, "b", null), claimEntry(6, "r", "b", 5), renewal], 8);
    expect(a.state.resources.get("r")).toMatchObject({ owner: "b", revision: 6 });

    const real = knowingB().wait(3_000);
    const next = real.own("session.a", 9);
    real
      .watched(claimEntry(8, "r", "c", 2))
      .watched(next)
      .applied("session.a", 9)
      .wait(2_000);
    expect(real.count("read-after")).toBe(1);
    for (const key of ["coordinator", "plan", "session.a"])
      if (real.sent(key) !== undefined) real.unanswered(key);
    expect(real.state.knowing.foreign.size).toBe(0);
  });

  test("a plan that only a message has shown is read again if a read of everything shows another one", () => {
    const a = knowingB("x");
    const release = releaseEntry(8, "x", 3, { successor: "b" });
    a.watched({ kind: "garbage", key: { kind: "plan" }, revision: 8, reason: "x" }).watched(release);
    a.reads("owner.x", release).wait(250);
    expect(a.isReading("plan")).toBe(false);
    a.changes([sessionEntry(5, "b", null), claimEntry(6, "r", "b", 5), release], 8);
    expect(a.isReading("plan")).toBe(true);
    a.reads("plan", null, 8);
    expect(a.state.plan).toMatchObject({ revision: 0, proven: true });
  });

  test("a doubt that comes up during a read of everything causes another one", () => {
    const a = knowingB("x");
    a.watched(claimEntry(8, "x", "c", 2)).watched(releaseEntry(8, "r", 6));
    a.reads("owner.r", releaseEntry(8, "r", 6)).wait(250);
    expect(a.count("read-after")).toBe(2);
    a.watched(claimEntry(9, "x", "c", 2)).watched(sessionEntry(9, "b", 5));
    a.reads("session.b", sessionEntry(9, "b", 5));
    a.changes([sessionEntry(5, "b", null), releaseEntry(8, "r", 6)], 8).wait(250);
    expect(a.count("read-after")).toBe(3);
    a.changes([releaseEntry(8, "r", 6), sessionEntry(9, "b", 5)], 9);
    expect(a.state.resources.get("x")).toMatchObject({ kind: "absent", revision: 0 });
  });
});

describe("claims and releases without an answer", () => {
  test("a read shows that the claim was applied: the term begins", () => {
    const a = new Solo(["r"]).live();
    const mine = a.own("owner.r", 2);
    a.pass(1_000).unanswered("owner.r");
    expect(a.warnings()).toEqual(["STORE_FAILING"]);
    a.reads("owner.r", mine);
    expect(a.texts).toContain("OWN r/2");
  });

  test("a claim that was applied without an answer and is not wanted any more is released", () => {
    const a = new Solo(["r"]).live();
    const mine = a.own("owner.r", 2);
    a.pass(1_000).unanswered("owner.r").send({ type: "draining", draining: true });
    a.reads("owner.r", mine);
    expect(a.count("own")).toBe(0);
    expect(a.sent("owner.r")).toMatchObject({ expect: 2, record: { kind: "release" } });
    a.applied("owner.r", 3);
    expect(a.count("released")).toBe(0);
  });

  test("of two claims without an answer only the newer one is adopted", () => {
    const a = new Solo(["r"]).live();
    const first = a.own("owner.r", 4);
    a.pass(1_000).unanswered("owner.r").reads("owner.r", null, 3);
    expect(a.sent("owner.r")).toMatchObject({ expect: 0 });
    a.pass(1_000).unanswered("owner.r").reads("owner.r", first, 4);
    // The first one stands there: an orphan, which is claimed again.
    expect(a.count("own")).toBe(0);
    expect(a.sent("owner.r")).toMatchObject({ expect: 4 });
  });

  test("an answer that is out of date is not believed; the read is repeated", () => {
    const a = new Solo(["r"]).live([releaseEntry(5, "r", 2)]);
    a.pass(1_000).unanswered("owner.r").reads("owner.r", null, 3);
    expect(a.count("own")).toBe(0);
    a.wait(300);
    expect(a.isReading("owner.r")).toBe(true);
    a.readFails("owner.r").wait(600);
    expect(a.isReading("owner.r")).toBe(true);
  });

  test("an answer that a message has overtaken is no failure; the read is repeated at once", () => {
    const a = new Solo(["r"]).live();
    a.conflict("owner.r").watched(claimEntry(2, "r", "b", 1));
    a.reads("owner.r", null, 1);
    expect(a.isReading("owner.r")).toBe(true);
    a.reads("owner.r", claimEntry(2, "r", "b", 1));
    expect(a.isReading("owner.r")).toBe(false);
    expect(a.sent("owner.r")).toBeUndefined();
  });

  test("refused claims back off when reads explain nothing", () => {
    const a = new Solo(["r"]).live();
    let claims = 0;
    for (let round = 0; round < 40; round += 1) {
      if (a.sent("owner.r") !== undefined) {
        claims += 1;
        a.conflict("owner.r");
      }
      if (a.isReading("owner.r")) a.reads("owner.r", null, 1);
      a.wait(100);
      if (a.sent("session.a") !== undefined) a.applied("session.a", 1_000 + round);
    }
    expect(claims).toBeLessThan(8);
  });

  test("the claim of a member that has been overtaken by a later message begins no term", () => {
    const a = new Solo(["r"]).live();
    a.watched(a.own("owner.r", 2)).watched(releaseEntry(3, "r", 2));
    a.applied("owner.r", 2);
    expect(a.count("own")).toBe(0);
    expect(a.isReading("owner.r")).toBe(true);
  });

  test("a message that shows another claim over ours causes a read; a false one ends nothing", () => {
    const a = new Solo(["r"]).live();
    const mine = a.own("owner.r", 2);
    a.applied("owner.r", 2);
    a.watched(claimEntry(3, "r", "b", 1));
    expect(a.held("r")).toBe(true);
    a.reads("owner.r", mine, 3);
    expect(a.count("lose")).toBe(0);
    a.watched(claimEntry(4, "r", "b", 1)).reads("owner.r", claimEntry(4, "r", "b", 1));
    expect(a.texts).toContain("LOSE r/2: superseded");
  });

  test("a release that is refused: the key is another's, and the term over", () => {
    const a = new Solo(["r"]).live();
    a.applied("owner.r", 2);
    a.send({ type: "draining", draining: true }).send({ type: "drained", resource: "r", epoch: 2 });
    a.conflict("owner.r").reads("owner.r", null, 6);
    expect(a.texts).toContain("RELEASED r/2");
    // Reports that come too late, or are about nothing.
    a.send({ type: "drained", resource: "r", epoch: 2 }).send({ type: "drained", resource: "x", epoch: 1 });
    expect(a.effects).toEqual([]);
  });

  test("garbage on a key that is owned: nothing is claimed for W, and its owner ends its term", () => {
    const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
    a.watched({ kind: "garbage", key: ownerKey("r"), revision: 4, reason: "not JSON" });
    a.wait(2_900);
    expect(a.sent("owner.r")).toBeUndefined();

    const b = new Solo(["r"]).live();
    b.applied("owner.r", 2);
    const garbage: GroupEntry = { kind: "garbage", key: ownerKey("r"), revision: 3, reason: "not JSON" };
    b.watched(garbage).reads("owner.r", garbage);
    expect(b.texts).toContain("LOSE r/2: superseded");
  });

  test("after W garbage is replaced", () => {
    const play = new World("Garbage.", ["r"]);
    play.garbage({ kind: "owner", resource: "r" });
    const a = play.member("a").start();
    play.until(9_000);
    expect(a.ownedNames).toEqual([]);
    play.until(11_500);
    expect(a.ownedNames).toEqual(["r"]);
  });

  test("a claim that vanished still counts for the others while its session lives, and for its own member it is free", () => {
    const play = new World("An operator purges keys.", ["r1", "r2"]);
    const a = play.member("a").start();
    play.until(1_000);
    const b = play.member("b").start();
    play.until(9_000);
    const [ofB] = b.ownedNames;
    play.purge({ kind: "owner", resource: ofB ?? "" });
    a.send({ type: "stop", restarting: false });
    b.send({ type: "draining", draining: true });
    play.until(10_000);
    b.send({ type: "draining", draining: false });
    play.until(20_000);
    expect(b.ownedNames).toEqual(["r1", "r2"]);
  });
});

describe("the own key", () => {
  test("a begin without an answer is found by a read and adopted", () => {
    const a = new Solo().open();
    const begin = a.own("session.a", 1);
    a.pass(1_000).unanswered("session.a").reads("session.a", begin);
    expect(a.texts).toContain("SESSION 1");
  });

  test("a begin without an answer that was not applied is sent again", () => {
    const a = new Solo().open();
    a.pass(1_000).unanswered("session.a").reads("session.a", null, 0).wait(300);
    expect(a.sent("session.a")).toMatchObject({ expect: 0 });
    // An answer that comes after the connection was lost begins nothing.
    a.send({ type: "disconnected" }).applied("session.a", 1);
    expect(a.count("session-begun")).toBe(0);
    a.connected().reads("session.a", null, 0);
    expect(a.warnings()).toEqual(["STORE_FAILING"]);
  });

  test("a begin whose ack comes when its deadline is near begins nothing, and is replaced at once", () => {
    const a = new Solo().open();
    const begin = a.own("session.a", 1);
    a.pass(9_400).applied("session.a", 1);
    expect(a.count("session-begun")).toBe(0);
    a.reads("session.a", begin);
    expect(a.sent("session.a")).toMatchObject({ expect: 1 });
  });

  test("a renewal without an answer is found by a read: the deadline counts from its send", () => {
    const a = new Solo().live();
    a.wait(3_000);
    const renewal = a.own("session.a", 7);
    a.pass(1_000).unanswered("session.a").reads("session.a", renewal, 8);
    a.wait(300).changes([], 8);
    expect(a.state.own.deadline.mono).toBe(12_500);
    a.wait(2_000);
    expect(a.sent("session.a")).toMatchObject({ expect: 7 });
    // One whose answer is a conflict was applied, or the session is over: the read shows which.
    a.conflict("session.a").reads("session.a", endEntry(9, "a", 1, { memberId: "b", reason: "closed" }));
    expect(a.texts).toContain("SESSION 1 ENDED: fenced");
    expect(a.warnings()).toContain("FENCED_EARLY");
  });

  test("a write that only a read shows closes the gap before it, as its ack would", () => {
    const a = new Solo().live();
    a.wait(3_000);
    const renewal = a.own("session.a", 2);
    a.pass(1_000).unanswered("session.a").reads("session.a", renewal, 2);
    expect(a.state.knowing.sequence).toBe(2);
    expect(a.state.own.deadline.mono).toBe(12_500);
    a.wait(300);
    expect(a.count("read-after")).toBe(1);
  });

  test("a renewal counts once what was stored before it is known: garbage there is replaced W after it was seen", () => {
    const a = new Solo().live();
    a.applied("coordinator", 2).applied("owner.r", 3).wait(3_000);
    expect(a.state.own.deadline.mono).toBe(9_500);
    // Revision 4 is an operator's, and its message is lost.
    a.applied("session.a", 5);
    expect(a.state.own.deadline.mono).toBe(9_500);
    for (const ms of [3_000, 3_000]) a.wait(ms).applied("session.a", 5 + a.now.mono / 3_000);
    expect(a.held("r")).toBe(true);
    a.wait(500);
    expect(a.held("r")).toBe(false);
    expect(a.texts).toContain("SESSION 1 ENDED: expired");
  });

  test("a renewal counts at once while no term runs and no claim is open, whatever was missed", () => {
    /** Renewals are applied; bulk reads fail. */
    const renewFor = (a: Solo, ms: number): Solo => {
      for (const until = a.now.mono + ms; a.now.mono < until; a.wait(50)) {
        if (a.state.knowing.request !== null) a.changesFail();
        if (a.sent("session.a") !== undefined) a.applied("session.a", a.state.own.revision + 5);
      }
      return a;
    };
    // From the first read on: it owns nothing.
    const a = new Solo().send({ type: "bucket-opened", generation: "g1" }).connected();
    renewFor(a.changesFail().reads("session.a", null, 0), 60_000);
    expect([a.count("session-begun"), a.count("session-ended")]).toEqual([1, 0]);
    expect(a.warnings()).toEqual(["STORE_FAILING"]);

    // Its claims are refused, and the last one is open when the renewal is applied.
    const coordinator: GroupEntry = { ...claimEntry(2, "r", "z", 1), key: { kind: "coordinator" } };
    const b = new Solo().live([sessionEntry(1, "z", null), coordinator]).watched(sessionEntry(5, "z", 1));
    b.wait(3_000);
    expect(b.sent("owner.r")).toBeDefined();
    b.applied("session.a", 6);
    expect(b.state.own.deadline.mono).toBe(9_500);
    b.conflict("owner.r").reads("owner.r", claimEntry(4, "r", "z", 1), 6);
    renewFor(b, 4_000);
    expect(b.state.own.deadline.mono).toBe(15_500);

    // With a term.
    const c = new Solo().live().watched(sessionEntry(3, "z", null));
    c.applied("coordinator", 2).applied("owner.r", 4);
    renewFor(c, 9_500);
    expect(c.texts).toContain("SESSION 1 ENDED: expired");
  });

  test("a renewal counts from when a bulk read has closed the gap before it", () => {
    const a = new Solo().live();
    a.applied("coordinator", 2).applied("owner.r", 3).wait(3_000).applied("session.a", 5).wait(300);
    a.changes([releaseEntry(4, "other", 1)], 5);
    expect(a.state.own.deadline.mono).toBe(12_500);
  });

  test("a term that garbage contradicts ends at the deadline of before, unless an answer shows the claim", () => {
    const garbage: GroupEntry = { kind: "garbage", key: ownerKey("r"), revision: 4, reason: "not JSON" };
    const doubted = (): Solo => {
      const a = new Solo().live();
      a.applied("coordinator", 2).applied("owner.r", 3).wait(1_000).watched(garbage);
      expect(a.isReading("owner.r")).toBe(true);
      return a;
    };
    const a = doubted();
    // Of a server that is behind.
    const behind = (): unknown => a.isReading("owner.r") && a.reads("owner.r", null, 3);
    for (const [ms, revision] of [
      [2_000, 5],
      [3_000, 6],
      [3_000, 7],
    ] as const) {
      behind();
      a.wait(ms).applied("session.a", revision);
    }
    expect([a.held("r"), a.state.own.deadline.mono]).toEqual([true, 18_500]);
    a.wait(500);
    expect([a.held("r"), a.count("session-ended")]).toEqual([false, 0]);
    expect(a.texts).toContain("LOSE r/3: superseded");

    const forged = doubted();
    forged.reads("owner.r", claimEntry(3, "r", "a", 1, { nonce: 3 }), 4);
    forged.wait(2_000).applied("session.a", 5).wait(3_000).applied("session.a", 6).wait(3_000);
    expect(forged.state.doubted.size).toBe(0);
    forged.applied("session.a", 7).wait(1_000);
    expect(forged.held("r")).toBe(true);
  });

  test("a term whose work has ended is not doubted: its release is settled, whenever its key can be read", () => {
    const drained = (): Solo => {
      const a = new Solo().live();
      a.applied("coordinator", 2).applied("owner.r", 3).wait(1_000);
      a.send({ type: "resources", resources: [] });
      return a.send({ type: "drained", resource: "r", epoch: 3 });
    };
    /** Renewals are applied; reads of the owner's key fail. */
    const renewFor = (a: Solo, ms: number): Solo => {
      for (const until = a.now.mono + ms; a.now.mono < until; a.wait(500)) {
        if (a.sent("session.a") !== undefined) a.applied("session.a", a.state.knowing.sequence + 1);
        if (a.isReading("owner.r")) a.readFails("owner.r");
      }
      return a;
    };
    const a = drained();
    const release = a.own("owner.r", 4);
    renewFor(a.unanswered("owner.r").watched(release), 14_000);
    expect([a.count("lose"), a.count("released"), a.state.doubted.size]).toEqual([0, 0, 0]);
    a.wait(3_000).reads("owner.r", release, 20);
    expect(a.texts).toContain("RELEASED r/3");

    // Work that runs when the message comes is doubted until it ends. Then the session is left in good order.
    const b = new Solo().live();
    b.applied("coordinator", 2).applied("owner.r", 3).wait(1_000);
    b.watched({ kind: "garbage", key: ownerKey("r"), revision: 4, reason: "x" });
    renewFor(b, 7_000).send({ type: "stop", restarting: false });
    expect(b.state.doubted.size).toBe(1);
    b.applied("session.a", b.state.knowing.sequence + 1);
    b.send({ type: "drained", resource: "r", epoch: 3 });
    expect(b.state.doubted.size).toBe(0);
    b.wait(10_000);
    expect(b.texts).toContain("RELEASED r/3");
    expect(b.count("lose")).toBe(0);
  });

  /** A member that owns r in a bucket that holds what is real: its answers and acks know nothing of forged messages. */
  class Real {
    readonly a: Solo = new Solo().live();
    /** The last message of each key. */
    readonly keys: Map<string, GroupEntry> = new Map();
    sequence = 1;

    constructor() {
      for (const key of ["session.a", "coordinator", "owner.r"]) this.#answer(key);
    }

    store(key: string, entry: GroupEntry): GroupEntry {
      this.sequence = entry.revision;
      this.keys.set(key, entry);
      return entry;
    }

    #answer(key: string): void {
      const { a, keys, sequence } = this;
      const sent = a.sent(key);
      if (a.isReading(key)) a.reads(key, keys.get(key) ?? null, sequence);
      if (sent === undefined) return;
      if (sent.expect !== (keys.get(key)?.revision ?? (key === "session.a" ? 1 : 0))) a.conflict(key);
      else {
        this.store(key, a.own(key, sequence + 1));
        a.applied(key, this.sequence);
      }
    }

    /** Everything is answered; every `othersMs` another member writes. */
    until(mono: number, othersMs: number = Number.POSITIVE_INFINITY): void {
      const { a, keys } = this;
      for (; a.now.mono < mono; a.wait(10)) {
        if (a.now.mono % othersMs === 0)
          a.watched(this.store("session.z", sessionEntry(this.sequence + 1, "z", 1)));
        for (const key of ["session.a", "coordinator", "owner.r"]) this.#answer(key);
        if (a.isReading("session.y")) a.reads("session.y", null, this.sequence);
        if (a.state.knowing.request !== null) a.changes([...keys.values()], this.sequence);
      }
    }
  }

  test("an own write that is applied at an earlier revision than a message shows that this one was forged", () => {
    for (const [count, othersMs] of [
      [2, 1e9],
      [5, 1e9],
      [40, 1e9],
      [40, 1_500],
    ] as const) {
      for (const at of [6_010, 7_000, 8_900]) {
        const real = new Real();
        const { a } = real;
        real.until(at, othersMs);
        const reads = a.count("read-after");
        for (let forged = 1; forged < count; forged += 1)
          a.watched(sessionEntry(a.state.knowing.sequence + 1, "y", 1));
        a.watched({
          kind: "garbage",
          key: ownerKey("r"),
          revision: a.state.knowing.sequence + 1,
          reason: "x",
        });
        expect(a.state.doubted.size).toBe(1);
        real.until(at + 30_000, othersMs);
        expect([a.held("r"), a.count("lose"), a.count("session-ended"), a.state.doubted.size]).toEqual([
          true,
          0,
          0,
          0,
        ]);
        expect(a.state.sessions.get("y")?.kind ?? "unknown").not.toBe("live");
        expect(a.state.knowing.sequence).toBe(real.sequence);
        expect(a.count("read-after") - reads).toBeLessThanOrEqual(2);
        expect(a.warnings().filter((code) => code === "HISTORY_LOST")).toEqual([]);
      }
    }
  });

  test("a renewal at the revision of a forged message counts once everything was read: garbage there was hidden", () => {
    const a = new Solo().live();
    const coordinator = a.own("coordinator", 2);
    a.applied("coordinator", 2).applied("owner.r", 3).wait(1_000);
    // Forged. What is stored at 4 is garbage over the claim, and its message is lost.
    a.watched(sessionEntry(4, "z", null))
      .watched(sessionEntry(5, "z", 4))
      .wait(2_000);
    a.applied("session.a", 5);
    expect(a.state.own.deadline.mono).toBe(9_500);
    a.wait(250);
    expect(a.texts).toContain("read-after #3 0");
    a.changes([coordinator, { kind: "garbage", key: ownerKey("r"), revision: 4, reason: "x" }], 5);
    expect([a.state.own.deadline.mono, a.state.doubted.size]).toEqual([12_500, 1]);
    a.readFails("owner.r").wait(3_000).applied("session.a", 6).wait(3_249);
    expect(a.held("r")).toBe(true);
    a.wait(1);
    expect([a.held("r"), a.count("session-ended")]).toEqual([false, 0]);
  });

  test("garbage at the revision of a forged message makes a term doubtful, too, until an answer that is not older", () => {
    const a = new Solo().live();
    const claim = a.applied("coordinator", 2).own("owner.r", 3);
    a.applied("owner.r", 3)
      .wait(1_000)
      .watched(sessionEntry(4, "z", null));
    // Another hint has come before it.
    a.watched(sessionEntry(3, "y", null));
    a.watched({ kind: "garbage", key: ownerKey("r"), revision: 4, reason: "x" });
    expect(a.state.doubted.size).toBe(1);
    a.reads("owner.r", claim, 3).wait(1_000);
    expect(a.state.doubted.size).toBe(1);
    a.reads("owner.r", claim, 4);
    expect([a.state.doubted.size, a.held("r")]).toEqual([0, true]);
  });

  test("of messages that doubt a term only those from the revision of the own write on were forged", () => {
    const a = new Solo().live();
    const garbage = (revision: number): GroupEntry => ({
      kind: "garbage",
      key: ownerKey("r"),
      revision,
      reason: "x",
    });
    const claim = a.applied("coordinator", 2).own("owner.r", 3);
    a.applied("owner.r", 3).wait(1_000).watched(garbage(4)).watched(garbage(5)).watched(garbage(6));
    a.wait(2_000).applied("session.a", 5);
    // Those at 5 and 6 were forged. The first one may be real, and only an answer that is as new shows that it is not.
    expect(a.state.doubted.size).toBe(1);
    a.reads("owner.r", claim, 3).wait(250);
    expect(a.state.doubted.size).toBe(1);
    a.reads("owner.r", claim, 5);
    expect([a.state.doubted.size, a.held("r")]).toEqual([0, true]);

    // A write that was sent before they came shows only that the one at its own revision was forged.
    const b = new Solo().live();
    b.applied("coordinator", 2).applied("owner.r", 3).wait(3_000);
    b.watched(sessionEntry(4, "z", null))
      .watched(garbage(5))
      .applied("session.a", 4);
    b.reads("owner.r", claim, 4);
    expect([b.state.doubted.size, b.state.knowing.complete]).toEqual([1, false]);
    b.wait(250).reads("owner.r", claim, 5);
    expect(b.state.doubted.size).toBe(0);
  });

  test("the ack of an own write has its revision, whatever message waits there", () => {
    for (const isAckFirst of [true, false]) {
      const a = new Solo().live();
      const forged: GroupEntry = { kind: "garbage", key: ownerKey("x"), revision: 5, reason: "x" };
      a.applied("coordinator", 2).applied("owner.r", 3).wait(3_000);
      if (!isAckFirst) a.watched(forged);
      a.applied("session.a", 5);
      if (isAckFirst) a.watched(forged);
      a.watched(sessionEntry(4, "z", null));
      expect([a.state.knowing.sequence, a.state.resources.has("x")]).toEqual([5, false]);
    }
  });

  test("an answer that is older than the newest renewal ends nothing", () => {
    const a = new Solo().live();
    a.wait(3_000).applied("session.a", 9);
    a.send({ type: "bucket-gone" }).reads("session.a", null, 3);
    expect(a.count("session-ended")).toBe(0);
    a.wait(300).reads("session.a", null, 12);
    expect(a.texts).toContain("SESSION 1 ENDED: deleted");
  });

  test("a renewal that was forgotten is taken over without its deadline", () => {
    const a = new Solo([], { crashDetection: "silence", silenceMs: 2_000 }).live([], {
      serverId: "s",
      clientId: 1,
      account: "acc",
    });
    const silence = { ms: 2_000, account: "acc" };
    const session = { serverId: "s", clientId: 1, silence };
    const shown = sessionEntry(5, "a", 1, { nonce: 77, session });
    const { deadline } = a.state.own;
    a.send({ type: "bucket-gone" }).reads("session.a", shown);
    expect(a.state.own).toMatchObject({ revision: 5, deadline });
    expect(a.texts).toContain("SUSPENDED");
    a.applied("session.a", 6);
    expect(a.texts).toContain("RESUMED");
    a.send({ type: "bucket-gone" }).reads("session.a", null, 6, "g1");
  });

  test("messages about the own key: of the own writes, garbage, another incarnation", () => {
    const a = new Solo().open();
    const begin = a.own("session.a", 1);
    a.watched(begin).applied("session.a", 1);
    a.watched({ kind: "garbage", key: sessionKey("a"), revision: 2, reason: "x" });
    expect(a.isReading("session.a")).toBe(true);
    a.reads("session.a", begin, 2);
    expect(a.count("session-ended")).toBe(0);
    a.watched(sessionEntry(3, "a", null, { incarnation: "a2" }));
    expect(a.texts).toContain("SESSION 1 ENDED: fenced");
    expect(a.warnings()).not.toContain("FENCED_EARLY");
    // Without a session a message causes a read.
    a.reads("session.a", sessionEntry(3, "a", null, { incarnation: "a2" }));
    a.watched(sessionEntry(4, "a", 3, { incarnation: "a2" }));
    expect(a.isReading("session.a")).toBe(true);
    a.reads("session.a", sessionEntry(4, "a", 3, { incarnation: "a2" }));
    expect(a.warnings()).toContain("DUPLICATE_MEMBER_ID");
    a.watched(sessionEntry(5, "a", 3, { incarnation: "a2" })).reads(
      "session.a",
      sessionEntry(5, "a", 3, { incarnation: "a2" }),
    );
    expect(a.warnings().filter((code) => code === "DUPLICATE_MEMBER_ID")).toHaveLength(1);
    // After W its key is replaced. It is late before that, and read once more.
    a.wait(5_000)
      .reads("session.a", sessionEntry(5, "a", 3, { incarnation: "a2" }))
      .wait(4_900);
    expect(a.sent("session.a")).toBeUndefined();
    a.wait(200);
    expect(a.sent("session.a")).toMatchObject({ expect: 5 });
  });

  test("garbage in place of a session that was never seen is waited out", () => {
    const a = new Solo().open([{ kind: "garbage", key: sessionKey("a"), revision: 1, reason: "x" }]);
    expect(a.warnings()).toEqual(["GARBAGE_RECORD"]);
    a.wait(9_900);
    expect(a.sent("session.a")).toBeUndefined();
    a.wait(200);
    expect(a.sent("session.a")).toMatchObject({ expect: 1 });
  });

  test("the same connection gets a presence: it is put into the record at once", () => {
    const binding = { serverId: "s", clientId: 1 };
    const a = new Solo([], { crashDetection: "presence", silenceMs: 2_000 }).live([], binding);
    a.send({ type: "rebound", binding: { ...binding, presence: "p" } });
    expect(a.sent("session.a")).toMatchObject({ record: { session: { presence: "p" } } });
    a.applied("session.a", 2);
    a.send({ type: "rebound", binding: { ...binding, presence: "p", account: "acc" } }).applied(
      "session.a",
      3,
    );
    // A promise that cannot be kept is taken out at once.
    a.send({ type: "rebound", binding: { ...binding, presence: "p" } });
    expect(a.sent("session.a")?.record).not.toHaveProperty("session.silence");
    a.applied("session.a", 4);
    a.send({ type: "rebound", binding });
    expect(a.sent("session.a")).toBeUndefined();
    // The connection is lost and back under another number before the answer is here: one more renewal.
    a.send({ type: "disconnected" }).connected({ serverId: "s", clientId: 2, presence: "p2" });
    a.send({ type: "disconnected" }).connected({ serverId: "s", clientId: 3, presence: "p3" });
    a.applied("session.a", 5);
    expect(a.texts).not.toContain("RESUMED");
    a.applied("session.a", 6);
    expect(a.texts).toContain("RESUMED");
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
