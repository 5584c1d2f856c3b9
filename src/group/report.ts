/** The state of a member for its own process: for health checks and status pages. */
import type { CrashDetection } from "../election/types.ts";

/** The state of a running member. Durations are milliseconds; all values are of the moment of the call. */
export interface MemberReport {
  readonly groupId: string;
  readonly memberId: string;
  readonly incarnation: string;
  /**
   * `joining`: it has no session, so it owns nothing. `member`: its session runs. `suspended`: its session runs, and nothing is held
   * until the next renewal is confirmed. `leaving`: the end of its session is being written.
   */
  readonly state: "joining" | "member" | "suspended" | "leaving";
  /** May this member act on what it owns? */
  readonly held: boolean;
  /** How long it may do so if nothing more is confirmed: no renewal, no beat, no answer of the server. With `presence` 1 s at most; 0: it may not. */
  readonly remainingMs: number;
  /** Is the connection to NATS up? */
  readonly connected: boolean;
  /** Time since NATS last confirmed the session, counted from the send of that write; `null` without a session. */
  readonly answeredMs: number | null;
  /** S: for how long a session counts on a renewal, `leaseTtlMs` less the margin. */
  readonly spanMs: number;
  readonly leaseTtlMs: number;
  readonly crashDetection: CrashDetection;
  /** It gives up what it owns, and takes nothing: `drain()`, a stop, or too many failures. */
  readonly draining: boolean;
  /** `stop()` was called. */
  readonly stopping: boolean;
  /** Number of resources that it owns, without those that it gives up. */
  readonly owned: number;
  /** Number of resources on its list. */
  readonly resources: number;
  /** Ids of the members that it sees, in order. */
  readonly members: readonly string[];
  /** The member that plans; `null`: not known. */
  readonly coordinator: string | null;
  readonly uptimeMs: number;
}
