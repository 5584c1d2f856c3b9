import { expect, test } from "vitest";
import { Ensemble } from "./play/ensemble.ts";
import { garbage, goRecord, record, released, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

test("a second node follows, and takes over W after it received the last renewal", async () => {
  const play = new Ensemble("A leader dies without a word; the other node waits out its lease.");
  play.scene("Node a is first. Node b comes later, finds it and follows.");
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
  expect(b.said("become-leader")).toBe(1);
  await expectTranscript("takeover-after-w", play);
});

test("a follower waits the larger of two TTLs", async () => {
  const play = new Solo("The holder has a longer lease than the follower: the longer one is waited for.")
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

test("a released lease is taken at once", async () => {
  const play = new Ensemble("The leader leaves in an orderly way; the next one leads two round trips later.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  await play.quietlyUntil(1_000, "a leads, b follows");
  await play.happens("a is stopped", () => a.driver.dispatch({ type: "stop" }));
  await play.at(1_100);
  play.ask(a, b);
  await expectTranscript("vacancy-after-release", play);
});

test("a named successor goes first, the others wait 50 ms", async () => {
  const play = new Ensemble("Leadership is handed to c by name. b was quicker, but holds back for 50 ms.");
  const a = play.node("a").start();
  const b = play.node("b").start();
  const c = play.node("c").start();
  await play.quietlyUntil(1_000, "a leads, b and c follow");
  await play.happens("a steps down in favour of c", () =>
    a.driver.dispatch({ type: "resign", reason: "released", successor: "c" }),
  );
  await play.at(1_100);
  play.ask(a, b, c);
  play.scene("The second time the successor is dead: the others are late by 50 ms, no more.");
  c.clock.pause(500);
  await play.happens("c steps down in favour of d, whom nobody has ever seen", () =>
    c.clock.deliver(() => c.driver.dispatch({ type: "resign", reason: "released", successor: "d" })),
  );
  await play.at(1_700);
  play.ask(a, b, c);
  await expectTranscript("named-successor", play);
});

test("the epoch goes on after every kind of vacancy", async () => {
  const marker = new Solo("The epoch after a release: one more than the marker says.")
    .opened()
    .connected()
    .reads(released(12, 5));
  const plain = new Solo(
    "After a plain delete (go-cluster's step-down): above anything the stream can have held.",
  )
    .opened()
    .connected()
    .reads({ kind: "deleted", revision: 12 });
  const empty = new Solo(
    "The record has expired or was purged: the whole stream must still end where it was seen to.",
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
    "The record is older than what this process remembers: it says so, and will go above both.",
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
  const play = new Solo("An acquire that everybody gave up is applied after all, in time.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .unanswered()
    .at(1_002)
    .reads(null)
    .scene(
      "Nothing there: the node follows again, and would send another one at 1252 ms. The watch is faster.",
    )
    .at(1_100)
    .watched(record(1, "a", 1))
    .scene("A watched record makes no leader. The look does; the deadline counts from the send, at 0 ms.")
    .at(1_102)
    .reads(record(1, "a", 1))
    .ask();
  await expectTranscript("orphan-adopted", play);
});

test("a late acquire is overwritten after its span", async () => {
  const play = new Solo("An acquire is applied when its span is over.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .disconnected()
    .unanswered()
    .scene("Nine seconds without a connection; the look shows our own lease, of which nothing is left.")
    .at(10_000)
    .connected()
    .at(10_002)
    .reads(record(1, "a", 1))
    .scene("Nobody else can have it: it is replaced at once, under a new epoch.")
    .at(10_004)
    .applied(2)
    .ask();
  await expectTranscript("orphan-overwritten", play);
});

test("a late acquire is deleted when this node does not want to lead any more", async () => {
  const play = new Solo("An acquire is applied late, to a node that has stepped down meanwhile.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .unanswered()
    .at(1_002)
    .reads(null)
    .until(1_252)
    .scene("The second one is refused, the look shows the first. A term begins, and is given up again.")
    .at(1_254)
    .conflict()
    .at(1_256)
    .reads(record(1, "a", 1))
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(1_258)
    .applied(2)
    .scene("Within the cooldown the key is free, named for this node: it goes, and its ack is lost.")
    .at(1_300)
    .watched(record(3, "b", 2))
    .watched(released(4, 2, "a"))
    .at(2_300)
    .unanswered()
    .scene(
      "Applied. But found by a look, in the cooldown: out of the way with it, so that nobody has to wait.",
    )
    .at(2_302)
    .reads(record(5, "a", 3, { nonce: 4 }))
    .at(2_304)
    .applied(6)
    .ask();
  await expectTranscript("orphan-deleted-in-cooldown", play);
});

test("a node that stepped down does not campaign for its cooldown", async () => {
  const play = new Solo("After a step-down: no campaign for ten seconds, however vacant the key.")
    .leading()
    .at(100)
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(102)
    .applied(2)
    .scene("Nobody else is there. The silence is looked into, the key is not touched.");
  for (let now = 4_602; now < 10_102; now += 4_500) play.until(now).reads(released(2, 1));
  play.scene("At 10102 ms it may.").until(10_102);
  await expectTranscript("cooldown", play);
});

test("a restart after a crash is not a duplicate; a renewing one is, and is warned of once", async () => {
  const mine = { incarnation: "a0", nonce: 1 };
  const crash = new Solo(
    "The record bears this node's id, but an earlier life wrote it. It is outwaited like any other.",
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
    "The record bears this node's id, and is renewed: somebody alive uses the same id.",
  )
    .opened()
    .connected()
    .reads(record(7, "a", 2, mine))
    .at(3_000)
    .watched(record(8, "a", 2, { incarnation: "a0", nonce: 2 }))
    .scene("Said once.")
    .at(6_000)
    .watched(record(9, "a", 2, { incarnation: "a0", nonce: 3 }));
  await expectTranscript("duplicate-node-ids", crash, duplicate);
});

test("garbage is waited for like a lease nobody knows", async () => {
  const play = new Solo("Something is in the key that is no lease record.")
    .opened()
    .connected()
    .reads(garbage(7))
    .until(4_500)
    .reads(garbage(7))
    .until(9_000)
    .reads(garbage(7))
    .scene("W later it is replaced, by compare-and-set like everything else.")
    .until(10_000)
    .at(10_002)
    .applied(8)
    .ask();
  await expectTranscript("garbage", play);
});

test("a go-cluster leader is followed, outwaited by the bucket's max-age, and believed when it steps down", async () => {
  const play = new Solo(
    "A go-cluster node leads: no incarnation, no TTL in its record. The bucket expires records after 12 s.",
  )
    .opened("generation-1", 12_000)
    .connected()
    .reads(goRecord(7, "g", 2))
    .scene("It renews every now and then.")
    .at(3_000)
    .watched(goRecord(8, "g", 2))
    .scene("A plain delete is how it steps down.")
    .at(4_000)
    .watched({ kind: "deleted", revision: 9 });
  const dies = new Solo("A go-cluster node dies: its record expires, and is not followed by anything.")
    .opened("generation-1", 12_000)
    .connected()
    .reads(goRecord(7, "g", 2));
  dies
    .until(4_500)
    .reads(goRecord(7, "g", 2))
    .until(9_000)
    .reads(goRecord(7, "g", 2))
    .until(11_990);
  dies.scene("Gone at 11990 ms; that is what max-age does, and W is counted from the last record on.");
  dies.send({ type: "connected", binding: null }).reads(null, 7).until(12_000);
  await expectTranscript("go-cluster", play, dies);
});

test("a marker that expires leaves an empty key behind", async () => {
  const play = new Solo("In a bucket with a max-age also the marker of a release expires.", {
    cooldownMs: 20_000,
  })
    .leading()
    .at(100)
    .send({ type: "resign", reason: "released" })
    .send({ type: "drained" })
    .at(102)
    .applied(2);
  play.until(4_602).reads(released(2, 1)).until(9_102).reads(released(2, 1));
  play.scene("The marker is gone. Nothing may be expected of it any more.");
  play.until(13_602).reads(null, 2).until(18_102).reads(null, 2).until(20_102).applied(3).ask();
  await expectTranscript("marker-expires", play);
});

test("old, repeated and reordered messages change nothing", async () => {
  const play = new Solo("The watch repeats itself.")
    .opened()
    .connected()
    .reads(record(7, "b", 2, { nonce: 3 }))
    .watched(record(7, "b", 2, { nonce: 3 }))
    .watched(released(5, 1))
    .watched(record(6, "b", 2))
    .at(3_000)
    .watched(record(8, "b", 2, { nonce: 4 }))
    .watched(record(7, "b", 2, { nonce: 3 }));
  await expectTranscript("old-messages", play);
});

test("an observer never writes", async () => {
  const play = new Ensemble("An observer sees everything and touches nothing.");
  const a = play.node("a").start();
  const o = play.node("o", { competes: false }).start();
  await play.quietlyUntil(5_000, "a leads, o observes");
  await play.happens("kill -9 a", () => a.kill());
  await play.at(25_000);
  expect(o.store.writes).toBe(0);
  await expectTranscript("observer", play);
});
