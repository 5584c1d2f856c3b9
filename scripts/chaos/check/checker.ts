/** Reads the histories of a world's processes and says what is wrong with them. Pure. */
import { type Blame, type FaultName, kindOf } from "../faults/catalogue.ts";
import type { HeldInterval, History, Stall } from "../node/recording.ts";

/** A fault as it happened. Milliseconds of the host's clock. */
export interface FaultMark {
  readonly number: number;
  readonly name: FaultName;
  readonly fromMs: number;
  /** When whatever it had done was undone. */
  readonly mendedMs: number;
  /** When one node led again, and wrote. */
  readonly settledMs: number;
  /** Lane of the node that led when it came, and its epoch then and when all was well again. */
  readonly leader: string;
  readonly epochBefore: number;
  readonly epochAfter: number;
}

export interface CheckOptions {
  readonly faults: readonly FaultMark[];
  /** Times at which the machine, and not a fault, kept the parent (and with it the network) from running. */
  readonly stalls: readonly Stall[];
  /** Whether a leader is replaced when its connection is closed. */
  readonly presence: boolean;
  /** How long after the end of a fault nobody may lead because of it. */
  readonly recoveryMs: number;
}

/** Two processes called themselves leader at once. */
export interface Overlap {
  readonly fromMs: number;
  readonly ms: number;
  readonly blame: Blame;
  /** The last fault before it; `null`: there was none. */
  readonly fault: FaultMark | null;
  readonly one: HeldInterval;
  readonly other: HeldInterval;
}

export interface Vacancy {
  readonly fromMs: number;
  readonly ms: number;
  /** For how much of it a process here did not run: frozen by a fault, or kept waiting by the machine. */
  readonly stalledMs: number;
  /** Whose doing it is: a fault, the machine, or nobody's. */
  readonly cause: "fault" | "machine" | "none";
  readonly fault: FaultMark | null;
}

export interface EpochProblem {
  readonly atMs: number;
  readonly blame: Blame;
  readonly text: string;
}

/** A term ended under a fault that nobody should notice. */
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

/** `STALE_AFTER_MS` of src/runtime/freshness.ts: for how long a leader trusts a loop that does not turn. */
export const BUSY_LOOP_MS = 250;

/** Shorter ones are what it takes to look (to 10 ms where clocks are bent), and a leader's doubts of a moment. */
const MIN_VACANCY_MS = 50;

/** `history.held` in the order in which the intervals began. */
export function check(history: History, options: CheckOptions): Findings {
  const { held } = history;
  const stalls = [...history.stalls, ...options.stalls].sort((one, other) => one.fromMs - other.fromMs);
  return {
    terms: new Set(held.map(({ incarnation, epoch }) => `${incarnation} ${epoch}`)).size,
    overlaps: overlapsOf(held, options),
    epochProblems: epochProblemsOf(held, options.faults),
    vacancies: vacanciesOf(held, stalls, options),
    needlessChanges: needlessChangesOf(stalls, options.faults),
  };
}

function sameProcess(one: HeldInterval, other: HeldInterval): boolean {
  return one.node === other.node && one.life === other.life;
}

function overlapsOf(held: readonly HeldInterval[], options: CheckOptions): Overlap[] {
  const found: Overlap[] = [];
  let open: HeldInterval[] = [];
  for (const one of held) {
    open = open.filter((other) => other.untilMs > one.fromMs);
    for (const other of open) {
      if (sameProcess(one, other)) continue;
      const ms = Math.min(one.untilMs, other.untilMs) - one.fromMs;
      if (ms <= 0) continue;
      const fault = lastFault(options.faults, one.fromMs);
      const blame = fault === null ? "none" : kindOf(fault.name).blame;
      const busy = blame === "none" && options.presence && isBusyLoop(other, one, ms);
      found.push({
        fromMs: one.fromMs,
        ms,
        blame: busy ? "busy-loop" : blame,
        fault,
        one: other,
        other: one,
      });
    }
    open.push(one);
  }
  return found;
}

/**
 * With presence a leader learns that its connection is closed when its event loop turns, and others may lead by then. It
 * doubts itself only when the loop has stood still for 250 ms. So the turn in which a shorter pause was, and the start of the
 * next one, may say yes too often: when it looked before that, there was nobody else yet.
 */
