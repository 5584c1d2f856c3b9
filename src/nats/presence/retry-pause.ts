const FIRST_MS = 100;
const LAST_MS = 10_000;

/** The server may grant a permission while a connection is open. It logs each attempt that it refuses. */
export const DENIED_RETRY_MS = 60_000;

/** The pause before the next attempt, after an attempt that failed `lastMs` after the one before; 0: it was the first. */
export function nextRetryMs(lastMs: number): number {
  return Math.min(LAST_MS, Math.max(FIRST_MS, lastMs * 2));
}
