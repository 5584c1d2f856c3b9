/** Commands of deploy-nats-cluster that a signal ends. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../../scripts/shared/wait.ts";
import { PATIENCE_MS } from "../patience.ts";
import { spawnChild } from "../processes/spawn-child.ts";
import type { Deployment } from "./deployment.ts";

export interface Recorded {
  readonly binary: string;
  readonly processes: Readonly<Record<string, { readonly pid: number }>>;
  readonly scaling?: { readonly leaving: readonly string[] };
}

export function recorded(place: Deployment): Recorded {
  return JSON.parse(readFileSync(join(place.state, "deployment.json"), "utf8"));
}

/** Runs the command in a process of its own and sends the signal when the record of the deployment is `due`. Resolves with the result and the exit code. */
export async function signalled(
  place: Deployment,
  args: readonly string[],
  signal: NodeJS.Signals,
  due: (record: Recorded) => boolean,
): Promise<object> {
  await using script = spawnChild<{ ok?: boolean; error?: string }>("scripts/deploy-nats-cluster/main.ts", {
    args: [...args, "--json", "--state", place.state],
  });
  // A migration has no record of a deployment for moments.
  const has = (): boolean => existsSync(join(place.state, "deployment.json")) && due(recorded(place));
  await waitFor(has, { timeoutMs: PATIENCE_MS });
  script.kill(signal);
  const result = await script.next(({ ok }) => ok !== undefined, PATIENCE_MS);
  const { code } = await script.exit;
  return { ...result, code };
}
