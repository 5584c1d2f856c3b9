/** Reduces a failing history to a minimal set of faults. */

import { Tally } from "./check/tally.ts";
import { History } from "./history.ts";
import type { Plan } from "./plan.ts";

/** Removes faults and hosts as long as the same kind of violation occurs. Returns a plan without a violation unchanged. */
export async function shrink(plan: Plan): Promise<Plan> {
  const wanted = await violationOf(plan);
  if (wanted === null) return plan;
  const fails = async (fewer: Plan): Promise<boolean> => (await violationOf(fewer)) === wanted;
  let smallest = plan;
  let before: Plan;
  do {
    before = smallest;
    for (let index = smallest.faults.length - 1; index >= 0; index -= 1) {
      const fewer = { ...smallest, faults: smallest.faults.filter((_, at) => at !== index) };
      if (await fails(fewer)) smallest = fewer;
    }
    for (let index = smallest.hosts.length - 1; index > 0; index -= 1) {
      const fewer = withoutLastHost(smallest);
      if (fewer === null || !(await fails(fewer))) break;
      smallest = fewer;
    }
  } while (smallest !== before);
  return smallest;
}

/** The violation without names and numbers, which change with every fault that is removed. */
async function violationOf(plan: Plan): Promise<string | null> {
  const { violation } = await new History(plan).run();
  return violation?.replace(/\b[a-j]\d+\b|[\d.]+/g, "_") ?? null;
}

/** `null` if a fault hits the last host. */
function withoutLastHost(plan: Plan): Plan | null {
  const last = plan.hosts.length - 1;
  if (plan.faults.some(({ host }) => host === last)) return null;
  return { ...plan, hosts: plan.hosts.slice(0, last) };
}

/** The last lines of a history's trace. */
export async function traceOf(plan: Plan, lines = 200): Promise<readonly string[]> {
  const history = new History(plan, new Tally(), true);
  await history.run();
  const { trace } = history;
  const omitted = trace.length - lines;
  return omitted > 0 ? [`(${omitted} earlier lines omitted)`, ...trace.slice(-lines)] : trace;
}
