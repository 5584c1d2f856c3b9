/**
 * Real drivers on virtual time against one fake bucket, with random faults; `src/sim/checker.ts` says what must hold.
 * `npm run sim -- --seeds 1000000` searches on, on all cores.
 */
import { expect, test } from "vitest";
import { planOf } from "../../src/sim/plan.ts";
import { search } from "../../src/sim/search.ts";
import { retell, shrink } from "../../src/sim/shrink.ts";

const SEEDS = 3_000;

test("no history of faults ends in two leaders, none, or a lower epoch", { timeout: 300_000 }, async () => {
  const { failures, tally, terms } = await search({ from: 1, seeds: SEEDS, maxFailures: 1 });
  const [failure] = failures;
  if (failure !== undefined) {
    const story = await retell(await shrink(planOf(failure.seed)));
    expect.fail(`seed ${failure.seed}: ${failure.violation}\n${story.join("\n")}`);
  }
  expect(terms).toBeGreaterThan(SEEDS);
  expect(Object.values(tally.faults).every((times) => times > SEEDS / 20)).toBe(true);
});

test("the same seed is the same history, and another one is not", async () => {
  const once = await search({ from: 7, seeds: 40 });
  const again = await search({ from: 7, seeds: 40 });
  const other = await search({ from: 8, seeds: 40 });
  expect(again.traceHash).toBe(once.traceHash);
  expect(other.traceHash).not.toBe(once.traceHash);
});
