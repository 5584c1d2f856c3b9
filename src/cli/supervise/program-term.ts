/** What a supervised program needs to know of its term. */
import type { Term } from "../../node/term.ts";

/** The term of a node, or of a resource of a group. */
export interface ProgramTerm
  extends Pick<
    Term,
    "epoch" | "signal" | "remainingMs" | "provenRemainingMs" | "leaseRemainingMs" | "untilHeld"
  > {
  readonly lossReason: string | null;
}

/** What has the term: a node, or a member of a group. */
export interface TermHolder {
  readonly connected: boolean;
  events(options: { readonly signal: AbortSignal }): AsyncIterable<{ readonly type: string }>;
}
