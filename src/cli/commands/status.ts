import type { Command } from "commander";
import { asError } from "../../errors.ts";
import { type ClusterStatus, unreachableStatus, viewedStatus } from "../../manager/cluster-status.ts";
import { showSeconds } from "../duration.ts";
import { EXIT, exitCodeOf } from "../exit.ts";
import { askingCommand, type ClusterFlags, configOf, withCluster } from "../options.ts";
import { type Colours, coloursFor, print, printJson } from "../output.ts";

export function status(): Command {
  return askingCommand("status", "who leads, and how this node's daemon is")
    .addHelpText(
      "after",
      `
Only looks: it joins no election and writes nothing. Exits 3 when nobody
leads and 4 when NATS cannot be reached; what is known is printed anyway.

Example:
  nats-leader status --config a.json --json`,
    )
    .action(run);
}

async function run(flags: ClusterFlags): Promise<void> {
  const found = await look(flags);
  if (flags.json === true) printJson(found.status);
  else print(statusLines(found.status, coloursFor(process.stdout)).join("\n"));
  if (found.error !== null) throw found.error;
  // The answer says it: no message, only the code.
  if (found.status.leader === "") process.exitCode = EXIT.noLeader;
}

async function look(
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

/** go-cluster's lines first. */
export function statusLines(status: ClusterStatus, colours: Colours): string[] {
  const { leader, lease } = status;
  const lines = [`Cluster:   ${status.clusterId}`];
  if (status.nodeId !== "") lines.push(`Node:      ${status.nodeId}`);
  if (status.nodeId !== "") {
    lines.push(`Role:      ${status.role === "PRIMARY" ? colours.good(status.role) : status.role}`);
    lines.push(`Connected: ${status.connected}`);
  }
  lines.push(`Leader:    ${leader === "" ? colours.bad("(none)") : colours.strong(leader)}`);
  lines.push(`Epoch:     ${status.epoch}`);
  if (status.nodeId !== "") {
    if (status.uptimeMs > 0) lines.push(`Uptime:    ${showSeconds(status.uptimeMs)}`);
    lines.push(`VIP Held:  ${status.vipHeld}`);
    lines.push(`Daemon:    ${daemonText(status)}`);
  }
  if (lease !== null) lines.push(`Lease:     ${leaseText(lease, leader)}`);
  return lines;
}

function daemonText({ daemon, state, competes, presence }: ClusterStatus): string {
  if (daemon !== "running") return daemon;
  const left = competes === false ? ", does not compete" : "";
  return `running${state === null ? "" : ` (${state}${left}${presence === null ? "" : `, presence ${presence}`})`}`;
}

function leaseText(lease: NonNullable<ClusterStatus["lease"]>, leader: string): string {
  const age = `renewed ${(lease.ageMs / 1_000).toFixed(1)} s ago`;
  const limit = `${lease.ttlMs / 1_000} s`;
  if (leader === "") return `of ${lease.holder}, epoch ${lease.epoch}, has run out (${age}, lasts ${limit})`;
  const silent = lease.answers ? "" : `, ${lease.holder} does not answer`;
  return `${age}, lasts ${limit}${silent}`;
}
