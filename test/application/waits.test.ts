import { expect, test } from "vitest";
import { expectTranscript, Scene } from "./play/scene.ts";

test("a wait for leadership is answered by the running term, by the next one, or by its resumption", async () => {
  const scene = new Scene(
    "Three calls of campaign(): before the term, while it is suspended, and while it is held.",
  )
    .waits(1, { kind: "leadership" })
    .leads(1)
    .hookReturns()
    .election({ type: "suspended", epoch: 1 })
    .waits(2, { kind: "leadership" })
    .waits(3, { kind: "held", epoch: 1 })
    .election({ type: "resumed", epoch: 1 })
    .waits(4, { kind: "leadership" });
  await expectTranscript("campaign", scene);
});

test("a wait ends at its limit, at its abort, or with its term", async () => {
  const scene = new Scene("Nothing is kept of a wait that has settled.")
    .waits(1, { kind: "leadership" }, 1_000)
    .waits(2, { kind: "leadership" })
    .send({ type: "abort-wait", wait: 2 })
    .until(1_500)
    .leads(1)
    .hookReturns()
    .election({ type: "suspended", epoch: 1 })
    .waits(3, { kind: "held", epoch: 1 })
    .loses(1);
  await expectTranscript("limits", scene);
  expect(scene.state.waits).toEqual([]);
});

test("a second step-down joins the first", async () => {
  const scene = new Scene("Both callers get the same outcome, and the election is asked once.")
    .leads(1)
    .hookReturns()
    .stepDown(1)
    .drains(1)
    .stepDown(2)
    .hookReturns()
    .released(1)
    .stepDown(3);
  await expectTranscript("second-step-down", scene);
});

test("a step-down whose term is lost in the same moment is answered", async () => {
  const scene = new Scene(
    "The deadline passes as the step-down is requested: the election loses the term instead of draining it.",
  )
    .leads(1)
    .hookReturns()
    .stepDown(1)
    .loses(1);
  await expectTranscript("step-down-of-a-lost-term", scene);
});
