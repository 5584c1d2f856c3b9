import type { ApplicationConfig } from "../../application/types.ts";

/** Application code that blocks other application code is reported after this time at the earliest, in milliseconds. */
const MIN_SLOW_AFTER_MS = 1_000;
/** Application code that may wait for its own end is answered after this time, in milliseconds. */
const MAX_SELF_WAIT_MS = 1_000;
const FAILURE_BACK_OFF_MS = 250;
const MAX_FAILURE_BACK_OFF_MS = 30_000;

/** The times of an application side. `leaseMs`: how long what it holds may last without a renewal. */
export function applicationTimes(drainTimeoutMs: number, leaseMs: number): Omit<ApplicationConfig, "hooks"> {
  return {
    drainTimeoutMs,
    slowAfterMs: Math.max(MIN_SLOW_AFTER_MS, Math.min(drainTimeoutMs, leaseMs)),
    selfWaitMs: Math.min(MAX_SELF_WAIT_MS, drainTimeoutMs / 2),
    failureBackOffMs: FAILURE_BACK_OFF_MS,
    maxFailureBackOffMs: MAX_FAILURE_BACK_OFF_MS,
  };
}
