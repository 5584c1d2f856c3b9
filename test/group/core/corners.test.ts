/** Rare situations, each with its rule. */
import { describe, expect, test } from "vitest";
import { act, wakeDelayMs } from "../../../src/group/core/act.ts";
import type { Balance } from "../../../src/group/core/balance.ts";
import { step } from "../../../src/group/core/group.ts";
import { hash32, listHash, rendezvousRank } from "../../../src/group/core/hash.ts";
import {
  beatsEveryMs,
  coordinatorOf,
  dependsOnConnection,
  membersOf,
  resourcesOf,
} from "../../../src/group/core/outlook.ts";
import { noteAnswered } from "../../../src/group/core/pace.ts";
import {
  addDue,
  dequeue,
  dueQueue,
  enqueue,
  fifo,
  takeDue,
  takeFirst,
} from "../../../src/group/core/queues.ts";
import { watchedSessions } from "../../../src/group/core/sessions.ts";
import { cloneState } from "../../../src/group/core/state.ts";
import type { GroupEntry } from "../../../src/group/core/types.ts";
import { ownedBy } from "../../support/group/owned-by.ts";
import { balance } from "./play/balance.ts";
import { claimEntry, endEntry, ownerKey, releaseEntry, Solo, sessionEntry, sessionKey } from "./play/solo.ts";
import { World } from "./play/world.ts";

const presence = (clientId: number) => ({ serverId: "s", clientId, presence: `p${clientId}` });
const silence = (clientId: number) => ({ serverId: "s", clientId, silence: { ms: 2_000, account: "acc" } });

