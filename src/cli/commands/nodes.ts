import type { Command } from "commander";
import { listNodes } from "../../manager/cluster-nodes.ts";
import { EXIT } from "../exit.ts";
import { type ClusterFlags, withCluster, withQueryOptions } from "../options.ts";
import { columnsOfOutput, note, printJson, printLines } from "../output.ts";
import { nodeTable } from "../render/node-table.ts";

export function nodes(command: Command): Command {
  return withQueryOptions(command).addHelpText("after", HELP).action(run);
}

const HELP = `
Asks the micro services of the nodes and writes nothing. Exits 3 if there is
no leader.

Example:
  nats-leader nodes --cluster-id billing`;

async function run(flags: ClusterFlags): Promise<void> {
  const { clusterId, leader, epoch, rows } = await withCluster(flags, async (client) => {
    const situation = await client.situation();
    const found = await listNodes(client, situation);
    const { leader, epoch } = situation;
    return { clusterId: client.clusterId, leader, epoch, rows: found };
  });
  if (flags.json === true) printJson({ clusterId, leader: leader ?? "", epoch, nodes: rows });
  else if (rows.length === 0)
    note(`no node of cluster "${clusterId}" answers; "nats-leader daemon" starts one`);
  else printLines(nodeTable(rows, columnsOfOutput()));
  if (leader === null) process.exitCode = EXIT.noLeader;
}
