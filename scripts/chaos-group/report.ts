/** Summarizes the worlds of a run, and lists the problems. */
import { summed, total } from "../chaos/harness/sums.ts";
import type { FaultMark, Overlap } from "./check/findings.ts";
import { FAULT_NAMES, type FaultName } from "./faults/faults.ts";
import type { WorldReport } from "./world.ts";

export interface FaultSummary {
  readonly faults: number;
  /** Longest time from the end of the fault until every resource was written by its owner, in milliseconds. */
  readonly longestSettleMs: number;
  /** Longest time in which a resource was held by no member. */
  readonly longestVacancyMs: number;
  /** Longest time in which a resource was held by two. */
  readonly overlapMs: number;
}

export interface GroupChaosReport {
  readonly seed: number;
  readonly faults: number;
  readonly terms: number;
  /** Total time in which two processes held a resource, outside the documented residue. */
  readonly overlapMs: number;
  /** Longest overlap with a documented reason. */
  readonly longestResidueMs: number;
  readonly epochsNotIncreasing: number;
  readonly entries: number;
  readonly staleEntries: number;
  readonly entriesTwice: number;
  readonly entriesLost: number;
  readonly shadowEntries: number;
  /** Stale entries in the unfenced shadow: what the fence has kept away. */
  readonly shadowStale: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly warnings: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly leaseMs: number;
  readonly servers: string;
  readonly worlds: readonly string[];
  readonly byFault: Readonly<Partial<Record<FaultName, FaultSummary>>>;
  /** Guarantees that did not hold. */
  readonly problems: readonly string[];
  /** What this run does not show. */
  readonly notes: readonly string[];
}

export interface RunFacts {
  readonly seed: number;
  readonly leaseMs: number;
  readonly seconds: number;
  readonly clocks: boolean;
  /** Why worlds have no report. */
  readonly broken: readonly string[];
}

export function summarize(worlds: readonly WorldReport[], facts: RunFacts): GroupChaosReport {
  const resources = worlds.flatMap((world) => world.resources);
  const ledgers = worlds.flatMap((world) => world.ledgers);
  const faults = worlds.flatMap((world) => world.faults);
  const overlaps = resources.flatMap((one) => one.overlaps);
  const forbidden = overlaps.filter(isForbidden);
  const allowed = overlaps.filter((one) => !isForbidden(one));
  const epochs = resources.flatMap((one) => one.epochProblems);
  const shadowStale = total(worlds.map((world) => world.shadowStale));
  const [stale, twice, lost] = (["stale", "twice", "lost"] as const).map((what) =>
    ledgers.flatMap((one) => one[what]),
  ) as [string[], string[], string[]];
  const problems = [
    ...facts.broken,
    ...worlds.flatMap(({ number, failure }) => (failure === null ? [] : [`world ${number}: ${failure}`])),
    ...forbidden.map(textOf),
    ...epochs,
    ...stale,
    ...twice,
    ...lost,
  ];
  return {
    seed: facts.seed,
    faults: faults.length,
    terms: total(resources.map((one) => one.terms)),
    overlapMs: rounded(total(forbidden.map(({ ms }) => ms))),
    longestResidueMs: rounded(Math.max(0, ...allowed.map(({ ms }) => ms))),
    epochsNotIncreasing: epochs.length,
    entries: total(ledgers.map((one) => one.entries)),
    staleEntries: stale.length,
    entriesTwice: twice.length,
    entriesLost: lost.length,
    shadowEntries: total(worlds.map((world) => world.shadowEntries)),
    shadowStale,
    outcomes: summed(worlds.map((world) => world.outcomes)),
    warnings: summed(worlds.map((world) => world.warnings)),
    seconds: facts.seconds,
    leaseMs: facts.leaseMs,
    servers: `nats-server ${worlds[0]?.version ?? ""}`,
    worlds: worlds.map(titleOf),
    byFault: byFault(faults, resources),
    problems,
    notes: [
      ...(shadowStale === 0
        ? ["no stale entry in the unfenced shadow: this run says nothing about the fence"]
        : []),
      ...(facts.clocks ? [] : ["no clock was changed"]),
      ...FAULT_NAMES.filter((name) => faults.every((fault) => fault.name !== name)).map(
        (name) => `did not occur: ${name}`,
      ),
    ],
  };
}

function isForbidden({ ms, boundMs }: Overlap): boolean {
  return boundMs !== null && ms > boundMs;
}

function textOf({ resource, ms, boundMs, fault, old, next }: Overlap): string {
  const [one, other] = [old, next].map(
    ({ node, processNumber, epoch }) => `${node} ${processNumber} (epoch ${epoch})`,
  );
  return `${resource} was held by ${one} for ${rounded(ms)} ms beside ${other}; at most ${boundMs} ms are documented for ${fault ?? "no fault"}`;
}

function titleOf({ number, profile }: WorldReport): string {
  const { servers, crashDetection, clocks } = profile;
  return `${number}: R${servers}, ${crashDetection}${clocks ? ", clocks changed" : ""}`;
}

function byFault(
  faults: readonly FaultMark[],
  resources: readonly WorldReport["resources"][number][],
): Partial<Record<FaultName, FaultSummary>> {
  const summaries: Partial<Record<FaultName, FaultSummary>> = {};
  for (const name of FAULT_NAMES) {
    const own = faults.filter((fault) => fault.name === name);
    if (own.length === 0) continue;
    const longest = (of: "vacancies" | "overlaps"): number =>
      rounded(
        Math.max(
          0,
          ...resources.flatMap((one) => one[of].filter(({ fault }) => fault === name).map(({ ms }) => ms)),
        ),
      );
    summaries[name] = {
      faults: own.length,
      longestSettleMs: rounded(Math.max(...own.map(({ mendedMs, settledMs }) => settledMs - mendedMs))),
      longestVacancyMs: longest("vacancies"),
      overlapMs: longest("overlaps"),
    };
  }
  return summaries;
}

export function reportText(report: GroupChaosReport): string {
  const { byFault: summaries, problems, notes, outcomes, warnings, worlds, ...facts } = report;
  const rows = Object.entries(summaries).map(
    ([name, { faults, longestSettleMs, longestVacancyMs, overlapMs }]) =>
      `  ${name.padEnd(26)}${String(faults).padStart(4)}${String(longestSettleMs).padStart(11)}${String(longestVacancyMs).padStart(11)}${String(overlapMs).padStart(9)}`,
  );
  return [
    ...Object.entries(facts).map(([name, value]) => `${name.padEnd(22)}${value}`),
    `outcomes of writes    ${JSON.stringify(outcomes)}`,
    `warnings              ${JSON.stringify(warnings)}`,
    ...worlds.map((world) => `world ${world}`),
    `  ${"fault".padEnd(26)}   n  settle ms vacancy ms  two, ms`,
    ...rows,
    ...notes.map((note) => `note: ${note}`),
    ...problems.map((problem) => `PROBLEM: ${problem}`),
    problems.length === 0 ? "every guarantee held" : `${problems.length} problems`,
  ].join("\n");
}

function rounded(ms: number): number {
  return Math.round(10 * ms) / 10;
}
