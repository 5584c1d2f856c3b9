import type { Command } from "commander";
import { listNodes, type NodeRow } from "../../manager/cluster-nodes.ts";
import { showSeconds } from "../duration.ts";
import { EXIT } from "../exit.ts";
import { type ClusterFlags, withCluster, withQueryOptions } from "../options.ts";
import { type Colours, coloursFor, note, print, printJson, table } from "../output.ts";

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
  else print(nodeTable(rows, coloursFor(process.stdout)).join("\n"));
  if (leader === null) process.exitCode = EXIT.noLeader;
}

export function nodeTable(rows: readonly NodeRow[], colours: Colours): string[] {
  const head = ["NODE", "ROLE", "EPOCH", "UPTIME", "PRESENCE", "RTT", "VERSION"];
  const cells = rows.map((row) => [
    row.leads ? colours.strong(row.nodeId) : row.nodeId,
    roleText(row, colours),
    row.epoch === 0 ? "-" : String(row.epoch),
    row.uptimeMs === null ? "-" : showSeconds(row.uptimeMs),
    row.presence ?? "-",
    row.roundTripMs === null ? "-" : `${row.roundTripMs.toFixed(1)} ms`,
    row.version ?? "-",
  ]);
  const lines = table(head, cells, colours);
  const ids = rows.map((row) => row.nodeId);
  const duplicates = [...new Set(ids.filter((id, index) => ids.indexOf(id) !== index))];
  for (const id of duplicates) {
    lines.push(colours.bad(`several processes run as node "${id}": give each process its own node id`));
  }
  return lines;
}

function roleText(row: NodeRow, colours: Colours): string {
  if (row.instance === null) return colours.bad(row.leads ? "leader, silent" : "silent");
  const word = row.state ?? (row.role === "PRIMARY" ? "leader" : "follower");
  if (row.competes === false && word === "follower") return colours.dim("observer");
  return row.leads ? colours.good(word) : word;
}
