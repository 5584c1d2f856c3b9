/** What a member concludes after the servers have lost messages that they had acknowledged: revisions come again. */
import { expect, test } from "vitest";
import type { GroupEntry } from "../../../src/group/core/types.ts";
import { balance } from "./play/balance.ts";
import { hidesRoutine } from "./play/hides.ts";
import { claimEntry, endEntry, ownerKey, releaseEntry, Solo, sessionEntry } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";
import { World } from "./play/world.ts";

test("a stream that has become shorter: everything is read again, and shows that the claim is gone", async () => {
  const play = new World("The claim of r2 and the plan are lost. Two observers join before a writes.", [
    "r1",
    "r2",
  ]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.quietlyUntil(1_000, "a owns r1 and r2");
  play.happens("the servers lose their newest 2 messages", () => play.lose(2));
  for (const name of ["b", "c"]) play.member(name, { profile: { weight: 0 } }).start();
  play.until(4_000).ask(a);
  expect(a.ownedNames).toEqual(["r1", "r2"]);
  await expectTranscript("history-lost", play);
});

test("an older answer that shows the end of the own session ends it", () => {
  const a = new Solo(["r"]).live();
  a.applied("owner.r", 3).wait(3_000).applied("session.a", 6).wait(3_000).conflict("session.a");
  expect(a.held("r")).toBe(true);
  a.reads("session.a", endEntry(5, "a", 1, { memberId: "b", incarnation: "b1", reason: "expired" }), 5);
  expect(a.texts).toContain("SESSION 1 ENDED: fenced");
  expect(a.held("r")).toBe(false);
});

test("a message of any revision that shows the end of the own session ends it", () => {
  const a = new Solo(["r"]).live();
  a.applied("owner.r", 3).wait(3_000).applied("session.a", 6);
  a.watched(endEntry(6, "a", 1, { memberId: "b", incarnation: "b1", reason: "expired" }));
  expect(a.texts).toContain("SESSION 1 ENDED: fenced");
});

test("a session that was over goes on: what is remembered was lost", () => {
  const a = new Solo(["r"]).live([endEntry(5, "b", 3), claimEntry(4, "r", "b", 3)]);
  expect(a.sent("owner.r")).toMatchObject({ expect: 4 });
  a.applied("owner.r", 7);
  // Another process has begun a session with the same number.
  a.watched(sessionEntry(8, "b", 3, { incarnation: "b2" }));
  expect(a.warnings()).not.toContain("HISTORY_LOST");
  a.reads("session.b", sessionEntry(8, "b", 3, { incarnation: "b2" }), 8);
  expect(a.warnings()).toContain("HISTORY_LOST");
  expect(a.held("r")).toBe(false);
});

test("another message at a known revision causes a read, which shows that the one before was lost", () => {
  const a = new Solo(["r"]).live([sessionEntry(1, "b", null), claimEntry(4, "r", "b", 1)]);
  a.watched(claimEntry(4, "r", "b", 1));
  expect(a.isReading("owner.r")).toBe(false);
  const other = claimEntry(4, "r", "c", 2);
  a.watched(other);
  expect(a.isReading("owner.r")).toBe(true);
  expect(a.warnings()).not.toContain("HISTORY_LOST");
  a.reads("owner.r", other, 5);
  expect(a.warnings()).toContain("HISTORY_LOST");
});

test("another claim at the revision of an own term shows that the own one was lost, whatever messages have shown since", () => {
  for (const other of [claimEntry(3, "r", "b", 2, { nonce: 3 }), releaseEntry(3, "r", 2)]) {
    const a = new Solo(["r"]).live();
    a.applied("coordinator", 2).applied("owner.r", 3).wait(1_000);
    a.watched({ kind: "garbage", key: ownerKey("r"), revision: 4, reason: "x" });
    // Revisions 3 and 4 are lost, and 3 comes again.
    a.wait(2_000).applied("session.a", 5).reads("owner.r", other, 5);
    expect(a.warnings()).toContain("HISTORY_LOST");
    expect([a.held("r"), a.count("lose")]).toEqual([false, 1]);
  }
});

test("a begin that replaces an earlier revision than the known one shows that the later one was lost", () => {
  const a = new Solo(["r"]).live();
  a.wait(3_000).applied("session.a", 7);
  // Nothing answers until the session has expired; then the key shows what it showed first.
  a.wait(11_000);
  expect(a.count("session-ended")).toBe(1);
  const first = sessionEntry(1, "a", null, { incarnation: "a1" });
  a.readFails("session.a").unanswered("session.a").wait(1_000).reads("session.a", first, 9);
  a.wait(1_000);
  expect(a.sent("session.a")).toMatchObject({ expect: 1, record: { number: null } });
  a.applied("session.a", 10);
  expect(a.warnings()).toContain("HISTORY_LOST");
  expect(a.count("session-begun")).toBe(1);
});

test("an answer of a stream that is shorter than was known causes one read of everything", () => {
  const a = new Solo(["r"]).live([claimEntry(4, "r", "b", 3), sessionEntry(5, "b", 3)]);
  a.watched(claimEntry(4, "r", "c", 2));
  const before = a.count("read-after");
  a.reads("owner.r", claimEntry(2, "r", "b", 1), 2).wait(300);
  expect(a.count("read-after")).toBe(before + 1);
  // The key shows an earlier message than was known, in a stream that is long enough.
  a.changes([claimEntry(2, "r", "b", 1), sessionEntry(5, "b", 3)], 9);
  expect(a.warnings()).toContain("HISTORY_LOST");
});

test("a coordinator whose plan is that of a lost term begins a later term", () => {
  const a = new Solo(["r"]).live();
  const mine = a.own("coordinator", 2);
  a.applied("coordinator", 2).applied("owner.r", 3);
  const plan: GroupEntry = {
    kind: "record",
    key: { kind: "plan" },
    revision: 5,
    record: {
      kind: "plan",
      memberId: "b",
      incarnation: "b1",
      nonce: 1,
      generation: "g1",
      above: 70,
      coordinator: 70,
      plan: balance.encode({ members: ["b"], assignment: new Map([["r", "b"]]) }) ?? new Uint8Array(),
    },
  };
  a.conflict("plan").reads("plan", plan, 5);
  // Has it lost the key without knowing it? The key still shows its claim: the later one was lost.
  a.reads("coordinator", mine, 5);
  expect(a.texts).toContain("coordinating: no");
  expect(a.sent("coordinator")).toMatchObject({ expect: 2, record: { kind: "claim", above: 70 } });
  a.applied("coordinator", 6);
  expect(a.texts).toContain("coordinating: epoch 71");
  expect(a.sent("plan")).toMatchObject({ expect: 5, record: { coordinator: 71 } });
});
