/**
 * Real drivers on virtual time against one fake bucket, with random faults; `support/checker.ts` says what must hold.
 *
 * `SEED=1234` replays one history and prints its story; `SEED_FROM=0 SEEDS=100000` searches on.
 */
import { expect, test } from "vitest";
import { History, retell } from "./support/history.ts";

const from = Number(process.env["SEED"] ?? process.env["SEED_FROM"] ?? 1);
const seeds = process.env["SEED"] === undefined ? Number(process.env["SEEDS"] ?? 1_500) : 1;

test("no history of faults ends in two leaders, none, or a lower epoch", { timeout: 3_600_000 }, async () => {
  const startedAt = performance.now();
  let terms = 0;
  let faults = 0;
  let strayed = 0;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const outcome = await new History(seed).run();
    terms += outcome.terms;
    faults += outcome.faults;
    strayed += outcome.strayed ? 1 : 0;
    if (outcome.violation !== null || process.env["SEED"] !== undefined) {
      const story = await retell(seed);
      if (outcome.violation === null) console.log(story);
      expect.soft(outcome.violation, story).toBeNull();
      break;
    }
  }
  if (process.env["SEEDS"] !== undefined) {
    const seconds = (performance.now() - startedAt) / 1_000;
    console.log(
      `${seeds} seeds from ${from}: ${faults} faults, ${terms} terms, ${strayed} strayed, ${Math.round(seeds / seconds)} seeds/s`,
    );
  }
  expect(terms).toBeGreaterThan(0);
});
