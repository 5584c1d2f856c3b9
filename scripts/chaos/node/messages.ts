/** The protocol between a chaos run and its node processes. */
import type { CrashDetection } from "../../../src/election/types.ts";
import type { LaneReport, LaneTask } from "../harness/lane-process.ts";

export const CLUSTER_ID = "chaos";
export const STREAM = "REGISTER";
export const REGISTER = "register.fenced";
export const SHADOW = "register.shadow";
export const FENCE: string = `nats_leader.fence.${STREAM}`;

/** A node process's only argument, as JSON. */
export interface NodeTask extends LaneTask {
  readonly nodeId: string;
  /** User name, and the password, too. */
  readonly user: string;
  readonly leaseTtlMs: number;
  readonly crashDetection: CrashDetection;
  readonly silenceMs: number;
  /** Whether the node uses the program's connection or opens its own. */
  readonly sharedConnection: boolean;
  /** Path of the recording. */
  readonly recording: string;
  /** As for `hostClock()`. */
  readonly uptimeOffsetNs: number | null;
}

/** A line to a node on stdin. An empty line is a tick. */
export type NodeCommand =
  | { readonly do: "begin" | "stats" }
  | { readonly do: "step-down"; readonly to?: string }
  | { readonly do: "block"; readonly ms: number };

/** A line of a node on stdout. */
export interface NodeReport extends LaneReport {
  /** Epoch of the term that began. */
  readonly leads?: number;
  /** Epoch of the term that ended. */
  readonly lost?: number;
  /** Epoch of a stored write. Only sent while the election's own connection is up. */
  readonly wrote?: number;
  /** Its event loop turns again after `block`. */
  readonly unblocked?: true;
  /** How its writes ended, by error code. */
  readonly outcomes?: Readonly<Record<string, number>>;
  readonly warning?: string;
}
