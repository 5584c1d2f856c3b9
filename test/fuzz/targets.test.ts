/** The properties of `npm run fuzz` with fixed seeds: a regression shows here, the search for new inputs is the script's. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findTargets } from "../../scripts/fuzz/find-targets.ts";
import { checkGrowth, checkInputs, piecesOf } from "../../scripts/fuzz/properties.ts";
import type { FuzzTarget } from "../../scripts/fuzz/target.ts";

const RUNS = 1_000;
const SEED = 20_261_129;

describe.each(await findTargets())("input of others: $name", (target) => {
  test("makes nothing throw and shows no raw control character", () => {
    expect(checkInputs(target, RUNS, SEED)).toBeNull();
  });

  test("of any size is handled: pieces repeated to 256 KiB", () => {
    for (const piece of piecesOf(target, 20, SEED))
      expect(() => target.show(target.grown(piece, 262_144))).not.toThrow();
  });
});

describe("the fuzzer itself finds", () => {
  const careless: FuzzTarget<string> = {
    name: "careless",
    inputs: fc.string({ unit: "binary" }),
    show: (text) => [text],
    grown: (piece, size) => piece.repeat(size / piece.length),
  };

  test("a raw control character", () => {
    expect(checkInputs(careless, RUNS, SEED)?.what).toMatch(/^shows the raw character U\+/);
  });

  test("an error that is thrown, with the input that causes it", () => {
    const throws = { ...careless, show: (text: string) => [String(BigInt(text))] };
    expect(checkInputs(throws, RUNS, SEED)).toMatchObject({
      target: "careless",
      what: expect.stringContaining("BigInt"),
    });
  });

  test("a quadratic cost, and accepts a linear one", () => {
    // A clock that counts steps: the machine's own would depend on what else runs.
    let steps = 0;
    const costing = (cost: (length: number) => number): FuzzTarget<string> => ({
      ...careless,
      show: (text) => {
        steps += cost(text.length);
        return [];
      },
    });
    const check = (target: FuzzTarget<string>) => checkGrowth(target, "x", SEED, () => steps);
    expect(check(costing((length) => length ** 2))?.what).toContain("more than linear");
    expect(check(costing((length) => 4 * length))).toBeNull();
  });
});
