/** What is known about a fault before it is injected. */

/**
 * The documented reason for an overlap of held terms under this fault. The first three are the residue of presence: they excuse only a
 * leader whose own mode is `presence`.
 *
 * - `none` no overlap is allowed
 * - `one-sided-reset` the server's side of a connection is closed, the client's side is still open
 * - `backlog` the leader has yet to read what its server sent before it closed the connection
 * - `blocked-loop` the leader's event loop is blocked for less than `STALE_AFTER_MS` while its connection is closed
 * - `clock-rate` clock rates differ by more than the margin allows; the bound follows from the difference
 * - `operator` an operator deletes the lease under the leader
 * - `clock` a clock is set back; no lease survives that, the fence does
 */
export type Blame = "none" | Residue | "clock-rate" | "operator" | "clock";

export type Residue = "one-sided-reset" | "backlog" | "blocked-loop";

/** What the fault may cause: `nothing`; `same-term`: the term may be suspended but must not end; `any`. */
export type Effect = "nothing" | "same-term" | "any";

export interface FaultKind {
  readonly what: string;
  readonly blame: Blame;
  readonly effect: Effect;
  /** Estimated duration, used to balance the worlds. `clusterMs` replaces it on three servers. */
  readonly costMs: number;
  readonly clusterMs?: number;
  readonly needs?: "cluster" | "clocks" | "presence" | "disks" | "namespaces";
  /** Under this fault a leader writes after its term has ended: the unfenced shadow must accept stale writes. */
  readonly stale?: true;
}

type Judgement = Pick<FaultKind, "blame" | "effect">;

/** The term may end; two leaders are a violation. */
export const termMayEnd: Judgement = { blame: "none", effect: "any" };
export const unnoticed: Judgement = { blame: "none", effect: "nothing" };
export const sameTerm: Judgement = { blame: "none", effect: "same-term" };

/** The term may end; two leaders are documented. */
export function excused(blame: Exclude<Blame, "none">): Judgement {
  return { blame, effect: "any" };
}
