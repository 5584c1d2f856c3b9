import { expect, test } from "vitest";
import { runToEnd } from "../support/processes/run-to-end.ts";

/** Quick faults of every group that needs no special rights. */
const ONLY =
  "kill,term,freeze,freeze-and-cut,requests-late,reset-client-side,server-restart,stranger,key-deleted,old-events";

test("in a small chaos run no two processes lead at once, and the fenced register accepts no stale write, unlike its unfenced shadow", async () => {
  const args = ["--faults", "10", "--seed", "7", "--worlds", "2", "--servers", "1", "--only", ONLY, "--json"];
  // The exit code is not checked: it also counts periods without a leader, which a loaded machine can cause.
  const { stdout, stderr } = await runToEnd("scripts/chaos/main.ts", args, { timeoutMs: 120_000 });
  if (stdout === "") throw new Error(`no report: ${stderr}`);
  const report = JSON.parse(stdout) as Record<string, unknown>;
  expect(report).toMatchObject({
    seed: 7,
    faults: 10,
    overlapMs: 0,
    staleWritesAccepted: 0,
    epochsNotIncreasing: 0,
  });
  expect(report["terms"]).toBeGreaterThan(3);
  expect(report["unfencedShadowViolations"]).toBeGreaterThan(0);
});
