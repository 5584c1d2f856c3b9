import { expect, test } from "vitest";
import { expectTranscript, Scene } from "./play/scene.ts";

test("a call that work may await is answered once nothing else keeps the drain from ending", async () => {
  const scene = new Scene(
    "Work calls stepDown() from a timer. It cannot be seen whether the work awaits it; a second worker still runs.",
  )
    .worker(1)
    .worker(2)
    .leads(1)
    .hookReturns();
  scene
    .stepDown(3, scene.inWork(1, false))
    .drains(1)
    .hookReturns()
    .until(3_000)
    .scene("The second worker ends. The first one would wait for itself until the drain times out.")
    .workReturns(2)
    .until(5_000)
    .workReturns(1)
    .released(1);
  await expectTranscript("self-wait", scene);
});

test("a handler that nothing awaits gets the outcome, if the code that it was registered by ends", async () => {
  const scene = new Scene("An abort listener of work calls stop(); the work cleans up and returns.")
    .worker(1)
    .leads(1)
    .hookReturns();
  scene
    .stop(2, scene.inWork(1, false))
    .drains(1, "stopped")
    .hookReturns()
    .until(900)
    .workReturns(1)
    .released(1)
    .election({ type: "stopped" })
    .send({ type: "closed" });
  await expectTranscript("self-wait-of-a-handler", scene);
});

test("a hook without a term that may wait for the stop does not take its whole time", async () => {
  const scene = new Scene("The node follows. onLeaderChange calls stop(), and perhaps awaits it.").election({
    type: "leader-change",
    leader: { nodeId: "b", epoch: 1, incarnation: "b1", acquiredAt: 0 },
  });
  scene
    .stop(1, scene.inHook(false))
    .election({ type: "stopped" })
    .until(5_000)
    .hookReturns()
    .send({ type: "closed" });
  await expectTranscript("self-wait-of-a-follower", scene);
});

test("a node whose code waits for itself twice is answered twice", () => {
  const scene = new Scene("").worker(1).leads(1).hookReturns();
  scene.stepDown(2, scene.inWork(1, false)).drains(1).hookReturns().until(1_000);
  expect(scene.effects).toMatchObject([{ type: "settle", wait: 2, settlement: { kind: "begun", epoch: 1 } }]);
  scene.stop(3, scene.inWork(1, false)).until(2_000);
  expect(scene.effects).toMatchObject([{ type: "settle", wait: 3, settlement: { kind: "begun", epoch: 1 } }]);
  expect(scene.state.waits).toEqual([]);
});

test("runWhileLeader() in a hook without a term runs in the running term, and is refused without one", async () => {
  const leader = { nodeId: "a", epoch: 1, incarnation: "a1", acquiredAt: 0 };
  const leads = new Scene("The node leads. onLeaderChange awaits runWhileLeader().")
    .leads(1)
    .election({ type: "leader-change", leader })
    .hookReturns()
    .worker(1, 2)
    .drains(1)
    .workReturns(1)
    .hookReturns()
    .hookReturns()
    .released(1);
  const follows = new Scene(
    "The node does not lead yet: onBecomeLeader could not be called before onLeaderChange returns.",
  )
    .election({ type: "leader-change", leader: null })
    .worker(1, 1)
    .leads(1)
    .worker(2, 1)
    .hookReturns();
  await expectTranscript("work-in-a-hook-without-a-term", leads, follows);
  expect(follows.state.workers).toEqual([]);
});
