/** Reduces the plan of a failing history to a minimal set of faults, for the simulators. */

/** What a plan has in common with those of other simulators. */
interface Shrinkable {
  readonly hosts: readonly unknown[];
  /** `host`: index of the host that the fault hits. */
  readonly faults: readonly { readonly host: number }[];
}

/** Removes faults and hosts as long as the same kind of violation occurs. Returns a plan without a violation unchanged. */
export async function shrinkPlan<P extends Shrinkable>(
  plan: P,
  violationOf: (plan: P) => Promise<string | null>,
): Promise<P> {
  const kindOf = async (one: P): Promise<string | null> => violationKind(await violationOf(one));
  const wanted = await kindOf(plan);
  if (wanted === null) return plan;
  const fails = async (fewer: P): Promise<boolean> => (await kindOf(fewer)) === wanted;
  let smallest = plan;
  let before: P;
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
export function violationKind(violation: string | null): string | null {
  return violation?.replace(/\b[a-j]\d*\b|\b[nr]\d+\b|[\d.]+/g, "_") ?? null;
}

/** `null` if a fault hits the last host. */
function withoutLastHost<P extends Shrinkable>(plan: P): P | null {
  const last = plan.hosts.length - 1;
  if (plan.faults.some(({ host }) => host === last)) return null;
  return { ...plan, hosts: plan.hosts.slice(0, last) };
}
