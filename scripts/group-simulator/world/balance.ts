/** The planner that ships, with plans stored as plain JSON: zlib would cost more than the rest of a history. */
import type { Assignment, Balance, BalanceInput, StoredPlan } from "../../../src/group/core/balance.ts";
import { place, plan } from "../../../src/group/plan/plan.ts";
import type { PlanInput } from "../../../src/group/plan/types.ts";

interface PlainPlan {
  readonly members: readonly string[];
  readonly owners: readonly (readonly [string, string])[];
}

function inputOf({ members, resources, owners }: BalanceInput): PlanInput {
  return {
    members: members.map(({ memberId, refused: _, ...rest }) => ({ id: memberId, draining: false, ...rest })),
    resources: resources.map((resource) => {
      const owner = owners.get(resource.name);
      return owner === undefined ? resource : { ...resource, owner };
    }),
    refusals: members.flatMap(({ memberId, refused }) =>
      refused.map((resource) => ({ member: memberId, resource })),
    ),
  };
}

/** `largest`: a plan of more resources is too large for one message. */
export function balanceWith(largest: number): Balance {
  return {
    plan: (input): Assignment => plan(inputOf(input)).owners,
    place: (input): Assignment => place(inputOf(input)).owners,
    encode({ members, assignment }: StoredPlan): Uint8Array | null {
      if (assignment.size > largest) return null;
      const plain: PlainPlan = { members, owners: [...assignment] };
      return new TextEncoder().encode(JSON.stringify(plain));
    },
    decode: decodePlan,
  };
}

/** `null`: not a plan. */
export function decodePlan(bytes: Uint8Array): StoredPlan | null {
  try {
    const { members, owners } = JSON.parse(new TextDecoder().decode(bytes)) as PlainPlan;
    return { members, assignment: new Map(owners) };
  } catch {
    return null;
  }
}
