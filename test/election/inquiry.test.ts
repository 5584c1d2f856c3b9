/** Questions about a holder that promises silence: when they end, and how many there are. What a holder sends beats for. */
import { describe, expect, test } from "vitest";
import { remainingStretchMs } from "../../src/election/election.ts";
import { beatsEveryMs } from "../../src/election/outlook.ts";
import { isBound, isTooSlow } from "../../src/election/silence.ts";
import type { OwnConnection, SessionBinding } from "../../src/election/types.ts";
import { connection, garbage, record, released, Solo } from "./play/solo.ts";

const silence = { crashDetection: "silence" as const, silenceMs: 2_000 };

/** A connection on which a beat has come back. */
function beating(clientId: number): OwnConnection {
  return { ...connection(clientId), account: "account" };
}

/** The connection of another node, as its record names it. */
function promising(clientId: number, ms = 2_000): { session: SessionBinding } {
  return { session: { ...connection(clientId), silence: { ms, account: "account" } } };
}

/** Follows node b on connection 9, and has not heard its beats for a while. */
function suspicious(): Solo {
  const play = new Solo("", silence).opened().connected(beating(1));
  play.reads(record(7, "b", 2, promising(9))).answered({ kind: "open", inMsgs: 70 });
  return play.at(1_000).send({ type: "holder-silent", connection: connection(9) });
}

/** Plays until then, and gives every question this answer 2 ms later. Returns the number of questions. */
function questionsUntil(play: Solo, ms: number, answer: Parameters<Solo["answered"]>[0]): number {
  const before = play.state.inquiry.lastQuestion;
  while (play.now.mono < ms) {
    if (play.state.inquiry.open !== null) play.pass(2).answered(answer);
    else play.until(play.now.mono + 10);
  }
  return play.state.inquiry.lastQuestion - before;
}

describe("missing beats", () => {
  test("of a holder that is not watched any more cause no questions about the next record", () => {
    const play = suspicious().answered({ kind: "open", inMsgs: 71 });
    // The session listens again from the record on that replaces the garbage, and hears every beat.
    play.at(1_200).learns(garbage(8)).at(1_400);
    play.learns(record(9, "b", 2, { ...promising(9), nonce: 3 }));
    expect(play.state.inquiry.silent).toBeNull();
    expect(questionsUntil(play, 5_000, { kind: "open", inMsgs: 90 })).toBe(0);
  });

  test("are forgotten while a node only follows", () => {
    const play = suspicious().answered({ kind: "open", inMsgs: 71 });
    play.send({ type: "compete", competes: false }).at(1_100).send({ type: "compete", competes: true });
    expect(play.state.inquiry.silent).toBeNull();
  });

  test("of another connection than the record names say nothing", () => {
    const play = suspicious().answered({ kind: "open", inMsgs: 71 });
    play.send({ type: "holder-silent", connection: connection(8) });
    expect(play.state.inquiry.silent).toEqual(connection(9));
  });

  test("of the next holder are asked about at once, however long the one before was asked about", () => {
    const play = suspicious();
    let inMsgs = 100;
    for (const revision of [8, 9, 10]) {
      while (play.now.mono < 3_000 * (revision - 7)) {
        inMsgs += 1;
        questionsUntil(play, play.now.mono + 100, { kind: "open", inMsgs });
      }
      play.learns(record(revision, "b", 2, { ...promising(9), nonce: revision }));
    }
    play.learns(record(11, "c", 3, promising(10)));
    play.send({ type: "holder-silent", connection: connection(10) });
    expect(play.effectTypes).toEqual(["ask"]);
  });

  test("and no answer at all cause fewer and fewer questions", () => {
    const play = suspicious();
    let questions = 0;
    for (let revision = 8; revision < 20; revision += 1) {
      questions += questionsUntil(play, play.now.mono + 3_000, { kind: "none" });
      play.learns(record(revision, "b", 2, { ...promising(9), nonce: revision }));
    }
    expect(questions).toBeLessThan(20);
  });
});

describe("a candidate", () => {
  test("whose write got no answer sends beats until another record shows that it was not applied", () => {
    const play = new Solo("", silence).opened().connected(beating(1)).reads(null);
    expect(beatsEveryMs(play.state)).toBe(250);
    play.unanswered().reads(record(1, "b", 1, promising(9)));
    expect(play.state.role.name).toBe("follower");
    expect(beatsEveryMs(play.state)).toBeNull();
    expect(play.state.writes.unsettled).toEqual([]);
  });

  test("that learns of another record while its write is under way still learns what became of the write", () => {
    const play = new Solo("", silence).opened().connected(beating(1)).reads(null);
    play.learns(record(1, "b", 1, promising(9)));
    expect(beatsEveryMs(play.state)).toBe(250);
    play.conflict().reads(record(1, "b", 1, promising(9)));
    expect(play.state.role.name).toBe("follower");
    expect(beatsEveryMs(play.state)).toBeNull();
  });

  test("that was refused a moment ago begins its term in a stretch of its own", () => {
    const play = new Solo("", silence).opened().connected(beating(1)).reads(null);
    play
      .conflict()
      .reads(record(1, "b", 1, promising(9)))
      .at(1_900)
      .learns(released(2, 1))
      .applied(3);
    expect(play.effectTypes).toContain("become-leader");
    play.at(2_100).tick();
    expect(play.effectTypes).toEqual([]);
    expect(play.held).toBe(true);
  });
});

