import { expect, test } from "vitest";
import { Tally } from "../../scripts/simulator/check/tally.ts";
import { History, type Outcome } from "../../scripts/simulator/history.ts";
import { planOf } from "../../scripts/simulator/plan.ts";
import type { Settling } from "../../src/testing/simulation/time/virtual-time.ts";

test("both ways of settling give the same outcome and the same trace hash", {
  timeout: 120_000,
}, async () => {
  const outcomeOf = (seed: number, settling: Settling): Promise<Outcome> =>
    new History(planOf(seed), new Tally(), false, settling).run();
  for (let seed = 1; seed <= 40; seed += 1) {
    expect(await outcomeOf(seed, "announced"), `seed ${seed}`).toEqual(await outcomeOf(seed, "always"));
  }
});
