import type { Plan } from "./plan.ts";

/**
 * A history that once violated an invariant, kept as a regression test. `npm run mutants -- --pin FOLDER` writes it; fill in
 * `what` and `fixedBy` by hand.
 */
export interface Pinned {
  /** What went wrong, in one to three sentences. */
  readonly what: string;
  /** Hash of the commit with the fix. */
  readonly fixedBy: string;
  /** Name of the mutant that removes the fix. */
  readonly mutant: string;
  /** Start of the violation's message without the fix. */
  readonly violation: string;
  readonly plan: Plan;
}
