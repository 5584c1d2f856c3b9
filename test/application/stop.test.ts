import { expect, test } from "vitest";
import { expectTranscript, Scene } from "./play/scene.ts";

test("stop waits for hooks and work once, and closes when the election has ended", async () => {
  const scene = new Scene("The node leads and stops in good order.")
    .worker(1)
    .leads(1)
    .hookReturns()
    .until(1_000)
    .stop(2)
    .drains(1, "stopped")
    .hookReturns()
    .workReturns(1)
    .released(1)
    .election({ type: "stopped" })
    .send({ type: "closed" });
  await expectTranscript("stop", scene);
});

test("a hook that never returns delays stop by drainTimeoutMs once", async () => {
  const scene = new Scene(
    "onBecomeLeader hangs: the drain takes the whole time limit, and nothing is left for the rest.",
  )
    .leads(1)
    .stop(1)
    .drains(1, "stopped")
    .until(10_000)
    .released(1)
    .election({ type: "stopped" })
    .until(10_003)
    .send({ type: "closed" });
  await expectTranscript("stop-with-a-hung-hook", scene);
});

test("stop inside a hook is answered at once, and goes on when the hook has returned", async () => {
  const scene = new Scene("The drain waits for the hook, so the hook must not wait for the drain.")
    .leads(1)
    .stop(1, { inside: [1], awaited: true })
    .drains(1, "stopped")
    .until(50)
    .hookReturns()
    .hookReturns()
    .released(1)
    .election({ type: "stopped" })
    .send({ type: "closed" });
  await expectTranscript("stop-in-a-hook", scene);
});

test("a limit of the caller shortens the wait for the application, not the stop", async () => {
  const scene = new Scene(
    "Work does not end. stop({ timeoutMs: 500 }), and an abort a little later, both end the wait for it.",
  )
    .worker(1)
    .leads(1)
    .hookReturns()
    .stop(2, undefined, 500)
    .drains(1, "stopped")
    .hookReturns()
    .stop(3)
    .until(200)
    .send({ type: "abort-wait", wait: 3 })
    .released(1)
    .election({ type: "stopped" })
    .send({ type: "closed" });
  await expectTranscript("stop-with-a-limit", scene);
});

test("a connection that is closed for good ends the node and everything that waits for it", async () => {
  const scene = new Scene("The connection was passed in and gave up.")
    .worker(1)
    .waits(2, { kind: "leadership" })
    .send({ type: "connection-closed", error: null })
    .waits(3, { kind: "leadership" })
    .election({ type: "stopped" })
    .send({ type: "closed" })
    .waits(4, { kind: "leadership" })
    .stop(5);
  await expectTranscript("connection-closed", scene);
  expect(scene.state.workers).toEqual([]);
});

test("code that outlives the node keeps the code of its next incarnation waiting", async () => {
  const first = new Scene("Work and onLoseLeadership ignore the stop, which waits for drainTimeoutMs.")
    .worker(1)
    .leads(1)
    .hookReturns()
    .stop(2)
    .drains(1, "stopped")
    .until(10_000)
    .released(1)
    .election({ type: "stopped" })
    .until(10_003)
    .send({ type: "closed" });
  const { active } = first.state;
  const [{ run } = { run: null }] = first.state.workers;
  if (active === null || run === null) throw new Error("everything has returned");
  const next = new Scene("The same node is started again.", {}, first)
    .worker(1)
    .until(11_000)
    .leads(2)
    .until(21_000)
    .send({ type: "call-ended", call: active.call, outcome: { kind: "returned" } })
    .hookReturns()
    .until(31_000)
    .send({ type: "run-ended", run: run.run, outcome: { kind: "returned" } });
  await expectTranscript("started-again-beside-old-code", first, next);
});
