import { expect, test } from "vitest";
import { Ensemble } from "./play/ensemble.ts";
import { record, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

test("an operator deletes the key under a live leader: it leads again, the others wait", async () => {
  const play = new Ensemble("An operator deletes the key under a live leader.");
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

test("an operator deletes the key of a leader that can't be reached: the others outwait W", async () => {
  const play = new Ensemble("The key is deleted while its leader is cut off, and still believes.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("a is cut off; the operator, in a hurry, deletes its key", () => {
    Object.assign(a.network, { dropRequests: true, dropResponses: true });
    play.bucket.force((revision) => ({ kind: "deleted", revision }));
  });
  await play.quietlyUntil(
    12_501,
    "a tries to renew in vain, b waits: the holder did not say that it stopped",
  );
  play.ask(a, b);
  await play.at(15_100);
  play.ask(a, b);
  expect(b.said("become-leader")).toBe(1);
  await expectTranscript("operator-deletes-the-key-unseen", play);
});

test("a bucket that is deleted is made anew; epochs go on", async () => {
  const play = new Ensemble("The bucket is deleted under everybody.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(5_000, "a leads, b follows");
  await play.happens("the bucket is deleted", () => play.bucket.delete());
  await play.at(5_100);
  play.ask(a, b);
  await expectTranscript("bucket-deleted", play);
});

test("a bucket that was replaced unseen ends the term", async () => {
  const play = new Solo("Another bucket stands under the old name; the leader finds out by a renewal.")
    .leading()
    .until(3_000)
    .at(3_002)
    .conflict()
    .at(3_004)
    .reads(null, 0, "generation-2")
    .at(3_006)
    .applied(1)
    .ask();
  const follower = new Solo("A follower finds another bucket: whoever led in the old one may still believe.")
    .opened()
    .connected()
    .reads(record(7, "b", 5))
    .until(4_500)
    .reads(null, 0, "generation-2");
  follower.until(9_000).reads(null, 0).until(13_500).reads(null, 0).until(14_500);
  const reopened = new Solo("The bucket is opened again, and is another one, in the middle of a term.")
    .leading()
    .at(1_000)
    .opened("generation-2")
    .reads(null);
  await expectTranscript("bucket-replaced", play, follower, reopened);
});

test("a bucket that can't be opened is tried again, more and more slowly", async () => {
  const play = new Solo("There is no bucket, and none can be made.").opened().connected().readsNoBucket();
  for (let tries = 0; tries < 6; tries += 1) {
    play.send({ type: "bucket-failed", error: new Error("no storage left") });
    play.pass(play.state.retry.atMono - play.now.mono).tick();
  }
  play.opened("generation-1").reads(null);
  await expectTranscript("bucket-unusable", play);
});

test("a bucket that is said to be gone is looked at", async () => {
  const play = new Solo("Somebody says that the bucket is gone. It is not.")
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
  const play = new Solo("A stream leader that has lost its quorum answers with yesterday's news.")
    .opened()
    .connected()
    .reads(record(7, "b", 2))
    .at(3_000)
    .watched(record(9, "c", 4))
    .until(7_500)
    .reads(record(7, "b", 2))
    .scene("c still leads as far as anybody can tell.");
  const leader = new Solo("To a leader the same.").leading().until(3_000).at(3_001).applied(2);
  leader
    .until(6_000)
    .at(6_002)
    .conflict()
    .at(6_004)
    .reads(record(1, "a", 1))
    .ask();
  await expectTranscript("stale-read", play, leader);
});

test("a bucket that went back is believed after a dispute and W", async () => {
  const old = record(7, "b", 2);
  const play = new Solo(
    "The server has lost its newest writes. Its word alone is not enough to believe that.",
    {
      requestTimeoutMs: 10_000,
    },
  )
    .opened()
    .connected()
    .reads(record(9, "c", 4))
    .scene(
      "A read shows less than was seen. It may come from a server that lags; it is asked again and again.",
    )
    .untilAnswering(20_000, old)
    .scene("W after c's record it was campaigned against. The conflict disputes what was seen.")
    .conflict()
    .scene("Now the read is believed. b's record counts as new, and is outwaited from here on.")
    .untilAnswering(40_000, old);
  await expectTranscript("bucket-went-back", play);
});

test("silence is ended by a read", async () => {
  const play = new Ensemble("The watch of a follower is dead, and nobody says so.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.at(100);
  await play.happens("b's watch dies", () => {
    b.network.dropWatch = true;
  });
  await play.at(10_000);
  play.ask(a, b);
  expect(b.said("become-leader")).toBe(0);
  await expectTranscript("silence", play);
});

test("responses that are lost do not let followers take over", async () => {
  const play = new Ensemble("Only the leader's responses are lost: its renewals are applied, it can't know.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(2_000, "a leads, b follows");
  await play.happens("a's responses are lost", () => {
    a.network.dropResponses = true;
  });
  await play.at(9_600);
  play.ask(a, b);
  play.scene("a stopped at its deadline. b waits W from the last renewal that was applied, at 3002 ms.");
  await play.at(13_100);
  play.ask(a, b);
  await expectTranscript("responses-lost", play);
});
