/** Nodes and members with invented states, for the door. */
import type { MemberReport } from "../../../src/group/report.ts";
import type { ServedMember, ServedNode } from "../../../src/http/views.ts";
import type { NodeReport } from "../../../src/node/report.ts";

export const FOLLOWER: NodeReport = {
  nodeId: "a",
  role: "PASSIVE",
  leader: "b",
  epoch: 7,
  uptimeMs: 1_000,
  connected: true,
  clusterId: "billing",
  incarnation: "i1",
  state: "follower",
  held: false,
  competes: true,
  presence: "on",
  crashDetection: "presence",
  silenceMs: 2_000,
  leaseTtlMs: 10_000,
  version: "0.1.0",
  leaderSince: 1_700_000_000_000,
  remainingMs: 0,
  answeredMs: 100,
  spanMs: 9_500,
  stopping: false,
};

export const LEADER: NodeReport = {
  ...FOLLOWER,
  role: "PRIMARY",
  leader: "a",
  state: "leader",
  held: true,
  remainingMs: 9_000.5,
};

export const MEMBER: MemberReport = {
  groupId: "orders",
  memberId: "a",
  incarnation: "i1",
  state: "member",
  held: true,
  remainingMs: 9_000,
  connected: true,
  answeredMs: 500,
  spanMs: 9_500,
  leaseTtlMs: 10_000,
  crashDetection: "presence",
  draining: false,
  stopping: false,
  owned: 1,
  resources: 3,
  members: ["a", "b"],
  coordinator: "b",
  uptimeMs: 1_000,
};

/** A node in this state; `null`: it does not run. */
export function servedNode(report: Partial<NodeReport> | null, base: NodeReport = FOLLOWER): ServedNode {
  const { clusterId, nodeId } = { ...base, ...report };
  return { clusterId, nodeId, status: () => (report === null ? null : { ...base, ...report }) };
}

/** A member in this state that owns the resource "r1" with epoch 4; member b owns "r2" with epoch 5. */
export function servedMember(report: Partial<MemberReport> | null, isHeld = true): ServedMember {
  const { groupId, memberId } = { ...MEMBER, ...report };
  const owners = new Map([
    ["r1", { memberId: "a", epoch: 4 }],
    ["r2", { memberId: "b", epoch: 5 }],
  ]);
  return {
    groupId,
    memberId,
    status: () => (report === null ? null : { ...MEMBER, ...report }),
    term: (resource) => (resource === "r1" ? { epoch: 4, held: isHeld, provenRemainingMs: 8_000.7 } : null),
    owner: (resource) => owners.get(resource) ?? null,
    plan: () => ({ resources: [{ owner: "a" }, { owner: "b" }, { owner: null }] }),
  };
}
