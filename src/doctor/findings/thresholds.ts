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
/** Logins that one server has refused within a minute. */
export const AUTHENTICATION_FAILURES = 10;
/** Bytes that wait for one client, or for a route. The server disconnects a client at 64 MiB, or after `write_deadline`. */
export const PENDING_BYTES: number = 1024 * 1024;

// The following need repeated examinations (`doctor --watch`).

/** In which time more than `SLOW_CONSUMERS` have to be added. */
export const SLOW_CONSUMERS_MS = 300_000;
/** New connections to one server. */
export const CONNECTS_PER_MIN = 60;
export const API_ERRORS_PER_MIN = 30;
export const API_ERROR_PERCENT = 10;
/** Leader changes of one raft group. The restart of one server causes one for each group that it leads. */
export const LEADER_CHANGES = 3;
export const LEADER_CHANGES_MS = 600_000;
/** Restarts of one server. */
export const RESTARTS = 2;
export const RESTARTS_MS = 3_600_000;
/** For how long a restart is mentioned. */
export const RESTARTED_MS = 300_000;
/** How long a condition has to last before it is a warning, by the code of the finding. */
export const LASTING_MS: Readonly<Record<string, number>> = {
  lag: 60_000,
  "consumer-lag": 60_000,
  "slow-client": 60_000,
  "route-pending": 60_000,
  "authentication-failures": 60_000,
  reconnects: 60_000,
  "api-errors": 60_000,
};
