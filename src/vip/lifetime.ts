/**
 * How long the kernel keeps the address when nobody renews it: never beyond the lease.
 *
 * The kernel counts whole seconds and is late: measured up to 0.4 s on Linux 6.18; by its source (`check_lifetime`,
 * `addrconf_verify_rtnl`) an expiry may be put off to the next whole second, or to 1 s after the last one that it
 * handled, and be rounded by another quarter. So with R ms of the lease left the address gets floor((R - 1300) / 1000)
 * seconds. What is lost by rounding down is won back by refreshing more often than the lease is renewed.
 */

/** The most that the kernel may be late, in milliseconds. */
export const KERNEL_LATENESS_MS = 1300;

/** A lease with less than this left can't carry an address. */
export const LEAST_REMAINING_MS: number = KERNEL_LATENESS_MS + 1000;

/** Worth a refresh at any time. */
const LARGE_GAIN_MS = 900;
/** Worth a refresh when the address is about to end. */
const SMALL_GAIN_MS = 100;
const NEAR_END_MS = 1500;

/** Whole seconds; 0: none, because the address could outlive the lease. */
export function lifetimeSeconds(remainingMs: number): number {
  return Math.max(0, Math.floor((remainingMs - KERNEL_LATENESS_MS) / 1000));
}

/** Does setting the lifetime now gain enough? `endsInMs`: until the kernel removes the address as things are. */
export function worthRefreshing(remainingMs: number, endsInMs: number): boolean {
  const seconds = lifetimeSeconds(remainingMs);
  if (seconds === 0) return false;
  const gainMs = seconds * 1000 - endsInMs;
  return gainMs >= LARGE_GAIN_MS || (endsInMs < NEAR_END_MS && gainMs >= SMALL_GAIN_MS);
}
