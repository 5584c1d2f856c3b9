/** Messages that were forged, or that contradict what should be known: what they cost, and how they are found out. */
import { describe, expect, test } from "vitest";
import type { GroupEntry } from "../../../src/group/core/types.ts";
import { claimEntry, endEntry, ownerKey, releaseEntry, Solo, sessionEntry } from "./play/solo.ts";
import { keyText } from "./play/text.ts";

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

  test("one that is older than what only a message has shown is read, too: that message may be forged", () => {
    // Forged: two messages, the second one on the key of the next real one.
    const owner = knowingB()
      .watched(sessionEntry(8, "z", null))
      .watched(claimEntry(9, "r", "b", 5, { nonce: 77 }));
    const release = releaseEntry(8, "r", 6, { successor: "a" });
    owner.watched(release);
    expect(owner.isReading("owner.r")).toBe(true);
    owner.reads("owner.r", release, 8).watched(sessionEntry(9, "c", null));
    owner.wait(250).reads("session.c", sessionEntry(9, "c", null), 9);
    owner.wait(100).reads("owner.r", release, 9);
    expect(owner.sent("owner.r")).toMatchObject({ expect: 8, record: { kind: "claim" } });

    const session = knowingB()
      .watched(claimEntry(8, "r", "b", 5))
      .watched(sessionEntry(9, "b", 5));
    session.watched(endEntry(8, "b", 5));
    expect(session.isReading("session.b")).toBe(true);

    const plan = (revision: number): GroupEntry => ({
      kind: "garbage",
      key: { kind: "plan" },
      revision,
      reason: "x",
    });
    for (const revision of [8, 9]) {
      const a = knowingB()
        .watched(sessionEntry(8, "z", null))
        .watched(plan(9))
        .watched(plan(revision));
      expect(a.isReading("plan")).toBe(true);
      a.reads("plan", plan(9), 9).watched(plan(revision)).wait(1_000);
      expect(a.isReading("plan")).toBe(false);
    }
  });

  test("what an answer has shown to be covered is not read again", () => {
    const a = knowingB()
      .watched(releaseEntry(8, "r", 6))
      .watched(claimEntry(9, "r", "b", 5));
    a.watched(releaseEntry(8, "r", 6)).reads("owner.r", claimEntry(9, "r", "b", 5), 9);
    const reads = a.count("read");
    a.watched(releaseEntry(8, "r", 6)).wait(1_000);
    expect(a.count("read")).toBe(reads);
  });

  test("garbage, or a deletion, at the revision of a forged record of the same key is read", () => {
    for (const kind of ["garbage", "deleted"] as const) {
      const a = knowingB().watched(claimEntry(8, "r", "b", 5, { nonce: 77 }));
      const real: GroupEntry = { kind, key: ownerKey("r"), revision: 8, reason: "x" };
      a.watched(real);
      expect(a.isReading("owner.r")).toBe(true);
      a.reads("owner.r", real);
      expect(a.state.resources.get("r")).toMatchObject({ kind: "blocked" });

      // A read of everything shows it, too.
      const b = knowingB().watched(claimEntry(8, "r", "b", 5, { nonce: 77 }));
      b.send({ type: "disconnected" }).pass(100).connected();
      b.state.knowing.doubted = true;
      b.changes([sessionEntry(5, "b", null), real], 8);
      expect(b.state.resources.get("r")).toMatchObject({ kind: "blocked" });
    }
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

  test("one with the incarnation and the nonce of a write in flight, on another key, is forged, too", () => {
    const a = knowingB().wait(3_000);
    const renewal = a.own("session.a", 8);
    if (renewal.kind !== "record") throw new Error("the script has no renewal");
    const { nonce, incarnation } = renewal.record;
    a.watched(releaseEntry(8, "r", 6, { memberId: "a", incarnation, nonce }));
    a.watched(renewal).applied("session.a", 8).wait(250);
    expect(a.texts).toContain("read-after #4 0");
    a.changes([sessionEntry(5, "b", null), claimEntry(6, "r", "b", 5), renewal], 8);
    expect(a.state.resources.get("r")).toMatchObject({ kind: "claimed", owner: "b", revision: 6 });
  });

  test("on the key of the write in flight, its ack shows what stands there, whatever the message has shown", () => {
    const a = new Solo().live();
    a.applied("coordinator", 2).applied("owner.r", 3).send({ type: "draining", draining: true });
    a.send({ type: "drained", resource: "r", epoch: 3 });
    const release = a.own("owner.r", 4);
    if (release.kind !== "record") throw new Error("the script has no release");
    const { nonce, incarnation } = release.record;
    a.watched(claimEntry(4, "r", "c", 1, { incarnation, nonce })).applied("owner.r", 4);
    expect(a.state.resources.get("r")).toMatchObject({ kind: "released", owner: null, revision: 4 });

    const b = knowingB();
    while (b.sent("session.b") === undefined) {
      b.wait(100);
      if (b.isReading("session.b")) b.reads("session.b", sessionEntry(5, "b", null), 7);
    }
    const end = b.own("session.b", 8);
    if (end.kind !== "record") throw new Error("the script has no fence");
    const forged = endEntry(8, "b", 99, { ...end.record, number: 99 } as object);
    b.watched(forged).applied("session.b", 8);
    expect(b.state.sessions.get("b")).toMatchObject({ kind: "ended", number: 5, proven: true });
  });

  test("messages with invented revisions cause one bulk read in retryDelayMs", () => {
    const a = knowingB();
    for (let ms = 0; ms < 3_000; ms += 10) {
      a.watched(sessionEntry(1_000 + ms, "z", null)).wait(10);
      if (a.state.knowing.request !== null) a.changes([], a.state.knowing.sequence);
      if (a.sent("session.a") !== undefined) a.applied("session.a", a.state.knowing.sequence + 1);
    }
    expect(a.count("read-after")).toBeLessThanOrEqual(2 + 3_000 / 250);
  });

  test("a claim of a session that has not begun does not hide that the end of the present one frees a resource", () => {
    const a = knowingB("x").watched(claimEntry(8, "x", "b", 1_000));
    expect(a.isReading("session.b")).toBe(false);
    a.watched(endEntry(9, "b", 5));
    expect(a.isReading("session.b")).toBe(true);
    a.reads("session.b", endEntry(9, "b", 5)).wait(2_500);
    expect(a.sent("owner.r")).toMatchObject({ expect: 6, record: { kind: "claim" } });
  });

  test("one about a key that is being read is kept where that answer shows less", () => {
    const a = knowingB().watched(sessionEntry(8, "z", null));
    const release = releaseEntry(8, "r", 6, { successor: "a" });
    a.watched(sessionEntry(3, "y", null)).reads("session.y", null, 7);
    // The key is being read for another hint when this one comes.
    a.watched(claimEntry(7, "r", "b", 5)).wait(250);
    expect(a.isReading("owner.r")).toBe(true);
    a.watched(release)
      .watched(sessionEntry(2, "x", null))
      .wait(250);
    expect(a.isReading("session.x")).toBe(true);
    a.reads("owner.r", claimEntry(6, "r", "b", 5), 7).wait(250);
    expect(a.isReading("owner.r")).toBe(true);
    a.reads("owner.r", release);
    expect(a.sent("owner.r")).toMatchObject({ expect: 8 });
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

describe("messages that own writes show to be forged", () => {
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

  const garbage = (revision: number): GroupEntry => ({
    kind: "garbage",
    key: ownerKey("r"),
    revision,
    reason: "x",
  });

  /** It owns r, and everything up to 3 is known. */
  function owning(): Solo {
    const a = new Solo().live();
    return a.applied("coordinator", 2).applied("owner.r", 3);
  }

  test("a write at a later revision than the message that doubts a term refutes nothing", () => {
    const a = owning().wait(1_000).watched(garbage(4)).wait(2_000).applied("session.a", 5);
    expect(a.state.doubted.size).toBe(1);
    expect(a.state.knowing.complete).toBe(true);
  });

  test("a bulk read that was under way when messages were refuted is not taken in", () => {
    const a = owning().wait(3_000);
    a.watched(sessionEntry(6, "y", null)).wait(25);
    const { request } = a.state.knowing;
    expect(request).not.toBeNull();
    a.watched(sessionEntry(4, "z", null)).applied("session.a", 4);
    // It brings only what is later, and nothing of what a forged message had replaced.
    a.changes([], 4);
    expect(a.state.knowing.complete).toBe(false);
  });

  test("other writes that were in flight refute nothing more: the read of everything goes on", () => {
    const a = owning().wait(2_000);
    for (const revision of [4, 5, 6, 7, 8]) a.watched(sessionEntry(revision, "z", 4));
    a.send({ type: "draining", draining: true });
    a.send({ type: "drained", resource: "r", epoch: 3 });
    a.applied("session.a", 4).wait(250);
    expect(a.state.knowing.request).not.toBeNull();
    const release = a.own("owner.r", 5);
    a.applied("owner.r", 5).changes([release], 5);
    expect(a.state.knowing.complete).toBe(true);
  });

  test("what an answer has shown stays known when messages before it are refuted", () => {
    const a = new Solo(["r"]).live([sessionEntry(5, "b", null), claimEntry(6, "r", "b", 5)]).wait(3_000);
    const release = releaseEntry(9, "r", 6, { successor: "a" });
    a.watched(sessionEntry(8, "z", null)).watched(release);
    a.conflict("owner.r").reads("owner.r", release);
    a.applied("session.a", 8);
    expect(a.state.knowing.complete).toBe(false);
    expect(a.state.resources.get("r")).toMatchObject({ kind: "released", revision: 9 });
  });
});
