/**
 * plan() and place() against an oracle that tries all assignments. `PLAN_CASES=30000 npx vitest run --project unit
 * test/group/plan-optimal.test.ts` checks more cases, with other seeds in each run.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { place, plan } from "../../src/group/plan/plan.ts";
import type { PlanInput } from "../../src/group/plan/types.ts";
import { planInputs } from "../support/group/plan-inputs.ts";
import { bestScore, type Mode, scoreOf } from "../support/group/plan-oracle.ts";

const cases = { numRuns: Number(process.env["PLAN_CASES"] ?? 1_000) };
const functions = { plan, place };

/** The same input after the assignment has been carried out. */
function carriedOut(input: PlanInput, owners: ReadonlyMap<string, string>): PlanInput {
  const resources = input.resources.map(({ owner: _, ...resource }) => {
    const owner = owners.get(resource.name);
    return owner === undefined ? resource : { ...resource, owner };
  });
  return { ...input, resources };
}

const byCodeUnit = (list: readonly string[]): readonly string[] => [...list].sort();

test.each<Mode>(["plan", "place"])("%s(): no assignment is better", (mode) => {
  fc.assert(
    fc.property(planInputs, (input) => {
      const { owners } = functions[mode](input);
      expect(scoreOf(input, mode, owners)).toEqual(bestScore(input, mode));
    }),
    cases,
  );
});

test.each<Mode>(["plan", "place"])(
  "%s(): every resource has an owner or is unplaced, ordered by name",
  (mode) => {
    fc.assert(
      fc.property(planInputs, (input) => {
        const { owners, unplaced } = functions[mode](input);
        const names = byCodeUnit(input.resources.map(({ name }) => name));
        expect([...owners.keys()]).toEqual(names.filter((name) => owners.has(name)));
        expect(unplaced).toEqual(names.filter((name) => !owners.has(name)));
      }),
      cases,
    );
  },
);

test.each<Mode>(["plan", "place"])("%s(): the result is a fixed point", (mode) => {
  fc.assert(
    fc.property(planInputs, (input) => {
      const first = functions[mode](input);
      const again = functions[mode](carriedOut(input, first.owners));
      expect(again).toEqual({ ...first, moves: 0 });
    }),
    cases,
  );
});

/** An input, and the same with its lists in another order and some refusals twice. */
const reordered = planInputs.chain((input) => {
  const { members, resources, refusals = [] } = input;
  const shuffled = <T>(list: readonly T[]) =>
    fc.shuffledSubarray([...list], { minLength: list.length, maxLength: list.length });
  const other = fc.record({
    members: shuffled(members),
    resources: shuffled(resources),
    refusals: shuffled([...refusals, ...refusals.slice(1)]),
  });
  return fc.tuple(fc.constant(input), other);
});

test.each<Mode>(["plan", "place"])("%s(): the order of the lists does not matter", (mode) => {
  fc.assert(
    fc.property(reordered, ([input, other]) => {
      const [one, again] = [functions[mode](input), functions[mode](other)];
      expect([...again.owners]).toEqual([...one.owners]);
      expect(again).toEqual(one);
    }),
    cases,
  );
});
