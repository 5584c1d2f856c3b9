/** Names of all faults of a simulated group, as plans and reports use them. Their order is part of what a seed decides. */
const NAMES = [
  "latency",
  "requests lost",
  "answers lost",
  "one kind of request lost",
  "one kind of answer lost",
  "watch lost",
  "watch unreliable",
  "blackhole",
  "late write",
  "stale reads",
  "old message",
  "message of another bucket",
  "forged end of a session",
  "forged message",
  "trouble under way",
  "quorum lost",
  "server restart",
  "disconnected",
  "reset by the server",
  "backlog",
  "presence lost",
  "no answers",
  "server frozen",
  "vanished",
  "pause",
  "suspend",
  "cut while frozen",
  "wall clock",
  "kill -9",
  "host lost",
  "stop",
  "restart",
  "killed while claiming",
  "member drains",
  "weight changes",
  "list changes",
  "list differs",
  "drains hang",
  "resource refused",
  "move wished",
  "coordinator stands still",
  "key deleted",
  "key removed",
  "garbage",
  "old plan",
  "plan lost",
  "bucket deleted",
  "history lost",
  "latency near the timeout",
  "ended under way",
  "plan overwritten",
  "slow round trips",
  "forged in a row",
] as const;

export type GroupFaultName = (typeof NAMES)[number];

export type BucketFaultName =
  | "key deleted"
  | "key removed"
  | "garbage"
  | "old plan"
  | "plan lost"
  | "plan overwritten"
  | "bucket deleted"
  | "history lost";

export type ProcessFaultName =
  | "pause"
  | "suspend"
  | "cut while frozen"
  | "wall clock"
  | "kill -9"
  | "host lost"
  | "stop"
  | "restart"
  | "killed while claiming"
  | "member drains"
  | "weight changes"
  | "list changes"
  | "list differs"
  | "drains hang"
  | "resource refused"
  | "move wished"
  | "coordinator stands still";

export type NetworkFaultName = Exclude<GroupFaultName, BucketFaultName | ProcessFaultName>;

/** An operator takes something away. */
export const operatorFaultNames: readonly GroupFaultName[] = ["key deleted", "key removed", "garbage"];
/** Everything, or the newest of it, is gone. */
export const deletionFaultNames: readonly GroupFaultName[] = ["bucket deleted", "history lost"];
/** Round trips about as long as a short F, so that beats cannot keep a stretch alive; in histories of their own. */
export const slowFaultNames: readonly GroupFaultName[] = ["slow round trips"];
/** Forged messages with the revisions that come next, so that they are taken in; in histories of their own. */
export const forgedFaultNames: readonly GroupFaultName[] = ["forged in a row"];
export const commonFaultNames: readonly GroupFaultName[] = NAMES.filter(
  (name) =>
    !operatorFaultNames.includes(name) &&
    !deletionFaultNames.includes(name) &&
    !slowFaultNames.includes(name) &&
    !forgedFaultNames.includes(name),
);
/** What keeps the renewals of a member from being applied for a part of its lease, and what does not disturb it. */
export const wrongClockFaultNames: readonly GroupFaultName[] = [
  "one kind of request lost",
  "one kind of answer lost",
  "requests lost",
  "answers lost",
  "late write",
  "watch lost",
  "pause",
  "disconnected",
  "kill -9",
  "weight changes",
];
