/** What the checker is given, and what it finds. */
import type { Detection } from "../detection.ts";
import type { Blame } from "../faults/kinds/kind.ts";
import type { FaultName } from "../faults/names.ts";
import type { PlayedFault } from "../harness/play-fault.ts";
import type { HeldInterval, Stall } from "../node/recording.ts";

/** A fault as it happened. The world has recovered when one node leads again and has written. */
export interface FaultMark extends PlayedFault<FaultName> {
  /** Lane of the leader when the fault began, its epoch then, and the leader's epoch at `settledMs`. */
  readonly leader: string;
  readonly epochBefore: number;
  readonly epochAfter: number;
}

export interface CheckOptions {
  readonly faults: readonly FaultMark[];
  /** When the machine, not a fault, kept the parent process and with it the proxies, or a server, from running. */
  readonly stalls: readonly Stall[];
  /** By node id. */
  readonly detections: Readonly<Record<string, Detection>>;
  readonly leaseMs: number;
  /** How long after its end a fault may explain a vacancy. */
  readonly recoveryMs: number;
}

/** `forbidden`: no documented reason applies. The others are those of `Blame`. */
export type OverlapKind = "forbidden" | Exclude<Blame, "none">;

/** Two processes called themselves leader at once. */
export interface Overlap {
  readonly fromMs: number;
  readonly ms: number;
  readonly kind: OverlapKind;
  /** What `ms` may be; `null`: anything, because no lease can exclude it. */
  readonly boundMs: number | null;
  /** The last fault before it; `null` if there was none. */
  readonly fault: FaultMark | null;
  /** The leader with the smaller epoch, which should have stopped. */
  readonly old: HeldInterval;
  readonly next: HeldInterval;
}

/** Outside the documented residue: a violation. */
export function isForbidden({ ms, boundMs }: Pick<Overlap, "ms" | "boundMs">): boolean {
  return boundMs !== null && ms > boundMs;
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
  readonly isOperators: boolean;
  readonly text: string;
}

/** A term ended under a fault that must not end a term. */
export interface NeedlessChange {
  readonly fault: FaultMark;
  readonly cause: "machine" | "none";
}

/** A leader that promised silence was replaced although it was alive, connected and not disturbed by a fault. */
export interface FalseTakeover {
  readonly atMs: number;
  readonly cause: "machine" | "none";
  readonly old: HeldInterval;
  readonly next: HeldInterval;
}

export interface Findings {
  readonly terms: number;
  readonly overlaps: readonly Overlap[];
  readonly epochProblems: readonly EpochProblem[];
  readonly vacancies: readonly Vacancy[];
  readonly needlessChanges: readonly NeedlessChange[];
  readonly falseTakeovers: readonly FalseTakeover[];
}
