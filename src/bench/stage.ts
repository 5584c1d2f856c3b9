/** What every mode of the failover benchmark works with and comes back with. */
import type { NatsCluster, NatsServer } from "../testing/server/types.ts";
import type { Fleet } from "./fleet.ts";
import type { FailoverOptions, FailoverReport } from "./options.ts";

export const CLUSTER_ID = "bench";

/** Everything a mode needs. */
export interface Stage {
  readonly options: FailoverOptions;
  readonly fleet: Fleet;
  readonly servers: readonly NatsServer[];
  /** With three servers. */
  readonly cluster: NatsCluster | null;
  /** How long the next leader may take. */
  readonly patienceMs: number;
}

/** What a mode found, beyond what every mode reports. */
export type Found = Pick<FailoverReport, "sample" | "afterLoseHook" | "thaws" | "blows"> & {
  readonly samplesMs: readonly number[];
};
