/** The planner and the codec of plans that ship, and servers that accept smaller messages. */
import { balance } from "../../../src/group/balance.ts";
import type { Balance } from "../../../src/group/core/balance.ts";

/** `largest`: a plan of more resources is too large for one message. */
export function balanceWith(largest: number): Balance {
  return {
    ...balance,
    encode: (plan) => (plan.assignment.size > largest ? null : balance.encode(plan)),
  };
}
