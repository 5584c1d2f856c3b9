/** What happens to a term whose application failed: it is given up, and the node pauses before it leads again. */
import { type Draft, emit, patchTerm, termWith } from "./draft.ts";

/**
 * Gives the term up. The pause doubles with every failure in a row. A term that has lasted for `slowAfterMs`, or that has ended without
 * a failure, starts the count again.
 */
export function failTerm(draft: Draft, epoch: number): void {
  const term = termWith(draft, epoch);
  if (term === null || term.ended !== null) return;
  const { failureBackOffMs, maxFailureBackOffMs, slowAfterMs } = draft.config;
  const lasted = draft.now.mono - term.beganMono >= slowAfterMs;
  draft.failures = lasted ? 1 : draft.failures + 1;
  patchTerm(draft, epoch, { failed: true });
  const pauseMs = Math.min(maxFailureBackOffMs, failureBackOffMs * 2 ** Math.min(draft.failures - 1, 20));
  emit(draft, { type: "resign", reason: "hook-failed", successor: undefined, pauseMs });
}
