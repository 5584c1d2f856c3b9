/** What `run` and `run --group` make of their flags. */
import { expect, test } from "vitest";
import { drainTimeoutMs } from "../../src/cli/supervise/program-options.ts";
import { checkConfig } from "../../src/config/file/load.ts";

test.each([
  ["the default, with a short grace period", undefined, 1_000, 10_000],
  ["what the configuration has, if that is longer", 30_000, 10_000, 30_000],
  ["the grace period and the time of the release", 5_000, 10_000, 11_000],
  ["no more than a node and a member accept", undefined, 7_200_000, 3_600_000],
])("a drain lasts %s", (_name, configuredMs, graceMs, expectedMs) => {
  const election = configuredMs === undefined ? {} : { drainTimeoutMs: configuredMs };
  const config = { clusterId: "c", nodeId: "a", nats: { servers: ["nats://127.0.0.1"] }, election };
  expect(drainTimeoutMs(checkConfig(config), graceMs)).toBe(expectedMs);
});
