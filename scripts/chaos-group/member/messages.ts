/** The protocol between a chaos run of groups and its member processes, and the names they share. */
import type { CrashDetection } from "../../../src/election/types.ts";
import type { LaneReport, LaneTask } from "../../chaos/harness/lane-process.ts";

export const GROUP_ID = "chaos";
export const RESOURCES: readonly string[] = ["r0", "r1", "r2", "r3", "r4", "r5"];
/** Entries without a fence, with their epochs. */
export const SHADOW_STREAM = "SHADOW";

/** Each resource has a ledger of its own, behind a fence of its own: epochs of two resources cannot be compared. */
export function ledgerOf(resource: string): { readonly stream: string; readonly subject: string } {
  return { stream: `LEDGER_${resource}`, subject: `ledger.${resource}` };
}

export function shadowOf(resource: string): string {
  return `shadow.${resource}`;
}

/** An entry of a ledger. */
export interface Entry {
  /** Counts the entries of the resource, from 1. */
  readonly n: number;
  readonly epoch: number;
  /** `LANE PROCESS` of its writer. */
  readonly by: string;
}

/** A member process's only argument, as JSON. */
export interface MemberTask extends LaneTask {
  readonly memberId: string;
  readonly leaseTtlMs: number;
  readonly crashDetection: CrashDetection;
  readonly silenceMs: number;
  readonly replicas: number;
  /** Of its recordings. */
  readonly folder: string;
  /** As for `hostClock()`. */
  readonly uptimeOffsetNs: number | null;
}

/** A line to a member on stdin. */
export type MemberCommand = { readonly do: "begin" | "drain" | "rejoin" | "hang" | "unhang" | "stats" };

/** A line of a member on stdout. */
export interface MemberReport extends LaneReport {
  /** An entry of this resource is stored. */
  readonly wrote?: { readonly resource: string; readonly epoch: number };
  /** Code of a warning. */
  readonly warning?: string;
  readonly stats?: MemberStats;
}

export interface MemberStats {
  /** How its writes ended, by error code. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly resources: readonly ResourceState[];
}

/** A resource as one member sees it. */
export interface ResourceState {
  readonly resource: string;
  /** Of its running term; `null`: it has none. */
  readonly epoch: number | null;
  readonly held: boolean;
  /** What its work does, or the last error of it. */
  readonly doing: string;
  /** For how long; `null`: it has never run. */
  readonly forMs: number | null;
}
