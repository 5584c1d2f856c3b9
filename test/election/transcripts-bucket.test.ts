import { expect, test } from "vitest";
import { Ensemble } from "./play/ensemble.ts";
import { record, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

test("an operator deletes the key of a live leader: it leads again, the others wait", async () => {
  const play = new Ensemble("An operator deletes the key of a live leader.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("the operator deletes the key", () => {
    play.bucket.force((revision) => ({ kind: "deleted", revision }));
  });
  await play.at(5_100);
  play.ask(a, b);
  expect(b.store.writes).toBe(1);
  await expectTranscript("operator-deletes-the-key", play);
});

test("an operator deletes the key of a leader that is cut off: the others wait W", async () => {
  const play = new Ensemble("The key is deleted while its leader is cut off and still held.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("a is cut off; the operator deletes its key", () => {
    Object.assign(a.network, { dropRequests: true, dropResponses: true });
    play.bucket.force((revision) => ({ kind: "deleted", revision }));
  });
  await play.quietlyUntil(12_501, "a's renewals fail; b waits: the holder has not released the lease");
  play.ask(a, b);
  await play.at(15_100);
  play.ask(a, b);
  expect(b.count("become-leader")).toBe(1);
  await expectTranscript("operator-deletes-the-key-unseen", play);
});

test("a deleted bucket is recreated; epochs continue", async () => {
  const play = new Ensemble("The bucket is deleted while a leads.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("the bucket is deleted", () => play.bucket.delete());
  await play.at(5_100);
  play.ask(a, b);
  await expectTranscript("bucket-deleted", play);
});

test("a bucket that was replaced unnoticed ends the term", async () => {
  const play = new Solo("The bucket was replaced by another one; the leader finds out by a renewal.")
    .leading()
    .until(3_000)
    .at(3_002)
    .conflict()
    .at(3_004)
    .reads(null, 0, "generation-2")
    .at(3_006)
    .applied(1)
    .ask();
  const follower = new Solo("A follower finds another bucket: the leader of the old one may still be held.")
    .opened()
    .connected()
    .reads(record(7, "b", 5))
    .until(4_500)
    .reads(null, 0, "generation-2");
  follower.until(9_000).reads(null, 0).until(13_500).reads(null, 0).until(14_500);
  const reopened = new Solo("The bucket is opened again during a term, and is another one.")
    .leading()
    .at(1_000)
    .opened("generation-2")
    .reads(null);
  await expectTranscript("bucket-replaced", play, follower, reopened);
});

test("opening a bucket is retried with back-off", async () => {
  const play = new Solo("There is no bucket, and none can be created.").opened().connected().readsNoBucket();
  for (let tries = 0; tries < 6; tries += 1) {
    play.send({ type: "bucket-failed", error: new Error("no storage left") });
    play.pass(play.state.retry.atMono - play.now.mono).tick();
  }
  play.opened("generation-1").reads(null);
  await expectTranscript("bucket-unusable", play);
});

test("the hint that the bucket was deleted causes a read", async () => {
  const play = new Solo("The bucket is reported deleted, but it still exists.")
    .leading()
    .at(1_000)
    .send({ type: "bucket-gone" })
    .ask()
    .at(1_002)
    .reads(record(1, "a", 1))
    .ask();
  await expectTranscript("bucket-gone-hint", play);
});

test("a stale read is ignored", async () => {
  const play = new Solo("A stream leader that has lost its quorum answers with an old revision.")
    .opened()
    .connected()
    .reads(record(7, "b", 2))
    .at(3_000)
    .learns(record(9, "c", 4))
    .until(7_500)
    .reads(record(7, "b", 2))
    .scene("c still counts as the leader.");
  const leader = new Solo("The same, for a leader.").leading().until(3_000).at(3_001).applied(2);
  leader
    .until(6_000)
    .at(6_002)
    .conflict()
    .at(6_004)
    .reads(record(1, "a", 1))
    .ask();
  await expectTranscript("stale-read", play, leader);
});

test("the late ack of a release says nothing about the bucket that has replaced the one it was made in", async () => {
  const play = new Ensemble(
    "The ack of a release arrives after the bucket was deleted and another node has acquired its successor.",
  );
  const a = play.node("a").start();
  await play.at(1_000);
  await play.happens("a steps down; requests and answers take 400 ms, and no message arrives", () => {
    a.network.latencyMs = 400;
    a.network.dropWatch = true;
    a.driver.dispatch({ type: "resign", reason: "released" });
  });
  await play.at(1_402);
  a.network.latencyMs = 1;
  a.network.dropWatch = false;
  await play.happens("the bucket is deleted", () => play.bucket.delete());
  await play.at(1_430);
  const b = play.node("b");
  await play.happens("b starts; its lease gets the revision of the release", () => {
    b.start();
  });
  await play.at(1_700);
  play.ask(a, b);
  await play.at(1_810);
  play.ask(a, b);
  expect([a.count("become-leader"), b.count("lose-leadership")]).toEqual([1, 0]);
  await expectTranscript("release-of-a-deleted-bucket", play);
});

test("a bucket that lost messages is believed after a dispute and W", async () => {
  const old = record(7, "b", 2);
  const play = new Solo("The server has lost its newest writes. Its answer alone does not prove that.", {
    requestTimeoutMs: 10_000,
  })
    .opened()
    .connected()
    .reads(record(9, "c", 4))
    .scene("A read shows less than was seen. It may come from a server that lags behind, so it is repeated.")
    .untilAnswering(20_000, old)
    .scene("W after c's record, the node campaigns against it. The conflict disputes the view.")
    .conflict()
    .scene("Now the read is believed. b's record counts as new, and the takeover wait starts here.")
    .untilAnswering(40_000, old);
  await expectTranscript("bucket-went-back", play);
});

test("silence causes a read", async () => {
  const play = new Ensemble("A follower's watch stops delivering, without an error.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.at(100);
  await play.happens("b's watch stops", () => {
    b.network.dropWatch = true;
  });
  await play.at(10_000);
  play.ask(a, b);
  expect(b.count("become-leader")).toBe(0);
  await expectTranscript("silence", play);
});

test("lost responses do not let followers take over", async () => {
  const play = new Ensemble(
    "Only the leader's responses are lost: its renewals are applied, but it gets no ack.",
  );
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(2_000, "a leads, b follows");
  await play.happens("a's responses are lost", () => {
    a.network.dropResponses = true;
  });
  await play.at(9_600);
  play.ask(a, b);
  play.scene(
    "a is not held from its deadline on. b waits W from the last renewal that was applied, at 3002 ms.",
  );
  await play.at(13_100);
  play.ask(a, b);
  await expectTranscript("responses-lost", play);
});
