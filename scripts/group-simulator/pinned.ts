import type { GroupPlan } from "./plan.ts";

/** A history of a group that once violated an invariant, kept as a regression test. `what` and `fixedBy` are filled in by hand. */
export interface PinnedGroup {
  /** What went wrong, in one to three sentences. */
  readonly what: string;
  /** Hash of the commit with the fix. */
  readonly fixedBy: string;
  /** Name of the mutant that removes the fix. */
  readonly mutant: string;
  /** Start of the violation's message without the fix. */
  readonly violation: string;
  readonly plan: GroupPlan;
}
