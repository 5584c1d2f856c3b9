import { expect, test } from "vitest";
import { expectTranscript, Scene } from "./play/scene.ts";

test("work runs once in every term, after onBecomeLeader, until its signal aborts", async () => {
  const scene = new Scene("One worker, two terms.")
    .worker(1)
    .leads(1)
    .hookReturns()
    .until(500)
    .loses(1)
    .workThrows(1, "aborted", true)
    .hookReturns()
    .until(900)
    .leads(2)
    .hookReturns()
    .workReturns(1)
    .send({ type: "abort-worker", worker: 1 });
  await expectTranscript("work", scene);
});

test("an error that work throws after its abort is reported and rejects runWhileLeader", async () => {
  const scene = new Scene("A flush fails while the term is given up. The next leader starts after it.")
    .worker(1)
    .leads(1)
    .hookReturns()
    .until(100)
    .stepDown(2)
    .drains(1)
    .hookReturns()
    .until(110)
    .workThrows(1, "flush failed, 3 invoices lost")
    .released(1);
  await expectTranscript("error-at-the-end-of-a-term", scene);
});

test("work of a lost term that does not end keeps later work waiting, and the leader says so", async () => {
  const scene = new Scene(
    "Work of term 1 ignores its signal. Work of two terms does not overlap; term 2 reports that it waits.",
  )
    .worker(1)
    .leads(1)
    .hookReturns()
    .until(300)
    .loses(1, "deleted")
    .hookReturns()
    .until(310)
    .leads(2)
    .hookReturns()
    .until(20_000)
    .workReturns(1);
  await expectTranscript("work-blocked", scene);
  expect(scene.blocked).toBeNull();
});

test("work of a lost term keeps the work of other workers waiting, too", async () => {
  const scene = new Scene(
    "Two workers. The run of worker 1 in term 1 does not end; worker 2 runs in term 2 once it has.",
  )
    .worker(1)
    .leads(1)
    .hookReturns()
    .until(300)
    .loses(1, "deleted")
    .hookReturns()
    .worker(2)
    .until(310)
    .leads(2)
    .hookReturns()
    .until(20_000)
    .workReturns(1);
  await expectTranscript("work-blocked-by-another-worker", scene);
});

test("work that onBecomeLeader registers and awaits runs at once, and ends with the term", async () => {
  const scene = new Scene(
    "A hook that waits for a worker of all terms would never return: it gets one of its own term.",
  )
    .leads(1)
    .worker(1, 1)
    .until(100)
    .stepDown(2)
    .drains(1)
    .workReturns(1)
    .hookReturns()
    .hookReturns()
    .released(1);
  await expectTranscript("work-in-a-hook", scene);
});

test("a drain that times out is visible to the caller", async () => {
  const scene = new Scene("Work ignores its signal for longer than drainTimeoutMs.")
    .worker(1)
    .leads(1)
    .hookReturns()
    .stepDown(2)
    .drains(1)
    .hookReturns()
    .until(10_000)
    .released(1)
    .until(60_000)
    .workThrows(1, "far too late");
  await expectTranscript("drain-timed-out", scene);
});

test("a lease that expires under a drain releases the caller with the truth", async () => {
  const scene = new Scene("NATS is gone: the deadline ends the term while its work still stops.")
    .worker(1)
    .leads(1)
    .hookReturns()
    .stepDown(2)
    .drains(1)
    .hookReturns()
    .until(4_000)
    .released(1, false)
    .workReturns(1);
  await expectTranscript("lease-expires-under-a-drain", scene);
});
