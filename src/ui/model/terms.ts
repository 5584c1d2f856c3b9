/** The terms of a cluster, from what was seen and from what the nodes have recorded. Pure. */
import type { PastTerm } from "../../manager/history-record.ts";
import { LIMITS } from "./limits.ts";
import type { TermCard } from "./types.ts";

/** A term as it was seen from here, or as it was recorded. */
export interface SeenTerm {
  readonly node: string;
  readonly epoch: number;
  readonly from: number | null;
  readonly until: number | null;
  /** `until` is when the next record was seen. */
  readonly untilAtMost: boolean;
  readonly why: string | null;
  readonly to: string | null;
  /** The last renewal that was seen: the leader was there at this time. */
  readonly renewedAt: number | null;
}

/** Adds a term that has begun, and ends the one before it, unless that has ended. */
export function begun(
  terms: readonly SeenTerm[],
  term: Pick<SeenTerm, "node" | "epoch" | "from">,
  at: number,
): readonly SeenTerm[] {
  const ended = over(terms, { at, why: "replaced", atMost: true, to: null });
  const next: SeenTerm = {
    ...term,
    until: null,
    untilAtMost: false,
    why: null,
    to: null,
    renewedAt: at,
  };
  return kept([...ended.filter(({ epoch }) => epoch !== term.epoch), next]);
}

/** Ends the running term. */
export function over(
  terms: readonly SeenTerm[],
  end: { readonly at: number; readonly why: string; readonly atMost: boolean; readonly to: string | null },
): readonly SeenTerm[] {
  const last = terms.at(-1);
  if (last === undefined || last.until !== null) return terms;
  const { at, why, atMost, to } = end;
  return [...terms.slice(0, -1), { ...last, until: at, untilAtMost: atMost, why, to }];
}

/** Notes a renewal of the running term. */
export function renewed(terms: readonly SeenTerm[], at: number): readonly SeenTerm[] {
  const last = terms.at(-1);
  if (last === undefined || last.until !== null) return terms;
  return [...terms.slice(0, -1), { ...last, renewedAt: at }];
}

/** Takes over what the nodes have recorded: the reasons and times of the leaders themselves. */
export function withHistory(terms: readonly SeenTerm[], recorded: readonly PastTerm[]): readonly SeenTerm[] {
  const byEpoch = new Map(terms.map((term) => [term.epoch, term]));
  for (const { nodeId, epoch, from, until, untilAtMost, why } of recorded) {
    const seen = byEpoch.get(epoch);
    if (seen === undefined) {
      byEpoch.set(epoch, { node: nodeId, epoch, from, until, untilAtMost, why, to: null, renewedAt: null });
      continue;
    }
    // "silent" is what the absence of a record says; what was seen from here is better.
    const known = why !== null && why !== "silent" && until !== null;
    byEpoch.set(epoch, {
      ...seen,
      from: from ?? seen.from,
      ...(known && seen.until !== null ? { why, until, untilAtMost } : {}),
    });
  }
  return kept([...byEpoch.values()].sort((a, b) => a.epoch - b.epoch));
}

function kept(terms: readonly SeenTerm[]): readonly SeenTerm[] {
  // One more than is shown: the vacancy before the oldest one that is shown needs it.
  return terms.slice(-LIMITS.termsPerCluster - 1);
}

/** Newest first. */
export function termCards(terms: readonly SeenTerm[]): TermCard[] {
  const cards = terms.map((term, index): TermCard => {
    const { node, epoch, from, until, why, to } = term;
    return { node, epoch, from, until, why, to, ...vacancyBefore(term, terms[index - 1]) };
  });
  return cards.slice(-LIMITS.termsPerCluster).reverse();
}

/** Epochs between the two terms were of terms that are not known. */
function vacancyBefore(
  { from, epoch }: SeenTerm,
  before: SeenTerm | undefined,
): Pick<TermCard, "vacancyMs" | "vacancyAtMost"> {
  const unknown = { vacancyMs: null, vacancyAtMost: false };
  if (from === null || before === undefined || before.epoch !== epoch - 1) return unknown;
  if (before.until !== null && !before.untilAtMost) {
    return { vacancyMs: Math.max(0, from - before.until), vacancyAtMost: false };
  }
  if (before.renewedAt === null) return unknown;
  return { vacancyMs: Math.max(0, from - before.renewedAt), vacancyAtMost: true };
}
