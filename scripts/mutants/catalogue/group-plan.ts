import type { Mutant } from "./mutant.ts";

const coordinator = "src/group/core/coordinator.js";
const targets = "src/group/core/targets.js";

/** Groups: the coordinator and its plan. None of these may make two members held; they cost balance, moves or rest. */
export const groupPlanMutants: readonly Mutant[] = [
  {
    name: "group: a plan is written over that of a later coordinator",
    file: coordinator,
    from: "if (isPlanOfOther(group, epoch)) return readOwner(group, coordinator);",
    to: "",
  },
  {
    name: "group: a plan is written although nothing has changed",
    file: coordinator,
    from: "if (!isSamePlan(group, stored) ||",
    to: "if (true ||",
  },
  {
    name: "group: the plan starts from the actual owners",
    file: coordinator,
    from: "if (isKept(planned)) return planned;",
    to: "",
  },
  {
    name: "group: a plan that a later claim contradicts is not repeated",
    file: coordinator,
    from: "|| (isSettled && repeats(group, assignment))",
    to: "",
  },
  {
    name: "group: a plan for balance believes claims that only messages show",
    file: coordinator,
    from: "else if (readContradicting(group)) return;",
    to: "",
  },
  {
    name: "group: balances at once after a join or a departure",
    file: coordinator,
    from: "const isSettled = settledAtMono <= now.mono;",
    to: "const isSettled = true;",
  },
  {
    name: "group: never balances",
    file: coordinator,
    from: "isSettled && kept.length === 0 ? balance.plan(input)",
    to: "false ? balance.plan(input)",
  },
  {
    name: "group: the plan ignores maxOwned",
    file: targets,
    from: "...(maxOwned === undefined ? {} : { maxOwned }),",
    to: "",
  },
  {
    name: "group: the plan ignores weights",
    file: targets,
    from: "record.draining ? 0 : record.weight",
    to: "record.draining ? 0 : 1",
  },
  {
    name: "group: the plan ignores refusals",
    file: targets,
    from: "&& !member.refused.includes(resource)",
    to: "",
  },
  {
    name: "group: members that the plan does not know are given resources without a plan",
    file: targets,
    from: "plan.assignment === null ? all : all.filter(({ memberId }) => known.has(memberId))",
    to: "all",
  },
  {
    name: "group: a death is answered by the coordinator alone",
    file: targets,
    from: "owners.get(view.name) ?? placed?.get(view.name) ?? null",
    to: "owners.get(view.name) ?? (group.coordinator.term === null ? null : placed?.get(view.name)) ?? null",
  },
  {
    name: "group: the coordinator's key is claimed by no member that drains, also if all do",
    file: "src/group/core/wanted.js",
    from: "if (isCoordinatorKey(view)) return !group.draining;",
    to: "if (isCoordinatorKey(view)) return !takesNothing(group);",
    equivalent: "in the quiet end no member drains, and before nothing is balanced while all do",
  },
];
