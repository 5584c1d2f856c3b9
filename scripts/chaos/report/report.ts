/** Summarizes the worlds of a run into a report and lists the problems. */
import { BUSY_LOOP_MS, UNPROVEN_MS } from "../check/checker.ts";
import type { FaultMark, Overlap, Vacancy } from "../check/findings.ts";
import { kindOf } from "../faults/catalogue.ts";
import { FAR_RATE } from "../faults/clock.ts";
import type { Blame } from "../faults/kinds/kind.ts";
import { FAULT_NAMES, type FaultGroup, type FaultName, groupOf } from "../faults/names.ts";
import type { ChaosOptions } from "../options.ts";
import type { StaleWrite } from "../servers/register.ts";
import type { WorldReport } from "../world.ts";

export interface FaultSummary {
  readonly group: FaultGroup;
  readonly faults: number;
  /** How many of them ended with another term. */
  readonly newTerms: number;
  readonly longestVacancyMs: number;
  /** Longest overlap of held terms under this fault. */
  readonly overlapMs: number;
  readonly shadowViolations: number;
}

export interface ChaosReport {
  readonly seed: number;
  readonly faults: number;
  readonly terms: number;
  /** Total time during which two processes called themselves leader and no documented reason applies. */
  readonly overlapMs: number;
  /** Longest overlap after a reset of the server's side of a connection only; documented, at most `UNPROVEN_MS`. */
  readonly oneSidedResetOverlapMs: number;
  /** Longest overlap with a leader whose event loop was blocked while its connection was closed; at most 250 ms. */
  readonly busyLoopOverlapMs: number;
  readonly staleWritesAccepted: number;
  readonly unfencedShadowViolations: number;
  readonly longestVacancyMs: number;
  readonly longestVacancyFault: FaultName | null;
  /** The part of it during which a process did not run: frozen by a fault or not scheduled by the machine. */
  readonly longestVacancyStalledMs: number;
  /** Longest overlap after an operator deleted the lease under its holder; documented. */
  readonly operatorOverlapMs: number;
  /** Longest overlap after a process's clocks were set back; no lease can exclude it. */
  readonly clockOverlapMs: number;
  /** Longest overlap with clocks 1.25 times as fast or slow as the others'; bounded by `boundsOf`. */
  readonly clockRateOverlapMs: number;
  readonly epochsNotIncreasing: number;
  /** Epochs that did not increase after a bucket was deleted: only nodes remember larger epochs; documented. */
  readonly operatorEpochsBack: number;
  readonly unexplainedVacancies: number;
  readonly needlessTermChanges: number;
  /** Vacancies and term changes while the machine did not schedule a process. */
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
  /** Guarantees that did not hold, as text. */
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
  /** Why worlds did not start. */
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
    clocks: faketime ? "changed by libfaketime in some worlds" : "unchanged",
    byFault: byFault(worlds),
    problems: problemsOf(worlds, facts, stale),
    notes: notesOf(faults, shadowStale, facts),
  };
}

export function titleOf({ number, profile }: WorldReport): string {
  const { servers, crashDetection, clocks, namespaces } = profile;
  const special = `${clocks ? ", clocks changed" : ""}${namespaces ? ", namespaces" : ""}`;
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

/** The longest overlap that each documented reason allows. Other clocks of such a world may be off by 0.5 %, too. */
function boundsOf({ spanMs, options }: RunFacts): Partial<Record<Blame, number>> {
  const clockRate = Math.max(0, spanMs * FAR_RATE * 1.01 - options.leaseMs);
  return { "one-sided": Math.min(spanMs, UNPROVEN_MS), "busy-loop": BUSY_LOOP_MS, "clock-rate": clockRate };
}

function problemsOf(worlds: readonly WorldReport[], facts: RunFacts, stale: readonly StaleWrite[]): string[] {
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
      found.push(`${where}: unexplained vacancy of ${ms.toFixed(0)} ms ${under(last)}`);
    }
    for (const { fault, cause } of needlessChanges) {
      if (cause === "none")
        found.push(
          `${where}: term changed from epoch ${fault.epochBefore} to ${fault.epochAfter} ${under(fault)}, which must not end a term`,
        );
    }
  }
  for (const { subject, epoch, newest } of stale)
    found.push(`${subject} accepted a write of epoch ${epoch} after epoch ${newest}`);
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
    notes.push(
      `the unfenced shadow accepted no stale write, ${why}: this run proves nothing about the fence`,
    );
  }
  if (!faketime && options.only.length === 0)
    notes.push("no clock faults: they need libfaketime and at least three worlds (--worlds)");
  if (!disks && options.only.length === 0)
    notes.push("no disk-full faults: they need Linux and the permission to mount");
  if (!namespaces && options.only.length === 0)
    notes.push("no cable and packet faults: they need Linux and root");
  if (faults.length < options.faults)
    notes.push(`${options.faults} faults were scheduled, ${faults.length} were injected`);
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

/** Messages in the register carry the server's wall clock; faults are timed by the monotonic clock. */
function shadowViolationsOf({ contents, faults }: WorldReport, name: FaultName): number {
  const wallMinusHost = Date.now() - Number(process.hrtime.bigint()) / 1e6;
  return contents.shadowStale.filter(
    ({ atMs }) => faults.findLast((fault) => fault.fromMs <= atMs - wallMinusHost)?.name === name,
  ).length;
}

/** If leaders wrote late and the shadow still accepted no stale write, the run did not test the fence: not sound. */
export function isSound(report: Omit<ChaosReport, "seed">): boolean {
  const blind = Object.keys(report.byFault).some((name) => kindOf(name as FaultName).stale);
  return report.problems.length === 0 && !(blind && report.unfencedShadowViolations === 0);
}
