import type { Plan } from "./plan.ts";

/**
 * A history that once violated an invariant, or the shortest one that finds a mutant, kept as a regression test. `npm run mutants -- --pin FOLDER` writes it; fill in
 * `what` and `fixedBy` by hand.
 */
export interface Pinned {
  /** What went wrong, in one to three sentences. */
  readonly what: string;
  /** Hash of the commit with the fix, or with the rule that the mutant removes. */
  readonly fixedBy: string;
  /** Name of the mutant that removes the fix. */
  readonly mutant: string;
  /** Start of the violation's message without the fix. */
  readonly violation: string;
  readonly plan: Plan;
}
