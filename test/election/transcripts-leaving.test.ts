import { expect, test } from "vitest";
import { Ensemble } from "./play/ensemble.ts";
import { connection, record, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

test("draining keeps renewing, and releases after the renewal in flight has settled", async () => {
  const play = new Solo("Work takes four seconds to stop. The lease is renewed until then, and deleted last.")
    .leading()
    .at(1_000)
    .send({ type: "resign", reason: "released", successor: "b" })
    .ask()
    .until(3_000)
    .at(3_002)
    .applied(2)
    .until(6_000)
    .scene("The work ends while a renewal is in flight. A release now would expect the wrong revision.")
    .at(6_001)
    .send({ type: "drained" })
    .scene("The renewal is settled: the release expects its revision.")
    .at(6_002)
    .applied(3)
    .at(6_004)
    .applied(4);
  await expectTranscript("draining", play);
});

test("a drain that outlives the deadline ends with it", async () => {
  const play = new Solo("The connection is lost and the work does not stop: the deadline ends the term.")
    .leading()
    .at(1_000)
    .send({ type: "resign", reason: "released" })
    .disconnected()
    .until(9_500)
    .scene("The term has ended; the end of the work changes nothing.")
    .at(12_000)
    .send({ type: "drained" });
  await expectTranscript("drain-outlives-the-deadline", play);
});

test("a release without an answer causes a read, and is sent again only if the lease is still there", async () => {
  const stands = new Solo("The release is lost on its way.")
    .leading()
    .at(1_000)
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(2_000)
    .unanswered()
    .at(2_002)
    .reads(record(1, "a", 1))
    .until(2_250)
    .at(2_252)
    .applied(2);
  const gone = new Solo("The release is applied, its answer is lost.")
    .leading()
    .at(1_000)
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(2_000)
    .unanswered()
    .at(2_002)
    .reads({ kind: "released", revision: 2, epoch: 1, incarnation: "a1" });
  const refused = new Solo("The release is refused: a renewal whose ack was lost was applied before it.")
    .leading()
    .until(3_000)
    .at(3_100)
    .send({ type: "resign", reason: "released" })
    .at(4_000)
    .unanswered()
    .at(4_001)
    .reads(record(1, "a", 1))
    .send({ type: "drained" })
    .at(4_003)
    .conflict()
    .at(4_005)
    .reads(record(2, "a", 1, { nonce: 2 }))
    .at(4_007)
    .applied(3);
  await expectTranscript("release-unanswered", stands, gone, refused);
});

test("a draining term that was taken over ends without deleting anything", async () => {
  const play = new Solo("Another node takes over while the work is stopping.")
    .leading()
    .at(1_000)
    .send({ type: "resign", reason: "hook-failed" })
    .watched(record(2, "b", 2))
    .at(1_002)
    .reads(record(2, "b", 2))
    .at(1_500)
    .send({ type: "drained" });
  await expectTranscript("draining-superseded", play);
});

test("a follower stops at once", async () => {
  const play = new Solo("Stop as a follower.")
    .opened()
    .connected()
    .reads(record(7, "b", 2))
    .send({ type: "stop" });
  const late = new Solo("Stopped before anything was read.").send({ type: "stop" }).opened();
  await expectTranscript("stop-follower", play, late);
});

test("a candidate stops when its write is settled, and leaves no lease behind", async () => {
  const refused = new Solo("Stop while campaigning: the write is refused, there is no lease to delete.")
    .opened()
    .connected()
    .reads(null)
    .at(1)
    .send({ type: "stop" })
    .at(2)
    .conflict();
  const applied = new Solo("Stop while campaigning: the write is applied, so the lease is deleted.")
    .opened()
    .connected()
    .reads(null)
    .at(1)
    .send({ type: "stop" })
    .at(2)
    .applied(1)
    .at(4)
    .reads(record(1, "a", 1))
    .at(6)
    .applied(2);
  const unknown = new Solo("Stop while campaigning: no answer, and the key is empty. One read is enough.")
    .opened()
    .connected()
    .reads(null)
    .at(1)
    .send({ type: "stop" })
    .at(1_000)
    .unanswered()
    .at(1_002)
    .reads(null);
  const offline = new Solo(
    "Stop while campaigning, without a connection: the lease, if there is one, is left to expire.",
  )
    .opened()
    .connected()
    .reads(null)
    .at(1)
    .disconnected()
    .send({ type: "stop" });
  await expectTranscript("stop-campaigning", refused, applied, unknown, offline);
});

test("a leader stops when its work has stopped and its lease is deleted", async () => {
  const play = new Solo("Stop as the leader.")
    .leading()
    .at(1_000)
    .send({ type: "stop" })
    .at(1_200)
    .send({ type: "drained" })
    .at(1_202)
    .applied(2)
    .scene("Later events change nothing.")
    .send({ type: "watched", entry: record(3, "b", 2) })
    .tick();
  await expectTranscript("stop-leader", play);
});

test("a draining node stops when the drain is over", async () => {
  const play = new Solo("Stop during a step-down.")
    .leading()
    .at(1_000)
    .send({ type: "resign", reason: "released" })
    .at(1_100)
    .send({ type: "stop" })
    .at(1_200)
    .send({ type: "drained" })
    .at(1_202)
    .applied(2);
  await expectTranscript("stop-draining", play);
});

test("a suspended node stops", async () => {
  const play = new Solo("Stop while suspended: the lease cannot be deleted and is left to expire.", {
    crashDetection: "presence",
  })
    .leading(connection(1, true))
    .at(1_000)
    .disconnected()
    .at(1_100)
    .send({ type: "stop" })
    .at(1_200)
    .send({ type: "drained" });
  await expectTranscript("stop-suspended", play);
});

test("the work of two leaders does not overlap in a handover", async () => {
  const play = new Ensemble("A handover with slow work: b begins when a has ended.");
  const a = play.node("a", { drainMs: 4_000 }).start();
  const b = play.node("b").start();
  await play.quietlyUntil(1_000, "a leads, b follows");
  await play.happens("a steps down; its work takes four seconds to stop", () =>
    a.driver.dispatch({ type: "resign", reason: "released" }),
  );
  await play.at(4_900);
  play.ask(a, b);
  await play.at(5_100);
  play.ask(a, b);
  expect(b.count("become-leader")).toBe(1);
  await expectTranscript("slow-handover", play);
});
