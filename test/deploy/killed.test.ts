/** A test run that is killed leaves no server, no container and no file of its deployments. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startOf } from "../../scripts/deploy-nats-cluster/process-identity.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { ROOT } from "../support/processes/node-command.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

/** Absolute: it runs from source, because the deployment reads files of the examples. */
const CHILD = join(ROOT, "test/support/deploy/children/single.ts");

test("a killed test process leaves no server", async () => {
  await using child = spawnChild<{ readonly state?: string }>(CHILD);
  const { state = "" } = await child.next((line) => line.state !== undefined);
  const { processes } = JSON.parse(readFileSync(join(state, "deployment.json"), "utf8"));
  const { pid } = processes.single;
  expect(startOf(pid)).toBeDefined();
  child.kill("SIGKILL");
  await waitFor(() => startOf(pid) === undefined && !existsSync(state), { timeoutMs: 60_000 });
});
