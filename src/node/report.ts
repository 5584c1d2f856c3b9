/** The state of a node for its own process: for health checks and status pages. */
import type { NodeStatus } from "../runtime/backend.ts";

/** The state of a running node. Durations are milliseconds; all values are of the moment of the call. */
export interface NodeReport extends NodeStatus {
  /** Start of the leader's term in Unix milliseconds, as the leader wrote it; `null`: there is no leader. */
  readonly leaderSince: number | null;
  /** How long this node may act as the leader if nothing more is confirmed: no renewal, no beat, no answer of the server. With `presence` 1 s at most; 0: it may not. */
  readonly remainingMs: number;
  /** Time since NATS last answered a read or a write of the lease. Below `spanMs` while NATS can be used. */
  readonly answeredMs: number;
  /** S: for how long a leader acts on a renewal, `leaseTtlMs` less the margin. */
  readonly spanMs: number;
  /** `stop()` was called. */
  readonly stopping: boolean;
}
