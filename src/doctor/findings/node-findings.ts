/** What is wrong with the nodes, and with what this user may do. */
import type { Facts, NodeFacts, PermissionFacts } from "../facts.ts";
import type { Finding } from "./finding.ts";

export function nodeFindings(facts: Facts): Finding[] {
  const nodes = facts.nodes ?? [];
  return [
    ...leadershipFindings(facts),
    ...idFindings(nodes),
    ...ttlFindings(nodes),
    ...nodes.flatMap((node) => [...presenceFindings(node), ...goFindings(node)]),
  ];
}

function leadershipFindings({ clusterId, lease, nodes, bucket }: Facts): Finding[] {
  const where = `cluster ${clusterId}`;
  if (lease === null || bucket?.exists === false) return [];
  if (lease.leader !== null) {
    if (lease.answers !== false) return [];
    return [
      {
        severity: "warning",
        code: "leader-silent",
        where: `node ${lease.leader}`,
        what: `it leads by its lease, renewed ${Math.round(lease.ageMs)} ms ago, and does not answer`,
        todo: "is it frozen, cut off, or without micro service (service: false)? Its lease decides",
      },
    ];
  }
  const candidates = (nodes ?? []).filter(
    ({ competes, instance }) => instance !== null && competes !== false,
  );
  if (candidates.length === 0) {
    return [
      {
        severity: "warning",
        code: "nobody-competes",
        where,
        what: `nobody leads${nodes === null ? "" : ", and no node competes"}`,
        todo: "start a node, or let one that has left compete again: nats-leader join",
      },
    ];
  }
  return [
    {
      severity: "critical",
      code: "nobody-leads",
      where,
      what: `nobody leads, and ${candidates.map(({ nodeId }) => nodeId).join(", ")} would`,
      todo: "look again in some seconds; if it stays, look at the bucket, and at the nodes' logs",
    },
  ];
}

function idFindings(nodes: readonly NodeFacts[]): Finding[] {
  const ids = nodes.map(({ nodeId }) => nodeId);
  const twice = [...new Set(ids.filter((id, index) => ids.indexOf(id) !== index))];
  return twice.map((id) => ({
    severity: "warning",
    code: "duplicate-id",
    where: `node ${id}`,
    what: `${ids.filter((one) => one === id).length} processes run under this id: a step-down or handover reaches all of them`,
    todo: "give each process an id of its own",
  }));
}

function ttlFindings(nodes: readonly NodeFacts[]): Finding[] {
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
      what: `leaseTtlMs is not the same everywhere: ${which.join(", ")}; who takes over after a crash waits for the longer one`,
      todo: "configure the same leaseTtlMs on all nodes",
    },
  ];
}

/** Observers have none, and need none. */
function presenceFindings({ nodeId, presence, competes }: NodeFacts): Finding[] {
  if (competes === false || presence === null || presence === "on") return [];
  const denied = presence === "denied";
  return [
    {
      severity: "warning",
      code: "presence-off",
      where: `node ${nodeId}`,
      what: `its presence is ${denied ? "denied" : "off"}: when it crashes while it leads, takeover waits for its lease to end`,
      todo: denied
        ? "its user needs the consumer and advisory permissions of docs/security.md; its log says which is missing"
        : 'set crashDetection to "presence", unless "lease" was chosen; its log says if it was lost',
    },
  ];
}

function goFindings({ nodeId, instance, state }: NodeFacts): Finding[] {
  if (instance === null || state !== null) return [];
  return [
    {
      severity: "note",
      code: "go-cluster-node",
      where: `node ${nodeId}`,
      what: "it is a go-cluster node: as a leader it does not stop when it can't renew",
      todo: "replace it when you can",
    },
  ];
}

export function permissionFindings(permissions: PermissionFacts | null): Finding[] {
  if (permissions === null) return [];
  const { role, tried } = permissions;
  return tried.flatMap(({ direction, subject, purpose, vital, allowed }): Finding[] => {
    if (allowed !== false) return [];
    return [
      {
        severity: vital ? "critical" : "warning",
        code: "permission-missing",
        where: "this user",
        what: `it may not ${direction} ${subject}; a user for role "${role}" needs that for ${purpose}`,
        todo: `allow ${direction} of ${subject} (examples/permissions/${role}.conf), or say what it is: --role`,
      },
    ];
  });
}
