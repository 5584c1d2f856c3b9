/** Beyond which something is found. A value that is equal to its threshold is still well. */

/** Of JetStream's limit, in percent. */
export const MEMORY_PERCENT = 80;
export const STORAGE_PERCENT = 85;
/** Since the server's start. */
export const SLOW_CONSUMERS = 5;
/** Operations of a raft group or a stream's copy, messages of a consumer. */
export const LAG = 1_000;
/** Wall clocks. No decision of the election reads them; logs, certificates and a bucket's max-age do. */
export const OFFSET_MS = 1_000;
/** Two clocks that run apart faster than this are worth a look: a sound clock stays below 0.05 %. */
export const RATE_WARNING_PPM = 10_000;
/** The lease's margin is 5 % of it: beyond that two leaders are possible. */
export const RATE_CRITICAL_PPM = 50_000;
