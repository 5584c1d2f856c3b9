/** The output of `status`. */
import type { ClusterStatus } from "../../manager/cluster-status.ts";
import { showSeconds } from "./duration.ts";
import { bad, good, type Line, line, strong } from "./text.ts";

/** go-cluster's lines come first. */
export function statusLines(status: ClusterStatus): Line[] {
  const { leader, lease } = status;
  const lines = [line`Cluster:   ${status.clusterId}`];
  if (status.nodeId !== "") lines.push(line`Node:      ${status.nodeId}`);
  if (status.nodeId !== "") {
    lines.push(line`Role:      ${status.role === "PRIMARY" ? good(status.role) : status.role}`);
    lines.push(line`Connected: ${status.connected}`);
  }
  lines.push(line`Leader:    ${leader === "" ? bad("(none)") : strong(leader)}`);
  lines.push(line`Epoch:     ${status.epoch}`);
  if (status.nodeId !== "") {
    if (status.uptimeMs > 0) lines.push(line`Uptime:    ${showSeconds(status.uptimeMs)}`);
    lines.push(line`VIP Held:  ${status.vipHeld}`);
    lines.push(line`Daemon:    ${daemonText(status)}`);
    if (status.blocked !== null) lines.push(line`Blocked:   ${bad(status.blocked)}`);
  }
  if (lease !== null) lines.push(line`Lease:     ${leaseText(lease, leader)}`);
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
