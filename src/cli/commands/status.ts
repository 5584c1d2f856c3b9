import type { Command } from "commander";
import { asError, ClusterError } from "../../errors.ts";
import { unreachableStatus, type View, viewOf } from "../../manager/cluster-status.ts";
import { noBucketTodo } from "../../manager/operations.ts";
import { CliError, EXIT, exitCodeOf } from "../exit.ts";
import { type ClusterFlags, configOf, withConnection, withQueryOptions } from "../options.ts";
import { note, printJson, printLines } from "../output.ts";
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
it answers, 1 it does not run or does not answer, 4 NATS is unreachable or a
permission is missing, so that nothing is known about it.

Example:
  nats-leader status --config a.json --json`;

async function run(flags: Flags): Promise<void> {
  const view = await readView(flags);
  const { status, leaseError, daemonError, noBucket } = view;
  if (flags.json === true) printJson(status);
  else {
    printLines(statusLines(status));
    if (noBucket !== null) note(`note: cluster "${status.clusterId}" has no bucket. ${noBucket}`);
  }
  if (flags.self === true) {
    // In the JSON, `error` has it.
    if (flags.json !== true && leaseError !== null && daemonError === null)
      note(`note: ${leaseError.message}`);
    return requireDaemon(view);
  }
  const error = leaseError ?? daemonError;
  if (error !== null) throw error;
  // The output already shows that there is no leader.
  if (status.leader === "") process.exitCode = EXIT.noLeader;
}

/** The state of the lease does not matter: an outage of JetStream is no fault of the daemon. */
function requireDaemon({ status: { nodeId, daemon }, daemonError }: View): void {
  if (daemonError !== null) throw daemonError;
  if (daemon === "running") return;
  throw new CliError(EXIT.error, "NO_DAEMON", `the daemon of node "${nodeId}" is ${daemon}`);
}

/** `noBucket`: what to do about it; `null` if there is a bucket, or it is not known. */
async function readView(flags: Flags): Promise<View & { readonly noBucket: string | null }> {
  const loaded = configOf(flags, false, { namedByHost: flags.self === true });
  if (flags.self === true && loaded.nodeId === null) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "no node id: --self acts on one node; pass --node-id, or --config with the node's file",
    );
  }
  if (flags.self === true && loaded.config.service?.enabled === false) {
    const from = loaded.origins.get("service.enabled") ?? "the configuration";
    throw new ClusterError(
      "INVALID_CONFIG",
      `service.enabled false (from ${from}) must be true for --self: a daemon without micro service answers no status request`,
    );
  }
  try {
    return await withConnection(loaded, flags, async (client) => {
      const view = await viewOf(client, loaded.nodeId);
      return { ...view, noBucket: view.bucketMissing ? await noBucketTodo(client) : null };
    });
  } catch (thrown) {
    const error = asError(thrown);
    if (exitCodeOf(error) === EXIT.usage) throw error;
    const found = unreachableStatus(loaded.config.clusterId, loaded.nodeId, error);
    return { status: found, bucketMissing: false, leaseError: error, daemonError: error, noBucket: null };
  }
}
