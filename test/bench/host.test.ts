/** The failover benchmark with a leader in a network namespace whose cable is pulled. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { runFailover } from "../../src/bench/failover.ts";
import { HostNetwork } from "../../src/bench/host-network.ts";
import { type FailoverOptions, isSound } from "../../src/bench/options.ts";
import { openServers } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { failoverOptions } from "../support/bench/failover-options.ts";
import { START_MS } from "../support/patience.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

function whyNot(): string {
  try {
    HostNetwork.create()[Symbol.dispose]();
    return "";
  } catch (error) {
    return ` (skipped: ${error instanceof Error ? error.message : error})`;
  }
}

const why = whyNot();

function options(over: Partial<FailoverOptions> = {}): FailoverOptions {
  return failoverOptions({ mode: "host", rounds: 2, nodes: 2, ...over });
}

/** The namespaces and network devices that a benchmark in this process has made. */
function leftBy(pid: number): string[] {
  const ip = (...args: string[]): string =>
    // It complains about a namespace that is being removed.
    execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const lines = `${ip("netns", "list")}\n${ip("-o", "link")}`.split("\n");
  return lines.filter((line) => line.includes(`b${pid}-`));
}

/** Resolves when the benchmark has pulled a cable in its second round. Its first round has ended by then: every cable was up. */
async function cablePulled(pid: number, progress: () => string): Promise<void> {
  const message = (): string => `the benchmark to pull a cable; its progress: ${progress()}`;
  await waitFor(() => progress().includes("host 1/"), { timeoutMs: START_MS, message });
  await waitFor(() => leftBy(pid).some((line) => /<BROADCAST,MULTICAST> .* master /.test(line)), { message });
}

/** Runs the rest of the test with a program `ip` that is this shell script. */
function withIp(script: string): void {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-ip-"));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "ip"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "ip"), 0o755);
  withPath(`${folder}:${process.env["PATH"]}`);
}

function withPath(path: string): void {
  vi.stubEnv("PATH", path);
  atEnd(() => void vi.unstubAllEnvs());
}

describe.skipIf(why !== "")(`with network namespaces${why}`, () => {
  test("a leader whose cable is pulled is replaced without an overlap, and rejoins when the cable is back", async () => {
    const report = await runFailover(options());
    expect(report).toMatchObject({ mode: "host", rounds: 2, overlapMs: 0 });
    expect(report.leaderChanges).toBeGreaterThanOrEqual(2);
    expect(report.samplesMs).toHaveLength(2);
    expect(report.cuts).toEqual([
      { heldMs: expect.any(Number), overlapMs: 0 },
      { heldMs: expect.any(Number), overlapMs: 0 },
    ]);
    // No event ended the term: the leader was held until a deadline of its own.
    for (const { heldMs } of report.cuts ?? []) expect(heldMs).toBeGreaterThan(0);
    for (const [index, sample] of report.samplesMs.entries()) {
      expect(sample).toBeGreaterThan(report.cuts?.[index]?.heldMs ?? Number.POSITIVE_INFINITY);
    }
    expect(isSound(report)).toBe(true);
    expect(leftBy(process.pid)).toEqual([]);
  });

  test.each(["presence", "silence"] as const)(
    "with crash detection by %s, its silence is enough, long before the lease expires",
    async (crashDetection) => {
      const ttlMs = 40_000;
      const report = await runFailover(options({ crashDetection, ttlMs, silenceMs: 2_000, rounds: 1 }));
      expect(report).toMatchObject({ crashDetection, silenceMs: 2_000, overlapMs: 0 });
      expect(report.p50).toBeGreaterThan(report.silenceMs);
      // A lease that was renewed within the heartbeat of 3 s does not expire earlier than this.
      expect(report.max).toBeLessThan(0.75 * ttlMs);
      expect(isSound(report)).toBe(true);
    },
  );

  test("an aborted run leaves no server, namespace or device, while the cable is pulled", async () => {
    const abort = new AbortController();
    const lines: string[] = [];
    const running = runFailover(
      options({ signal: abort.signal, rounds: 1000, onProgress: (line) => lines.push(line) }),
    );
    await cablePulled(process.pid, () => lines.join("\n"));
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    expect(leftBy(process.pid)).toEqual([]);
    expect(openServers()).toEqual([]);
  });

  test.each([
    ["SIGINT", { code: 130, signal: null }],
    ["SIGKILL", { code: null, signal: "SIGKILL" }],
  ] as const)("no namespace or device is left after %s", async (signal, exit) => {
    await using child = spawnChild("scripts/benchmark-failover/main.ts", {
      args: ["--mode", "host", "--nodes", "2", "--rounds", "1000"],
    });
    await cablePulled(child.pid, () => child.stderr);
    child.kill(signal);
    expect(await child.exit).toEqual(exit);
    // After SIGKILL, the shells that undo the changes outlive the benchmark.
    await waitFor(() => leftBy(child.pid).length === 0, { message: "the namespaces to be removed" });
  });

  test("a host can reach this machine except while its cable is pulled", async () => {
    using network = HostNetwork.create();
    const [one, other] = [network.add(), network.add()];
    const reaches = ({ exec: [ip = "", ...args] }: typeof one): boolean => {
      try {
        execFileSync(ip, [...args, process.execPath, "-e", REACH, network.address], { stdio: "ignore" });
        return true;
      } catch {
        return false;
      }
    };
    expect([reaches(one), reaches(other)]).toEqual([true, true]);
    one.pull();
    expect([reaches(one), reaches(other)]).toEqual([false, true]);
    one.mend();
    // A bridge notices within a second that a cable is back.
    await waitFor(() => reaches(one), { message: "the host to reach this machine again" });
  });
});

/** Exits with 0 if the machine answers: a port without a listener is refused. Packets that are lost end in no answer. */
const REACH = `
const socket = require("node:net").connect(9, process.argv[1]);
socket.on("error", ({ code }) => process.exit(code === "ECONNREFUSED" ? 0 : 1));
socket.setTimeout(1500, () => process.exit(1));
`;

test("without permission, the benchmark starts nothing and says what it needs", async () => {
  withIp('case "$1" in -4) exit 0;; esac; echo "RTNETLINK answers: Operation not permitted" >&2; exit 2');
  const lines: string[] = [];
  const running = runFailover(options({ onProgress: (line) => lines.push(line) }));
  await expect(running).rejects.toThrow(
    process.platform === "linux"
      ? /^--mode host .* cannot create a network namespace: RTNETLINK answers: Operation not permitted\. Run it as root on Linux .*; --mode freeze needs neither$/
      : /network namespaces need Linux/,
  );
  expect(lines).toEqual([]);
  expect(openServers()).toEqual([]);
});

test.skipIf(process.platform !== "linux")("without the program ip, its package is named", () => {
  withPath("/nonexistent");
  expect(() => HostNetwork.create()).toThrow("there is no program `ip` (Debian package iproute2)");
});
