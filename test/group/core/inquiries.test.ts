/** Questions about the connections of other members. */
import { describe, expect, test } from "vitest";
import { watchedSessions } from "../../../src/group/core/sessions.ts";
import { claimEntry, endEntry, Solo, sessionEntry } from "./play/solo.ts";

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

  test("silence: a member to which every beat is late asks less and less, also where the beat comes before the answer", () => {
    for (const heardFirst of [true, false]) {
      const a = watching(silence(2), "silence");
      const connection = { serverId: "s", clientId: 2 };
      const answer = () =>
        a.send({ type: "answered", question: a.state.lastQuestion, answer: { kind: "open", inMsgs: 3 } });
      answer();
      // 24 s, a beat every 250 ms, and a renewal every 3 s.
      for (let beat = 0; beat < 96; beat += 1) {
        const renewal = sessionEntry(4 + Math.floor(beat / 12), "b", 1, { session: silence(2) });
        if (beat % 12 === 0) a.watched(renewal);
        a.wait(200).send({ type: "holder-silent", connection });
        if (a.isReading("session.b")) a.reads("session.b", renewal);
        a.wait(40);
        if (heardFirst) a.send({ type: "holder-heard", connection });
        answer();
        if (!heardFirst) a.send({ type: "holder-heard", connection });
        a.wait(10);
      }
      // The first one, those after 0, 250, 750, 1 750 and 3 750 ms, and then one in each heartbeat interval.
      expect(a.count("ask")).toBeLessThanOrEqual(6 + Math.ceil(20_000 / 3_000));
      expect(a.sent("session.b")).toBeUndefined();
    }
  });

  test("silence: all members on the connection are asked about", () => {
    const binding = { serverId: "s", clientId: 1, account: "acc" };
    const a = new Solo(["r"], { crashDetection: "silence", silenceMs: 2_000 });
    const entries = [sessionEntry(1, "b", null, { session: silence(2) })];
    a.live([...entries, sessionEntry(2, "c", null, { session: silence(2) })], binding);
    const connection = { serverId: "s", clientId: 2 };
    a.send({ type: "holder-silent", connection });
    const silentOnes = (): (string | false)[] =>
      [...a.state.sessions.values()].map((view) => view.inquiry.silent !== null && view.memberId);
    expect(silentOnes().filter(Boolean)).toEqual(["b", "c"]);
    a.send({ type: "holder-heard", connection });
    expect(silentOnes().filter(Boolean)).toEqual([]);
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