describe("a leader", () => {
  test("whose record turns out to be a write that it has forgotten is suspended at once, and renews", () => {
    const play = new Solo("", silence).leading(beating(1)).at(1_000).send({ type: "bucket-gone" });
    play.reads(record(2, "a", 1, { incarnation: "a1", nonce: 99, ...promising(1) }));
    expect(play.held).toBe(false);
    expect(play.effectTypes).toEqual(["suspended", "write"]);
    play.applied(3);
    expect(play.effectTypes).toEqual(["resumed"]);
    expect(play.held).toBe(true);
  });

  test("whose beats have been proven late for F promises nothing until one is proven in time", () => {
    const play = new Solo("", silence).leading(beating(1));
    /** What each record that is sent until then promises, while a beat is proven every F / 8, at this age. */
    const promises = (untilMs: number, ageMs: number): (number | undefined)[] => {
      const all: (number | undefined)[] = [];
      while (play.now.mono < untilMs) {
        const mono = play.pass(250).now.mono - ageMs;
        play.send({ type: "beat-proven", sentAt: { mono, boot: mono, wall: 0 } });
        const write = play.effects.find((effect) => effect.type === "write")?.write;
        if (write?.kind !== "put") continue;
        all.push(write.record.session?.silence?.ms);
        play.applied(play.state.lease.newestRevision + 1);
      }
      return all;
    };
    play.pass(100);
    // At 3/4 of F the next beat may be proven when the stretch has ended.
    expect(promises(9_000, 1_499)).toEqual([2_000, 2_000, 2_000]);
    expect(play.held).toBe(true);
    // Not at once: it may have been a pause.
    expect(promises(11_000, 1_500)).toEqual([]);
    expect(promises(20_000, 1_500)).toEqual([undefined, undefined, undefined]);
    expect(play.held).toBe(true);
    expect(promises(22_500, 1_499)).toEqual([2_000]);
  });

  test("that stood still, or reconnected, promises silence although its last beats were proven late", () => {
    const play = new Solo("", silence).leading(beating(1));
    const late = { mono: 0, boot: 0, wall: 0 };
    for (const ms of [5_000, 5_000, 6_999]) play.at(ms).send({ type: "beat-proven", sentAt: late });
    expect(isTooSlow(play.state.link.lateProofs, 2_000)).toBe(false);
    play.at(7_000).send({ type: "beat-proven", sentAt: late });
    expect(isTooSlow(play.state.link.lateProofs, 2_000)).toBe(true);
    play.send({ type: "disconnected" });
    expect(isTooSlow(play.state.link.lateProofs, 2_000)).toBe(false);
  });

  test("that has promised silence in a write without an answer is bound by it, however many writes without one follow", () => {
    const play = new Solo("", { ...silence, leaseTtlMs: 60_000 }).leading(connection(1));
    play.send({ type: "rebound", binding: beating(1) }).unanswered();
    expect(isBound(play.state)).toBe(true);
    play.readFails().send({ type: "rebound", binding: connection(1) });
    let unanswered = 0;
    while (unanswered < 20) {
      if (play.state.writes.inFlight !== null) {
        play.pass(100).unanswered();
        unanswered += 1;
      } else if (play.state.reads.inFlight) play.readFails();
      else play.until(play.now.mono + 50);
    }
    // The first of them may be applied, and another node may have confirmed the silence since.
    expect(isBound(play.state)).toBe(true);
    expect(play.held).toBe(false);
    while (play.state.writes.inFlight === null) play.until(play.now.mono + 50);
    play.applied(3);
    expect(isBound(play.state)).toBe(false);
    expect(play.held).toBe(true);
  });
});

describe("what is left of a stretch", () => {
  const remaining = (play: Solo): number => remainingStretchMs(play.state, play.now);

  test("is nothing while the work ends and only a write that is not known to be applied was sent in it", () => {
    const play = new Solo("", silence).leading(beating(1));
    play.at(100).send({ type: "resign", reason: "released" });
    expect(remaining(play)).toBe(1_900);
    play.at(3_000).tick();
    expect(play.state.link.stretch?.number).toBe(2);
    expect(remaining(play)).toBe(0);
    play.at(3_002).applied(2);
    expect(remaining(play)).toBe(1_998);
  });

  test("is nothing while a write of an earlier stretch that names the promise may still be applied", () => {
    const play = new Solo("", silence).leading(connection(1));
    expect(remaining(play)).toBe(Number.POSITIVE_INFINITY);
    play.at(100).send({ type: "rebound", binding: beating(1) });
    expect(remaining(play)).toBe(2_000);
    play.at(1_100).unanswered().until(2_200);
    // The renewal in flight is settled first; the next one begins a stretch.
    play.at(2_350).unanswered().until(2_700);
    expect(play.state.link.stretch?.number).toBe(2);
    expect(play.state.role.name).toBe("suspended");
    expect(remaining(play)).toBe(0);
  });
});

test("a beat of another connection ends no suspicion", () => {
  const play = suspicious().send({ type: "holder-heard", connection: connection(8) });
  expect(play.state.inquiry.silent).toEqual(connection(9));
});
