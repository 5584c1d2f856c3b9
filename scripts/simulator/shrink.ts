/** Cuts a failed history down to the faults it takes. */

import { Tally } from "./check/tally.ts";
import { History } from "./history.ts";
import type { Plan } from "./plan.ts";

/** Fewer faults that still end in the same kind of violation: mostly two to four are left. The plan itself if it is sound. */
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

/** The violation without names and numbers: who it hits and when changes with every fault that is left out. */
async function violationOf(plan: Plan): Promise<string | null> {
  const { violation } = await new History(plan).run();
  return violation?.replace(/\b[a-j]\d+\b|[\d.]+/g, "_") ?? null;
}

/** `null` while a fault still strikes it. */
function withoutLastHost(plan: Plan): Plan | null {
  const last = plan.hosts.length - 1;
  if (plan.faults.some(({ host }) => host === last)) return null;
  return { ...plan, hosts: plan.hosts.slice(0, last) };
}

/** What happened in a history, for people; the end of it, if it is long. */
export async function retell(plan: Plan, lines = 200): Promise<readonly string[]> {
  const history = new History(plan, new Tally(), true);
  await history.run();
  const { story } = history;
  const hidden = story.length - lines;
  return hidden > 0 ? [`(${hidden} earlier lines left out)`, ...story.slice(-lines)] : story;
}
