/** What the checker is given, and what it finds. */
import type { Blame } from "../faults/kinds/kind.ts";
import type { FaultName } from "../faults/names.ts";
import type { HeldInterval, Stall } from "../node/recording.ts";

/** A fault as it happened. Milliseconds of the host's clock. */
export interface FaultMark {
  readonly number: number;
  readonly name: FaultName;
  readonly fromMs: number;
  /** When the fault was undone. */
  readonly mendedMs: number;
  /** When one node led again and had written. */
  readonly settledMs: number;
  /** Lane of the leader when the fault began, its epoch then, and the leader's epoch at `settledMs`. */
  readonly leader: string;
  readonly epochBefore: number;
  readonly epochAfter: number;
}

export interface CheckOptions {
  readonly faults: readonly FaultMark[];
  /** When the machine, not a fault, kept the parent process and with it the proxies from running. */
  readonly stalls: readonly Stall[];
  /** Whether a leader is replaced when its connection is closed. */
  readonly presence: boolean;
  /** How long after its end a fault may explain a vacancy. */
  readonly recoveryMs: number;
}

/** Two processes called themselves leader at once. */
export interface Overlap {
  readonly fromMs: number;
  readonly ms: number;
  readonly blame: Blame;
  /** The last fault before it; `null` if there was none. */
  readonly fault: FaultMark | null;
  readonly one: HeldInterval;
  readonly other: HeldInterval;
}

/** No process called itself leader. */
export interface Vacancy {
  readonly fromMs: number;
  readonly ms: number;
  /** The part of it during which a process did not run: frozen by a fault or not scheduled by the machine. */
  readonly stalledMs: number;
  readonly cause: "fault" | "machine" | "none";
  readonly fault: FaultMark | null;
}

export interface EpochProblem {
  readonly atMs: number;
  readonly blame: Blame;
  readonly text: string;
}

/** A term ended under a fault that must not end a term. */
export interface NeedlessChange {
  readonly fault: FaultMark;
  readonly cause: "machine" | "none";
}

export interface Findings {
  readonly terms: number;
  readonly overlaps: readonly Overlap[];
  readonly epochProblems: readonly EpochProblem[];
  readonly vacancies: readonly Vacancy[];
  readonly needlessChanges: readonly NeedlessChange[];
}
