/** The limits of alerts. Those about servers are doctor's. */
export {
  LAG,
  MEMORY_PERCENT,
  SLOW_CONSUMERS,
  STORAGE_PERCENT,
} from "../../../src/doctor/findings/thresholds.ts";

/** For a lease of 10 s, of which 6 s or more are left in normal operation when a renewal is confirmed. */
export const MARGIN_LOW_SECONDS = 2;
/** A bucket of the histogram of hook durations. */
export const HOOK_LIMIT_SECONDS = 5;
