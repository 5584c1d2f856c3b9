/** What the parent of a chaos run and its node processes agree on. */
import type { CrashDetection } from "../../../src/election/types.ts";

export const CLUSTER_ID = "chaos";
export const STREAM = "REGISTER";
export const REGISTER = "register.fenced";
export const SHADOW = "register.shadow";
export const FENCE: string = `nats_leader.fence.${STREAM}`;

/** A node process's only argument, as JSON. */
export interface NodeTask {
  readonly nodeId: string;
  /** User and password. */
  readonly user: string;
  /** In the history: the node id, with an apostrophe for a second process under it. */
  readonly lane: string;
  /** Which process of the lane, from 1. */
  readonly life: number;
  /** Its own ways to the servers. */
  readonly urls: readonly string[];
  readonly leaseTtlMs: number;
  readonly crashDetection: CrashDetection;
  /** Whether the node is given the program's connection, or makes its own. */
  readonly sharedConnection: boolean;
  readonly history: string;
  /**
   * Of a process whose clocks are bent: nanoseconds from the host's uptime to its monotonic clock. The process then takes
   * the time from a file of the kernel, which nothing can bend, to 10 ms. `null`: its own clock is the host's.
   */
  readonly uptimeOffsetNs: number | null;
}

/** A line to a node on stdin. A bare tick has no command. */
export type NodeCommand =
  | { readonly do: "begin" | "stats" }
  | { readonly do: "step-down"; readonly to?: string }
  | { readonly do: "block"; readonly ms: number };

/** A line of a node on stdout. */
export interface NodeReport {
  /** It runs, and takes no part before it is told to. */
  readonly booted?: true;
  /** It takes part. */
  readonly started?: true;
  readonly leads?: number;
  readonly lost?: number;
  /** And is connected to where its lease is, which is another connection. */
  readonly wrote?: number;
  /** Its event loop turns again. */
  readonly unblocked?: true;
  readonly outcomes?: Readonly<Record<string, number>>;
  readonly warning?: string;
}

/** Nanoseconds of the host's monotonic clock, the same for all processes whose clocks are straight. */
export function hostNowNs(): number {
  return Number(process.hrtime.bigint());
}
