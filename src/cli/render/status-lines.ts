/** The output of `status`. */
import type { ClusterStatus } from "../../manager/cluster-status.ts";
import { showSeconds } from "./duration.ts";
import { healthText } from "./lease-health.ts";
import { silenceText } from "./node-table.ts";
import { bad, good, type Line, line, type Part, strong } from "./text.ts";

/** go-cluster's lines come first. `withHealth`: also how the node fares, which the table of nodes has, too. */
export function statusLines(status: ClusterStatus, withHealth = true): Line[] {
  const { lease } = status;
  const isNode = status.nodeId !== "";
  const isKnown = status.daemon === "running" || status.daemon === "not running";
  const lines = [line`Cluster:   ${status.clusterId}`];
  if (isNode) {
    const role = status.role === "PRIMARY" ? good(status.role) : status.role;
    lines.push(line`Node:      ${status.nodeId}`);
    lines.push(line`Role:      ${isKnown ? role : UNKNOWN}`);
    lines.push(line`Connected: ${isKnown ? status.connected : UNKNOWN}`);
  }
  lines.push(line`Leader:    ${leaderText(status)}`);
  lines.push(line`Epoch:     ${status.leaderKnown ? status.epoch : UNKNOWN}`);
  if (isNode) {
    if (status.uptimeMs > 0) lines.push(line`Uptime:    ${showSeconds(status.uptimeMs)}`);
    lines.push(line`VIP Held:  ${isKnown ? status.vipHeld : UNKNOWN}`);
    lines.push(line`Daemon:    ${daemonText(status)}`);
    if (withHealth && status.server !== null) lines.push(line`Server:    ${status.server}`);
    const health = withHealth ? healthText(status) : null;
    if (health !== null) lines.push(line`Health:    ${health}`);
    if (status.blocked !== null) lines.push(line`Blocked:   ${bad(status.blocked)}`);
  }
  if (lease !== null) lines.push(line`Lease:     ${leaseText(lease, status.leader)}`);
  return lines;
}

const UNKNOWN = "unknown";

function leaderText({ leader, leaderKnown }: ClusterStatus): Part {
  if (!leaderKnown) return UNKNOWN;
  return leader === "" ? bad("(none)") : strong(leader);
}

function daemonText({ daemon, state, competes, presence, silenceMs }: ClusterStatus): string {
  if (daemon !== "running" || state === null) return daemon;
  const parts = [
    state,
    ...(competes === false ? ["does not compete"] : []),
    ...(presence === null ? [] : [`presence ${presence}`]),
    ...(silenceMs === null ? [] : [`silence ${silenceText(silenceMs)}`]),
  ];
  return `running (${parts.join(", ")})`;
}

function leaseText(lease: NonNullable<ClusterStatus["lease"]>, leader: string): string {
  const age = `renewed ${(lease.ageMs / 1_000).toFixed(1)} s ago`;
  const ttl = `TTL ${lease.ttlMs / 1_000} s`;
  if (leader === "") return `expired: node ${lease.holder}, epoch ${lease.epoch}, ${age}, ${ttl}`;
  return `${age}, ${ttl}${holderText(lease)}`;
}

function holderText({ holder, answers, heldByOther }: NonNullable<ClusterStatus["lease"]>): string {
  if (heldByOther) {
    return `; a process of node ${holder} that does not answer has it (ended or frozen), and another process has this node id`;
  }
  if (answers === null) return `; this user may not ask node ${holder}`;
  return answers ? "" : `; node ${holder} does not answer`;
}
