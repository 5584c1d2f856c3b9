/** What happens to a term whose application failed: the resource is given up, and refused for a while. */
import type { Draft } from "./draft.ts";
import type { Slot, TermState } from "./types.ts";

/** No pause is longer than this many doublings. */
const MAX_DOUBLINGS = 20;

/**
 * Gives the resource up. The pause doubles with every failure in a row. A term that has lasted for `slowAfterMs`, or that has ended
 * without a failure, starts the count again.
 */
export function failTerm({ state, now, effects }: Draft, { resource }: Slot, term: TermState): void {
  if (term.ended !== null || term.failed) return;
  const { failureBackOffMs, maxFailureBackOffMs, slowAfterMs } = state.config;
  const lasted = now.mono - term.beganMono >= slowAfterMs;
  const failures = lasted ? 1 : (state.failures.get(resource) ?? 0) + 1;
  state.failures.set(resource, failures);
  term.failed = true;
  const doublings = Math.min(failures - 1, MAX_DOUBLINGS);
  const forMs = Math.min(maxFailureBackOffMs, failureBackOffMs * 2 ** doublings);
  effects.push({ type: "refuse", resource, forMs });
}
