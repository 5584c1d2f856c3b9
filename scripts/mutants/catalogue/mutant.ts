import type { RecipeName } from "../../simulator/recipes.ts";

/** A named fault in one place of the compiled code: a mistake that is easy to make, or that was made. */
export interface Mutant {
  readonly name: string;
  /** Compiled file. */
  readonly file: string;
  /** The text to replace, with any white space between its words. Must occur exactly once, unless `occurrence` is given. */
  readonly from: string;
  readonly to: string;
  /** Which occurrence of `from` is replaced, counted from 1. */
  readonly occurrence?: number;
  /** The recipe whose seeds find it, where random faults do not. Of the simulator of the election. */
  readonly recipe?: RecipeName;
  /** Why no history can distinguish the mutant from the original. Such a mutant must not be found. */
  readonly equivalent?: string;
}
