/** Names of all simulated faults, as plans and reports use them. Their order is part of what a seed decides. */
const NAMES = [
  "latency",
  "requests lost",
  "responses lost",
  "watch lost",
  "blackhole",
  "late write",
  "pause",
  "suspend",
  "cut while frozen",
  "wall clock",
  "kill -9",
  "host lost",
  "disconnected",
  "server restart",
  "quorum lost",
  "presence lost",
  "backlog",
  "stale reads",
  "old event",
  "false hint",
  "trouble under way",
  "other key",
  "stop",
  "stop while frozen",
  "step down",
  "only follow",
  "server clock",
  "key deleted",
  "stream purged",
  "garbage",
  "bucket deleted",
  "forged record",
  "reset by the server",
  "count late",
  "server frozen",
  "false answer",
  "vanished",
  "no answers",
  "closed forgotten",
  "frozen and cut off",
  "answers late",
] as const;

/** Faults of recipes (`recipes.ts`) only: the plans of seeds without one do not depend on them. */
const AIMED_NAMES = ["overtaken acquire", "overtaken release", "replaced unseen", "history lost"] as const;

export type SimulatedFaultName = (typeof NAMES)[number] | (typeof AIMED_NAMES)[number];

export type ProcessFaultName =
  | "pause"
  | "suspend"
  | "cut while frozen"
  | "wall clock"
  | "kill -9"
  | "host lost"
  | "stop"
  | "stop while frozen"
  | "step down"
  | "only follow";
export type BucketFaultName =
  | "other key"
  | "server clock"
  | "key deleted"
  | "stream purged"
  | "garbage"
  | "bucket deleted"
  | "forged record"
  | "history lost";
export type NetworkFaultName = Exclude<SimulatedFaultName, ProcessFaultName | BucketFaultName>;

/** An operator takes the lease away. */
export const operatorFaultNames: readonly SimulatedFaultName[] = [
  "key deleted",
  "stream purged",
  "garbage",
  "server clock",
  "forged record",
];
export const deletionFaultNames: readonly SimulatedFaultName[] = ["bucket deleted"];
export const commonFaultNames: readonly SimulatedFaultName[] = NAMES.filter(
  (name) => !operatorFaultNames.includes(name) && !deletionFaultNames.includes(name),
);
