/**
 * Real drivers on virtual time against one fake bucket, with random faults. `scripts/simulator/check/checker.ts` checks the
 * invariants. `npm run sim -- --seeds 1000000` searches more seeds, on all cores.
 */
import { expect, test } from "vitest";
import { unseenTransitions } from "../../scripts/simulator/check/tally.ts";
import { planOf } from "../../scripts/simulator/plan.ts";
import { type RecipeName, recipes } from "../../scripts/simulator/recipes.ts";
import { merge, search } from "../../scripts/simulator/search.ts";
import { shrink, traceOf } from "../../scripts/simulator/shrink.ts";

/** `.ci/run` searches more. */
const SEEDS = 600;
const RECIPE_SEEDS = 40;

test("no history of faults violates an invariant", { timeout: 600_000 }, async () => {
  const { failures, tally, terms } = await search({ from: 1, seeds: SEEDS, maxFailures: 1 });
  const [failure] = failures;
  if (failure !== undefined) {
    const trace = await traceOf(await shrink(planOf(failure.seed)));
    expect.fail(
      `seed ${failure.seed}: ${failure.violation}\n${trace.join("\n")}\nreplay: npm run sim -- --seed ${failure.seed} --seeds 1`,
    );
  }
  expect(terms).toBeGreaterThan(SEEDS);
  expect(Object.values(tally.faults).every((times) => times > SEEDS / 20)).toBe(true);
  // The search proves nothing about a transition that did not occur.
  expect(unseenTransitions(tally)).toEqual([]);
});

test.each(Object.keys(recipes) as RecipeName[])(
  'no history of the recipe "%s" violates an invariant',
  {
    timeout: 120_000,
  },
  async (recipe) => {
    const { failures, terms } = await search({ from: 1, seeds: RECIPE_SEEDS, recipe });
    expect(failures).toEqual([]);
    expect(terms).toBeGreaterThan(RECIPE_SEEDS);
  },
);

test("the same seeds give the same histories, other seeds give others", async () => {
  const once = await search({ from: 7, seeds: 40 });
  const again = await search({ from: 7, seeds: 40 });
  const other = await search({ from: 8, seeds: 40 });
  expect(again.traceHash).toBe(once.traceHash);
  expect(other.traceHash).not.toBe(once.traceHash);
  const parts = [await search({ from: 30, seeds: 17 }), await search({ from: 7, seeds: 23 })];
  expect(merge(parts).traceHash).toBe(once.traceHash);
});
