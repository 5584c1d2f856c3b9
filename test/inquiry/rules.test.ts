/** The rules alone. How each core uses them: `test/election/inquiry.test.ts`, `test/group/core/inquiries.test.ts`. */
import { describe, expect, test } from "vitest";
import { silenceWaitMs } from "../../src/inquiry/durations.ts";
import {
  closedIsEnough,
  isAsking,
  judgeSilence,
  noteDisconnected,
  noteHeard,
  noteOtherHolder,
  noteSilent,
  openQuestion,
  silentDelayMs,
  startOver,
} from "../../src/inquiry/rules.ts";
import type { CrashDetection, HolderAnswer, Inquiry, SessionBinding } from "../../src/inquiry/types.ts";

const F = 2_000;
const WAIT = silenceWaitMs(F);
const HEARTBEAT = 1_000;
const session: SessionBinding = {
  serverId: "S",
  clientId: 9,
  presence: "stream.consumer",
  silence: { ms: F, account: "account" },
};
const other: SessionBinding = { ...session, clientId: 10 };

/** An asker that has not heard the holder's beats since 0 ms. */
class Play {
  readonly inquiry: Inquiry = { silent: null, open: null, first: null, quietUntilMono: -1e9, lives: 0 };
  #questions = 0;

  constructor() {
    noteSilent(this.asker(0), this.inquiry, session);
  }

  asker(mono: number, crashDetection: CrashDetection = "silence") {
    return { config: { crashDetection, heartbeatIntervalMs: HEARTBEAT }, now: { mono } };
  }

  /** Asks then about that revision, and takes in the answer. Returns whether the silence of revision 7 is confirmed. */
  ask(askedMs: number, answer: HolderAnswer, { receivedMs = askedMs, revision = 7 } = {}): boolean {
    this.#questions += 1;
    openQuestion(this.asker(askedMs), this.inquiry, { number: this.#questions, binding: session, revision });
    const question = this.inquiry.open;
    if (question === null) throw new Error("no question was opened");
    this.inquiry.open = null;
    const answered = { question, answer };
    return judgeSilence(this.asker(receivedMs), this.inquiry, answered, { session, revision: 7 });
  }

  dueInMs(mono: number, headStartMs = 0): number {
    return silentDelayMs(this.inquiry, session, { mono }, () => headStartMs);
  }
}

const open = (inMsgs: number): HolderAnswer => ({ kind: "open", inMsgs });
const closed: HolderAnswer = { kind: "closed" };

describe("silence is confirmed", () => {
  test("by one count twice, the second time asked F and the margin after the first answer came", () => {
    const play = new Play();
    expect(play.ask(0, open(5), { receivedMs: 40 })).toBe(false);
    expect(play.ask(WAIT + 39, open(5), { receivedMs: 2 * WAIT })).toBe(false);
    expect(play.ask(WAIT + 40, open(5))).toBe(true);
  });

  test("by another count not at all: the wait begins with it", () => {
    const play = new Play();
    play.ask(0, open(5));
    expect(play.ask(WAIT, open(6))).toBe(false);
    expect(play.ask(2 * WAIT - 1, open(6))).toBe(false);
    expect(play.ask(2 * WAIT, open(6))).toBe(true);
  });

  test("by a closed connection once that was said twice, F and the margin after the second time", () => {
    const play = new Play();
    expect(play.ask(0, closed)).toBe(false);
    expect(play.ask(WAIT, closed)).toBe(false);
    expect(play.ask(2 * WAIT - 1, closed)).toBe(false);
    expect(play.ask(2 * WAIT, closed)).toBe(true);
  });

  test("for one revision only: an answer about another one is not compared", () => {
    const play = new Play();
    play.ask(0, open(5));
    expect(play.ask(WAIT, open(5), { revision: 6 })).toBe(false);
    expect(play.inquiry.first).toBeNull();
  });

  test.each<[string, (play: Play) => void]>([
    ["a newer revision was seen", ({ inquiry }) => startOver(inquiry)],
    ["a beat was heard", ({ inquiry }) => noteHeard(inquiry, session)],
    ["another holder is watched", ({ inquiry }) => noteOtherHolder(inquiry)],
    ["the connection to NATS has ended", ({ inquiry }) => noteDisconnected(inquiry)],
    ["the question was not answered", (play) => play.ask(WAIT / 2, { kind: "none" })],
  ])("not by the answers before and after: %s", (_, happens) => {
    const play = new Play();
    play.ask(0, open(5));
    happens(play);
    noteSilent(play.asker(WAIT), play.inquiry, session);
    expect(play.ask(WAIT, open(5))).toBe(false);
  });

  test("not for a connection whose beats are not missing", () => {
    const play = new Play();
    play.inquiry.silent = other;
    play.ask(0, open(5));
    expect(play.ask(WAIT, open(5))).toBe(false);
  });
});

describe("the next question", () => {
  test("is due at once, then when the same answer confirms, after the head start of others", () => {
    const play = new Play();
    expect(play.dueInMs(0)).toBeLessThanOrEqual(0);
    play.ask(0, open(5));
    expect(play.dueInMs(100, 30)).toBe(WAIT + 30 - 100);
  });

  test("comes later with each answer that shows life, up to a heartbeat interval", () => {
    const play = new Play();
    const pauses = [1, 2, 3, 4].map((count) => {
      play.ask(0, { kind: "none" });
      return [count, play.dueInMs(0)];
    });
    expect(pauses).toEqual([
      [1, F / 8],
      [2, F / 4],
      [3, F / 2],
      [4, HEARTBEAT],
    ]);
  });

  test("is not due while the beats of the connection are heard", () => {
    const play = new Play();
    noteHeard(play.inquiry, other);
    expect(play.dueInMs(0)).toBeLessThanOrEqual(0);
    noteHeard(play.inquiry, session);
    expect(play.dueInMs(0)).toBe(Number.POSITIVE_INFINITY);
  });

  test("waits for the answer to the one that is open about the same connection", () => {
    const { inquiry, asker } = new Play();
    openQuestion(asker(0), inquiry, { number: 1, binding: session, revision: 7 });
    expect([isAsking(inquiry, session), isAsking(inquiry, other)]).toEqual([true, false]);
  });
});

test("a closed connection is enough at once where the record names a presence and the asker takes that for proof", () => {
  const { presence: _, ...without } = session;
  const play = new Play();
  const modes = ["presence", "silence", "lease"] as const;
  expect(modes.map((mode) => closedIsEnough(play.asker(0, mode), session))).toEqual([true, false, false]);
  expect(modes.map((mode) => closedIsEnough(play.asker(0, mode), without))).toEqual([false, false, false]);
});
