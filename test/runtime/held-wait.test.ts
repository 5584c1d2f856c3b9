import { expect, test } from "vitest";
import { untilHeld } from "../../src/runtime/application/held-wait.ts";
import { systemClock } from "../../src/runtime/system-clock.ts";

test("a signal that has aborted before the wait ends it, although the connection does not prove to be open", async () => {
  let asked = 0;
  const waiting = untilHeld(
    {
      what: "the term to be held",
      clock: systemClock(),
      isHeld: () => false,
      untilReported: async () => {},
      freshened: () => {
        asked += 1;
        return new Promise<never>(() => {});
      },
    },
    { signal: AbortSignal.abort(new Error("enough")) },
  );
  await expect(waiting).rejects.toMatchObject({
    code: "ABORTED",
    message: "aborted while waiting for the term to be held",
    cause: expect.objectContaining({ message: "enough" }),
  });
  expect(asked).toBe(0);
});
