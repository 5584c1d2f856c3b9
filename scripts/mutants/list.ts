/** Every fault that the simulators' checkers are tried with (`npm run mutants`), by area. A checker that misses one proves little. */
import { applicationMutants } from "./catalogue/application.ts";
import { epochMutants } from "./catalogue/epochs.ts";
import { forgeryMutants } from "./catalogue/forgery.ts";
import { groupForgeryMutants } from "./catalogue/group-forgery.ts";
import { groupHistoryMutants } from "./catalogue/group-history.ts";
import { groupPlanMutants } from "./catalogue/group-plan.ts";
import { groupSessionMutants } from "./catalogue/group-sessions.ts";
import { groupTermMutants } from "./catalogue/group-terms.ts";
import { identityMutants } from "./catalogue/identity.ts";
import { leaseMutants } from "./catalogue/lease.ts";
import { leavingMutants } from "./catalogue/leaving.ts";
import type { Mutant } from "./catalogue/mutant.ts";
import { presenceMutants } from "./catalogue/presence.ts";
import { runtimeMutants } from "./catalogue/runtime.ts";
import { silenceMutants } from "./catalogue/silence.ts";
import { takeoverMutants } from "./catalogue/takeover.ts";
import { unknownOutcomeMutants } from "./catalogue/unknown-outcomes.ts";

const groupMutants: readonly Mutant[] = [
  ...groupSessionMutants,
  ...groupTermMutants,
  ...groupPlanMutants,
  ...groupHistoryMutants,
  ...groupForgeryMutants,
];

export const mutants: readonly Mutant[] = [
  ...leaseMutants,
  ...epochMutants,
  ...identityMutants,
  ...unknownOutcomeMutants,
  ...takeoverMutants,
  ...forgeryMutants,
  ...presenceMutants,
  ...silenceMutants,
  ...leavingMutants,
  ...runtimeMutants,
  ...applicationMutants,
  ...groupMutants,
];

/** The simulator that plays the mutant. The file does not decide: `src/testing/` has fakes of both. */
export function simulatorOf(mutant: Mutant): "simulator" | "group-simulator" {
  return groupMutants.includes(mutant) ? "group-simulator" : "simulator";
}
