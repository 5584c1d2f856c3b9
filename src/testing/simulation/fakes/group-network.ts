/** The network between one member and the server. May change at any time; a change applies to what is sent afterwards. */

import type { BucketState, RecordKind } from "./fake-group-bucket.ts";
import { type Network, perfectNetwork } from "./network.ts";

/** A kind of request: the record that is written, or a read. */
export type RequestKind = RecordKind | "read" | "bulk";

/** The next write of this kind arrives so late. Its sender may have given it up long before. */
export interface LateWrite {
  readonly kind: RequestKind;
  readonly ms: number;
}

export interface GroupNetwork extends Network {
  /** Requests of these kinds do not arrive. */
  readonly lostRequests: Set<RequestKind>;
  /** Requests of these kinds are carried out, and their answers do not arrive. */
  readonly lostAnswers: Set<RequestKind>;
  lateWrites: LateWrite[];
  /** Answers of reads show this state: an isolated replica. `null`: the present one. */
  stale: BucketState | null;
  /** Share of the republished messages that do not arrive. */
  watchLoss: number;
  /** Share that arrives twice. */
  watchRepeats: number;
  /** A republished message takes up to so much longer: messages overtake one another. */
  watchJitterMs: number;
}

export function perfectGroupNetwork(latencyMs = 1): GroupNetwork {
  return {
    ...perfectNetwork(latencyMs),
    lostRequests: new Set(),
    lostAnswers: new Set(),
    lateWrites: [],
    stale: null,
    watchLoss: 0,
    watchRepeats: 0,
    watchJitterMs: 0,
  };
}
