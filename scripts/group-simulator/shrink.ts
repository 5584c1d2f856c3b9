/** Reduces a failing history of a group to a minimal set of faults. */
import { shrinkPlan, violationKind } from "../shared/shrink-plan.ts";
import { History } from "./history.ts";
import type { GroupPlan } from "./plan.ts";
import { Tally } from "./tally.ts";

/** Removes faults, members and resources as long as the same kind of violation occurs. */
export async function shrink(plan: GroupPlan): Promise<GroupPlan> {
  const smallest = await shrinkPlan(plan, violationOf);
  const wanted = violationKind(await violationOf(smallest));
  if (wanted === null) return smallest;
  for (const resources of [1, 2, 3, 4, 6, 10, 20, 40]) {
    const fewer = { ...smallest, resources };
    if (resources < smallest.resources && violationKind(await violationOf(fewer)) === wanted)
      return shrinkPlan(fewer, violationOf);
  }
  return smallest;
}

async function violationOf(plan: GroupPlan): Promise<string | null> {
  return (await new History(plan).run()).violation;
}

/** The last lines of a history's trace. */
export async function traceOf(plan: GroupPlan, lines = 250): Promise<readonly string[]> {
  const history = new History(plan, new Tally(), true);
  await history.run();
  const { trace } = history;
  const omitted = trace.length - lines;
  return omitted > 0 ? [`(${omitted} earlier lines omitted)`, ...trace.slice(-lines)] : trace;
}
