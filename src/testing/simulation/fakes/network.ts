import type { Snapshot } from "../../../election/types.ts";

/** The network between one node and the server. May change at any time; a change applies to what is sent afterwards. */
export interface Network {
  /** One way, in milliseconds. */
  latencyMs: number;
  dropRequests: boolean;
  dropResponses: boolean;
  dropWatch: boolean;
  /** Additional delay of the next write's request: it may be applied long after its sender gave up. */
  delayNextWriteMs: number;
  /** Reads return this snapshot: an isolated stream leader or a lagging replica. `null`: reads return the current state. */
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