describe("inquiries", () => {
  /** Member a, which watches b with this binding. */
  function watching(session: object, mode: "presence" | "silence" | "lease" = "presence"): Solo {
    const binding = { serverId: "s", clientId: 1, presence: "p1", account: "acc" };
    const a = new Solo(["r"], { crashDetection: mode, silenceMs: 2_000 });
    a.live([sessionEntry(1, "b", null, { session: session as never }), claimEntry(2, "r", "b", 1)], binding);
    return a;
  }

  test("an answer about an earlier connection decides nothing", () => {
    const a = watching(presence(2));
    a.send({ type: "presence-lost", presence: "p2" });
    a.watched(sessionEntry(4, "b", 1, { session: presence(3) }));
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "closed" } });
    a.wait(200);
    expect(a.sent("session.b")).toBeUndefined();
    a.send({ type: "answered", question: 99, answer: { kind: "closed" } });
    expect(a.effects).toEqual([]);
  });

  test("closed is proof for every record that names that connection, once an answer has shown it", () => {
    const a = watching(presence(2));
    a.watched(sessionEntry(4, "b", 1, { session: presence(2) }));
    a.send({ type: "presence-lost", presence: "p2" });
    expect(a.isReading("session.b")).toBe(true);
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "closed" } });
    expect(a.sent("session.b")).toBeUndefined();
    a.reads("session.b", sessionEntry(5, "b", 1, { session: presence(2) }));
    expect(a.sent("session.b")).toMatchObject({ expect: 5, record: { reason: "closed" } });
    // The fence is refused: b has renewed on its next connection.
    a.conflict("session.b").reads("session.b", sessionEntry(6, "b", 1, { session: presence(3) }));
    a.wait(1_000);
    expect(a.sent("session.b")).toBeUndefined();
  });

  test("the read that is sent with the question suffices: after the answers to both the fence is the next request", () => {
    for (const answeredFirst of [true, false]) {
      const a = watching(presence(2));
      const renewal = sessionEntry(4, "b", 1, { session: presence(2) });
      a.watched(renewal).send({ type: "presence-lost", presence: "p2" });
      const sent = [a.count("read"), a.count("ask"), a.count("write")] as const;
      const answer = () =>
        a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "closed" } });
      if (answeredFirst) answer();
      a.reads("session.b", renewal);
      if (!answeredFirst) answer();
      expect([a.count("read"), a.count("ask"), a.count("write")]).toEqual([sent[0], sent[1], sent[2] + 1]);
      expect(a.sent("session.b")).toMatchObject({ expect: 4, record: { reason: "closed" } });
    }
  });

  test("an end marker that overtakes the read of a survivor: the key is read again at once, then claimed", () => {
    const a = watching(presence(2));
    const renewal = sessionEntry(4, "b", 1, { session: presence(2) });
    a.watched(renewal).send({ type: "presence-lost", presence: "p2" });
    const end = endEntry(5, "b", 1, { memberId: "c", reason: "closed" });
    a.watched(end);
    // The answer was given before the marker: by itself it does not free anything, and it is no failure.
    a.reads("session.b", renewal);
    expect(a.isReading("session.b")).toBe(true);
    expect(a.sent("owner.r")).toBeUndefined();
    a.reads("session.b", end);
    expect(a.sent("owner.r")).toMatchObject({ expect: 2, record: { kind: "claim" } });
  });

  test("an answer that is older than what was known when it was asked for is a failure: the next read waits", () => {
    const a = watching(presence(2));
    const renewal = sessionEntry(4, "b", 1, { session: presence(2) });
    a.watched(renewal).send({ type: "presence-lost", presence: "p2" });
    a.watched(endEntry(5, "b", 1, { memberId: "c", reason: "closed" }));
    a.reads("session.b", renewal).reads("session.b", renewal);
    const reads = a.count("read");
    expect(a.isReading("session.b")).toBe(false);
    a.tick();
    expect(a.count("read")).toBe(reads);
    a.wait(300);
    expect(a.count("read")).toBe(reads + 1);
  });

  test("refused fences back off while reads are out of date", () => {
    const a = watching(presence(2));
    a.send({ type: "presence-lost", presence: "p2" });
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "closed" } });
    let fences = 0;
    for (let round = 0; round < 20; round += 1) {
      if (a.sent("session.b") !== undefined) {
        fences += 1;
        a.conflict("session.b");
      }
      if (a.isReading("session.b"))
        a.reads("session.b", sessionEntry(1, "b", null, { session: presence(2) }), 3);
      a.wait(50);
    }
    expect(fences).toBeLessThan(4);
    a.wait(2_000).unanswered("session.b").readFails("session.b");
  });

  test("silence: an open connection that counts, no answer, and beats that are heard again", () => {
    const a = watching(silence(2), "silence");
    const connection = { serverId: "s", clientId: 2 };
    const answer = (inMsgs: number) =>
      a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "open", inMsgs } });
    // The first question was asked because the end of the connection may have been missed.
    answer(3);
    a.send({ type: "holder-silent", connection });
    expect(a.texts).toContain("ask #2 about connection 2");
    answer(5);
    a.wait(2_300);
    answer(6);
    a.wait(300);
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "none" } });
    a.wait(2_900);
    expect(a.sent("session.b")).toBeUndefined();
    a.send({ type: "holder-heard", connection });
    a.send({ type: "holder-heard", connection });
    a.send({ type: "holder-silent", connection: { serverId: "s", clientId: 9 } });
    a.send({ type: "holder-heard", connection: { serverId: "s", clientId: 9 } });
    expect(a.effects).toEqual([]);
  });

  test("silence: a newer revision starts over", () => {
    const a = watching(silence(2), "silence");
    const connection = { serverId: "s", clientId: 2 };
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "closed" } });
    a.send({ type: "holder-silent", connection });
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "closed" } });
    a.wait(1_000).watched(sessionEntry(4, "b", 1, { session: silence(2) }));
    a.wait(1_500);
    expect(a.sent("session.b")).toBeUndefined();
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "closed" } });
    expect(a.sent("session.b")).toBeUndefined();
  });

  test("with crash detection by lease nothing is watched or asked", () => {
    const a = watching(presence(2), "lease");
    a.send({ type: "presence-lost", presence: "p2" });
    expect(a.effects).toEqual([]);
    expect(watchedSessions(a.state)).toEqual([]);
    expect(watchedSessions(watching(presence(2)).state)).toEqual([presence(2)]);
    expect(watchedSessions(watching({ serverId: "s", clientId: 2 }).state)).toEqual([]);
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

  test("a plan that cannot be decoded is garbage", () => {
    const a = new Solo(["r"], { balance: unplannable }).live();
    a.applied("coordinator", 2).applied("plan", 3);
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
    a.applied("coordinator", 2).applied("plan", 3).applied("owner.r", 4);
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
    a.applied("coordinator", 2).applied("plan", 3).conflict("owner.r");
    a.send({ type: "stop", restarting: true });
    expect(a.sent("session.a")).toMatchObject({ record: { kind: "session-end", reason: "restarting" } });
    const end = a.own("session.a", 5);
    a.unanswered("session.a").reads("session.a", end);
    expect(a.texts).toContain("STOPPED");
  });

  test("the connection is lost while it leaves", () => {
    const a = new Solo().live();
    a.applied("coordinator", 2).applied("plan", 3).conflict("owner.r");
    a.send({ type: "stop", restarting: true });
    a.send({ type: "disconnected" }).unanswered("session.a");
    expect(a.texts).toContain("STOPPED");
  });
});

