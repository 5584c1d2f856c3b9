import { expect, test } from "vitest";
import type { HookName } from "../../src/application/types.ts";
import { expectTranscript, Scene } from "./play/scene.ts";

test("hooks of one term are called in order, and the drain waits for them", async () => {
  const scene = new Scene("A term is announced, given up, and released after onLoseLeadership has returned.")
    .leads(1)
    .until(5)
    .hookReturns()
    .until(100)
    .stepDown(1)
    .drains(1)
    .until(150)
    .hookReturns()
    .until(152)
    .released(1);
  await expectTranscript("handover", scene);
});

test("a hook of a term that is over does not end the next term when it throws", async () => {
  const scene = new Scene(
    "onBecomeLeader of term 1 cleans up after its abort and throws what a failed cleanup throws.",
  )
    .leads(1)
    .until(100)
    .loses(1, "deleted")
    .until(110)
    .leads(2)
    .until(400)
    .hookThrows("cleanup failed")
    .hookReturns();
  await expectTranscript("failure-of-a-past-term", scene);
  expect(scene.state.terms.map(({ epoch, ended }) => [epoch, ended])).toEqual([[2, null]]);
});

test("an error that only repeats the abort of the term is not reported", async () => {
  const scene = new Scene("onBecomeLeader sleeps on its signal: the sleep throws when the term ends.")
    .leads(1)
    .until(100)
    .loses(1)
    .hookThrows("aborted", true)
    .hookReturns();
  await expectTranscript("abort-is-no-error", scene);
});

test("a term that ends before its onBecomeLeader could be called has neither hook", async () => {
  const scene = new Scene(
    "A slow onLeaderChange keeps three short terms from being announced: nothing of them is kept.",
  )
    .election({ type: "leader-change", leader: null })
    .leads(1)
    .loses(1)
    .leads(2)
    .loses(2)
    .leads(3)
    .loses(3)
    .until(50)
    .hookReturns();
  await expectTranscript("terms-that-were-not-announced", scene);
  expect(scene.state.terms).toEqual([]);
  expect(scene.state.waiting).toEqual([]);
});

test("a hook that does not return is reported once it keeps the leader from working", async () => {
  const scene = new Scene(
    "onLeaderChange hangs. Ten seconds into its term the leader reports that it does not work.",
  )
    .worker(1)
    .election({ type: "leader-change", leader: null })
    .until(2_000)
    .leads(1)
    .until(30_000);
  await expectTranscript("hung-hook", scene);
  expect(scene.blocked).toMatchObject({ code: "HOOK_SLOW", by: "onLeaderChange", forMs: 30_000 });
});

test("many quick hooks before onBecomeLeader are reported like one slow hook", async () => {
  const scene = new Scene(
    "Every call is short, but together they keep the term from being announced for ten seconds.",
  );
  scene.election({ type: "leader-change", leader: null });
  for (let at = 1; at <= 3; at += 1)
    scene.send({ type: at % 2 === 1 ? "nats-disconnect" : "nats-reconnect", error: null, server: null });
  scene.leads(1);
  for (let at = 4_000; at <= 16_000; at += 4_000) scene.until(at).hookReturns();
  await expectTranscript("busy-hooks", scene);
});

test("hooks that fail at the beginning of every term make the node pause longer and longer", async () => {
  const scene = new Scene(
    "onBecomeLeader throws in each term: the pause doubles, and starts again after a term that lasted.",
  );
  for (const epoch of [1, 2, 3]) {
    scene.leads(epoch).hookThrows("no database").drains(epoch, "hook-failed").hookReturns().released(epoch);
  }
  scene.leads(4).hookReturns().worker(1).until(20_000).workThrows(1, "database lost");
  await expectTranscript("failing-terms", scene);
});

test("a term that has ended without a failure starts the count of failures again, however short it was", async () => {
  const scene = new Scene(
    "Two terms fail, the third is given up by stepDown(), the fourth fails: it pauses for 250 ms.",
  );
  const fails = (epoch: number): Scene =>
    scene.leads(epoch).hookThrows("no database").drains(epoch, "hook-failed").hookReturns().released(epoch);
  fails(1);
  fails(2);
  scene.leads(3).hookReturns().until(500).stepDown(9).drains(3).hookReturns().released(3);
  fails(4);
  await expectTranscript("failures-in-a-row", scene);
});

test("a slow hook with nothing behind it but calls that the application has no hook for is not reported", async () => {
  const scene = new Scene("Only onBecomeLeader. It takes 20 s, and the leader changes in the meantime.", {
    hooks: new Set<HookName>(["onBecomeLeader"]),
  });
  scene.leads(1).election({ type: "leader-change", leader: null }).until(20_000);
  expect(scene.blocked).toBeNull();
  scene.worker(1);
  expect(scene.blocked).not.toBeNull();
});

test("calls of hooks that the application does not have return at once", async () => {
  const scene = new Scene("No hook at all: work starts with the term, and the drain waits for work only.", {
    hooks: new Set<HookName>(),
  })
    .worker(1)
    .leads(1)
    .stepDown(2)
    .drains(1)
    .until(30)
    .workReturns(1)
    .released(1);
  await expectTranscript("no-hooks", scene);
});

test("more calls than the queue holds never push out a call of a term", () => {
  const scene = new Scene("");
  scene.leads(1).loses(1);
  for (let times = 0; times < 600; times += 1) {
    scene.send({ type: times % 2 === 0 ? "nats-disconnect" : "nats-reconnect", error: null, server: null });
  }
  expect(scene.state.waiting.length).toBeLessThanOrEqual(256);
  expect(scene.state.waiting.filter((call) => "epoch" in call).map(({ hook }) => hook)).toEqual([
    "onLoseLeadership",
  ]);
});
