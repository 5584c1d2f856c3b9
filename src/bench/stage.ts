/** Input and result of a mode of the failover benchmark. */
import type { NatsCluster, NatsServer } from "../testing/server/types.ts";
import type { Fleet } from "./fleet.ts";
import type { NetworkHost } from "./host-network.ts";
import type { FailoverOptions, FailoverReport } from "./options.ts";

export const CLUSTER_ID = "bench";

/** Input of a mode. */
export interface Stage {
  readonly options: FailoverOptions;
  readonly fleet: Fleet;
  readonly servers: readonly NatsServer[];
  /** `null` with one server. */
  readonly cluster: NatsCluster | null;
  /** Mode `host`: the host of each member, by the member's id. */
  readonly hosts: ReadonlyMap<string, NetworkHost>;
  /** How long to wait for the next leader. */
  readonly patienceMs: number;
}

/** Result of a mode, without the fields that are common to all modes. */
export type Found = Pick<FailoverReport, "sample" | "afterLoseHook" | "thaws" | "cuts" | "blows"> & {
  readonly samplesMs: readonly number[];
};
