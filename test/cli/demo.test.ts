import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { descendantsOf, stateOf } from "../support/processes/proc.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";

type Line = { readonly text?: string };

function startDemo(): Child<Line> {
  return spawnChild<Line>("src/cli/main.ts", { args: ["demo"] });
}

function isDaemon(pid: number): boolean {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes("daemon");
}

test.skipIf(process.platform !== "linux").each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends the demo while it waits, and its processes", async (name, code) => {
  await using demo = startDemo();
  await demo.next(({ text = "" }) => text.includes("leads, epoch "));
  const pids = descendantsOf(demo.pid);
  // Frozen nodes elect no leader: what the demo waits for does not come.
  const daemons = pids.filter(isDaemon);
  expect(daemons).toHaveLength(3);
  for (const pid of daemons) process.kill(pid, "SIGSTOP");
  demo.kill(name);
  expect(await demo.exit).toEqual({ code, signal: null });
  expect(demo.stderr).toMatch(new RegExp(`^Error: interrupted by ${name}$`, "m"));
  await waitFor(() => pids.every((pid) => stateOf(pid) === "X"), { message: "its processes to end" });
});

test("the demo exits with 130 if it is interrupted before the first leader", async () => {
  await using demo = startDemo();
  await demo.next(({ text = "" }) => text.startsWith("nats-server "));
  demo.kill("SIGINT");
  expect(await demo.exit).toEqual({ code: 130, signal: null });
});
