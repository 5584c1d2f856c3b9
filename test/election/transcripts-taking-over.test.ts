import { expect, test } from "vitest";
import { Ensemble } from "./play/ensemble.ts";
import { garbage, goRecord, record, released, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

test("a second node follows, and takes over W after it received the last renewal", async () => {
  const play = new Ensemble("A leader dies; the other node waits until its lease has expired.");
  play.scene("Node a starts first. Node b starts later and follows a.");
  const a = play.node("a").start();
  await play.at(100);
  const b = play.node("b").start();
  await play.at(3_100);
  play.scene(
    "a is killed at 5000 ms. Its last renewal reached b at about 3000 ms: b may lead 10000 ms after that.",
  );
  await play.at(5_000);
  await play.happens("kill -9 a", () => a.kill());
  await play.at(13_100);
  play.ask(b);
  expect(b.count("become-leader")).toBe(1);
  await expectTranscript("takeover-after-w", play);
});

test("a follower waits the larger of two TTLs", async () => {
  const play = new Solo("The holder has a longer lease than the follower: the follower waits the longer one.")
    .opened()
    .connected()
    .reads(record(7, "b", 2, { ttlMs: 30_000 }));
  for (let now = 4_500; now < 30_000; now = play.now.mono + 4_500) {
    play.until(now);
    play.reads(record(7, "b", 2, { ttlMs: 30_000 }));
  }
  play.until(30_000);
  await expectTranscript("different-ttls", play);
});

test("a released lease is acquired at once", async () => {
  const play = new Ensemble(
    "The leader stops and releases its lease; the next one leads two round trips later.",
  );
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(1_000, "a leads, b follows");
  await play.happens("a is stopped", () => a.driver.dispatch({ type: "stop" }));
  await play.at(1_100);
  play.ask(a, b);
  await expectTranscript("vacancy-after-release", play);
});

test("a node that was outpaced lets the others read a marker first, unless it is the named successor", async () => {
  const outpaced = (title: string): Solo =>
    new Solo(title, { successorGraceMs: 50 })
      .opened()
      .connected()
      .reads(record(1, "b", 1))
      .learns(released(2, 1))
      .conflict()
      .reads(record(3, "c", 2));
  const gives = outpaced(
    "Another node was quicker after the first release. The second one is read 5 ms later.",
  );
  gives.watched(released(4, 2)).until(5);
  const named = outpaced("The second release names this node: it is read at once.");
  named.watched(released(4, 2, "a"));
  await expectTranscript("outpaced-release", gives, named);
});

test("a named successor goes first, the others wait 50 ms", async () => {
  const play = new Ensemble(
    "Leadership is handed over to c. b is quicker, but gives it a head start of 50 ms.",
  );
  const a = play.node("a").start();
  const b = play.node("b").start();
  const c = play.node("c").start();
  await play.quietlyUntil(1_000, "a leads, b and c follow");
  await play.happens("a steps down in favour of c", () =>
    a.driver.dispatch({ type: "resign", reason: "released", successor: "c" }),
  );
  await play.at(1_100);
  play.ask(a, b, c);
  play.scene("The second time the successor does not exist: the others lose 50 ms.");
  c.clock.pause(500);
  await play.happens("c steps down in favour of d, which is not running", () =>
    c.clock.deliver(() => c.driver.dispatch({ type: "resign", reason: "released", successor: "d" })),
  );
  await play.at(1_700);
  play.ask(a, b, c);
  await expectTranscript("named-successor", play);
});

test("epochs continue after every kind of vacancy", async () => {
  const marker = new Solo("The epoch after a release: one more than the marker's.")
    .opened()
    .connected()
    .reads(released(12, 5));
  const plain = new Solo(
    "After a plain delete (go-cluster's step-down): larger than any that the stream can contain.",
  )
    .opened()
    .connected()
    .reads({ kind: "deleted", revision: 12 });
  const empty = new Solo(
    "The record has expired or was purged: the write expects that the stream has not grown since.",
  )
    .opened()
    .connected()
    .reads(null, 12);
  const recreated = new Solo("The bucket is new, but this process remembers epoch 41.", {
    rememberedEpoch: 41,
  })
    .opened()
    .connected()
    .reads(null, 0);
  const lower = new Solo(
    "The record has a smaller epoch than this process remembers: it warns, and continues above both.",
    { rememberedEpoch: 41 },
  )
    .opened()
    .connected()
    .reads(record(3, "b", 2));
  lower
    .until(4_500)
    .reads(record(3, "b", 2))
    .until(9_000)
    .reads(record(3, "b", 2))
    .until(10_000);
  await expectTranscript("epochs", marker, plain, empty, recreated, lower);
});

test("a late acquire is adopted inside its span", async () => {
  const play = new Solo("An acquire that was given up is applied after all, within its span.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .unanswered()
    .at(1_002)
    .reads(null)
    .scene(
      "The key is empty: the node follows again, and would send another write at 1252 ms. The watch is faster.",
    )
    .at(1_100)
    .watched(record(1, "a", 1))
    .scene("A watched record begins no term. The read does; the deadline counts from the send, at 0 ms.")
    .at(1_102)
    .reads(record(1, "a", 1))
    .ask();
  await expectTranscript("orphan-adopted", play);
});

test("a late acquire is overwritten after its span", async () => {
  const play = new Solo("An acquire is applied after its span.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .disconnected()
    .unanswered()
    .scene("Nine seconds without a connection; the read shows our own lease, whose deadline has passed.")
    .at(10_000)
    .connected()
    .at(10_002)
    .reads(record(1, "a", 1))
    .scene("No other holder needs a wait: it is replaced at once, with a new epoch.")
    .at(10_004)
    .applied(2)
    .ask();
  await expectTranscript("orphan-overwritten", play);
});

test("a late acquire is deleted during the pause after a failure", async () => {
  const play = new Solo("An acquire is applied late, when its node has stepped down.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .unanswered()
    .at(1_002)
    .reads(null)
    .until(1_252)
    .scene("The second write is refused, the read shows the first. A term begins, and is given up again.")
    .at(1_254)
    .conflict()
    .at(1_256)
    .reads(record(1, "a", 1))
    .send({ type: "resign", reason: "hook-failed", pauseMs: 60_000 })
    .send({ type: "drained" })
    .at(1_258)
    .applied(2)
    .scene("Within the pause another leader names this node as successor: it campaigns, and the ack is lost.")
    .at(1_300)
    .learns(record(3, "b", 2))
    .learns(released(4, 2, "a"))
    .at(2_300)
    .unanswered()
    .scene(
      "The write was applied, but only a read shows it, during the pause: it is deleted, so that no node has to wait.",
    )
    .at(2_302)
    .reads(record(5, "a", 3, { nonce: 4 }))
    .at(2_304)
    .applied(6)
    .ask();
  await expectTranscript("orphan-deleted-in-cooldown", play);
});

test("a node that stepped down does not campaign for its cooldown", async () => {
  const play = new Solo("After a step-down: no campaign for ten seconds, even if the key is vacant.")
    .leading()
    .at(100)
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(102)
    .applied(2)
    .scene("There is no other node. Silence causes reads, but no write.");
  for (let now = 4_602; now < 10_102; now += 4_500) play.until(now).reads(released(2, 1));
  play.scene("At 10102 ms the cooldown is over.").until(10_102);
  await expectTranscript("cooldown", play);
});

test("a record of an earlier incarnation is no duplicate; one that is renewed is, and causes one warning", async () => {
  const mine = { incarnation: "a0", nonce: 1 };
  const crash = new Solo(
    "The record has this node's id, but an earlier incarnation wrote it. The takeover waits as for any other.",
  )
    .opened()
    .connected()
    .reads(record(7, "a", 2, mine))
    .ask();
  crash
    .until(4_500)
    .reads(record(7, "a", 2, mine))
    .until(9_000)
    .reads(record(7, "a", 2, mine))
    .until(10_000);
  const duplicate = new Solo(
    "The record has this node's id and is renewed: another running process uses the same id.",
  )
    .opened()
    .connected()
    .reads(record(7, "a", 2, mine))
    .at(3_000)
    .learns(record(8, "a", 2, { incarnation: "a0", nonce: 2 }))
    .scene("No second warning.")
    .at(6_000)
    .learns(record(9, "a", 2, { incarnation: "a0", nonce: 3 }));
  await expectTranscript("duplicate-node-ids", crash, duplicate);
});

test("garbage is replaced after the takeover wait", async () => {
  const play = new Solo("The key contains something that is not a lease record.")
    .opened()
    .connected()
    .reads(garbage(7))
    .until(4_500)
    .reads(garbage(7))
    .until(9_000)
    .reads(garbage(7))
    .scene("W later it is replaced, by compare-and-set.")
    .until(10_000)
    .at(10_002)
    .applied(8)
    .ask();
  await expectTranscript("garbage", play);
});

test("a takeover from a go-cluster leader waits the bucket's max-age, and follows its step-down at once", async () => {
  const play = new Solo(
    "A go-cluster node leads: no incarnation, no TTL in its record. The bucket expires records after 12 s.",
  )
    .opened("generation-1", 12_000)
    .connected()
    .reads(goRecord(7, "g", 2))
    .scene("It renews.")
    .at(3_000)
    .learns(goRecord(8, "g", 2))
    .scene("It steps down by a plain delete.")
    .at(4_000)
    .learns({ kind: "deleted", revision: 9 });
  const dies = new Solo("A go-cluster node dies: the server expires its record, without a marker.")
    .opened("generation-1", 12_000)
    .connected()
    .reads(goRecord(7, "g", 2));
  dies
    .until(4_500)
    .reads(goRecord(7, "g", 2))
    .until(9_000)
    .reads(goRecord(7, "g", 2))
    .until(11_990);
  dies.scene("Expired at 11990 ms by max-age; the wait still counts from the last record.");
  dies.send({ type: "connected", binding: null }).reads(null, 7).until(12_000);
  await expectTranscript("go-cluster", play, dies);
});

test("an expired marker leaves an empty key", async () => {
  const play = new Solo("In a bucket with a max-age the marker of a release expires, too.", {
    cooldownMs: 20_000,
  })
    .leading()
    .at(100)
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(102)
    .applied(2);
  play.until(4_602).reads(released(2, 1)).until(9_102).reads(released(2, 1));
  play.scene("The marker has expired. A write can no longer expect its revision.");
  play.until(13_602).reads(null, 2).until(18_102).reads(null, 2).until(20_102).applied(3).ask();
  await expectTranscript("marker-expires", play);
});

test("old, repeated and reordered messages change nothing", async () => {
  const play = new Solo("The watch delivers old and repeated messages.")
    .opened()
    .connected()
    .reads(record(7, "b", 2, { nonce: 3 }))
    .watched(record(7, "b", 2, { nonce: 3 }))
    .watched(released(5, 1))
    .watched(record(6, "b", 2))
    .at(3_000)
    .learns(record(8, "b", 2, { nonce: 4 }))
    .watched(record(7, "b", 2, { nonce: 3 }));
  await expectTranscript("old-messages", play);
});

test("an observer never writes", async () => {
  const play = new Ensemble("An observer follows and writes nothing.");
  const a = play.node("a").start();
  const o = play.node("o", { competes: false }).start();
  await play.quietlyUntil(5_000, "a leads, o observes");
  await play.happens("kill -9 a", () => a.kill());
  await play.at(25_000);
  expect(o.store.writes).toBe(0);
  await expectTranscript("observer", play);
});

test("a cooldown ends as soon as another node has led", async () => {
  const play = new Solo(
    "a steps down. b leads and releases the lease 500 ms later: a is the only candidate left.",
  )
    .leading()
    .at(1_000)
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(1_002)
    .applied(2)
    .at(1_010)
    .learns(record(3, "b", 2))
    .at(1_500)
    .learns(released(4, 2));
  await expectTranscript("cooldown-ends-when-another-node-has-led", play);
  expect(play.state.role.name).toBe("campaigning");
});

test("no term begins so late that it would end before its first renewal", async () => {
  const play = new Solo(
    "The ack of the acquire arrives 200 ms before the deadline: the node acquires the lease again, with the next epoch.",
  )
    .opened()
    .connected()
    .reads(null)
    .at(9_300)
    .applied(1)
    .at(9_302)
    .reads(record(1, "a", 1, { incarnation: "a1", nonce: 1 }));
  await expectTranscript("ack-just-before-the-deadline", play);
  expect(play.state.role.name).not.toBe("leader");
});
