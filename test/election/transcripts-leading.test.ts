import { test } from "vitest";
import { connection, deleted, record, Solo } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";

test("the first leader of a new bucket has epoch 1", async () => {
  const play = new Solo("The first leader of a new bucket.")
    .scene("The bucket was just created. The node reads before it writes: the key is empty.")
    .opened()
    .connected()
    .at(2)
    .reads(null)
    .scene("Its write is applied. It was sent at 2 ms, so the deadline is at 2 + 9500 ms.")
    .at(4)
    .applied(1)
    .ask()
    .scene("It renews every three seconds; each confirmed renewal moves the deadline.")
    .until(3_002)
    .at(3_004)
    .applied(2)
    .until(6_002)
    .at(6_004)
    .applied(3);
  await expectTranscript("first-leader", play);
});

test("the deadline counts from the send, not from the ack", async () => {
  const play = new Solo("The deadline counts from the send, not from the ack.")
    .scene("A renewal is sent at 3000 ms. Its ack takes 900 ms.")
    .leading()
    .until(3_000)
    .at(3_900)
    .applied(2)
    .scene(
      "Then the network is down. The renewal sent at 3000 ms is good until 12500 ms, not until 13400 ms.",
    )
    .until(6_000)
    .disconnected()
    .at(12_499)
    .ask()
    .at(12_500)
    .ask()
    .tick();
  await expectTranscript("deadline-counts-from-the-send", play);
});

test("an acquiring write whose ack comes after its deadline begins no term", async () => {
  const play = new Solo("An ack that arrives too late begins no term.", { requestTimeoutMs: 20_000 })
    .scene("The acquiring write is applied, but its ack takes 9500 ms.")
    .opened()
    .connected()
    .reads(null)
    .at(9_500)
    .applied(1)
    .ask()
    .scene("The node reads its own expired lease and campaigns against it.")
    .at(9_502)
    .reads(record(1, "a", 1))
    .at(9_504)
    .applied(2)
    .ask();
  await expectTranscript("ack-after-the-deadline", play);
});

test("the faster of the two clocks ends a term", async () => {
  const play = new Solo("The machine is suspended: the faster of the two clocks ends the term.")
    .scene("The machine sleeps for nine seconds. The monotonic clock stops, the boot clock goes on.")
    .leading()
    .at(500)
    .suspendMachine(9_000)
    .ask()
    .scene("isHeld needs no event for that. The next event, of any kind, ends the term.")
    .tick();
  await expectTranscript("suspended-machine", play);
});

test("a jump of the wall clock changes nothing", async () => {
  const play = new Solo("The wall clock is set twice. Nothing happens.")
    .leading()
    .scene("An hour forward.")
    .stepWall(3_600_000)
    .tick()
    .ask()
    .scene("A day back. The next renewal is sent at the usual time.")
    .stepWall(-86_400_000)
    .until(3_000)
    .at(3_002)
    .applied(2)
    .ask();
  await expectTranscript("wall-clock-jump", play);
});

