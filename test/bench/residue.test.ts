/** The residue benchmark: its judgement, its arguments, one round of a case, and its end. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { boundMs, isSound, type RoundResult, rowOf } from "../../scripts/benchmark-residue/rounds.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import type { CrashDetection } from "../../src/election/types.ts";
import { START_MS } from "../support/patience.ts";
import { runToEnd } from "../support/processes/run-to-end.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

const SCRIPT = "scripts/benchmark-residue/main.ts";

const quiet: RoundResult = { hit: true, closed: true, takeover: true, twoLeadersMs: 0 };

test("two leaders may be at most half of silenceMs with presence, and never otherwise", () => {
  expect([boundMs("presence", 2_000), boundMs("presence", 500), boundMs("silence", 2_000)]).toEqual([
    1_000, 250, 0,
  ]);
  const judge = (crashDetection: CrashDetection, twoLeadersMs: number): boolean =>
    isSound(
      rowOf("one-sided-reset", { server: "2.15.1", crashDetection, silenceMs: 2_000 }, [
        { ...quiet, twoLeadersMs },
      ]),
    );
  expect([judge("presence", 1_000), judge("presence", 1_000.001)]).toEqual([true, false]);
  expect([judge("silence", 0), judge("silence", 0.001)]).toEqual([true, false]);
  expect([judge("lease", 0), judge("lease", 0.001)]).toEqual([true, false]);
});

test("a case that had no effect in any round is not sound", () => {
  const options = { server: "2.15.1", crashDetection: "presence", silenceMs: 2_000 } as const;
  const missed = { ...quiet, hit: false };
  expect(isSound(rowOf("service-flood", options, [missed, missed]))).toBe(false);
  expect(isSound(rowOf("service-flood", options, [missed, quiet]))).toBe(true);
});

test("a row sums up its rounds", () => {
  const rounds: RoundResult[] = [
    { ...quiet, twoLeadersMs: 3, lagMs: 900 },
    { ...quiet, hit: false, takeover: false, lagMs: 100 },
    { ...quiet, takeover: false, twoLeadersMs: 1, lagMs: 1_500 },
  ];
  expect(
    rowOf("count-lags", { server: "2.15.1", crashDetection: "presence", silenceMs: 2_000 }, rounds),
  ).toEqual({
    case: "count-lags",
    server: "2.15.1",
    crashDetection: "presence",
    rounds: 3,
    hits: 2,
    takeovers: 1,
    twoLeadersMs: { max: 3, p50: 1 },
    bound: 1_000,
    lagMs: { max: 1_500, p50: 900 },
  });
  expect(
    rowOf("service-flood", { server: "2.15.1", crashDetection: "lease", silenceMs: 0 }, [quiet]),
  ).not.toHaveProperty("lagMs");
});

test.each([
  ["--rounds 0", "error: --rounds must be a whole number of at least 1, not 0\n"],
  ["--ttl soon", "error: --ttl must be a whole number of at least 1000, not soon\n"],
  [
    "--only flood",
    "error: --only must be one of service-flood, shared-flood, one-sided-reset, count-lags, not flood\n",
  ],
  ["--crash-detection never", /^error: --crash-detection must be one of presence, .*lease, not never\n$/],
  [
    "--silence-ms 6000",
    /^error: invalid node options:\n {2}silenceMs 6000 must be at most half of leaseTtlMs 10000 /,
  ],
  [
    "--crash-detection lease --silence-ms 500",
    /silenceMs 500 must be 0 or omitted with crashDetection "lease"/,
  ],
  ["--round 3", /^error: Unknown option '--round'/],
] as const)("%s is refused before anything starts", async (args, message) => {
  const { code, stdout, stderr } = await runToEnd(SCRIPT, args.split(" "));
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  if (typeof message === "string") expect(stderr).toBe(message);
  else expect(stderr).toMatch(message);
});

test.each([
  ["in $G", []],
  ["in a named account", ["--account"]],
])(
  "a reset that the leader does not hear of leaves two leaders for at most the bound, %s",
  async (_, more) => {
    const version = process.env["NATS_TEST_VERSION"];
    const args = ["--only", "one-sided-reset", "--rounds", "1", "--json", ...more];
    if (version !== undefined) args.push("--server-version", version);
    const { code, stdout, stderr } = await runToEnd(SCRIPT, args, { timeoutMs: 180_000 });
    expect(stderr).toContain("one-sided-reset 1/1: hit");
    const { cases, account } = JSON.parse(stdout);
    expect(account).toBe(more.length > 0);
    expect(cases).toEqual([
      {
        case: "one-sided-reset",
        server: version ?? expect.any(String),
        crashDetection: "presence",
        rounds: 1,
        hits: 1,
        takeovers: expect.any(Number),
        twoLeadersMs: { max: expect.any(Number), p50: expect.any(Number) },
        bound: 1_000,
      },
    ]);
    expect(code).toBe(cases[0].twoLeadersMs.max <= 1_000 ? 0 : 1);
  },
);

test("after Ctrl-C during a flood no server and no node is left", async () => {
  await using child = spawnChild(SCRIPT, { args: ["--only", "shared-flood", "--rounds", "1000"] });
  await waitFor(() => child.stderr.includes("shared-flood 1/"), {
    timeoutMs: START_MS,
    message: () => `the first round; stderr: ${child.stderr}`,
  });
  const started = descendants(child.pid);
  expect(started.length).toBeGreaterThanOrEqual(3);
  child.kill("SIGINT");
  expect(await child.exit).toEqual({ code: 130, signal: null });
  // The server's watchdog ends right after the process that it watches.
  await waitFor(() => !started.some(isRunning), { message: "all processes of the benchmark to end" });
});

/** The processes that this one has started, and those that they have. */
function descendants(pid: number): number[] {
  const lines = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
  const pairs = lines.map((line) => line.trim().split(/ +/).map(Number));
  const below = (parent: number): number[] =>
    pairs.filter(([, ppid]) => ppid === parent).flatMap(([child = 0]) => [child, ...below(child)]);
  return below(pid);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
