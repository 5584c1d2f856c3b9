/**
 * The address's lifetime in the kernel, which ends before another node may lead, also if this process is frozen or killed by then.
 *
 * The kernel counts whole seconds and removes addresses late: by up to 0.4 s as measured on Linux 6.18. By its source
 * (`check_lifetime`, `addrconf_verify_rtnl`), an expiry may be deferred to the next whole second, or to 1 s after the last expiry
 * that it handled, and be rounded by another quarter of a second. Therefore, with R = `term.remainingMs`, the address gets
 * floor((R - 1300) / 1000) seconds. R is the rest of the lease or, while the leader promises silence, of its stretch, whichever ends
 * first. Refreshing more often than the lease is renewed recovers what rounding takes away.
 */

import { KERNEL_LATENESS_MS } from "../config/silence.ts";

/** With less than this left, the address cannot be added. */
export const LEAST_REMAINING_MS: number = KERNEL_LATENESS_MS + 1000;

/** Gain that justifies a refresh at any time. */
const LARGE_GAIN_MS = 900;
/** Gain that justifies a refresh when the address is about to expire. */
const SMALL_GAIN_MS = 100;
const NEAR_END_MS = 1500;

/** Whole seconds; 0: the address must not be added, because it another node could lead before its end. */
export function lifetimeSeconds(remainingMs: number): number {
  return Math.max(0, Math.floor((remainingMs - KERNEL_LATENESS_MS) / 1000));
}

/** Whether setting the lifetime now gains enough. `endsInMs`: time until the current lifetime ends. */
export function worthRefreshing(remainingMs: number, endsInMs: number): boolean {
  const seconds = lifetimeSeconds(remainingMs);
  if (seconds === 0) return false;
  const gainMs = seconds * 1000 - endsInMs;
  return gainMs >= LARGE_GAIN_MS || (endsInMs < NEAR_END_MS && gainMs >= SMALL_GAIN_MS);
}
