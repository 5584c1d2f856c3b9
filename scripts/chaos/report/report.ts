/** Sums up the worlds of a run, and judges them. */

import { BUSY_LOOP_MS, type FaultMark, type Overlap, type Vacancy } from "../check/checker.ts";
import {
  type Blame,
  FAULT_NAMES,
  type FaultGroup,
  type FaultName,
  groupOf,
  kindOf,
} from "../faults/catalogue.ts";
import { FAR_RATE } from "../faults/clock.ts";
import type { ChaosOptions } from "../options.ts";
import type { Violation } from "../servers/register.ts";
import type { WorldReport } from "../world.ts";

export interface FaultSummary {
  readonly group: FaultGroup;
  readonly faults: number;
  /** After how many of them another term led. */
  readonly newTerms: number;
  readonly longestVacancyMs: number;
  /** Longest overlap of held terms under it. */
  readonly overlapMs: number;
  readonly shadowViolations: number;
}

export interface ChaosReport {
  readonly seed: number;
  readonly faults: number;
  readonly terms: number;
  /** Sum of all times during which two processes could act as the leader and must not have. */
  readonly overlapMs: number;
  /** The longest overlap after only the server's side of a connection was reset: documented, and less than the span. */
  readonly oneSidedResetOverlapMs: number;
  /** The longest while the old leader's event loop stood still and its connection was closed meanwhile; at most 250 ms. */
  readonly busyLoopOverlapMs: number;
  readonly staleWritesAccepted: number;
  readonly unfencedShadowViolations: number;
  readonly longestVacancyMs: number;
  readonly longestVacancyFault: FaultName | null;
  /** For how much of it a process of that world did not run: frozen by a fault, or kept waiting by the machine. */
  readonly longestVacancyStalledMs: number;
  /** Longest, after an operator deleted the lease under its holder; documented risk. */
  readonly operatorOverlapMs: number;
  /** Longest, with clocks set back under a process; outside of what a lease can promise. */
  readonly clockOverlapMs: number;
  /** Longest, with clocks 1.25 times as fast or slow as the others'; at most that share of the span, less the margin. */
  readonly clockRateOverlapMs: number;
  readonly epochsNotIncreasing: number;
  /** After a bucket was deleted: only nodes that remember a larger epoch keep it; documented risk. */
  readonly operatorEpochsBack: number;
  readonly unexplainedVacancies: number;
  readonly needlessTermChanges: number;
  /** Vacancies and changes of term at a time when the machine let processes wait. */
  readonly byBusyMachine: number;
  readonly fencedWrites: number;
  readonly shadowWrites: number;
  readonly refusedStale: number;
  readonly unknownOutcomes: number;
  readonly seconds: number;
  readonly leaseMs: number;
  readonly spanMs: number;
  readonly servers: string;
  readonly worlds: readonly string[];
  readonly clocks: string;
  readonly byFault: Readonly<Partial<Record<FaultName, FaultSummary>>>;
  /** What must not be, in words. Empty: all held. */
  readonly problems: readonly string[];
  /** What this run does not show. */
  readonly notes: readonly string[];
}

export interface RunFacts {
  readonly options: ChaosOptions;
  readonly spanMs: number;
  readonly seconds: number;
  readonly faketime: boolean;
  readonly disks: boolean;
  readonly namespaces: boolean;
  /** Why worlds are missing. */
  readonly broken: readonly string[];
}

