/** Findings about the nodes and about the permissions of this user. */

import { LEAST_PROMISING_LEASE_MS } from "../../config/silence.ts";
import type { ExaminedNode, Facts, PermissionFacts } from "../facts.ts";
import type { Finding, Sign } from "./finding.ts";

export function nodeFindings(facts: Facts): Sign[] {
  const nodes = facts.nodes ?? [];
  return [
    ...leadershipFindings(facts),
    ...countFindings(facts),
    ...idFindings(nodes),
    ...ttlFindings(nodes),
    ...nodes.flatMap((node) => [...detectionFindings(node, facts.clusterId), ...goFindings(node)]),
  ];
}

function leadershipFindings({ clusterId, lease, nodes, bucket }: Facts): Sign[] {
  const where = `cluster ${clusterId}`;
  if (lease === null || bucket?.exists === false) return [];
  if (lease.garbage !== null) {
    return [
      {
        severity: "critical",
        code: "lease-garbage",
        where,
        what: `the key of the lease holds a message that is not a lease record (${lease.garbage}), stored ${Math.round(lease.ageMs)} ms ago`,
        todo: "let only nodes write to the bucket (nats-leader permissions); a node replaces the message when a full lease has passed, if one runs and competes",
      },
    ];
  }
  if (lease.leader !== null) {
    if (lease.answers !== false) return [];
    return [
      {
        severity: "warning",
        code: "leader-silent",
        where: `node ${lease.leader}`,
        what: `it holds the lease, renewed ${Math.round(lease.ageMs)} ms ago, but does not answer`,
        todo: "check whether it is frozen, cut off or runs without micro service (service.enabled, in the library service: false); if it is gone, another node leads after its silence or, without a promise of silence, when its lease has expired",
        aftermath: true,
      },
    ];
  }
  const candidates = (nodes ?? []).filter(isCandidate);
  if (candidates.length === 0) {
    return [
      {
        severity: "warning",
        code: "nobody-competes",
        where,
        what: `there is no leader${nodes === null ? "" : ", and no node competes"}`,
        todo: "start a node, or make a node that left compete again with nats-leader join",
      },
    ];
  }
  return [
    {
      severity: "critical",
      code: "nobody-leads",
      where,
      what: `there is no leader, although nodes compete: ${candidates.map(({ nodeId }) => nodeId).join(", ")}`,
      todo: "examine it again in a few seconds; if it persists, check the bucket and the logs of the nodes",
      aftermath: true,
    },
  ];
}

function isCandidate({ competes, instance }: ExaminedNode): boolean {
  return instance !== null && competes !== false;
}

/** Which nodes a cluster should have is stored nowhere: it is known from the operator only. */
function countFindings({ clusterId, nodes, expectedNodes }: Facts): Finding[] {
  if (nodes === null) return [];
  const ids = [...new Set(nodes.filter(isCandidate).map(({ nodeId }) => nodeId))];
  const where = `cluster ${clusterId}`;
  const alone = ids.length === 1 ? `: no node takes over from ${ids[0]}` : "";
  if (expectedNodes !== null && ids.length < expectedNodes) {
    const which = ids.length === 0 ? "" : ` (${ids.join(", ")})`;
    return [
      {
        severity: "warning",
        code: "nodes-missing",
        where,
        what: `${ids.length} of ${expectedNodes} expected nodes answer and compete${which}${alone}`,
        todo: "start the others, or make a node that left compete again with nats-leader join; nodes without micro service are not seen",
      },
    ];
  }
  if (expectedNodes !== null || ids.length !== 1) return [];
  return [
    {
      severity: "note",
      code: "no-standby",
      where,
      what: `only one node answers and competes${alone}`,
      todo: "start a second node; with --expect-nodes N, missing nodes are a warning",
    },
  ];
}

function idFindings(nodes: readonly ExaminedNode[]): Finding[] {
  // A silent leader beside a node with its id is `leader-silent`: it may have ended.
  const ids = nodes.filter(({ instance }) => instance !== null).map(({ nodeId }) => nodeId);
  const duplicates = [...new Set(ids.filter((id, index) => ids.indexOf(id) !== index))];
  return duplicates.map((id) => ({
    severity: "warning",
    code: "duplicate-id",
    where: `node ${id}`,
    what: `${ids.filter((one) => one === id).length} processes use this node id: a step-down or handover request reaches all of them`,
    todo: "give each process its own node id",
  }));
}

