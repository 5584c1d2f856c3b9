/**
 * How long a test waits for something that must happen. It bounds no speed: on a busy machine a process may get no CPU for seconds, and
 * only a test that fails waits this long. It is shorter than what is left of a `LONG` lease, so what happens in time was not caused by
 * the lease's end.
 */
export const PATIENCE_MS = 15_000;

/** How long a test waits for a process or a cluster of servers to start. Nothing else happens before that, so it can be long. */
export const START_MS = 60_000;

/** A lease that does not expire within `PATIENCE_MS`: after the last renewal at least 20 s are left. */
export const LONG = { leaseTtlMs: 30_000, heartbeatIntervalMs: 10_000 } as const;
