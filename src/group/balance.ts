/** The pure functions of `plan/`, in the terms of the core. */
import type { Balance, BalanceInput, PlanMember as CoreMember, StoredPlan } from "./core/balance.ts";
import { place, plan } from "./plan/plan.ts";
import { decodePlan, encodePlan } from "./plan/plan-codec.ts";
import type { PlanInput, PlanMember, PlanResource, Refusal } from "./plan/types.ts";

export const balance: Balance = {
  plan: (input) => plan(planInput(input)).owners,
  place: (input) => place(planInput(input)).owners,
  encode: encoded,
  decode(bytes) {
    const decoding = decodePlan(bytes);
    if (decoding.kind === "garbage") return null;
    const { members, owners } = decoding.plan;
    return { members, assignment: owners };
  },
};

function planInput({ members, resources, owners }: BalanceInput): PlanInput {
  return {
    members: members.map(memberOf),
    resources: resources.map(({ name, zone }): PlanResource => {
      const owner = owners.get(name);
      return { name, ...(zone === undefined ? {} : { zone }), ...(owner === undefined ? {} : { owner }) };
    }),
    refusals: members.flatMap(({ memberId, refused }) =>
      refused.map((resource): Refusal => ({ resource, member: memberId })),
    ),
  };
}

/** The core gives a member that drains the weight 0: it takes nothing. */
function memberOf({ memberId, weight, zone, maxOwned }: CoreMember): PlanMember {
  return {
    id: memberId,
    weight,
    draining: weight === 0,
    ...(zone === undefined ? {} : { zone }),
    ...(maxOwned === undefined ? {} : { maxOwned }),
  };
}

/** `null`: too large for one message. */
function encoded({ members, assignment }: StoredPlan): Uint8Array | null {
  try {
    return encodePlan({ members, owners: assignment, unplaced: [] });
  } catch {
    return null;
  }
}
