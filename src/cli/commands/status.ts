import type { Command } from "commander";
import { asError } from "../../errors.ts";
import { type ClusterStatus, unreachableStatus, viewedStatus } from "../../manager/cluster-status.ts";
import { showSeconds } from "../duration.ts";
import { EXIT, exitCodeOf } from "../exit.ts";
import { type ClusterFlags, configOf, withCluster, withQueryOptions } from "../options.ts";
import { type Colours, coloursFor, print, printJson } from "../output.ts";

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
  else print(statusLines(found.status, coloursFor(process.stdout)).join("\n"));
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

/** go-cluster's lines come first. */
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
    if (status.blocked !== null) lines.push(`Blocked:   ${colours.bad(status.blocked)}`);
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
  const ttl = `TTL ${lease.ttlMs / 1_000} s`;
  if (leader === "") return `expired: node ${lease.holder}, epoch ${lease.epoch}, ${age}, ${ttl}`;
  const silent = lease.answers ? "" : `; node ${lease.holder} does not answer`;
  return `${age}, ${ttl}${silent}`;
}
