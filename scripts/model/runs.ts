/** The runs of the model checker: the protocols hold, their probes are reachable, each broken variant is violated. */
import { groupRuns } from "./group-runs.ts";
import { leaseRuns } from "./lease-runs.ts";
import type { Run } from "./run.ts";
import { silenceRuns } from "./silence-runs.ts";

export const runs: readonly Run[] = [...leaseRuns, ...silenceRuns, ...groupRuns];
