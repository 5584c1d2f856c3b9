import type { Mutant } from "./catalogue/mutant.ts";

/** The parts of the compiled tree that a mutant copies: the mutated code and the simulators. */
export const COPIED_PARTS: readonly string[] = [
  "src/",
  "scripts/simulator/",
  "scripts/group-simulator/",
  "scripts/shared/",
];

/**
 * Applies a mutant to the text of its compiled file.
 * @throws `Error` if the text does not contain `from` exactly once, or as often as `occurrence` requires.
 */
export function mutate(text: string, { name, file, from, to, occurrence }: Mutant): string {
  const pattern = from
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("\\s+");
  const found = [...text.matchAll(new RegExp(pattern, "g"))];
  const one = occurrence === undefined && found.length === 1 ? found[0] : found[(occurrence ?? 0) - 1];
  if (one === undefined) {
    throw new Error(
      `mutant "${name}": ${file} contains "${from}" ${found.length} times; adapt scripts/mutants/list.ts`,
    );
  }
  return text.slice(0, one.index) + to + text.slice(one.index + one[0].length);
}
