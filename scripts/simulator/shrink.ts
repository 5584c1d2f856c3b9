/** Reduces a failing history to a minimal set of faults. */

import { shrinkPlan } from "../shared/shrink-plan.ts";
import { Tally } from "./check/tally.ts";
import { History } from "./history.ts";
import type { Plan } from "./plan.ts";

/** Removes faults and hosts as long as the same kind of violation occurs. Returns a plan without a violation unchanged. */
export function shrink(plan: Plan): Promise<Plan> {
  return shrinkPlan(plan, async (one) => (await new History(one).run()).violation);
}

/** The last lines of a history's trace. */
export async function traceOf(plan: Plan, lines = 200): Promise<readonly string[]> {
  const history = new History(plan, new Tally(), true);
  await history.run();
  const { trace } = history;
  const omitted = trace.length - lines;
  return omitted > 0 ? [`(${omitted} earlier lines omitted)`, ...trace.slice(-lines)] : trace;
}
