/** `daemon` as a process: its log, its signals and its exit code. */
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { startNatsServer } from "../../src/testing.ts";
import { cli, configFile, configFor, leads, start, startDaemon } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Line {
  readonly text?: string;
  readonly msg?: string;
  readonly epoch?: number;
}

async function leading(clusterId: string, more: readonly string[] = [], url = server.url) {
  const path = configFile(configFor({ url }, clusterId, "a"));
  const child = start<Line>(["daemon", "--config", path, ...more]);
  const message = "This node is now the LEADER";
  await child.next((line) => line.msg === message || line.text?.includes(message) === true);
  return { child, path };
}

test("logs go-cluster's messages, as text and as JSON", async () => {
  const text = await leading(freshId());
  text.child.kill("SIGTERM");
  await text.child.exit;
  const lines = text.child.lines.map((line) => line.text ?? "");
  expect(lines[0]).toMatch(
    /^time=\S+ level=INFO msg="Starting daemon" nodeID=a clusterID=\S+ natsServers=\[nats:\/\/\S+\]$/,
  );
  const words = lines.map((line) => /msg=("[^"]*"|\S+)/.exec(line)?.[1]);
  for (const word of [
    "Daemon started",
    "This node is now the LEADER",
    "Cluster leader changed",
    "Daemon stopped",
  ]) {
    expect(words).toContain(`"${word}"`);
  }
  const json = await leading(freshId(), ["--json", "--log-level", "debug"]);
  json.child.kill("SIGTERM");
  await json.child.exit;
  expect(json.child.lines.find((line) => line.msg === "This node is now the LEADER")?.epoch).toBe(1);
  expect(json.child.lines.every((line) => line.text === undefined)).toBe(true);
});

describe("a signal", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s hands over and exits 0", async (signal) => {
    const clusterId = freshId();
    const { child } = await leading(clusterId);
    const b = await startDaemon(configFor(server, clusterId, "b"));
    await waitFor(() => b.manager.node?.leader?.nodeId === "a");
    child.kill(signal);
    await waitFor(() => leads(b));
    expect(b.manager.node?.epoch).toBe(2);
    expect(await child.exit).toEqual({ code: 0, signal: null });
    const released = child.lines.some((line) => line.text?.includes("lease released") === true);
    expect(released).toBe(true);
  });

  test("makes a daemon exit 0 even if its server is frozen or gone", async () => {
    const other = await startNatsServer();
    try {
      const frozen = await leading(freshId(), [], other.url);
      await other.pause();
      frozen.child.kill("SIGTERM");
      expect(await frozen.child.exit).toEqual({ code: 0, signal: null });
      await other.resume();
      const orphan = await leading(freshId(), [], other.url);
      await other.kill();
      orphan.child.kill("SIGTERM");
      expect(await orphan.child.exit).toEqual({ code: 0, signal: null });
    } finally {
      await other.dispose();
    }
  });

  test("the second one makes it exit immediately", async () => {
    const other = await startNatsServer();
    try {
      const { child } = await leading(freshId(), [], other.url);
      // After the first signal the daemon waits for an answer from the frozen server.
      await other.pause();
      child.kill("SIGTERM");
      await child.next((line) => line.text?.includes("Received signal") === true);
      child.kill("SIGTERM");
      expect(await child.exit).toEqual({ code: 143, signal: null });
    } finally {
      await other.dispose();
    }
  });
});

test("SIGUSR1 logs the state of the node; SIGUSR2 switches the log to debug and back; neither ends the daemon", async () => {
  const { child } = await leading(freshId(), ["--json"]);
  child.kill("SIGUSR1");
  const state = await child.next((line) => line.msg === "Status");
  expect(state).toMatchObject({ role: "leader", leader: "a", epoch: 1, connected: true, competes: true });
  for (const logLevel of ["debug", "info"]) {
    child.kill("SIGUSR2");
    expect(await child.next((line) => line.msg === "Log level switched")).toMatchObject({ logLevel });
  }
  // Node's debugger does not listen.
  expect(child.stderr).toBe("");
  child.kill("SIGTERM");
  expect(await child.exit).toEqual({ code: 0, signal: null });
});

test("a daemon that requires NATS and cannot reach it prints why and exits 4", async () => {
  const path = configFile(configFor({ url: "nats://127.0.0.1:1" }, freshId(), "a"));
  const ended = await cli(["daemon", "--config", path, "--require-nats"]);
  expect(ended.code).toBe(4);
  expect(ended.stderr).toContain("no connection to NATS at 127.0.0.1:1");
});
