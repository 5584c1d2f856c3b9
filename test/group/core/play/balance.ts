import { balance as real } from "../../../../src/group/balance.ts";
import type { Balance } from "../../../../src/group/core/balance.ts";

/** The real planner, but a plan of more than 30 resources is too large. */
export const balance: Balance = {
  ...real,
  encode: (stored) => (stored.assignment.size > 30 ? null : real.encode(stored)),
};
