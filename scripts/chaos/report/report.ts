/** Summarizes the worlds of a run into a report and lists the problems. */
import type { CrashDetection } from "../../../src/election/types.ts";
import { type FaultMark, isForbidden, type Vacancy } from "../check/findings.ts";
import { detectionOf, lastFault } from "../check/lanes.ts";
import { kindOf } from "../faults/catalogue.ts";
import { FAULT_NAMES, type FaultGroup, type FaultName, groupOf } from "../faults/names.ts";
import type { ChaosOptions } from "../options.ts";
import type { StaleWrite } from "../servers/register.ts";
import type { WorldReport } from "../world.ts";
import { type OverlapRow, overlapRows } from "./overlap-rows.ts";

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
  /** Of these, the terms of nodes with each mode. */
  readonly termsByCrashDetection: Readonly<Record<CrashDetection, number>>;
  /** Total time during which two processes called themselves leader outside the documented residue. */
  readonly overlapMs: number;
  /** All times with two leaders, by documented reason and bound. */
  readonly overlaps: readonly OverlapRow[];
  /** Leaders that were replaced by silence although they were alive, connected and not disturbed by a fault. */
  readonly falseTakeovers: number;
  /** The same while the machine did not schedule a process; not counted above. */
  readonly falseTakeoversByBusyMachine: number;
  readonly staleWritesAccepted: number;
  readonly unfencedShadowViolations: number;
  readonly longestVacancyMs: number;
  readonly longestVacancyFault: FaultName | null;
  /** The part of it during which a process did not run: frozen by a fault or not scheduled by the machine. */
  readonly longestVacancyStalledMs: number;
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
  /** How the hosts of `host-lost` vanished: their cable was pulled, or proxies swallowed what they sent and received. */
  readonly hostsLost: { readonly cablePulled: number; readonly blackholed: number };
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
  /** Why worlds have no report. */
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
  const takeovers = findings.flatMap((it) => it.falseTakeovers);
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
    termsByCrashDetection: termsByCrashDetection(worlds),
    overlapMs: rounded(overlaps.filter(isForbidden).reduce((sum, { ms }) => sum + ms, 0)),
    overlaps: overlapRows(overlaps),
    falseTakeovers: takeovers.filter(({ cause }) => cause === "none").length,
    falseTakeoversByBusyMachine: takeovers.filter(({ cause }) => cause === "machine").length,
    staleWritesAccepted: stale.length,
    unfencedShadowViolations: shadowStale,
    longestVacancyMs: rounded(longest?.ms ?? 0),
    longestVacancyFault: longest?.fault?.name ?? null,
    longestVacancyStalledMs: rounded(longest?.stalledMs ?? 0),
    epochsNotIncreasing: epochProblems.filter(({ isOperators }) => !isOperators).length,
    operatorEpochsBack: epochProblems.filter(({ isOperators }) => isOperators).length,
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
    hostsLost: hostsLost(worlds),
    byFault: byFault(worlds),
    problems: problemsOf(worlds, facts),
    notes: notesOf(faults, shadowStale, facts),
  };
}

export function titleOf({ number, profile, detections }: WorldReport): string {
  const { servers, clocks, namespaces } = profile;
  const modes = Object.entries(detections)
    .map(([id, it]) => `${id} ${it.crashDetection}${it.silenceMs === 0 ? "" : ` ${it.silenceMs} ms`}`)
    .join(", ");
  const special = `${clocks ? ", clocks changed" : ""}${namespaces ? ", namespaces" : ""}`;
  return `${number}: R${servers}, ${modes}${special}`;
}

function termsByCrashDetection(worlds: readonly WorldReport[]): Record<CrashDetection, number> {
  const terms: Record<CrashDetection, Set<string>> = {
    presence: new Set(),
    silence: new Set(),
    lease: new Set(),
  };
  for (const world of worlds) {
    for (const interval of world.held) {
      const { crashDetection } = detectionOf(interval, world);
      terms[crashDetection].add(`${world.number} ${interval.incarnation} ${interval.epoch}`);
    }
  }
  return { presence: terms.presence.size, silence: terms.silence.size, lease: terms.lease.size };
}

function hostsLost(worlds: readonly WorldReport[]): ChaosReport["hostsLost"] {
  const count = (namespaces: boolean): number =>
    worlds
      .filter(({ profile }) => profile.namespaces === namespaces)
      .flatMap(({ faults }) => faults)
      .filter(({ name }) => name === "host-lost").length;
  return { cablePulled: count(true), blackholed: count(false) };
}

function longestOf(spans: readonly { readonly ms: number }[]): number {
  return rounded(spans.reduce((most, { ms }) => Math.max(most, ms), 0));
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function problemsOf(worlds: readonly WorldReport[], { broken }: RunFacts): string[] {
  const found = [...broken];
  for (const world of worlds) {
    const where = `world ${titleOf(world)}`;
    const { overlaps, epochProblems, vacancies, needlessChanges, falseTakeovers } = world.findings;
    if (world.failure !== null) found.push(`${where}: ${world.failure}`);
    found.push(...staleProblems(world.contents.stale).map((text) => `${where}: ${text}`));
    for (const overlap of overlaps) {
      if (!isForbidden(overlap)) continue;
      const { ms, kind, boundMs, fault, old, next } = overlap;
      const { crashDetection, silenceMs } = detectionOf(old, world);
      const bound = kind === "forbidden" ? "" : `, ${kind} allows ${boundMs} ms`;
      found.push(
        `${where}: ${old.node} (epoch ${old.epoch}, ${crashDetection} ${silenceMs} ms) and ${next.node} (epoch ${next.epoch}) led at once for ${ms.toFixed(3)} ms${bound}, ${under(fault)}`,
      );
    }
    for (const { isOperators, text, atMs } of epochProblems)
      if (!isOperators) found.push(`${where}: ${text}, ${under(lastFault(world.faults, atMs))}`);
    for (const { cause, atMs, old, next } of falseTakeovers) {
      if (cause !== "none") continue;
      found.push(
        `${where}: ${next.node} (epoch ${next.epoch}) replaced ${old.node} (epoch ${old.epoch}), which was alive, connected and not disturbed, ${under(lastFault(world.faults, atMs))}`,
      );
    }
    for (const { cause, ms, fromMs } of vacancies) {
      if (cause !== "none") continue;
      found.push(
        `${where}: unexplained vacancy of ${ms.toFixed(0)} ms ${under(lastFault(world.faults, fromMs))}`,
      );
    }
    for (const { fault, cause } of needlessChanges) {
      if (cause === "none")
        found.push(
          `${where}: term changed from epoch ${fault.epochBefore} to ${fault.epochAfter} ${under(fault)}, which must not end a term`,
        );
    }
  }
  return found;
}

/** One line for the writes of one term after another. */
function staleProblems(stale: readonly StaleWrite[]): string[] {
  const groups = new Map<string, StaleWrite[]>();
  for (const write of stale) {
    const key = `${write.subject} ${write.epoch} ${write.newest}`;
    groups.set(key, [...(groups.get(key) ?? []), write]);
  }
  return [...groups.values()].map((writes) => {
    const [first, last] = [writes[0], writes.at(-1)] as [StaleWrite, StaleWrite];
    const { subject, epoch, newest } = first;
    const sequences = `sequences ${first.sequence} to ${last.sequence}`;
    return `${subject} accepted ${writes.length} writes of epoch ${epoch} after epoch ${newest}, ${sequences}`;
  });
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
    notes.push(
      "no cable and packet faults: they need Linux and root; proxies swallow the bytes of lost hosts",
    );
  if (options.world === null && faults.length < options.faults)
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
