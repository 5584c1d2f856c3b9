/** The benchmark of groups: its report, and its arguments. */
import { expect, test } from "vitest";
import { HostNetwork } from "../../src/bench/host-network.ts";
import { runToEnd } from "../support/processes/run-to-end.ts";

const SCRIPT = "scripts/benchmark-group/main.ts";

test("a member that is killed leaves its share to the others, and nothing else moves", async () => {
  const args = "--resources 12 --members 3 --mode kill --rounds 1 --idle-ms 200 --settle-ms 300 --json";
  const { code, stdout, stderr } = await runToEnd(SCRIPT, args.split(" "), { timeoutMs: 180_000 });
  expect(stderr).toContain("kill 1/1: first ");
  const report = JSON.parse(stdout);
  const { roundsMs } = report;
  expect(report).toEqual({
    resources: 12,
    members: 3,
    mode: "kill",
    rounds: 1,
    settleMs: 300,
    idleMs: 200,
    crashDetection: "presence",
    server: expect.stringMatching(/^\d+\.\d+\.\d+/),
    idleCpuPercent: expect.any(Number),
    renewalsPerSecond: expect.any(Number),
    writesPerSecond: expect.any(Number),
    heartbeatsPerSecond: 1,
    since: "just before SIGKILL of a member",
    firstOwnedMs: roundsMs[0].first,
    lastOwnedMs: roundsMs[0].last,
    claimsFloorMs: expect.any(Number),
    roundsMs: [{ first: expect.any(Number), last: expect.any(Number) }],
    gapMs: {
      p50: expect.any(Number),
      p90: expect.any(Number),
      p99: expect.any(Number),
      max: roundsMs[0].last,
    },
    moved: 4,
    minimumMoves: 4,
    overlapMs: 0,
    lostTerms: expect.any(Number),
    strangerP99Ms: {
      idle: expect.any(Number),
      floor: expect.any(Number),
      during: expect.any(Number),
      samples: expect.any(Number),
    },
    // A presence each: what the dead member and the catch-ups of the new one had is gone.
    consumers: { before: 3, after: 3 },
    serverMemoryMb: { before: expect.any(Number), after: expect.any(Number) },
    load: [expect.any(Number), expect.any(Number)],
  });
  expect(roundsMs[0].first).toBeGreaterThan(0);
  expect(roundsMs[0].last).toBeGreaterThanOrEqual(roundsMs[0].first);
  expect(code).toBe(0);
});

function hasNetworks(): boolean {
  try {
    HostNetwork.create()[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

test.skipIf(!hasNetworks())(
  "a member whose cable is pulled holds nothing when the others take over, and takes part again",
  async () => {
    const args =
      "--resources 6 --members 2 --mode host --rounds 1 --idle-ms 200 --settle-ms 300 --crash-detection silence --json";
    const { code, stdout } = await runToEnd(SCRIPT, args.split(" "), { timeoutMs: 180_000 });
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ mode: "host", moved: 3, minimumMoves: 3, overlapMs: 0, lostTerms: 3 });
    expect(report.cuts).toEqual([{ heldMs: expect.any(Number), overlapMs: 0 }]);
    expect(report.consumers).toEqual({ before: 0, after: 0 });
    expect(code).toBe(0);
  },
);

test.each([
  ["--rounds 0", "error: --rounds must be a whole number of at least 1, not 0\n"],
  ["--mode freeze", "error: --mode must be one of idle, kill, leave, host, join, scale, not freeze\n"],
  ["--mode host --members 1", "error: --members must be a whole number of at least 2, not 1\n"],
  ["--mode kill --members 1", "error: --members must be a whole number of at least 2, not 1\n"],
  ["--mode scale --to 3", "error: --to must be a whole number of at least 4, not 3\n"],
] as const)("%s is refused before anything starts", async (args, message) => {
  expect(await runToEnd(SCRIPT, args.split(" "))).toMatchObject({ code: 2, stdout: "", stderr: message });
});
