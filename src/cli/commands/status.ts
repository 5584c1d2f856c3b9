import type { Command } from "commander";
import { asError } from "../../errors.ts";
import { type ClusterStatus, unreachableStatus, viewedStatus } from "../../manager/cluster-status.ts";
import { EXIT, exitCodeOf } from "../exit.ts";
import { type ClusterFlags, configOf, withCluster, withQueryOptions } from "../options.ts";
import { printJson, printLines } from "../output.ts";
import { statusLines } from "../render/status-lines.ts";

export function status(command: Command): Command {
  return withQueryOptions(command).addHelpText("after", HELP).action(run);
}

const HELP = `
Writes nothing and does not join the election. Exits 3 if there is no leader
and 4 if NATS is unreachable; it prints what is known in both cases.

Example:
  nats-leader status --config a.json --json`;

async function run(flags: ClusterFlags): Promise<void> {
  const found = await readStatus(flags);
  if (flags.json === true) printJson(found.status);
  else printLines(statusLines(found.status));
  if (found.error !== null) throw found.error;
  // The output already shows that there is no leader.
  if (found.status.leader === "") process.exitCode = EXIT.noLeader;
}

async function readStatus(
  flags: ClusterFlags,
): Promise<{ readonly status: ClusterStatus; readonly error: Error | null }> {
  const loaded = configOf(flags, false);
  try {
    const found = await withCluster(flags, (client) => viewedStatus(client, loaded.nodeId));
    return { status: found, error: null };
  } catch (thrown) {
    const error = asError(thrown);
    if (exitCodeOf(error) === EXIT.usage) throw error;
    return { status: unreachableStatus(loaded.config.clusterId, loaded.nodeId, error), error };
  }
}
