/** A finding: what is wrong, where, and what to do. */

/**
 * - `critical`: something is broken, or an assumption of the election does not hold.
 * - `warning`: it works, but with restrictions, or it will soon fail.
 * - `note`: information that does not affect the verdict.
 */
export type Severity = "critical" | "warning" | "note";

export interface Finding {
  readonly severity: Severity;
  /** For programs. It does not change between versions. */
  readonly code: string;
  /** A server, the bucket or a node. */
  readonly where: string;
  readonly what: string;
  /** What to do. */
  readonly todo: string;
  /** Findings with the same cause, the loss of a server. They need no action of their own. */
  readonly consequences?: readonly Finding[];
}

/** A finding before consequences are grouped. */
export interface Sign extends Finding {
  /** The server whose loss this finding reports. */
  readonly lost?: string;
  /** The finding follows from the loss of all these servers. */
  readonly follows?: readonly string[];
  /** If another sign reports the loss of this server, the finding follows from it. Itself it is no sign of a loss. */
  readonly concerns?: string;
  /** The loss of one server causes this for some seconds, until the others have elected leaders and clients have reconnected. */
  readonly aftermath?: true;
}

export type Verdict = "ok" | "warning" | "critical";

const RANK: Readonly<Record<Severity, number>> = { critical: 0, warning: 1, note: 2 };

export function verdictOf(findings: readonly Finding[]): Verdict {
  if (findings.some(({ severity }) => severity === "critical")) return "critical";
  return findings.some(({ severity }) => severity === "warning") ? "warning" : "ok";
}

/** Most severe first; otherwise the order stays. */
export function bySeverity(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}
