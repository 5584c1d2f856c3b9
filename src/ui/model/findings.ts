/** The findings of all examinations: one for each cluster and each group. Pure. */
import { bySeverity, type Finding } from "../../doctor/findings/finding.ts";
import { LIMITS } from "./limits.ts";
import type { DoctorView, FindingCard } from "./types.ts";

export interface DoctorState {
  /** The findings of each subject, `cluster/ID` or `group/ID`. */
  readonly bySubject: ReadonlyMap<string, readonly Finding[]>;
  readonly examinedAt: number | null;
  readonly problem: string | null;
}

export const NOT_EXAMINED: DoctorState = { bySubject: new Map(), examinedAt: null, problem: null };

/** @param subjects - Those that exist: findings about others are dropped. */
export function withFindings(
  state: DoctorState,
  subject: string,
  findings: readonly Finding[],
  subjects: ReadonlySet<string>,
  now: number,
): DoctorState {
  const kept = [...state.bySubject].filter(([key]) => subjects.has(key));
  return { bySubject: new Map([...kept, [subject, findings]]), examinedAt: now, problem: null };
}

/** What several examinations have found alike, such as a server, is one finding. */
export function doctorView({ bySubject, examinedAt, problem }: DoctorState): DoctorView {
  const cards = new Map<string, FindingCard>();
  for (const [subject, findings] of bySubject) {
    for (const { severity, code, where, what, todo } of findings) {
      const key = JSON.stringify([code, where, what]);
      const subjects = [...(cards.get(key)?.subjects ?? []), subject];
      cards.set(key, { subjects, severity, code, where, what, todo });
    }
  }
  const sorted = bySeverity([...cards.values()]) as FindingCard[];
  return {
    findings: sorted.slice(0, LIMITS.findings),
    leftOut: Math.max(0, sorted.length - LIMITS.findings),
    examinedAt,
    examined: bySubject.size,
    problem,
  };
}
