import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { deferred, untilAborted } from "../../src/runtime/waiting.ts";

describe("untilAborted()", () => {
  test("settles as the promise does, and leaves no listener on the signal", async () => {
    const { signal } = new AbortController();
    const [value, failure] = [deferred<number>(), deferred<number>()];
    const settled = Promise.allSettled([
      untilAborted(value.promise, signal),
      untilAborted(failure.promise, signal),
    ]);
    expect(getEventListeners(signal, "abort")).toHaveLength(2);
    value.resolve(1);
    failure.reject(new Error("refused"));
    expect(await settled).toMatchObject([{ value: 1 }, { reason: { message: "refused" } }]);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("rejects at the abort, with the error made of its reason; a later failure of the promise is no unhandled rejection", async () => {
    const abort = new AbortController();
    const never = deferred<void>();
    const waits = Promise.allSettled([
      untilAborted(never.promise, abort.signal),
      untilAborted(never.promise, abort.signal, (cause) => new Error("gave up", { cause })),
    ]);
    const reason = new Error("enough");
    abort.abort(reason);
    expect(await waits).toMatchObject([{ reason }, { reason: { message: "gave up", cause: reason } }]);
    never.reject(new Error("late"));
  });

  test("rejects for a signal that has aborted before", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(untilAborted(new Promise(() => {}), signal)).rejects.toThrow("enough");
  });

  test("without a signal is the promise itself", () => {
    const { promise } = deferred<void>();
    expect(untilAborted(promise, undefined)).toBe(promise);
  });
});
