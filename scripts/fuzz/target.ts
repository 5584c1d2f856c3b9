/** What a fuzz target is. Each file of `targets/` exports one as `target`; `main.ts` and `test/fuzz` find them by that. */
import type { Arbitrary } from "fast-check";

/**
 * Code that handles input which others can write.
 *
 * @example
 * export const target: FuzzTarget<string> = {
 *   name: "duration",
 *   inputs: fc.string(),
 *   show: (text) => [describe(parseDuration(text))],
 *   grown: (piece, size) => fill(piece, size),
 * };
 */
export interface FuzzTarget<Input> {
  /** As `--only` selects it. */
  readonly name: string;
  /** Inputs of all kinds: mostly nearly valid ones, because random bytes reach only the first check. */
  readonly inputs: Arbitrary<Input>;
  /**
   * Handles the input as the product does, and returns every line that people may be shown because of it. It must not throw. An
   * error that the product reports is caught here, and its message is a line.
   */
  show(input: Input): readonly string[];
  /** An input of about `size` bytes that repeats `piece` where it hurts most: for the run time. */
  grown(piece: string, size: number): Input;
  /** Pieces that are likely to be slow, in addition to random ones. */
  readonly pieces?: readonly string[];
}

/** A target without its type of input. */
export type AnyFuzzTarget = FuzzTarget<unknown>;

/** `piece` repeated to `size` characters. */
export function fill(piece: string, size: number): string {
  const unit = piece === "" ? "x" : piece;
  return unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
}
