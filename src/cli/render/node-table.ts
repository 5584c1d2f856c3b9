/** The table of nodes. */
import type { NodeRow } from "../../manager/cluster-nodes.ts";
import { showSeconds } from "./duration.ts";
import { beatText, marginText, suspicionsText } from "./lease-health.ts";
import { table } from "./table.ts";
import { bad, dim, good, type Line, line, type Part, strong } from "./text.ts";

export function nodeTable(rows: readonly NodeRow[], columns: number): Line[] {
  const head = [
    "NODE",
    "ROLE",
    "EPOCH",
    "UPTIME",
    "PRESENCE",
    "SILENCE",
    "RTT",
    "BEAT",
    "MARGIN",
    "SUSPENDED",
    "SUSPICIONS",
    "SERVER",
    "VERSION",
  ];
  const cells = rows.map((row) => [
    row.leads ? strong(row.nodeId) : row.nodeId,
    roleText(row),
    row.epoch === 0 ? "-" : String(row.epoch),
    row.uptimeMs === null ? "-" : showSeconds(row.uptimeMs),
    row.presence ?? "-",
    silenceText(row.silenceMs),
    row.roundTripMs === null ? "-" : `${row.roundTripMs.toFixed(1)} ms`,
    beatText(row),
    marginText(row, row.leaseTtlMs),
    row.suspensions === null ? "-" : String(row.suspensions),
    suspicionsText(row),
    row.server ?? "-",
    row.version ?? "-",
  ]);
  const lines = table(head, cells, columns);
  for (const id of repeated(rows.map((row) => row.nodeId))) lines.push(line`${bad(repeatedText(rows, id))}`);
  return lines;
}

/** After which silence a leader may be replaced. */
export function silenceText(silenceMs: number | null): string {
  if (silenceMs === null) return "-";
  return silenceMs === 0 ? "off" : `${silenceMs / 1_000} s`;
}

/** `observer`: it does not compete, by its configuration or after `leave`. */
export function roleText(row: NodeRow): Part {
  if (row.role === "UNKNOWN") return bad(row.leads ? "leader, silent" : "silent");
  const word = row.state ?? (row.role === "PRIMARY" ? "leader" : "follower");
  if (row.competes === false && word === "follower") return dim("observer");
  return row.leads ? good(word) : word;
}

function repeatedText(rows: readonly NodeRow[], id: string): string {
  const isGone = rows.some((row) => row.nodeId === id && row.leads && row.instance === null);
  const own = "give each process its own node id";
  if (!isGone) return `several processes run as node "${id}": ${own}`;
  return `a process of node "${id}" that does not answer has the lease: it has ended, or is frozen; if both run, ${own}`;
}

function repeated(ids: readonly string[]): Set<string> {
  const seen = new Set<string>();
  return new Set(ids.filter((id) => seen.has(id) || !seen.add(id)));
}
