/** What a run of a group must not show, found in the recordings of its processes and in the ledgers. Pure. */
import { roundTripMs } from "../../../src/election/silence.ts";
import type { Detection } from "../../chaos/detection.ts";
import type { PlayedFault } from "../../chaos/harness/play-fault.ts";
import type { HeldInterval } from "../../chaos/node/recording.ts";
import { type FaultName, kindOf } from "../faults/faults.ts";
import type { Entry } from "../member/messages.ts";

/** A fault as it happened. The world has recovered when every resource has been written by its owner since. */
export type FaultMark = PlayedFault<FaultName>;

/** Two processes held one resource at once. */
export interface Overlap {
  readonly resource: string;
  readonly fromMs: number;
  readonly ms: number;
  /** What `ms` may be; `null`: anything, because a clock was wrong. */
  readonly boundMs: number | null;
  /** The fault that was under way; `null`: none. */
  readonly fault: FaultName | null;
  readonly old: HeldInterval;
  readonly next: HeldInterval;
}

/** No process held the resource. */
export interface Vacancy {
  readonly resource: string;
  readonly ms: number;
  readonly fault: FaultName | null;
}

export interface ResourceFindings {
  readonly terms: number;
  readonly overlaps: readonly Overlap[];
  readonly epochProblems: readonly string[];
  readonly vacancies: readonly Vacancy[];
}

interface Circumstances {
  readonly faults: readonly FaultMark[];
  readonly detectionOf: (lane: string) => Detection;
}

/** A fault explains what happens within so long after it has settled. */
const AFTERMATH_MS = 1_000;

export function findingsOf(
  resource: string,
  held: readonly HeldInterval[],
  circumstances: Circumstances,
): ResourceFindings {
  const sorted = [...held].sort((one, other) => one.fromMs - other.fromMs);
  return {
    terms: new Set(sorted.map(({ epoch }) => epoch)).size,
    overlaps: overlapsOf(resource, sorted, circumstances),
    epochProblems: epochProblemsOf(resource, sorted),
    vacancies: vacanciesOf(resource, sorted, circumstances.faults),
  };
}

function isSameProcess(one: HeldInterval, other: HeldInterval): boolean {
  return one.node === other.node && one.processNumber === other.processNumber;
}

function overlapsOf(
  resource: string,
  sorted: readonly HeldInterval[],
  { faults, detectionOf }: Circumstances,
): Overlap[] {
  const overlaps: Overlap[] = [];
  for (const [index, later] of sorted.entries()) {
    for (const earlier of sorted.slice(0, index)) {
      const ms = Math.min(earlier.untilMs, later.untilMs) - later.fromMs;
      if (ms <= 0 || isSameProcess(earlier, later)) continue;
      const [old, next] = earlier.epoch < later.epoch ? [earlier, later] : [later, earlier];
      const fault = faultAt(faults, later.fromMs);
      const boundMs = boundOf(fault, detectionOf(old.node));
      overlaps.push({ resource, fromMs: later.fromMs, ms, boundMs, fault, old, next });
    }
  }
  return overlaps;
}

/** As `docs/chaos.md` says of the residue of presence: the age of a round trip that the server has answered. */
function boundOf(fault: FaultName | null, { crashDetection, silenceMs }: Detection): number | null {
  const blame = fault === null ? "none" : kindOf(fault).blame;
  if (blame === "clock") return null;
  return blame === "connection" && crashDetection === "presence" ? roundTripMs(silenceMs) : 0;
}

function faultAt(faults: readonly FaultMark[], atMs: number): FaultName | null {
  const fault = faults.findLast(({ fromMs }) => fromMs <= atMs);
  return fault === undefined || atMs > fault.settledMs + AFTERMATH_MS ? null : fault.name;
}

/** A term may be suspended and go on; a term that begins has the largest epoch so far. */
function epochProblemsOf(resource: string, sorted: readonly HeldInterval[]): string[] {
  const problems: string[] = [];
  const begun = new Set<string>();
  let newest: HeldInterval | null = null;
  for (const one of sorted) {
    const term = `${one.node} ${one.processNumber} ${one.epoch}`;
    if (begun.has(term)) continue;
    begun.add(term);
    if (newest !== null && one.epoch <= newest.epoch)
      problems.push(
        `${resource}: epoch ${one.epoch} of ${one.node} ${one.processNumber} begins after epoch ${newest.epoch} of ${newest.node} ${newest.processNumber}`,
      );
    else newest = one;
  }
  return problems;
}

function vacanciesOf(
  resource: string,
  sorted: readonly HeldInterval[],
  faults: readonly FaultMark[],
): Vacancy[] {
  const vacancies: Vacancy[] = [];
  let untilMs: number | null = null;
  for (const one of sorted) {
    if (untilMs !== null && one.fromMs > untilMs)
      vacancies.push({ resource, ms: one.fromMs - untilMs, fault: faultAt(faults, one.fromMs) });
    untilMs = Math.max(untilMs ?? 0, one.untilMs);
  }
  return vacancies;
}

export interface LedgerFindings {
  readonly entries: number;
  /** Entries of a smaller epoch behind one of a larger. */
  readonly stale: readonly string[];
  readonly twice: readonly string[];
  readonly lost: readonly string[];
}

/** An entry that was acknowledged to its writer. */
export interface Stored {
  readonly n: number;
  /** `LANE PROCESS` */
  readonly by: string;
}

/** `entries`: in the order of the stream. */
export function ledgerFindings(
  resource: string,
  entries: readonly Entry[],
  stored: readonly Stored[],
): LedgerFindings {
  const [stale, twice, lost] = [[] as string[], [] as string[], [] as string[]];
  const writers = new Map<number, string>();
  let [last, newest] = [0, 0];
  for (const { n, epoch, by } of entries) {
    if (epoch < newest)
      stale.push(`${resource}: entry ${n} of ${by}, epoch ${epoch}, behind epoch ${newest}`);
    newest = Math.max(newest, epoch);
    if (n <= last) twice.push(`${resource}: entry ${n} of ${by} behind entry ${last}`);
    if (n > last + 1) lost.push(`${resource}: entry ${n} of ${by} behind entry ${last}`);
    last = Math.max(last, n);
    writers.set(n, by);
  }
  for (const { n, by } of stored)
    if (writers.get(n) !== by)
      lost.push(
        `${resource}: ${by} has the acknowledgement of entry ${n}, which is that of ${writers.get(n) ?? "no process"}`,
      );
  return { entries: entries.length, stale, twice, lost };
}

/** How many unfenced entries have a smaller epoch than an earlier one. */
export function staleEpochs(epochs: readonly number[]): number {
  let [newest, stale] = [0, 0];
  for (const epoch of epochs) {
    if (epoch < newest) stale += 1;
    newest = Math.max(newest, epoch);
  }
  return stale;
}
