import type { Snapshot } from "../../../election/types.ts";

/** What the network between one node and the server does. May be changed at any time; applies to what is sent from then on. */
export interface Network {
  /** One way, in milliseconds. */
  latencyMs: number;
  dropRequests: boolean;
  dropResponses: boolean;
  dropWatch: boolean;
  /** The next write's request arrives this much later: it may be applied long after its sender gave up. */
  delayNextWriteMs: number;
  /** Reads answer with this instead of the truth: an isolated stream leader, a replica that lags. */
  staleSnapshot: Snapshot | null;
}

export function perfectNetwork(latencyMs = 1): Network {
  return {
    latencyMs,
    dropRequests: false,
    dropResponses: false,
    dropWatch: false,
    delayNextWriteMs: 0,
    staleSnapshot: null,
  };
}
