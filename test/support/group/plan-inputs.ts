/** Random inputs of the planner, small enough for the oracle. */
import fc from "fast-check";
import type { PlanInput, PlanMember, PlanResource, Refusal } from "../../../src/group/plan/types.ts";

const IDS = ["a", "b", "c", "d"];
const NAMES = ["0", "1", "2", "3", "4", "5", "6", "7"];
/** No member is in zone z. */
const MEMBER_ZONES = ["x", "y"];
const RESOURCE_ZONES = ["x", "y", "z"];

/** Defined in about half of the cases. */
function maybe<T, Name extends string>(
  name: Name,
  value: fc.Arbitrary<T>,
): fc.Arbitrary<{ [_ in Name]?: T }> {
  return fc
    .option(value, { nil: undefined })
    .map((given) => (given === undefined ? {} : { [name]: given })) as fc.Arbitrary<{ [_ in Name]?: T }>;
}

function memberWith(id: string, zones: boolean, caps: boolean): fc.Arbitrary<PlanMember> {
  return fc
    .tuple(
      fc.oneof(
        { weight: 2, arbitrary: fc.constant(1) },
        { weight: 3, arbitrary: fc.integer({ min: 0, max: 5 }) },
      ),
      fc.integer({ min: 0, max: 5 }).map((number) => number === 0),
      zones ? maybe("zone", fc.constantFrom(...MEMBER_ZONES)) : fc.constant({}),
      caps ? maybe("maxOwned", fc.integer({ min: 0, max: 6 })) : fc.constant({}),
    )
    .map(([weight, draining, zone, cap]) => ({ id, weight, draining, ...zone, ...cap }));
}

/** The owner may be any of the ids: one that is not listed is dead. */
function resourceWith(name: string, zones: boolean): fc.Arbitrary<PlanResource> {
  return fc
    .tuple(
      zones ? maybe("zone", fc.constantFrom(...RESOURCE_ZONES)) : fc.constant({}),
      fc.option(fc.constantFrom(...IDS), { nil: undefined, freq: 3 }),
    )
    .map(([zone, owner]) => ({ name, ...zone, ...(owner === undefined ? {} : { owner }) }));
}

const refusals: fc.Arbitrary<readonly Refusal[]> = fc.array(
  fc.record({ resource: fc.constantFrom(...NAMES), member: fc.constantFrom(...IDS) }),
  { maxLength: 8 },
);

/** Up to 4 members and 8 resources, in random order; zones, caps and refusals in a part of the cases each. */
export const planInputs: fc.Arbitrary<PlanInput> = fc
  .tuple(fc.boolean(), fc.boolean(), fc.boolean())
  .chain(([zones, caps, refusing]) =>
    fc.record({
      members: fc
        .shuffledSubarray(IDS)
        .chain((ids) => fc.tuple(...ids.map((id) => memberWith(id, zones, caps)))),
      resources: fc
        .shuffledSubarray(NAMES)
        .chain((names) => fc.tuple(...names.map((name) => resourceWith(name, zones)))),
      refusals: refusing ? refusals : fc.constant([]),
    }),
  );
