/** What is wrong, where, and what to do about it. */

/**
 * - `critical`: something is broken, or an assumption of the election does not hold.
 * - `warning`: it works, and will not for long, or not as it should.
 * - `note`: good to know; changes no verdict.
 */
export type Severity = "critical" | "warning" | "note";

export interface Finding {
  readonly severity: Severity;
  /** For programs; stays the same between versions. */
  readonly code: string;
  /** A server, the bucket, a node. */
  readonly where: string;
  readonly what: string;
  /** What to do. */
  readonly todo: string;
  /** What others say of the same loss of a server. It needs no deed of its own. */
  readonly consequences?: readonly Finding[];
}

/** A finding that may be another one's consequence. */
export interface Sign extends Finding {
  /** The server that is gone by this. */
  readonly lost?: string;
  /** It says no more than that all of these are gone. */
  readonly follows?: readonly string[];
}

export type Verdict = "ok" | "warning" | "critical";

const RANK: Readonly<Record<Severity, number>> = { critical: 0, warning: 1, note: 2 };

export function verdictOf(findings: readonly Finding[]): Verdict {
  if (findings.some(({ severity }) => severity === "critical")) return "critical";
  return findings.some(({ severity }) => severity === "warning") ? "warning" : "ok";
}

/** The worst first, else in the order in which they were found. */
export function bySeverity(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}