function ttlFindings(nodes: readonly ExaminedNode[]): Finding[] {
  const groups = new Map<number, string[]>();
  for (const { nodeId, leaseTtlMs } of nodes) {
    if (leaseTtlMs === null) continue;
    groups.set(leaseTtlMs, [...(groups.get(leaseTtlMs) ?? []), nodeId]);
  }
  if (groups.size < 2) return [];
  const which = [...groups].sort(([a], [b]) => a - b).map(([ttl, ids]) => `${ttl} ms (${ids.join(", ")})`);
  return [
    {
      severity: "warning",
      code: "ttls-differ",
      where: "nodes",
      what: `the nodes have different values of leaseTtlMs: ${which.join(", ")}; after a crash, takeover waits for the longer one`,
      todo: "configure the same leaseTtlMs on all nodes",
    },
  ];
}

/** Observers need neither. A node of an earlier version has no silence. */
function detectionFindings(node: ExaminedNode, clusterId: string | null): Sign[] {
  if (node.competes === false) return [];
  const findings = presenceFindings(node, clusterId);
  return findings.length > 0 ? findings : silenceFindings(node, clusterId);
}

/** With `crashDetection: "silence"` there is no presence. */
function presenceFindings(
  { nodeId, presence, crashDetection, silenceMs }: ExaminedNode,
  clusterId: string | null,
): Sign[] {
  if (presence === null || presence === "on" || crashDetection === "silence") return [];
  const denied = presence === "denied";
  const takeover =
    silenceMs === null || silenceMs === 0
      ? "takeover waits until its lease expires"
      : `takeover waits for ${silenceMs} ms of silence`;
  return [
    {
      severity: "warning",
      code: "presence-off",
      where: `node ${nodeId}`,
      what: `its presence is ${denied ? "denied" : "off"}: if it crashes as the leader, ${takeover}`,
      todo: denied
        ? permissionsTodo(clusterId)
        : 'set crashDetection to "presence", unless "lease" is intended; if presence was lost, its log has the reason, and it returns within seconds of a reconnect',
      // A node that has lost its server sets up its presence again once it has reconnected and the bucket has a leader.
      ...(denied ? {} : { aftermath: true }),
    },
  ];
}

/** A node that is configured to promise silence and cannot, or is configured not to. With a short lease that is the default. */
function silenceFindings(
  { nodeId, silenceMs, crashDetection, leaseTtlMs }: ExaminedNode,
  clusterId: string | null,
): Sign[] {
  if (silenceMs !== 0) return [];
  const isNeeded = crashDetection === "silence";
  if (!isNeeded && leaseTtlMs !== null && leaseTtlMs < LEAST_PROMISING_LEASE_MS) return [];
  return [
    {
      severity: isNeeded ? "warning" : "note",
      code: "silence-off",
      where: `node ${nodeId}`,
      what: "it promises no silence: if its host vanishes while it leads, takeover waits until its lease expires",
      todo: `set silenceMs, unless 0 is intended; if it is set, what the node sends to itself does not come back: ${permissionsTodo(clusterId)}, and connect without noEcho`,
      // Also for a moment after every reconnect.
      aftermath: true,
    },
  ];
}

function permissionsTodo(clusterId: string | null): string {
  return `give its user the permissions that "nats-leader permissions node --cluster-id ${clusterId}" prints; its log names the missing one`;
}

function goFindings({ nodeId, instance, state }: ExaminedNode): Finding[] {
  if (instance === null || state !== null) return [];
  return [
    {
      severity: "note",
      code: "go-cluster-node",
      where: `node ${nodeId}`,
      what: "it is a go-cluster node: as the leader it does not stop when it cannot renew its lease",
      todo: "replace it with a nats-leader node",
    },
  ];
}

/** Another way than the permission. */
function todoOf(role: PermissionFacts["role"], direction: string, subject: string): string {
  const isService = direction === "subscribe" && /^(\$SRV|cluster_[\w-]+)\./.test(subject);
  return role === "observer" && isService
    ? ", or switch its micro service off (service.enabled: false, in the library service: false)"
    : "";
}

export function permissionFindings(permissions: PermissionFacts | null): Finding[] {
  if (permissions === null) return [];
  const { role, command, tried } = permissions;
  return tried.flatMap(({ direction, subject, purpose, vital, allowed }): Finding[] => {
    if (allowed !== false) return [];
    return [
      {
        severity: vital ? "critical" : "warning",
        code: "permission-missing",
        where: "this user",
        what: `it may not ${direction} ${subject}; role "${role}" needs this for ${purpose}`,
        todo: `allow ${direction} of ${subject} ("${command}" prints the whole set)${todoOf(role, direction, subject)}, or pass the intended role with --role`,
      },
    ];
  });
}
