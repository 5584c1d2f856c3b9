/** The closed sets of values that the channels carry, and by which metrics are labelled. */
import type { WriteOutcome } from "../election/types.ts";

export const RENEWAL_RESULTS = ["applied", "conflict", "unknown"] as const;
export type RenewalResult = WriteOutcome["kind"];
RENEWAL_RESULTS satisfies readonly RenewalResult[];

export const SUSPICION_OUTCOMES = [
  /** Its server confirmed that its connection is closed. */
  "closed",
  /** Its server confirmed twice that nothing has come from it for as long as it may act. */
  "silent",
  /** It was heard, has renewed its lease, or its server says that the connection is open. */
  "alive",
  /** Nothing was confirmed: no server answered in time. */
  "unanswered",
  /** Another node was quicker, or the holder gave the lease up. */
  "overtaken",
] as const;
export type SuspicionOutcome = (typeof SUSPICION_OUTCOMES)[number];
export type SuspicionCause = "presence" | "silence" | "read";

export const FENCED_WRITE_RESULTS = ["admitted", "refused", "unknown", "failed"] as const;
export type FencedWriteResult = (typeof FENCED_WRITE_RESULTS)[number];