test("a read after a lost ack: the write was applied", async () => {
  const play = new Solo("The ack of the acquiring write is lost; a read shows that it was applied.")
    .scene("No answer within a second. The outcome is unknown, so the node reads.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .unanswered()
    .scene("Its own incarnation, its own write: a term begins, with a deadline that counts from 0 ms.")
    .at(1_002)
    .reads(record(1, "a", 1))
    .ask();
  await expectTranscript("lost-ack-ours", play);
});

test("a read after a lost ack: the write was not applied", async () => {
  const play = new Solo("The acquiring write itself was lost; another one is sent.")
    .opened()
    .connected()
    .reads(null)
    .at(1_000)
    .unanswered()
    .scene("The key is still empty. The write may still be on its way, so it gets 250 ms more.")
    .at(1_002)
    .reads(null)
    .until(1_252)
    .scene("The second write is applied.")
    .at(1_254)
    .applied(1)
    .ask();
  await expectTranscript("lost-ack-not-applied", play);
});

test("a renewal that is applied late counts from its own send", async () => {
  const play = new Solo("A renewal gets no answer and is applied later.")
    .leading()
    .scene("The renewal of 3000 ms gets no answer. The read right after shows the old revision.")
    .until(3_000)
    .at(4_000)
    .unanswered()
    .at(4_002)
    .reads(record(1, "a", 1))
    .scene("So another one is sent. The first is applied before it: the second is refused.")
    .until(4_250)
    .at(4_252)
    .conflict()
    .scene("The read shows the first one: the deadline is at 3000 + 9500 ms.")
    .at(4_254)
    .reads(record(2, "a", 1, { nonce: 2 }))
    .until(6_000)
    .at(6_002)
    .applied(3)
    .ask();
  await expectTranscript("renewal-applied-late", play);
});

test("renewals that get no answer are retried until the deadline", async () => {
  const play = new Solo("No renewal gets an answer any more.").leading().until(3_000);
  play.scene("Retried 250 ms after each failure; the timeout never exceeds the rest of the term.");
  for (let now = 4_000; now < 9_500; now += 1_250) {
    play.at(now).unanswered();
    play.at(now + 100).readFails();
    play.until(Math.min(now + 250, 9_499));
  }
  play.scene("At 9500 ms the term is over, although a renewal is in flight.").ask().until(9_500).ask();
  play.scene(
    "The last renewal is answered after all. Too late: it begins no term; the node reads and campaigns.",
  );
  play
    .at(9_600)
    .applied(2)
    .ask()
    .until(12_100)
    .reads(record(2, "a", 1, { nonce: 7 }))
    .applied(3)
    .ask();
  await expectTranscript("renewals-unanswered", play);
});

test("a read after a refused renewal: the lease is still ours", async () => {
  const play = new Solo("A renewal is refused, and the lease is still ours.")
    .leading()
    .until(3_000)
    .scene("The answer is a conflict. Another write was applied; it may be one of our own.")
    .at(3_002)
    .conflict()
    .scene("The read shows our own record, unchanged. The term goes on, and the next renewal is sent.")
    .at(3_004)
    .reads(record(1, "a", 1))
    .ask()
    .until(3_252)
    .at(3_254)
    .applied(2);
  await expectTranscript("conflict-ours", play);
});

test("a read after a refused renewal: another node leads", async () => {
  const play = new Solo("A renewal is refused because another node leads.")
    .leading()
    .until(3_000)
    .at(3_002)
    .conflict()
    .scene("Until the read is answered the term is still held: its deadline is ahead.")
    .ask()
    .at(3_004)
    .reads(record(2, "b", 2))
    .ask();
  await expectTranscript("conflict-lost", play);
});

test("a leader without a connection keeps its term when crashes are detected by lease", async () => {
  const play = new Solo("Disconnected in lease mode: the term goes on until its deadline.")
    .leading()
    .scene("Nothing is sent while there is no connection.")
    .at(2_000)
    .disconnected()
    .ask()
    .until(5_000)
    .scene("Reconnected. A renewal is sent at once.")
    .connected(connection(2))
    .at(5_002)
    .applied(2)
    .ask();
  await expectTranscript("disconnect-lease", play);
});

test("a leader without a connection suspends itself when it has a presence", async () => {
  const play = new Solo(
    "Disconnected with a presence: others may be taking over, so the term is suspended.",
    {
      crashDetection: "presence",
    },
  )
    .leading(connection(1, true))
    .scene("From this moment it is not held, although its deadline is ahead.")
    .at(2_000)
    .disconnected()
    .ask()
    .scene("Reconnected. That alone does not resume the term.")
    .at(2_500)
    .connected(connection(2, true))
    .ask()
    .scene("The renewal that names the new connection is applied: no other node has taken over.")
    .at(2_502)
    .applied(2)
    .ask();
  await expectTranscript("disconnect-presence-resumes", play);
});

test("only a renewal sent on the present connection ends a suspension", async () => {
  const play = new Solo(
    "A renewal sent on the old connection is applied. That does not end the suspension.",
    {
      crashDetection: "presence",
    },
  )
    .leading(connection(1, true))
    .until(3_000)
    .scene("The connection breaks while a renewal is in flight; the client reconnects at once.")
    .at(3_001)
    .disconnected()
    .at(3_100)
    .connected(connection(2, true))
    .scene("The old renewal was applied. It names a connection that others may be asking about.")
    .at(4_000)
    .unanswered()
    .at(4_002)
    .reads(record(2, "a", 1, { nonce: 2 }))
    .ask()
    .scene("The new one is applied, too.")
    .at(4_004)
    .applied(3)
    .ask();
  await expectTranscript("disconnect-presence-old-renewal", play);
});

test("a suspended leader that was replaced loses its term when it reconnects", async () => {
  const play = new Solo("Suspended, and replaced before it reconnects.", { crashDetection: "presence" })
    .leading(connection(1, true))
    .at(2_000)
    .disconnected()
    .at(2_500)
    .connected(connection(2, true))
    .at(2_502)
    .conflict()
    .at(2_504)
    .reads(record(2, "b", 2, { session: connection(9, true) }))
    .ask();
  await expectTranscript("disconnect-presence-lost", play);
});

test("a recreated presence is named in the record at once", async () => {
  const play = new Solo("The presence consumer is lost and recreated: a renewal names it at once.", {
    crashDetection: "presence",
  })
    .leading(connection(1, true))
    .at(1_000)
    .send({ type: "rebound", binding: { ...connection(1), presence: "stream.presence-1b" } })
    .at(1_002)
    .applied(2)
    .ask();
  await expectTranscript("rebound", play);
});

test("the key of a live leader is deleted: it loses its term, and may campaign at once", async () => {
  const play = new Solo("An operator deletes the key of a leader.")
    .leading()
    .at(1_000)
    .watched(deleted(2))
    .ask()
    .scene("A hint does not end the term; the read does.")
    .at(1_002)
    .reads(deleted(2))
    .ask()
    .scene("The deleted lease was its own, so it need not wait.")
    .at(1_004)
    .applied(3)
    .ask();
  await expectTranscript("key-deleted-under-the-leader", play);
});
