import { type ChildProcess, execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Manager } from "../../src/manager.ts";
import { startNatsServer } from "../../src/testing.ts";
import { nodeArgsFor } from "../support/processes/node-command.ts";

/** Eight commands, each a process of its own. */
const TIMEOUT_MS = 180_000;

test("the walk-through of the command line ends with the successor leading, and exits 0", {
  timeout: TIMEOUT_MS + 10_000,
}, async () => {
  await using server = await startNatsServer();
  const { code, stdout, stderr } = await walkThrough(server.url);
  expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" });
  for (const text of [
    "Configuration written to",
    /Node: +b\nRole: +PASSIVE\nConnected: true\nLeader: +a\nEpoch: +1\n/,
    "a has stepped down",
    /Node: +b\nRole: +PRIMARY\nConnected: true\nLeader: +b\nEpoch: +2\n/,
    /a leads, epoch 1\n.*b leads, epoch 2/s,
  ]) {
    expect(stdout).toMatch(text);
  }
});

describe("the walk-through", () => {
  test("that gets SIGTERM stops its daemons in order, and leaves no file", async () => {
    await using server = await startNatsServer();
    const tmp = mkdtempSync(join(tmpdir(), "nats-leader-walk-through-"));
    onTestFinished(() => rmSync(tmp, { recursive: true }));
    const running = walkThrough(server.url, { TMPDIR: tmp }, (child, stdout) => {
      if (stdout.includes("status --config")) child.kill("SIGTERM");
    });
    const { code, stderr } = await running;
    expect({ code, stderr }).toEqual({ code: 143, stderr: "" });
    expect(readdirSync(tmp)).toEqual([]);
    const config = { clusterId: "example-cli", nodeId: "a", nats: { servers: [server.url] } };
    const { daemon, lease } = await new Manager(config, {}, { logger: false }).status();
    expect({ daemon, lease }).toEqual({ daemon: "not running", lease: null });
  });

  test("without a server ends as soon as its first daemon does, and prints why", async () => {
    const { code, stderr } = await walkThrough("nats://127.0.0.1:1");
    expect(code).toBe(1);
    expect(stderr).toMatch(/the command has ended without.*\n[\s\S]*no connection to NATS at 127\.0\.0\.1:1/);
  });
});

function walkThrough(
  url: string,
  more: Readonly<Record<string, string>> = {},
  onOutput: (child: ChildProcess, stdout: string) => void = () => {},
): Promise<{
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}> {
  const cli = [process.execPath, ...nodeArgsFor("src/cli/main.ts")].join(" ");
  const env = { ...process.env, NO_COLOR: "1", NATS_URL: url, CLI: cli, ...more };
  return new Promise((resolve) => {
    const child = execFile(
      "sh",
      ["examples/cli/walk-through.sh"],
      { env, timeout: TIMEOUT_MS },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
    let text = "";
    child.stdout?.on("data", (part: string) => {
      text += part;
      onOutput(child, text);
    });
  });
}