describe("small parts", () => {
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
    expect(coordinatorOf(b.state)).toBe("a");
    expect(resourcesOf(b.state)).toMatchObject([
      { resource: "r1", owner: "a", target: "a", unownedSinceMono: null },
      { resource: "r2", owner: "b", target: "b", unownedSinceMono: null },
    ]);
    expect(ownedBy(a.state)).toMatchObject([{ resource: "r1", phase: "held" }]);
    expect(resourcesOf(new Solo(["r"]).state)).toMatchObject([{ owner: null, unownedSinceMono: 0 }]);
    expect(coordinatorOf(new Solo().state)).toBeNull();
    b.kill();
    expect(dependsOnConnection(a.state)).toBe(false);
  });

  test("a copy of the state goes its own way", () => {
    const a = new Solo(["r"]).live();
    const copy = cloneState(a.state);
    a.applied("owner.r", 2);
    expect(copy.terms.size).toBe(0);
    expect(copy.config).toBe(a.state.config);
    const [nonce] = copy.writes.keys();
    expect(nonce).toBeDefined();
    expect(copy.resources.get("r")?.write).not.toBeNull();
    const write = copy.resources.get("r")?.write ?? 0;
    const effects = step(
      copy,
      { type: "written", nonce: write, outcome: { kind: "applied", revision: 3 } },
      a.now,
    );
    expect(effects).toContainEqual({ type: "own", resource: "r", epoch: 3 });
  });

  test("queues", () => {
    const queue = fifo<number>();
    for (let item = 0; item < 3_000; item += 1) enqueue(queue, item);
    enqueue(queue, 0);
    dequeue(queue, 1);
    const taken: (number | undefined)[] = [];
    for (let at = 0; at < 2_999; at += 1) taken.push(takeFirst(queue));
    expect(taken.slice(0, 3)).toEqual([0, 2, 3]);
    expect(takeFirst(queue)).toBeUndefined();
    const due = dueQueue<string>();
    for (const at of [5, 1, 4, 2, 3, 0]) addDue(due, at, `at ${at}`);
    const order = Array.from({ length: 7 }, () => takeDue(due, 4));
    expect(order).toEqual(["at 0", "at 1", "at 2", "at 3", "at 4", undefined, undefined]);
  });

  test("hashes", () => {
    expect(listHash(["a", "b"])).toBe(listHash(["b", "a"]));
    expect(listHash(["a", "b"])).not.toBe(listHash(["a", "c"]));
    expect(hash32("a")).not.toBe(hash32("a", 1));
    const members = ["a", "b", "c"];
    expect(members.map((member) => rendezvousRank("r", member, members)).sort()).toEqual([0, 1, 2]);
  });

  test("the window grows while answers are fast, and falls back when they are not", () => {
    const a = new Solo(["r"]);
    const { pace } = a.state;
    for (let answers = 0; answers < 5_000; answers += 1) noteAnswered(a.state, 2, true);
    expect(pace.window).toBe(64);
    for (let answers = 0; answers < 20; answers += 1) noteAnswered(a.state, 50, true);
    expect(pace.window).toBe(16);
    noteAnswered(a.state, 1, false);
    expect(pace.window).toBe(16);
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
    a.watched(releaseEntry(4, "x", 2, { successor: "a", position: 7 }));
    expect(a.sent("owner.x")).toMatchObject({ expect: 4, record: { position: 7 } });
    expect(ownerKey("x")).toEqual({ kind: "owner", resource: "x" });
  });
});

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
    expect(resourcesOf(a.state).map(({ resource }) => resource)).toEqual(["r"]);
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

describe("more rare orders", () => {
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

  test("missing beats of a session that promises none, and a server that does not answer", () => {
    const binding = { serverId: "s", clientId: 1, presence: "p1", account: "acc" };
    const a = new Solo(["r"], { crashDetection: "presence", silenceMs: 2_000 });
    a.live([sessionEntry(1, "b", null, { session: presence(2) })], binding);
    a.send({ type: "holder-silent", connection: { serverId: "s", clientId: 2 } });
    a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "none" } });
    a.wait(2_800);
    expect(a.sent("session.b")).toBeUndefined();
    const c = new Solo(["r"], { crashDetection: "silence", silenceMs: 2_000 });
    c.live([sessionEntry(1, "b", null, { session: silence(2) })], { serverId: "s", clientId: 1 });
    c.send({ type: "answered", question: c.state.lastQuestion, answer: { kind: "none" } });
    c.send({ type: "holder-silent", connection: { serverId: "s", clientId: 2 } });
    c.send({ type: "answered", question: c.state.lastQuestion, answer: { kind: "none" } });
    expect(c.state.sessions.get("b")?.inquiry.first).toBeNull();
  });
});