function isBusyLoop(old: HeldInterval, next: HeldInterval, ms: number): boolean {
  return old.untilMs < next.untilMs && old.lookedMs <= next.fromMs && ms <= BUSY_LOOP_MS;
}

function lastFault(faults: readonly FaultMark[], atMs: number): FaultMark | null {
  return faults.findLast(({ fromMs }) => fromMs <= atMs) ?? null;
}

/** In the order in which they were first held, terms have larger and larger epochs, and an epoch has one holder. */
function epochProblemsOf(held: readonly HeldInterval[], faults: readonly FaultMark[]): EpochProblem[] {
  const found: EpochProblem[] = [];
  const seen = new Set<string>();
  let newest: HeldInterval | null = null;
  for (const one of held) {
    const term = `${one.incarnation} ${one.epoch}`;
    if (seen.has(term)) continue;
    seen.add(term);
    if (newest !== null && one.epoch <= newest.epoch) {
      const fault = lastFault(faults, one.fromMs);
      const blame = fault !== null && kindOf(fault.name).blame === "operator" ? "operator" : "none";
      const text = `epoch ${one.epoch} of ${one.node} after epoch ${newest.epoch} of ${newest.node}`;
      found.push({ atMs: one.fromMs, blame, text });
    }
    if (newest === null || one.epoch > newest.epoch) newest = one;
  }
  return found;
}

function vacanciesOf(
  held: readonly HeldInterval[],
  stalls: readonly Stall[],
  { faults, recoveryMs }: CheckOptions,
): Vacancy[] {
  const found: Vacancy[] = [];
  let heldUntilMs: number | null = null;
  for (const one of held) {
    // A leader doubts itself for what its event loop did not do in the time before.
    if (heldUntilMs !== null && one.fromMs - heldUntilMs >= MIN_VACANCY_MS) {
      const gap = { fromMs: heldUntilMs, untilMs: one.fromMs };
      const fault = explainedBy(gap, faults, recoveryMs);
      const doubt = { fromMs: gap.fromMs - BUSY_LOOP_MS, untilMs: gap.untilMs };
      const cause = fault !== null ? "fault" : touchesAny(doubt, stalls) ? "machine" : "none";
      const ms = gap.untilMs - gap.fromMs;
      found.push({ fromMs: gap.fromMs, ms, stalledMs: sharedMs(gap, stalls), cause, fault });
    }
    heldUntilMs = Math.max(heldUntilMs ?? 0, one.untilMs);
  }
  return found;
}

/** A fault explains a vacancy that began under it and ended while its effects could last. */
function explainedBy(gap: Stall, faults: readonly FaultMark[], recoveryMs: number): FaultMark | null {
  return (
    faults.findLast(
      ({ name, fromMs, mendedMs, settledMs }) =>
        kindOf(name).effect !== "nothing" &&
        gap.untilMs > fromMs &&
        // The last look may be a few milliseconds older than the fault that kept it from the next.
        gap.fromMs < Math.max(mendedMs, settledMs) &&
        gap.untilMs <= mendedMs + recoveryMs,
    ) ?? null
  );
}

function needlessChangesOf(stalls: readonly Stall[], faults: readonly FaultMark[]): NeedlessChange[] {
  return faults
    .filter(
      ({ name, epochBefore, epochAfter }) => kindOf(name).effect !== "any" && epochBefore !== epochAfter,
    )
    .map((fault) => ({
      fault,
      cause: touchesAny({ fromMs: fault.fromMs, untilMs: fault.settledMs }, stalls) ? "machine" : "none",
    }));
}

/** How much of a span is covered by these, which are in the order in which they began. */
function sharedMs(span: Stall, stalls: readonly Stall[]): number {
  let covered = 0;
  let upToMs = span.fromMs;
  for (const { fromMs, untilMs } of stalls) {
    const from = Math.max(fromMs, upToMs);
    const until = Math.min(untilMs, span.untilMs);
    if (until <= from) continue;
    covered += until - from;
    upToMs = until;
  }
  return covered;
}

function touchesAny(span: Stall, stalls: readonly Stall[]): boolean {
  return stalls.some(({ fromMs, untilMs }) => untilMs > span.fromMs && fromMs < span.untilMs);
}
