import type { Command } from "commander";
import { asError, ClusterError } from "../../errors.ts";
import { type ClusterStatus, unreachableStatus, viewedStatus } from "../../manager/cluster-status.ts";
import { CliError, EXIT, exitCodeOf } from "../exit.ts";
import { type ClusterFlags, configOf, withCluster, withQueryOptions } from "../options.ts";
import { printJson, printLines } from "../output.ts";
import { statusLines } from "../render/status-lines.ts";

export function status(command: Command): Command {
  return withQueryOptions(command)
    .option("--self", "exit 0 if this node's daemon answers, with or without a leader")
    .addHelpText("after", HELP)
    .action(run);
}

interface Flags extends ClusterFlags {
  readonly self?: boolean;
}

const HELP = `
Writes nothing and does not join the election. Exits 3 if there is no leader
and 4 if NATS is unreachable; it prints what is known in both cases.

With --self the exit code is that of this node's daemon, for a health check: 0
it answers, 1 it does not run or does not answer, 4 NATS is unreachable, so
that nothing is known about it.

Example:
  nats-leader status --config a.json --json`;

async function run(flags: Flags): Promise<void> {
  const found = await readStatus(flags);
  if (flags.json === true) printJson(found.status);
  else printLines(statusLines(found.status));
  if (found.error !== null) throw found.error;
  if (flags.self === true) return requireDaemon(found.status);
  // The output already shows that there is no leader.
  if (found.status.leader === "") process.exitCode = EXIT.noLeader;
}

function requireDaemon({ nodeId, daemon }: ClusterStatus): void {
  if (daemon === "running") return;
  throw new CliError(EXIT.error, "NO_DAEMON", `the daemon of node "${nodeId}" is ${daemon}`);
}

async function readStatus(
  flags: Flags,
): Promise<{ readonly status: ClusterStatus; readonly error: Error | null }> {
  const loaded = configOf(flags, false);
  if (flags.self === true && loaded.nodeId === null) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "no node id: --self acts on one node; pass --node-id, or --config with the node's file",
    );
  }
  try {
    const found = await withCluster(flags, (client) => viewedStatus(client, loaded.nodeId));
    return { status: found, error: null };
  } catch (thrown) {
    const error = asError(thrown);
    if (exitCodeOf(error) === EXIT.usage) throw error;
    return { status: unreachableStatus(loaded.config.clusterId, loaded.nodeId, error), error };
  }
}
