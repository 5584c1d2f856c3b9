import { execFile } from "node:child_process";
import { expect, test } from "vitest";
import { startNatsServer } from "../../src/testing.ts";

/** Eight commands, each a process that compiles the sources first. */
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

function walkThrough(url: string): Promise<{
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}> {
  const env = { ...process.env, NO_COLOR: "1", NATS_URL: url, CLI: "node --import tsx src/cli/main.ts" };
  return new Promise((resolve) => {
    const child = execFile(
      "sh",
      ["examples/cli/walk-through.sh"],
      { env, timeout: TIMEOUT_MS },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
