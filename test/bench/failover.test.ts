import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { runFailover } from "../../src/bench/failover.ts";
import { measureFloor } from "../../src/bench/floor.ts";
import { isSound } from "../../src/bench/options.ts";
import { readMonitor } from "../../src/testing/server/run/probe.ts";
import { openServers, startNatsServer } from "../../src/testing.ts";
import { failoverOptions } from "../support/bench/failover-options.ts";

test("a killed leader is replaced long before its lease expires, by a leader with a larger epoch", async () => {
  const report = await runFailover(failoverOptions({ mode: "kill" }));
  expect(report).toMatchObject({
    mode: "kill",
    rounds: 3,
    ttlMs: 10_000,
    server: process.env["NATS_TEST_VERSION"] ?? expect.any(String),
    leaderChanges: 3,
    overlapMs: 0,
    epochsIncrease: true,
  });
  expect(report.samplesMs).toHaveLength(3);
  expect(report.p50).toBeGreaterThan(0);
  expect(report.max).toBe(Math.max(...report.samplesMs));
  expect(report.max).toBeLessThan(report.ttlMs);
  expect(report.epochs).toHaveLength(4);
  expect(report.floor.killP50).toBeGreaterThan(0);
  expect(report.floor.scriptKill?.p50).toBeGreaterThan(0);
  expect(isSound(report)).toBe(true);
  expect(openServers()).toEqual([]);
});

test("a step-down is measured from the request and from the end of the lose hook", async () => {
  const report = await runFailover(failoverOptions({ mode: "stepdown", rounds: 2, nodes: 2 }));
  expect(report.samplesMs).toHaveLength(2);
  expect(report.afterLoseHook?.samplesMs).toHaveLength(2);
  expect(report.afterLoseHook?.max).toBeLessThan(report.max);
  expect(report.cooldownMs).toBeLessThan(report.ttlMs);
  expect(isSound(report)).toBe(true);
});

test("a frozen leader is replaced, and answers isLeader() with false when it thaws", async () => {
  const report = await runFailover(
    failoverOptions({ mode: "freeze", rounds: 1, nodes: 2, ttlMs: 1_000, silenceMs: 500 }),
  );
  expect(report).toMatchObject({ crashDetection: "presence", silenceMs: 500 });
  expect(report.thaws).toEqual([{ frozenMs: expect.any(Number), leaderAfter: false }]);
  expect(report.overlapMs).toBe(0);
});

test("a server of the leader that leads the stream, too, can be chosen to go down", async () => {
  const how = { mode: "server-kill", target: "leader-server", servers: 3 } as const;
  const report = await runFailover(failoverOptions({ ...how, rounds: 1, nodes: 2, ttlMs: 2_000 }));
  expect(report.blows).toMatchObject([{ streamLeader: true, leaderConnected: true }]);
  expect(report.blows?.[0]?.suspendedMs).toBeGreaterThan(0);
  expect(isSound(report)).toBe(true);
});

test("an aborted benchmark leaves no server running", async () => {
  const abort = new AbortController();
  const running = runFailover(
    failoverOptions({
      signal: abort.signal,
      rounds: 100,
      onProgress: () => abort.abort(new Error("enough")),
    }),
  );
  await expect(running).rejects.toThrow("enough");
  expect(openServers()).toEqual([]);
});

test.each([
  ["while its stream is created", "total_connections", 2],
  ["while it writes", "in_msgs", 10],
] as const)(
  "an abort ends the measurement of the floor %s, although the server does not answer",
  async (_when, counter, more) => {
    await using server = await startNatsServer();
    const count = async (): Promise<number> => {
      const answer = await readMonitor(`${server.monitorUrl}/varz`, 1_000);
      return (answer?.body as Record<string, number> | undefined)?.[counter] ?? 0;
    };
    const before = await count();
    const abort = new AbortController();
    const measuring = measureFloor({ servers: [server.url], replicas: 1, kills: 3, signal: abort.signal });
    const ended = expect(measuring).rejects.toThrow("enough");
    await waitFor(async () => (await count()) >= before + more);
    await server.pause();
    abort.abort(new Error("enough"));
    await ended;
  },
);