export function summarize(worlds: readonly WorldReport[], facts: RunFacts): ChaosReport {
  const { options, spanMs, seconds, faketime } = facts;
  const findings = worlds.map((world) => world.findings);
  const faults = worlds.flatMap((world) => world.faults);
  const vacancies = findings.flatMap((it) => it.vacancies);
  const longest = vacancies.reduce<Vacancy | null>(
    (most, it) => (most === null || it.ms > most.ms ? it : most),
    null,
  );
  const overlaps = findings.flatMap((it) => it.overlaps);
  const stale = worlds.flatMap((world) => world.contents.stale);
  const total = (pick: (world: WorldReport) => number): number =>
    worlds.reduce((sum, it) => sum + pick(it), 0);
  const unexplained = vacancies.filter(({ cause }) => cause === "none");
  const epochProblems = findings.flatMap((it) => it.epochProblems);
  const changes = findings.flatMap((it) => it.needlessChanges);
  const shadowStale = total((world) => world.contents.shadowStale.length);
  return {
    seed: options.seed,
    faults: faults.length,
    terms: findings.reduce((sum, it) => sum + it.terms, 0),
    overlapMs: rounded(blamed(overlaps, "none").reduce((sum, { ms }) => sum + ms, 0)),
    oneSidedResetOverlapMs: longestOf(blamed(overlaps, "one-sided")),
    busyLoopOverlapMs: longestOf(blamed(overlaps, "busy-loop")),
    staleWritesAccepted: stale.length,
    unfencedShadowViolations: shadowStale,
    longestVacancyMs: rounded(longest?.ms ?? 0),
    longestVacancyFault: longest?.fault?.name ?? null,
    longestVacancyStalledMs: rounded(longest?.stalledMs ?? 0),
    operatorOverlapMs: longestOf(blamed(overlaps, "operator")),
    clockOverlapMs: longestOf(blamed(overlaps, "clock")),
    clockRateOverlapMs: longestOf(blamed(overlaps, "clock-rate")),
    epochsNotIncreasing: epochProblems.filter(({ blame }) => blame === "none").length,
    operatorEpochsBack: epochProblems.filter(({ blame }) => blame === "operator").length,
    unexplainedVacancies: unexplained.length,
    needlessTermChanges: changes.filter(({ cause }) => cause === "none").length,
    byBusyMachine: [...vacancies, ...changes].filter(({ cause }) => cause === "machine").length,
    fencedWrites: total((world) => world.contents.fenced),
    shadowWrites: total((world) => world.contents.shadow),
    refusedStale: total((world) => world.outcomes["STALE_EPOCH"] ?? 0),
    unknownOutcomes: total((world) => world.outcomes["OUTCOME_UNKNOWN"] ?? 0),
    seconds,
    leaseMs: options.leaseMs,
    spanMs,
    servers: `nats-server ${worlds[0]?.version ?? ""}`,
    worlds: worlds.map(titleOf),
    clocks: faketime ? "bent by libfaketime in some" : "straight",
    byFault: byFault(worlds),
    problems: problemsOf(worlds, facts, stale),
    notes: notesOf(faults, shadowStale, facts),
  };
}

export function titleOf({ number, profile }: WorldReport): string {
  const { servers, crashDetection, clocks, namespaces } = profile;
  const special = `${clocks ? ", clocks bent" : ""}${namespaces ? ", namespaces" : ""}`;
  return `${number}: R${servers}, ${crashDetection}${special}`;
}

function blamed(overlaps: readonly Overlap[], blame: Blame): Overlap[] {
  return overlaps.filter((overlap) => overlap.blame === blame);
}

