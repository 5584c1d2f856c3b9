/** The JSON lines between the starter and an instance. */
import type { BridgeConfig, SinkKind } from "./config.ts";
import type { Counters } from "./meters.ts";

/** The first line that an instance reads from its stdin. */
export interface Start {
  readonly config: BridgeConfig;
  readonly servers: readonly string[];
  readonly sink: SinkKind;
  readonly postgres: string | null;
  readonly instance: string;
  readonly number: number;
  readonly slowMs: number;
}

/** The further lines. */
export type Order = { readonly type: "slow"; readonly ms: number } | { readonly type: "stop" };

/** What an instance reports on its stdout. */
export type Report =
  | { readonly type: "ready"; readonly http: string }
  /** The last report: what the instance cannot go on with. */
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "open"; readonly partition: string; readonly epoch: number; readonly position: number }
  | { readonly type: "lost"; readonly partition: string; readonly epoch: number; readonly reason: string }
  | { readonly type: "paused" | "resumed"; readonly partition: string }
  | { readonly type: "failing"; readonly partition: string; readonly message: string }
  | { readonly type: "refused"; readonly partition: string; readonly epoch: number; readonly message: string }
  | {
      readonly type: "dead";
      readonly partition: string;
      readonly seq: number;
      readonly tries: number;
      readonly error: string;
    }
  | Status;

export interface Status {
  readonly type: "status";
  readonly connected: boolean;
  readonly counters: Counters;
  readonly partitions: readonly PartitionStatus[];
}

export interface PartitionStatus {
  readonly partition: string;
  readonly position: number;
  readonly lag: number;
  readonly paused: boolean;
}
