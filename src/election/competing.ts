/** Whether this node wants to lead at all. */
import { type Draft, termOf } from "./draft.ts";
import { resign } from "./leader.ts";

/**
 * Competes from now on, or only follows. A running term is drained. An acquiring write in flight is not taken back; if it is
 * applied, the lease is deleted without a term.
 */
export function setCompeting(draft: Draft, competes: boolean): void {
  if (draft.candidacy.stopping) return;
  draft.candidacy.competes = competes;
  if (!competes) return resign(draft, "released", undefined);
  draft.candidacy.cooldownUntilMono = Number.NEGATIVE_INFINITY;
  draft.candidacy.pauseUntilMono = Number.NEGATIVE_INFINITY;
  // While this node did not compete it made no inquiries: the holder may have ended since.
  draft.holder.inquiryDue = true;
  if (termOf(draft) === null) draft.reads.due = true;
}
