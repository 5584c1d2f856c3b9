/** Work of every resource may wait at the same time: a step must not cost more for that, or thousands of waits cost the session. */
import { expect, test, vi } from "vitest";
import { initialGroupApplication, stepGroupApplication } from "../../src/group/application/application.ts";
import type { GroupApplicationEvent } from "../../src/group/application/types.ts";

const MANY = 1_000;

test("a step looks only at the waits of the resources that it concerns", () => {
  const state = initialGroupApplication({
    drainTimeoutMs: 5_000,
    slowAfterMs: 5_000,
    selfWaitMs: 1_000,
    hooks: new Set(),
    failureBackOffMs: 250,
    maxFailureBackOffMs: 30_000,
  });
  const step = (event: GroupApplicationEvent): string[] =>
    stepGroupApplication(state, event, { mono: 0, boot: 0, wall: 0 }).flatMap((effect) =>
      effect.type === "settle" ? `${effect.wait} ${effect.settlement.kind}` : [],
    );
  const looks = vi.spyOn(state.slots, "get");
  const looksOf = (event: GroupApplicationEvent): { settled: readonly string[]; looks: number } => {
    looks.mockClear();
    return { settled: step(event), looks: looks.mock.calls.length };
  };
  step({ type: "core", output: { type: "session-begun", number: 1 } });
  for (let wait = 1; wait <= MANY; wait += 1) {
    const found = looksOf({
      type: "wait",
      wait,
      for: { kind: "owned", resource: `r${wait}` },
      timeoutMs: 60_000,
    });
    expect(found.settled).toEqual([]);
    expect(found.looks).toBeLessThan(5);
  }
  const owned = looksOf({ type: "core", output: { type: "own", resource: "r7", epoch: 1 } });
  expect(owned.settled).toEqual(["7 owned"]);
  expect(owned.looks).toBeLessThan(10);
  const aborted = looksOf({ type: "abort-wait", wait: 8 });
  expect(aborted.settled).toEqual(["8 aborted"]);
  expect(aborted.looks).toBeLessThan(5);
  expect(state.waits.all.size).toBe(MANY - 2);
  expect(state.waits.ofResource.size).toBe(MANY - 2);
});

test("a suspension and its end are looked at by every wait", () => {
  const state = initialGroupApplication({
    drainTimeoutMs: 5_000,
    slowAfterMs: 5_000,
    selfWaitMs: 1_000,
    hooks: new Set(),
    failureBackOffMs: 250,
    maxFailureBackOffMs: 30_000,
  });
  const step = (event: GroupApplicationEvent, mono = 0): string[] =>
    stepGroupApplication(state, event, { mono, boot: mono, wall: mono }).flatMap((effect) =>
      effect.type === "settle" ? `${effect.wait} ${effect.settlement.kind}` : [],
    );
  step({ type: "core", output: { type: "session-begun", number: 1 } });
  for (const epoch of [1, 2, 3])
    step({ type: "core", output: { type: "own", resource: `r${epoch}`, epoch } });
  step({ type: "core", output: { type: "suspended" } });
  for (const epoch of [1, 2, 3]) {
    const what = { kind: "held", resource: `r${epoch}`, epoch } as const;
    expect(step({ type: "wait", wait: epoch, for: what, timeoutMs: epoch * 100 })).toEqual([]);
  }
  expect(step({ type: "tick" }, 100)).toEqual(["1 timeout"]);
  expect(
    step({ type: "core", output: { type: "lose", resource: "r2", epoch: 2, reason: "superseded" } }),
  ).toEqual(["2 term-over"]);
  expect(step({ type: "core", output: { type: "resumed" } })).toEqual(["3 held"]);
  expect(state.waits.all.size + state.waits.ofResource.size).toBe(0);
});
