import type { Plan } from "./plan.ts";

/** A history that once went wrong, kept. Written by `npm run mutants -- --pin FOLDER`, the first two by whoever keeps it. */
export interface Pinned {
  /** What went wrong, in a sentence or two. */
  readonly what: string;
  /** The commit that has the fix. */
  readonly fixedBy: string;
  /** Name of the mutant that takes the fix out again. */
  readonly mutant: string;
  /** How the violation begins without the fix. */
  readonly violation: string;
  readonly plan: Plan;
}
