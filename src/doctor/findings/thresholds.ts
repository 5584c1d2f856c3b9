/** Thresholds of findings. A value equal to its threshold gives no finding. */

/** Percent of JetStream's limit. */
export const MEMORY_PERCENT = 80;
export const STORAGE_PERCENT = 85;
/** Number since the server's start. */
export const SLOW_CONSUMERS = 5;
/** Operations of a raft group or a stream replica, or messages of a consumer. */
export const LAG = 1_000;
/** For a resource without an owner. A crash is noticed after the TTL, 10 s by default, and `unownedGraceMs` is 3 s by default. */
export const UNOWNED_MS = 30_000;
/** For a resource that is planned for another member, and for a member that is not in the plan. */
export const MOVE_MS = 300_000;
/** Percent of the largest plan. */
export const PLAN_PERCENT = 80;
/** Difference of wall clocks. The election does not use them; logs, certificates and a bucket's max-age do. */
export const OFFSET_MS = 1_000;
/** Difference of clock rates. A healthy clock stays below 0.05 %. */
export const RATE_WARNING_PPM = 10_000;
/** The margin of a lease is 5 % of its TTL; beyond that two leaders are possible. */
export const RATE_CRITICAL_PPM = 50_000;
