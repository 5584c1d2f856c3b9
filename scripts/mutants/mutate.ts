import type { Mutant } from "./catalogue/mutant.ts";

/** What a mutant needs a copy of: the code with the fault and the simulator that plays it. */
export const COPIED_PARTS: readonly string[] = ["src/", "scripts/simulator/", "scripts/shared/"];

/** The text of a compiled file with the fault in it. Throws when the list does not fit the code any more. */
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
      `mutant "${name}": ${file} has ${found.length} places like "${from}"; adapt scripts/mutants/list.ts`,
    );
  }
  return text.slice(0, one.index) + to + text.slice(one.index + one[0].length);
}
