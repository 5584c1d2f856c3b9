import { expect, test } from "vitest";
import type { OwnConnection, SessionBinding } from "../../src/election/types.ts";
import { Ensemble, type PartOptions } from "./play/ensemble.ts";
import { connection, record, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

const presence: PartOptions = { config: { crashDetection: "presence", silenceMs: 2_000 } };
const silence: PartOptions = { config: { crashDetection: "silence", silenceMs: 2_000 } };

/** A connection on which a beat has come back. */
function beating(clientId: number): OwnConnection {
  return { ...connection(clientId), account: "account" };
}

/** The connection of another node, as its record names it. */
function promising(clientId: number, ms = 2_000): { session: SessionBinding } {
  return { session: { ...connection(clientId), silence: { ms, account: "account" } } };
}

test("a leader whose host has vanished is replaced after F and the margin, once it is suspended", async () => {
  const play = new Ensemble("The cable of the leader's host is pulled: nothing is closed.");
  const a = play.node("a", presence).start();
  const b = play.node("b", presence).start();
  await play.quietlyUntil(5_000, "a leads, b follows and hears a's beats");
  await play.happens("the cable of a is pulled", () => {
    a.network.dropRequests = true;
    a.network.dropResponses = true;
  });
  await play.at(6_900);
  play.ask(a, b);
  await play.at(7_600);
  play.ask(a, b);
  await play.happens("the cable of a is plugged in again", () => {
    a.network.dropRequests = false;
    a.network.dropResponses = false;
  });
  await play.at(9_000);
  play.ask(a, b);
  expect(b.count("become-leader")).toBe(1);
  await expectTranscript("vanished", play);
});

test("a frozen leader is replaced; when it is thawed, it is not held, from its first instruction on", async () => {
  const play = new Ensemble("SIGSTOP of the leader for four seconds.");
  const a = play.node("a", silence).start();
  const b = play.node("b", silence).start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("a is stopped", () => a.clock.pause(4_000));
  await play.at(8_999);
  play.ask(b);
  await play.at(9_100);
  play.ask(a, b);
  await expectTranscript("frozen", play);
});

test("a leader that stands still for less than F is suspended for one renewal, and keeps its term", async () => {
  const play = new Ensemble("SIGSTOP of the leader for 1.9 seconds.");
  const a = play.node("a", silence).start();
  const b = play.node("b", silence).start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("a is stopped", () => a.clock.pause(1_900));
  await play.at(8_000);
  play.ask(a, b);
  expect(a.count("suspended")).toBe(1);
  expect(a.count("resumed")).toBe(1);
  expect(b.count("become-leader")).toBe(0);
  await expectTranscript("stood-still", play);
});

test("a leader whose round trips become longer than F promises nothing until they are short again, and keeps its term", async () => {
  const short: PartOptions = { config: { crashDetection: "silence", silenceMs: 500 } };
  const play = new Ensemble("Round trips of 600 ms, F = 500 ms.");
  const a = play.node("a", short).start();
  const b = play.node("b", short).start();
  const promise = (): number | undefined => {
    const { view } = b.driver.state.lease;
    return view.kind === "occupied" ? view.record?.session?.silence?.ms : undefined;
  };
  await play.quietlyUntil(5_000, "a leads, b follows");
  expect(promise()).toBe(500);
  await play.happens("each way between a and its server takes 300 ms from now on", () => {
    a.network.latencyMs = 300;
  });
  await play.at(9_000);
  play.ask(a, b);
  expect(a.driver.isHeld()).toBe(true);
  expect(promise()).toBeUndefined();
  await play.quietlyUntil(20_000, "a is held, by its lease");
  expect([a.count("suspended"), a.count("resumed"), a.driver.isHeld()]).toEqual([1, 1, true]);
  await play.happens("it takes 1 ms again", () => {
    a.network.latencyMs = 1;
  });
  await play.at(25_000);
  expect([a.count("suspended"), a.driver.isHeld(), promise()]).toEqual([1, true, 500]);
  await expectTranscript("slow-round-trips", play);
});

test("a leader that stands still for less than 0.75 F less a round trip goes on, whenever that begins", async () => {
  // F / 8 is 250 ms. A latency of 5 ms each way makes a round trip of 10.
  const suspensions: number[] = [];
  for (const pauseMs of [1_480, 1_760]) {
    let suspended = 0;
    for (let beginsMs = 5_000; beginsMs < 5_250; beginsMs += 7) {
      const play = new Ensemble("SIGSTOP of the leader.");
      const a = play.node("a", silence).start();
      a.network.latencyMs = 5;
      await play.at(beginsMs);
      a.clock.pause(pauseMs);
      await play.at(9_000);
      expect(a.driver.isHeld()).toBe(true);
      suspended += a.count("suspended");
    }
    suspensions.push(suspended);
  }
  // A pause that is a beat longer suspends, whenever it begins.
  expect(suspensions).toEqual([0, 36]);
});

test.each([
  { silenceMs: 3_000, boundMs: 1_000 },
  { silenceMs: 2_000, boundMs: 1_000 },
  { silenceMs: 1_000, boundMs: 500 },
  { silenceMs: 0, boundMs: 1_000 },
])(
  "with a presence, a leader whose server alone knows of the end of its connection is held for $boundMs ms more at most (silenceMs $silenceMs)",
  async ({ silenceMs, boundMs }) => {
    const play = new Ensemble("The server closes the leader's connection, and no packet says so.");
    const options: PartOptions = { config: { crashDetection: "presence", silenceMs } };
    const a = play.node("a", options).start();
    const b = play.node("b", options).start();
    await play.at(5_000);
    a.session.resetByServer(4_000);
    let bothMs = 0;
    for (let ms = 1; ms <= 3_000; ms += 1) {
      await play.at(5_000 + ms);
      if (a.driver.isHeld() && b.driver.isHeld()) bothMs += 1;
    }
    expect(b.driver.isHeld()).toBe(true);
    expect(bothMs).toBeLessThanOrEqual(boundMs);
    // A question is answered four times in that time.
    expect(bothMs).toBeGreaterThan(boundMs / 2);
  },
);

test("without a presence, a closed connection ends the wait only after F and the margin", async () => {
  const play = new Ensemble("kill -9 of a leader that promises silence only.");
  const a = play.node("a", silence).start();
  const b = play.node("b", silence).start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("kill -9 a", () => a.kill());
  await play.at(8_000);
  play.ask(b);
  await expectTranscript("killed-without-presence", play);
});

test("an echo that is 1.4 s ahead of the server's count keeps no leader held for too long", async () => {
  const play = new Ensemble(
    "One read buffer keeps the server busy: it delivers a beat at once and counts it late.",
  );
  const a = play.node("a", silence).start();
  const b = play.node("b", silence).start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("a's loop stands still; the next buffer takes 4 s", () => {
    a.session.slowDown(4_000);
    a.clock.pause(1_700);
  });
  await play.at(9_500);
  play.ask(a, b);
  expect(a.driver.isHeld() && b.driver.isHeld()).toBe(false);
  await expectTranscript("count-lags", play);
});

test("work that takes longer than F to end keeps the lease until it has ended", async () => {
  const play = new Ensemble("A drain of five seconds.");
  const a = play.node("a", { ...silence, drainMs: 5_000 }).start();
  const b = play.node("b", silence).start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  a.driver.dispatch({ type: "resign", reason: "released" });
  await play.at(10_500);
  play.ask(a, b);
  await expectTranscript("long-drain", play);
});

test("the ack of a renewal from before the end of the stretch does not resume the term", async () => {
  const play = new Solo("The ack of a renewal comes after the stretch in which it was sent.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .leading(beating(1))
    .at(1_900)
    .send({ type: "beat-proven", sentAt: { mono: 1_600, boot: 1_600, wall: 0 } })
    .at(3_000)
    .tick()
    .at(3_600)
    .ask()
    .tick()
    .ask()
    .scene("The renewal in flight is settled first.")
    .at(3_700)
    .applied(2)
    .ask()
    .at(3_702)
    .applied(3)
    .ask();
  expect(play.held).toBe(true);
  await expectTranscript("ack-of-an-earlier-stretch", play);
});

test("a beat that is proven after the end of the stretch counts for nothing", async () => {
  const play = new Solo("The proof of a beat has waited in the socket.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .leading(beating(1))
    .at(2_001)
    .send({ type: "beat-proven", sentAt: { mono: 1_500, boot: 1_500, wall: 0 } })
    .ask()
    .at(2_003)
    .applied(2)
    .ask();
  await expectTranscript("beat-too-late", play);
});

test("a newer revision starts the inquiry over", async () => {
  const play = new Solo("The holder renews once more between the two questions.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .opened()
    .connected(beating(1))
    .reads(record(7, "b", 2, promising(9)))
    .answered({ kind: "open", inMsgs: 70 })
    .at(1_000)
    .send({ type: "holder-silent", connection: connection(9) })
    .at(1_002)
    .answered({ kind: "open", inMsgs: 90 })
    .at(2_000)
    .learns(record(8, "b", 2, { ...promising(9), nonce: 2 }))
    .at(2_002)
    .answered({ kind: "open", inMsgs: 91 })
    .until(4_500)
    .answered({ kind: "open", inMsgs: 91 });
  await expectTranscript("inquiry-starts-over", play);
});

test("a false answer, contradicted by the next one, entitles to nothing", async () => {
  const play = new Solo("The server says once that an open connection is closed.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .opened()
    .connected(beating(1))
    .reads(record(7, "b", 2, promising(9)))
    .answered({ kind: "none" })
    .at(1_000)
    .send({ type: "holder-silent", connection: connection(9) })
    .at(1_002)
    .answered({ kind: "closed" })
    .until(3_500)
    .answered({ kind: "open", inMsgs: 90 })
    .scene("It is the first answer of the next pair.")
    .send({ type: "holder-heard", connection: connection(9) })
    .until(7_000);
  await expectTranscript("false-answer", play);
});

test("a false answer before the connection closes begins no wait", async () => {
  const play = new Solo("The server says too early that the connection is closed; then it closes it.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .opened()
    .connected(beating(1))
    .reads(record(7, "b", 2, promising(9)))
    .answered({ kind: "none" })
    .at(1_000)
    .send({ type: "holder-silent", connection: connection(9) })
    .at(1_002)
    .answered({ kind: "closed" })
    .scene("At 1 200 ms the connection closes: its last stretch may last until 3 200 ms.")
    .until(1_253)
    .answered({ kind: "closed" })
    .until(3_300)
    .scene("F and the margin after the second answer.")
    .until(3_700)
    .answered({ kind: "closed" });
  await expectTranscript("false-answer-before-closing", play);
});

test("a promise is named once a beat has come back, and binds from the sending", async () => {
  const play = new Solo("The first beat on a connection comes back while the node leads.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .leading(connection(1))
    .at(2_500)
    .ask()
    .send({ type: "rebound", binding: beating(1) })
    .at(4_600)
    .ask()
    .tick()
    .unanswered()
    .at(4_900)
    .ask();
  await expectTranscript("promise-begins", play);
});

test("a read of a leader changes nothing of its stretch", async () => {
  const play = new Solo("A forged hint makes the leader read its own record.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .leading(beating(1))
    .at(1_000)
    .watched(record(2, "b", 2))
    .at(1_002)
    .reads(record(1, "a", 1, { incarnation: "a1", nonce: 1, ...promising(1) }), 1)
    .at(1_003)
    .tick()
    .ask();
  expect(play.held).toBe(true);
  await expectTranscript("read-while-leading", play);
});

test("a promise that cannot be kept any more is taken out of the record at once", async () => {
  const play = new Solo("Beats no longer come back on the connection.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .leading(beating(1))
    .at(2_000)
    .tick()
    .ask()
    .at(2_002)
    .applied(2)
    .ask()
    .at(3_000)
    .send({ type: "rebound", binding: connection(1) })
    .at(3_002)
    .applied(3)
    .at(6_001)
    .ask();
  expect(play.held).toBe(true);
  await expectTranscript("promise-ends", play);
});

test("a campaign begins a stretch of its own: that of a refused one has no beats", async () => {
  const play = new Solo("The acquire is refused, and the next one is sent before F has passed.", {
    crashDetection: "silence",
    silenceMs: 2_000,
  })
    .opened()
    .connected(beating(1))
    .reads(null)
    .conflict()
    .reads(record(1, "b", 1))
    .at(1_900)
    .learns({ kind: "released", revision: 2, epoch: 1 })
    .at(1_902)
    .applied(3)
    .at(2_100)
    .ask();
  expect(play.held).toBe(true);
  await expectTranscript("stretch-of-a-refused-campaign", play);
});

test("a follower that listens once more asks about no holder that it hears", async () => {
  const play = new Ensemble("The follower stops to compete while the leader stands still.");
  const a = play.node("a", silence).start();
  const b = play.node("b", silence).start();
  let questions = 0;
  const inquire = b.session.inquire.bind(b.session);
  b.session.inquire = (...asked) => {
    questions += 1;
    return inquire(...asked);
  };
  await play.quietlyUntil(5_000, "a leads, b follows");
  a.clock.pause(700);
  await play.at(5_500);
  b.driver.dispatch({ type: "compete", competes: false });
  await play.at(8_000);
  b.driver.dispatch({ type: "compete", competes: true });
  await play.at(9_000);
  questions = 0;
  await play.quietlyUntil(30_000, "b hears every beat");
  expect(questions).toBe(0);
});
