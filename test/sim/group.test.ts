/**
 * The core of groups on virtual time against one fake bucket, with random faults. `scripts/group-simulator/check` checks the invariants.
 * `npm run sim:group -- --seeds 100000` searches more seeds, on all cores.
 */
import { expect, test } from "vitest";
import {
  commonFaultNames,
  deletionFaultNames,
  forgedFaultNames,
  operatorFaultNames,
  slowFaultNames,
} from "../../scripts/group-simulator/faults/names.ts";
import { planOf, type Scenario } from "../../scripts/group-simulator/plan.ts";
import { merge, search } from "../../scripts/group-simulator/search.ts";
import { shrink, traceOf } from "../../scripts/group-simulator/shrink.ts";

/** `.ci/run` searches more. */
const SEEDS = 100;

test("no history of faults violates an invariant of groups", { timeout: 600_000 }, async () => {
  const { failures, tally, terms } = await search({ from: 1, seeds: SEEDS, maxFailures: 1 });
  const [failure] = failures;
  if (failure !== undefined) {
    const trace = await traceOf(await shrink(planOf(failure.seed)));
    expect.fail(
      `seed ${failure.seed}: ${failure.violation}\n${trace.join("\n")}\nreplay: npm run sim:group -- --seed ${failure.seed} --seeds 1`,
    );
  }
  expect(terms).toBeGreaterThan(SEEDS);
  // The search proves nothing about what did not occur.
  expect(unseen(tally.commits, COMMITS)).toEqual([]);
  expect(unseen(tally.effects, EFFECTS)).toEqual([]);
  expect(unseen(tally.faults, FAULTS)).toEqual([]);
});

test("every scenario is among the seeds of the search", () => {
  const scenarios = new Set<Scenario>();
  for (let seed = 1; seed <= SEEDS; seed += 1) scenarios.add(planOf(seed).scenario);
  expect([...scenarios].sort()).toEqual([
    "aimed",
    "faults",
    "forged",
    "rolling",
    "slow",
    "takeover",
    "wrong clock",
  ]);
});

test("the same seeds give the same histories of groups, other seeds give others", {
  timeout: 300_000,
}, async () => {
  const once = await search({ from: 7, seeds: 8 });
  const again = await search({ from: 7, seeds: 8 });
  const other = await search({ from: 8, seeds: 8 });
  expect(again.traceHash).toBe(once.traceHash);
  expect(other.traceHash).not.toBe(once.traceHash);
  const parts = [await search({ from: 11, seeds: 4 }), await search({ from: 7, seeds: 4 })];
  expect(merge(parts).traceHash).toBe(once.traceHash);
});

const FAULTS: readonly string[] = [
  ...commonFaultNames,
  ...operatorFaultNames,
  ...deletionFaultNames,
  ...slowFaultNames,
  ...forgedFaultNames,
];

/** What must have been committed over what. */
const COMMITS = [
  "session over nothing",
  "session over session",
  "session over session-end",
  "session-end over session",
  "claim over nothing",
  "claim over claim",
  "claim over release",
  "claim over garbage",
  "claim over deleted",
  "release over claim",
  "plan over nothing",
  "plan over plan",
  "plan over garbage",
];

const EFFECTS = [
  "read",
  "read-after",
  "ask",
  "open-bucket",
  "session-begun",
  "session-ended",
  "suspended",
  "resumed",
  "own",
  "drain",
  "lose",
  "released",
  "coordinating",
  "move-refused",
  "warning",
  "stopped",
];

function unseen(counts: Readonly<Record<string, number>>, wanted: readonly string[]): string[] {
  return wanted.filter((name) => counts[name] === undefined);
}