function longestOf(spans: readonly { readonly ms: number }[]): number {
  return rounded(spans.reduce((most, { ms }) => Math.max(most, ms), 0));
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** The longest overlap that each excuse is good for. The other clocks of such a world may be 0.5 % off, too. */
function boundsOf({ spanMs, options }: RunFacts): Partial<Record<Blame, number>> {
  const clockRate = Math.max(0, spanMs * FAR_RATE * 1.01 - options.leaseMs);
  return { "one-sided": spanMs, "busy-loop": BUSY_LOOP_MS, "clock-rate": clockRate };
}

function problemsOf(worlds: readonly WorldReport[], facts: RunFacts, stale: readonly Violation[]): string[] {
  const found = [...facts.broken];
  const bounds = boundsOf(facts);
  for (const world of worlds) {
    const where = `world ${titleOf(world)}`;
    const { overlaps, epochProblems, vacancies, needlessChanges } = world.findings;
    if (world.failure !== null) found.push(`${where}: ${world.failure}`);
    for (const { ms, blame, fault, one, other } of overlaps) {
      if (blame !== "none" && ms <= (bounds[blame] ?? Number.POSITIVE_INFINITY)) continue;
      found.push(
        `${where}: ${one.node} (epoch ${one.epoch}) and ${other.node} (epoch ${other.epoch}) led at once for ${ms.toFixed(3)} ms ${under(fault)}`,
      );
    }
    for (const { blame, text } of epochProblems) if (blame === "none") found.push(`${where}: ${text}`);
    for (const { cause, ms, fromMs } of vacancies) {
      if (cause !== "none") continue;
      const last = world.faults.findLast((fault) => fault.fromMs <= fromMs) ?? null;
      found.push(`${where}: nobody led for ${ms.toFixed(0)} ms, which nothing explains, ${under(last)}`);
    }
    for (const { fault, cause } of needlessChanges) {
      if (cause === "none")
        found.push(
          `${where}: the term ended, epoch ${fault.epochBefore} to ${fault.epochAfter}, ${under(fault)}`,
        );
    }
  }
  for (const { subject, epoch, newest } of stale)
    found.push(`${subject} took a write of epoch ${epoch} behind epoch ${newest}`);
  return found;
}

function under(fault: FaultMark | null): string {
  return fault === null ? "before the first fault" : `at fault ${fault.number} (${fault.name})`;
}

function notesOf(
  faults: readonly FaultMark[],
  shadowStale: number,
  { faketime, disks, namespaces, options }: RunFacts,
): string[] {
  const notes: string[] = [];
  if (shadowStale === 0) {
    const why = faults.some(({ name }) => kindOf(name).stale)
      ? "although leaders wrote late"
      : "because no fault of this run makes a leader write late";
    notes.push(`the unfenced shadow took no stale write, ${why}: this run proves nothing about the fence`);
  }
  if (!faketime && options.only.length === 0)
    notes.push("no clock was bent: that takes libfaketime, and a world for it (the third of --worlds)");
  if (!disks && options.only.length === 0)
    notes.push("no disk was full: that takes Linux, and a user who may mount");
  if (!namespaces && options.only.length === 0) notes.push("no cable was pulled: that takes Linux and root");
  if (faults.length < options.faults)
    notes.push(`${options.faults} faults were planned, ${faults.length} came`);
  return notes;
}

function byFault(worlds: readonly WorldReport[]): Partial<Record<FaultName, FaultSummary>> {
  const result: Partial<Record<FaultName, FaultSummary>> = {};
  for (const name of FAULT_NAMES) {
    const its = <T extends { readonly fault: FaultMark | null }>(items: readonly T[]): T[] =>
      items.filter(({ fault }) => fault?.name === name);
    const marks = worlds.flatMap((world) => world.faults.filter((fault) => fault.name === name));
    if (marks.length === 0) continue;
    result[name] = {
      group: groupOf(name),
      faults: marks.length,
      newTerms: marks.filter(({ epochBefore, epochAfter }) => epochAfter !== epochBefore).length,
      longestVacancyMs: longestOf(worlds.flatMap((world) => its(world.findings.vacancies))),
      overlapMs: longestOf(worlds.flatMap((world) => its(world.findings.overlaps))),
      shadowViolations: worlds.reduce((sum, world) => sum + shadowViolationsOf(world, name), 0),
    };
  }
  return result;
}

/** The register knows the server's wall clock only. */
function shadowViolationsOf({ contents, faults }: WorldReport, name: FaultName): number {
  const wallMinusHost = Date.now() - Number(process.hrtime.bigint()) / 1e6;
  return contents.shadowStale.filter(
    ({ atMs }) => faults.findLast((fault) => fault.fromMs <= atMs - wallMinusHost)?.name === name,
  ).length;
}

/** A run in which leaders wrote late and the shadow took none of it has looked at nothing. */
export function isSound(report: Omit<ChaosReport, "seed">): boolean {
  const blind = Object.keys(report.byFault).some((name) => kindOf(name as FaultName).stale);
  return report.problems.length === 0 && !(blind && report.unfencedShadowViolations === 0);
}
