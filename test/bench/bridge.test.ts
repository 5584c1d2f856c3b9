/** The benchmark of the partitions of a stream: its report, and its arguments. */
import { expect, test } from "vitest";
import { runToEnd } from "../support/processes/run-to-end.ts";

const SCRIPT = "scripts/benchmark-bridge/main.ts";
const SUMMARY = {
  p50: expect.any(Number),
  p90: expect.any(Number),
  p99: expect.any(Number),
  max: expect.any(Number),
};

test("an instance that is killed: its successors store every message once", async () => {
  const args =
    "--instances 2 --partitions 2 --messages 2000 --rounds 1 --seconds 1 --kills 1 --per-second 500 --json";
  const { code, stdout, stderr } = await runToEnd(SCRIPT, args.split(" "), { timeoutMs: 180_000 });
  expect(stderr).toContain("kill 1/1: ");
  const report = JSON.parse(stdout);
  const { published, messagesPerSecond, bareMessagesPerSecond } = report;
  expect(report).toEqual({
    instances: 2,
    partitions: 2,
    messages: 2_000,
    messageBytes: 100,
    sink: "counting",
    crashDetection: "presence",
    server: expect.stringMatching(/^\d+\.\d+\.\d+/),
    messagesPerSecond: expect.any(Number),
    bareMessagesPerSecond: expect.any(Number),
    ratio: expect.any(Number),
    roundsPerSecond: [{ group: messagesPerSecond, bare: bareMessagesPerSecond }],
    pacePerSecond: 500,
    p99LatencyMs: report.latencyMs.p99,
    latencyMs: SUMMARY,
    failoverMs: report.failoversMs.p50,
    failoversMs: { ...SUMMARY, samples: 1 },
    failoverStepsMs: {
      owned: expect.any(Number),
      taken: expect.any(Number),
      opened: expect.any(Number),
      stored: report.failoverMs,
    },
    published: expect.any(Number),
    stored: published,
    lost: 0,
    duplicatesAccepted: 0,
    staleAccepted: 0,
    staleRefused: expect.any(Number),
    conflicts: 0,
    load: [expect.any(Number), expect.any(Number)],
  });
  expect(published).toBeGreaterThan(2_000);
  expect(code).toBe(0);
});

test.each([
  ["--instances 1", "error: --instances must be a whole number of at least 2, not 1\n"],
  ["--partitions 7", "error: --partitions must be a multiple of --instances, not 7 for 3\n"],
  ["--sink redis", "error: --sink must be one of counting, postgres, ledger, not redis\n"],
] as const)("%s is refused before anything starts", async (args, message) => {
  expect(await runToEnd(SCRIPT, args.split(" "))).toMatchObject({ code: 2, stdout: "", stderr: message });
});
