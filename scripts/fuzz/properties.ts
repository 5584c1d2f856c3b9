/** What holds for every input of a target: nothing is thrown, what is shown is safe to print, the cost is linear. */
import fc from "fast-check";
import type { AnyFuzzTarget } from "./target.ts";

/**
 * Characters that a terminal or a log viewer obeys instead of showing them: C0, DEL and C1 controls, marks and overrides of the
 * writing direction, separators of lines and paragraphs, invisible characters, and halves of surrogate pairs.
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Surrogate}/u;

/** Sizes of inputs in bytes: below the caps of most inputs, at them, and far above. */
const SIZES = [1_024, 16_384, 262_144] as const;
/** Sixteen times the size may cost this many times as much: 16 is linear, 256 is quadratic. */
const MAX_FACTOR = 64;
/** Differences below this are noise of the machine. */
const NOISE_MS = 0.5;
const ROUNDS = 5;
const ROUND_MS = 0.2;

/** What was violated, with the input that shows it. */
export interface FuzzFailure {
  readonly target: string;
  readonly what: string;
  /** Replays the input: `--only TARGET --seed SEED --runs RUNS`. */
  readonly seed: number;
  readonly input: string;
}

/** Checks `runs` random inputs. Returns the first failure, shrunk, or `null`. */
export function checkInputs(target: AnyFuzzTarget, runs: number, seed: number): FuzzFailure | null {
  const safe = fc.property(target.inputs, (input) => {
    for (const line of target.show(input)) {
      const found = UNSAFE.exec(line);
      if (found !== null) throw new Error(`shows the raw character ${codePoint(found[0])}`);
    }
  });
  const details = fc.check(safe, { numRuns: runs, seed });
  if (!details.failed) return null;
  const [input] = details.counterexample ?? [];
  const { errorInstance } = details;
  const what = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  return { target: target.name, what, seed, input: fc.stringify(input) };
}

/**
 * Checks that inputs which repeat `piece` cost no more than their size allows. Compares ratios, the smallest of several rounds.
 *
 * @param now - Milliseconds spent.
 */
export function checkGrowth(
  target: AnyFuzzTarget,
  piece: string,
  seed: number,
  now: () => number = () => performance.now(),
): FuzzFailure | null {
  const inputs = SIZES.map((size) => target.grown(piece, size));
  let what: string | null = null;
  // A pause of the machine can make one measurement wrong, but not three.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    what = excess(inputs.map((input) => costMs(target, input, now)));
    if (what === null) return null;
  }
  return what === null ? null : { target: target.name, what, seed, input: JSON.stringify(piece) };
}

/** Pieces for `checkGrowth`: those of the target, then random ones. */
export function piecesOf(target: AnyFuzzTarget, count: number, seed: number): string[] {
  const random = fc.oneof(
    fc.string({ minLength: 1, maxLength: 6 }),
    fc.string({ minLength: 1, maxLength: 3, unit: "binary" }),
    fc.constantFrom("[", "{", '"', "\\", " ", ":", "/", "@", "://", "a@", "\u001b[", "-", "0", "é", "="),
  );
  return [...(target.pieces ?? []), ...fc.sample(random, { numRuns: count, seed })];
}

function excess(costs: readonly number[]): string | null {
  for (const [index, cost] of costs.entries()) {
    const smaller = costs[index - 1];
    if (smaller === undefined || cost <= smaller * MAX_FACTOR + NOISE_MS) continue;
    const [from, to] = [SIZES[index - 1], SIZES[index]];
    return `${from} bytes take ${smaller.toFixed(3)} ms, ${to} bytes ${cost.toFixed(3)} ms: more than linear`;
  }
  return null;
}

/** The shortest time that handling this input takes. */
function costMs(target: AnyFuzzTarget, input: unknown, now: () => number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = now();
    let [calls, spent] = [0, 0];
    do {
      target.show(input);
      calls += 1;
      spent = now() - began;
    } while (spent < ROUND_MS);
    least = Math.min(least, spent / calls);
  }
  return least;
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
