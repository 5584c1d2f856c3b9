import type { Balance, BalanceInput } from "../../../../src/group/core/balance.ts";
import { place, plan } from "../../../../src/group/plan/plan.ts";
import { decodePlan, encodePlan } from "../../../../src/group/plan/plan-codec.ts";
import type { PlanInput } from "../../../../src/group/plan/types.ts";

function planInput({ members, resources, owners }: BalanceInput): PlanInput {
  return {
    members: members.map(({ memberId, refused: _refused, ...member }) => ({
      ...member,
      id: memberId,
      draining: false,
    })),
    resources: resources.map((resource) => {
      const owner = owners.get(resource.name);
      return { ...resource, ...(owner === undefined ? {} : { owner }) };
    }),
    refusals: members.flatMap(({ memberId, refused }) =>
      refused.map((resource) => ({ resource, member: memberId })),
    ),
  };
}

/** The real planner. A plan of more than 30 resources is too large. */
export const balance: Balance = {
  plan: (input) => plan(planInput(input)).owners,
  place: (input) => place(planInput(input)).owners,
  encode: ({ members, assignment }) =>
    assignment.size > 30 ? null : encodePlan({ members, owners: assignment, unplaced: [] }),
  decode(bytes) {
    const decoding = decodePlan(bytes);
    if (decoding.kind === "garbage") return null;
    return { members: decoding.plan.members, assignment: decoding.plan.owners };
  },
};
