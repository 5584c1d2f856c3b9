import type { Command } from "commander";
import { asError } from "../../errors.ts";
import type { ClusterClient, Situation } from "../../manager/cluster-client.ts";
import { listNodes, type NodeRow } from "../../manager/cluster-nodes.ts";
import { noBucketTodo } from "../../manager/operations.ts";
import { EXIT } from "../exit.ts";
import { type ClusterFlags, withCluster, withQueryOptions } from "../options.ts";
import { columnsOfOutput, note, printJson, printLines } from "../output.ts";
import { nodeTable } from "../render/node-table.ts";

export function nodes(command: Command): Command {
  return withQueryOptions(command).addHelpText("after", HELP).action(run);
}

const HELP = `
Asks the micro services of the nodes and writes nothing. Exits 3 if there is
no leader. If the lease cannot be read it prints the nodes that answer, and
exits 4.

Example:
  nats-leader nodes --cluster-id billing`;

async function run(flags: ClusterFlags): Promise<void> {
  const { clusterId, situation, leaseError, rows, hint } = await withCluster(flags, read);
  const leader = situation?.leader ?? null;
  const epoch = situation?.epoch ?? 0;
  const error = leaseError?.message ?? null;
  if (flags.json === true) printJson({ clusterId, leader: leader ?? "", epoch, error, nodes: rows });
  else if (rows.length === 0)
    note(`no node of cluster "${clusterId}" answers; "nats-leader daemon" starts one${hint}`);
  else printLines(nodeTable(rows, columnsOfOutput()));
  if (leaseError !== null) throw leaseError;
  if (leader === null) process.exitCode = EXIT.noLeader;
}

interface Found {
  readonly clusterId: string;
  /** `null`: the lease could not be read. */
  readonly situation: Situation | null;
  readonly leaseError: Error | null;
  readonly rows: readonly NodeRow[];
  /** About a cluster of which nothing exists, else `""`. */
  readonly hint: string;
}

/** The micro services answer also while JetStream does not. */
async function read(client: ClusterClient): Promise<Found> {
  const { clusterId } = client;
  const [lease] = await Promise.allSettled([client.situation()]);
  if (lease.status === "fulfilled") {
    const rows = await listNodes(client, lease.value);
    const isUnknown = rows.length === 0 && !lease.value.lease.exists;
    const hint = isUnknown ? `. The cluster has no bucket. ${await noBucketTodo(client)}` : "";
    return { clusterId, situation: lease.value, leaseError: null, rows, hint };
  }
  const leaseError = asError(lease.reason);
  const rows = await listNodes(client, null).catch(() => {
    throw leaseError;
  });
  return { clusterId, situation: null, leaseError, rows, hint: "" };
}
