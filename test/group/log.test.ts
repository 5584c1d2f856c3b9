/** The text of the log lines of a member. */
import { expect, test } from "vitest";
import { logGroupNotice } from "../../src/group/log.ts";

test("the line of a change of the members lists at most ten, and says that there is none", () => {
  const lines: string[] = [];
  const line = (_: object, text: string): void => void lines.push(text);
  const logger = { debug: line, info: line, warn: line, error: line };
  for (const count of [0, 2, 12]) {
    const members = Array.from({ length: count }, (_, index) => ({ memberId: `m${index}` }) as never);
    logGroupNotice(
      logger,
      { type: "members", members },
      { silenceMs: 2_000, drainTimeoutMs: 1_000, connected: true },
    );
  }
  expect(lines).toEqual([
    "members: none",
    "members: m0, m1",
    "members: m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 2 more",
  ]);
});
