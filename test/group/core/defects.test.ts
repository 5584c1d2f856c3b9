/**
 * The counterexamples to the first design of the protocol (docs/groups.md), step by step on the core: each would make two members held,
 * or repeat an epoch.
 */
import { expect, test } from "vitest";
import { claimEntry, endEntry, releaseEntry, Solo, sessionEntry } from "./play/solo.ts";

test("a begin is not adopted while a later begin expects its revision", () => {
  const a = new Solo().open();
  const first = a.own("session.a", 1);
  // Begin 1 is applied, its ack is lost, and so are the reads until its deadline is too near.
  a.pass(1_000).unanswered("session.a").readFails("session.a").pass(9_000).tick().reads("session.a", first);
  expect(a.count("session-begun")).toBe(0);
  // Begin 2 expects it. It gets no answer, and a read still shows begin 1: begin 2 may be applied at any time from now on.
  expect(a.sent("session.a")).toMatchObject({ expect: 1 });
  const second = a.own("session.a", 2);
  a.pass(100).unanswered("session.a").reads("session.a", first, 1);
  expect(a.count("session-begun")).toBe(0);
  // What it has become is adopted.
  a.wait(2_000).conflict("session.a").reads("session.a", second, 2);
  expect(a.texts).toContain("SESSION 2");
});

test("another session number is no evidence: only a larger one", () => {
  // b's key shows an end marker that is older than the session under which b has claimed r.
  const a = new Solo().live([endEntry(3, "b", 2), claimEntry(9, "r", "b", 7)]);
  expect(a.sent("owner.r")).toBeUndefined();
  // An answer that shows the same is no evidence either: it may be out of date.
  if (a.isReading("session.b")) a.reads("session.b", endEntry(3, "b", 2), 9);
  a.wait(2_000);
  expect(a.sent("owner.r")).toBeUndefined();
});

test("the ack of a claim that was sent under an earlier session begins no term", () => {
  const a = new Solo().live();
  expect(a.sent("owner.r")).toMatchObject({ expect: 0, record: { session: 1 } });
  // Session 1 ends: no renewal is answered.
  a.wait(10_000);
  expect(a.count("session-ended")).toBe(1);
  if (a.isReading("session.a")) a.reads("session.a", null, 1);
  if (a.sent("session.a") !== undefined && a.sent("session.a")?.record.kind === "session")
    a.unanswered("session.a");
  a.wait(500);
  if (a.isReading("session.a")) a.reads("session.a", null, 1);
  a.wait(500);
  a.applied("session.a", 5);
  expect(a.texts).toContain("SESSION 5");
  a.applied("owner.r", 6);
  expect(a.count("own")).toBe(0);
  expect(a.held("r")).toBe(false);
  // The key names the earlier session of this member: it is claimed like any other.
  expect(a.sent("owner.r")).toMatchObject({ expect: 6, record: { session: 5 } });
  a.applied("owner.r", 7);
  expect(a.texts).toContain("OWN r/7");
});

test("no term begins while the session is suspended: the claim becomes an orphan, which is claimed again", () => {
  const a = new Solo(["r"], { crashDetection: "presence" }).live([], {
    serverId: "s",
    clientId: 1,
    presence: "p1",
  });
  a.send({ type: "disconnected" });
  expect(a.texts).toContain("SUSPENDED");
  a.applied("owner.r", 2);
  expect(a.count("own")).toBe(0);
  a.connected({ serverId: "s", clientId: 2, presence: "p2" });
  a.applied("session.a", 3);
  expect(a.texts).toContain("RESUMED");
  expect(a.sent("owner.r")).toMatchObject({ expect: 2, record: { kind: "claim", session: 1 } });
  a.applied("owner.r", 4);
  expect(a.texts).toContain("OWN r/4");
});

test("a release that was sent ends the term: wanting the resource again takes a new claim", () => {
  const a = new Solo(["r"]).live();
  a.applied("owner.r", 2);
  a.send({ type: "draining", draining: true });
  expect(a.texts).toContain("DRAIN r/2: draining");
  a.send({ type: "drained", resource: "r", epoch: 2 });
  const release = a.own("owner.r", 6);
  a.send({ type: "draining", draining: false });
  expect(a.held("r")).toBe(false);
  // The release gets no answer, and a read shows that it was not applied yet: it is sent again.
  a.pass(1_000)
    .unanswered("owner.r")
    .reads("owner.r", claimEntry(2, "r", "a", 1, { nonce: 3 }), 5);
  expect(a.held("r")).toBe(false);
  expect(a.sent("owner.r")).toMatchObject({ expect: 2, record: { kind: "release", epoch: 2 } });
  // The first one was applied after all.
  a.conflict("owner.r").reads("owner.r", release, 6);
  expect(a.texts).toContain("RELEASED r/2");
  expect(a.sent("owner.r")).toMatchObject({ expect: 6, record: { kind: "claim" } });
  a.applied("owner.r", 7);
  expect(a.texts).toContain("OWN r/7");
});

test("the epoch is the revision of the claim: a purge cannot make it start again", () => {
  const a = new Solo().live([releaseEntry(8, "r", 5)]);
  expect(a.sent("owner.r")).toMatchObject({ expect: 8 });
  a.conflict("owner.r").reads("owner.r", null, 20);
  expect(a.sent("owner.r")).toMatchObject({ expect: 0 });
  a.applied("owner.r", 21);
  expect(a.texts).toContain("OWN r/21");
});

test("the epoch is above every number that is known, also after the server has lost history", () => {
  const a = new Solo().live([releaseEntry(3, "r", 900, { above: 950 })]);
  a.applied("owner.r", 5);
  expect(a.texts).toContain("OWN r/952");
});

test("the message of a session's end is no evidence: it causes a read", () => {
  const a = new Solo().live([sessionEntry(1, "b", null), claimEntry(2, "r", "b", 1)]);
  a.watched(endEntry(4, "b", 1));
  expect(a.texts).toContain("read #3 session.b");
  expect(a.sent("owner.r")).toBeUndefined();
  // It was forged.
  a.reads("session.b", sessionEntry(1, "b", null), 4);
  a.wait(900);
  expect(a.sent("owner.r")).toBeUndefined();
  // This one is true.
  a.watched(endEntry(5, "b", 1)).reads("session.b", endEntry(5, "b", 1));
  expect(a.sent("owner.r")).toMatchObject({ expect: 2 });
});
