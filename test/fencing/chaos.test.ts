import { expect, test } from "vitest";
import { runToEnd } from "./run-to-end.ts";

test("a fenced register takes no stale write in a small chaos run, its unfenced shadow does", {
  timeout: 120_000,
}, async () => {
  const args = ["--faults", "8", "--seed", "7", "--worlds", "2", "--json"];
  const { code, output } = await runToEnd("scripts/chaos-fencing.ts", args);
  const report = JSON.parse(output) as Record<string, number>;
  expect(report).toMatchObject({ seed: 7, faults: 8, staleWritesAccepted: 0 });
  expect(report["unfencedShadowViolations"]).toBeGreaterThan(0);
  expect(report["refusedStale"]).toBeGreaterThan(0);
  expect(code).toBe(0);
});
