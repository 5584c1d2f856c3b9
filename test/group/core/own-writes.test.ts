/** Claims, releases and writes on the own key whose answers are lost, late or out of date, and what messages about own keys mean. */
import { describe, expect, test } from "vitest";
import type { GroupEntry } from "../../../src/group/core/types.ts";
import { claimEntry, endEntry, ownerKey, releaseEntry, Solo, sessionEntry, sessionKey } from "./play/solo.ts";
import { World } from "./play/world.ts";

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
