import { expect, test } from "vitest";
import { Ensemble } from "./play/ensemble.ts";
import { connection, record, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

test("a dead leader is replaced as soon as its server confirms that its connection is closed", async () => {
  const play = new Ensemble("kill -9 of a leader with a presence.", true);
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows and watches a's presence");
  await play.happens("kill -9 a; the server closes its connection and deletes its presence consumer", () =>
    a.kill(),
  );
  await play.at(5_100);
  play.ask(b);
  await expectTranscript("presence-takeover", play);
});

test("a node that was outpaced gives way to the others, and loses 5 ms where there are none", async () => {
  const play = new Ensemble(
    "The leader dies three times. All followers learn of it at the same moment, and one write is applied.",
    true,
  );
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(1_000, "a leads, b follows");
  const c = play.node("c").start();
  await play.quietlyUntil(4_000, "c follows, too");
  await play.happens("kill -9 a", () => a.kill());
  await play.at(4_100);
  play.scene("c was outpaced. d, which has just started, goes first: c sends no write.");
  const d = play.node("d").start();
  await play.quietlyUntil(7_000, "b leads, c and d follow");
  await play.happens("kill -9 b", () => b.kill());
  await play.at(7_100);
  play.scene("c is the only follower.");
  await play.quietlyUntil(10_000, "d leads, c follows");
  await play.happens("kill -9 d", () => d.kill());
  await play.at(10_100);
  play.ask(c);
  await expectTranscript("outpaced", play);
});

test("a false suspicion changes nothing", async () => {
  const play = new Ensemble("A presence consumer is lost, but its holder is alive.", true);
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("the server loses a's presence consumer", () =>
    play.connections.advise(a.session.binding?.presence ?? ""),
  );
  await play.at(9_000);
  play.ask(a, b);
  expect(b.count("become-leader")).toBe(0);
  await expectTranscript("false-suspicion", play);
});

test("after a suspicion that no server confirms, the takeover waits W", async () => {
  const play = new Ensemble("A leader dies, and its server cannot be asked.", true);
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("b's requests are lost from now on; kill -9 a", () => {
    b.network.dropRequests = true;
    a.kill();
  });
  await play.quietlyUntil(12_900, "b asks and gets no answer");
  await play.happens("b's requests arrive again", () => {
    b.network.dropRequests = false;
  });
  await play.quietlyUntil(16_000, "the read in flight has failed, and is about to be retried");
  await play.at(16_400);
  play.ask(b);
  await expectTranscript("suspicion-unanswered", play);
});

test("a confirmation for a connection that the holder has replaced is ignored", async () => {
  const play = new Solo(
    "The confirmation that a connection is closed arrives when its holder has reconnected.",
    {
      crashDetection: "presence",
    },
  )
    .opened()
    .connected(connection(1, true))
    .reads(record(7, "b", 2, { session: connection(9, true) }))
    .at(1_000)
    .send({ type: "presence-lost", presence: "stream.presence-9" })
    .at(1_001)
    .learns(record(8, "b", 2, { session: connection(10, true) }))
    .scene("True, but the record names another connection now.")
    .at(1_002)
    .send({ type: "answered", question: 1, answer: { kind: "closed" } })
    .scene("A suspicion against the presence of another node.")
    .send({ type: "presence-lost", presence: "stream.presence-3" });
  await expectTranscript("death-of-an-old-binding", play);
});

test("after a reconnect the node asks for the holder, whose end it may have missed", async () => {
  const play = new Solo("The leader dies while this node is not connected.", { crashDetection: "presence" })
    .opened()
    .connected(connection(1, true))
    .reads(record(7, "b", 2, { session: connection(9, true) }))
    .at(1_000)
    .disconnected()
    .at(2_000)
    .connected(connection(2, true))
    .at(2_002)
    .reads(record(7, "b", 2, { session: connection(9, true) }))
    .at(2_004)
    .answered({ kind: "closed" })
    .at(2_006)
    .applied(8)
    .ask();
  await expectTranscript("death-missed", play);
});

test("no inquiry is made about a holder without a presence", async () => {
  const play = new Solo(
    "A holder that does not promise to suspend itself is replaced only after the takeover wait.",
    {
      crashDetection: "presence",
    },
  )
    .opened()
    .connected(connection(1, true))
    .reads(record(7, "b", 2, { session: connection(9) }))
    .at(1_000)
    .answered({ kind: "closed" });
  await expectTranscript("holder-without-presence", play);
});

test("a process that was stopped while its connection was cut is not held, from its first instruction on", async () => {
  const play = new Ensemble("SIGSTOP, the connection is cut, SIGCONT, all within the span.", true);
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(3_500, "a leads, b follows");
  play.ask(a);
  await play.happens("a is stopped for two seconds", () => a.clock.pause(2_000));
  await play.at(4_500);
  await play.happens("a's connection is cut", () => a.session.disconnect());
  await play.at(5_499);
  play.scene("b leads. a continues at 5500 ms; isHeld is called before anything else has run.");
  play.ask(a, b);
  await play.at(5_600);
  play.ask(a, b);
  await play.happens("a is connected again", () => a.session.reconnect());
  await play.at(5_700);
  play.ask(a, b);
  await expectTranscript("stopped-and-cut", play);
});

test("an ack that waited in the socket of a stopped process begins no term", async () => {
  const play = new Ensemble(
    "A candidate is stopped right after its write; the ack and the end of the connection wait in its socket.",
    true,
  );
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.at(2);
  await play.happens("a is stopped for two seconds, with its acquiring write in flight", () =>
    a.clock.pause(2_000, "messages"),
  );
  await play.at(1_000);
  await play.happens("a's connection is cut", () => a.session.disconnect());
  await play.at(2_001);
  play.scene("a continues at 2002 ms. The ack is first in its socket, the end of the connection second.");
  await play.at(2_002);
  play.ask(a, b);
  expect(a.count("become-leader")).toBe(0);
  await expectTranscript("ack-before-the-cut", play);
});

test("a machine that was suspended does not trust its last check of the connection", async () => {
  const play = new Ensemble("The machine is suspended: the monotonic clock stops.", true);
  const a = play.node("a").start();
  play.node("b").start();
  await play.quietlyUntil(3_500, "a leads, b follows");
  await play.happens("a's machine is suspended for two seconds; its connection is reset in that time", () => {
    a.clock.suspend(2_000);
    play.time.after(1_000, () => a.session.disconnect());
  });
  await play.at(5_499);
  play.ask(a);
  await play.at(5_600);
  play.ask(a);
  await expectTranscript("suspended-and-cut", play);
});
