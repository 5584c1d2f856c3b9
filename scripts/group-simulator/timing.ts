/** Durations of simulated groups, in milliseconds: shorter than the defaults, so that a history has more of everything. */
import { leaseMarginMs } from "../../src/election/lease.ts";

/** W */
export const LEASE_TTL_MS = 5_000;
export const HEARTBEAT_MS = 1_000;
export const REQUEST_TIMEOUT_MS = 600;
export const BULK_TIMEOUT_MS = 1_200;
export const RETRY_DELAY_MS = 100;
export const UNOWNED_GRACE_MS = 1_500;
/** Claims and releases of all claiming members that are in flight at once. */
export const WINDOW = 16;

/** S */
export const SPAN_MS: number = LEASE_TTL_MS - leaseMarginMs(LEASE_TTL_MS);

/** Every fault begins and ends before this true time. */
export const FAULTY_MS = 30_000;
/** How long the group may take, once every fault has ended, until every resource is owned and the load is balanced. */
export const QUIET_MS: number = 4 * LEASE_TTL_MS + 10_000;
/** How long nothing may change afterwards. */
export const STEADY_MS = 8_000;
/** How long a member may take to stop. */
export const STOPPING_MS: number = 2 * LEASE_TTL_MS;

/** The clocks of the members differ by up to 4.8 %; the margin is 5 % of the lease. */
export const RATE_SPREAD = 0.048;
/** Every clock is within 2.4 % of true time; the rest allows for rounding. */
export const RATE_SLACK = 1.026;
