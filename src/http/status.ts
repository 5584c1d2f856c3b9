/** What /status shows: every node and member of the process. */
import type { MemberReport } from "../group/report.ts";
import type { NodeReport } from "../node/report.ts";
import { membersOf, nodesOf, type ServedMember, type ServedNode, type Sources } from "./views.ts";

export interface ProcessStatus {
  /** Milliseconds since the process began. */
  readonly uptimeMs: number;
  readonly nodes: readonly NodeEntry[];
  readonly groups: readonly MemberEntry[];
}

export type NodeEntry =
  | ({ readonly running: true } & NodeReport)
  | { readonly running: false; readonly clusterId: string; readonly nodeId: string };

export type MemberEntry =
  /** `unowned`: number of resources on its list without an owner, as far as it knows. */
  | ({ readonly running: true; readonly unowned: number } & MemberReport)
  | { readonly running: false; readonly groupId: string; readonly memberId: string };

export function statusOf(sources: Sources): ProcessStatus {
  return {
    uptimeMs: Math.round(process.uptime() * 1_000),
    nodes: nodesOf(sources).map(nodeEntry),
    groups: membersOf(sources).map(memberEntry),
  };
}

function nodeEntry(node: ServedNode): NodeEntry {
  const report = node.status();
  if (report !== null) return { running: true, ...report };
  return { running: false, clusterId: node.clusterId, nodeId: node.nodeId };
}

function memberEntry(member: ServedMember): MemberEntry {
  const report = member.status();
  if (report === null) return { running: false, groupId: member.groupId, memberId: member.memberId };
  const unowned = member.plan().resources.filter(({ owner }) => owner === null).length;
  return { running: true, unowned, ...report };
}
