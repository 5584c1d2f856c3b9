import { access } from "node:fs/promises";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { isPortFree } from "../../src/testing/server/run/ports.ts";
import { START_MS } from "../support/patience.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";
import { isGone } from "../support/testing/fake-servers.ts";

interface Started {
  readonly pids: number[];
  readonly dirs: string[];
  readonly ports: number[];
}

async function startAndEnd(
  how: "wait" | "throw" | "exit" | "fall off",
  end?: NodeJS.Signals,
): Promise<Started> {
  await using parent = spawnChild<Started>("test/support/testing/children/leak-parent.ts", { args: [how] });
  const started = await parent.next((line) => "pids" in line, START_MS);
  expect(started.ports).toHaveLength(2);
  if (end !== undefined) {
    expect(await Promise.all(started.ports.map(isFree))).toEqual([false, false]);
    expect(await Promise.all(started.pids.map(isGone))).not.toContain(true);
    parent.kill(end);
  }
  await parent.exit;
  return started;
}

const isFree = (port: number): Promise<boolean> => isPortFree(port, "127.0.0.1");

async function expectNothingLeft({ pids, dirs, ports }: Started): Promise<void> {
  const gone = async (): Promise<boolean> => (await Promise.all(pids.map(isGone))).every(Boolean);
  await waitFor(gone, { timeoutMs: 5000, message: `the end of ${pids.join(" and ")}` });
  const free = async (): Promise<boolean> => (await Promise.all(ports.map(isFree))).every(Boolean);
  await waitFor(free, { timeoutMs: 10_000, message: `ports ${ports.join(" and ")}` });
  const removed = async (): Promise<boolean> => {
    const found = await Promise.all(
      dirs.map((dir) =>
        access(dir).then(
          () => true,
          () => false,
        ),
      ),
    );
    return !found.includes(true);
  };
  await waitFor(removed, { timeoutMs: 15_000, message: `the removal of ${dirs.join(" and ")}` });
}

test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
  "servers, including a frozen one, end with a parent that gets %s",
  async (signal) => {
    await expectNothingLeft(await startAndEnd("wait", signal));
  },
);

test.each(["exit", "throw", "fall off"] as const)(
  "servers end with a parent that ends by '%s'",
  async (how) => {
    await expectNothingLeft(await startAndEnd(how));
  },
);
