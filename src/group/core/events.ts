/**
 * What goes into the core of a group and what comes out of it: its constants, the events that change its state, the effects it asks
 * for. Types only.
 *
 * ```
 * initialState(config, profile, now): GroupState
 * step(state, event, now): readonly GroupEffect[]    changes the state in place: a member may have 10 000 resources
 * wakeDelayMs(state, now): number | null              when the state wants a `tick`
 * isSessionHeld(state, now): boolean                  the one comparison of clocks for all resources
 * isHeld(state, resource, now): boolean               may this member act as the owner of the resource now?
 * ```
 *
 * The driver carries out effects in their order and feeds the results back as events. Every request has exactly one result:
 * `write` -> `written`, `read` -> `read`, `read-after` -> `changes`, `open-bucket` -> `bucket-opened` or `bucket-failed`, `ask` ->
 * `answered`.
 */
import type { Instant } from "../../election/time.ts";
import type {
  ConnectionId,
  CrashDetection,
  HolderAnswer,
  OwnConnection,
  SessionBinding,
  WriteOutcome,
} from "../../election/types.ts";
import type { Balance, PlanMember, Resource } from "./balance.ts";
import type { BulkOutcome, GroupEntry, GroupKey, GroupWrite, KeyReadOutcome } from "./types.ts";

// ---------------------------------------------------------------------------------------------- configuration

/** Constants of one member. All durations in milliseconds. The lease's are those of `ElectionConfig`. */
export interface GroupConfig {
  readonly memberId: string;
  /** Random per `start()`. */
  readonly incarnation: string;
  readonly crashDetection: CrashDetection;
  /** F: how long a proven beat counts. 0: no promise of silence. */
  readonly silenceMs: number;
  /** W */
  readonly leaseTtlMs: number;
  readonly heartbeatIntervalMs: number;
  /** Pace of the renewals of the own session (`renewIntervalMs` in `src/election/lease.ts`). */
  readonly renewIntervalMs: number;
  /** Timeout of one write or one read of a key. */
  readonly requestTimeoutMs: number;
  /** Timeout of a bulk read. */
  readonly bulkTimeoutMs: number;
  /** Pause before a failed request is retried; doubles up to one heartbeat interval. */
  readonly retryDelayMs: number;
  /** How many claims and releases of all claiming members together are in flight at once, while answers are not fast: 16. */
  readonly window: number;
  /** How many resources this member drains at once in voluntary moves. `stop` drains all at once. */
  readonly maxMoves: number;
  /** For so long no member may have joined, left or changed its weight before the coordinator moves resources for balance. */
  readonly settleMs: number;
  /** For so long the resources of a member that vanished or restarts are kept for it; 0: not at all. */
  readonly rejoinGraceMs: number;
  /** After so long without an owner a resource may be claimed by a member that is not its target. */
  readonly unownedGraceMs: number;
  /** The pure functions of `src/group/plan`. */
  readonly balance: Balance;
}

/** What a member says of itself. Changed by the event `profile`. */
export interface Profile {
  /** Share of the resources relative to the other members; 0: takes none. */
  readonly weight: number;
  readonly zone?: string;
  readonly maxOwned?: number;
}

// ---------------------------------------------------------------------------------------------- events

export type GroupEvent =
  // From the store.
  /** The bucket was opened or recreated. Also the first event, when the bucket was opened before the core was started. */
  | { readonly type: "bucket-opened"; readonly generation: string }
  | { readonly type: "bucket-failed"; readonly error: Error }
  /** The bucket was reported deleted. A hint; causes a read. */
  | { readonly type: "bucket-gone" }
  /** The watch delivered a message. It may be old, repeated, reordered, missing or forged. */
  | { readonly type: "watched"; readonly entry: GroupEntry }
  | { readonly type: "read"; readonly request: number; readonly outcome: KeyReadOutcome }
  | { readonly type: "changes"; readonly request: number; readonly outcome: BulkOutcome }
  | { readonly type: "written"; readonly nonce: number; readonly outcome: WriteOutcome }
  // From the connection: as in `ElectionEvent`.
  | { readonly type: "connected"; readonly binding: OwnConnection | null }
  | { readonly type: "rebound"; readonly binding: OwnConnection | null }
  | { readonly type: "disconnected" }
  | { readonly type: "beat-proven"; readonly sentAt: Instant }
  | { readonly type: "presence-lost"; readonly presence: string }
  | { readonly type: "holder-silent"; readonly connection: ConnectionId }
  | { readonly type: "holder-heard"; readonly connection: ConnectionId }
  | { readonly type: "answered"; readonly question: number; readonly answer: HolderAnswer }
  // From the application.
  /** The list of resources that this member may own. The first one comes before `connected`. */
  | { readonly type: "resources"; readonly resources: readonly Resource[] }
  | { readonly type: "profile"; readonly profile: Profile }
  /** `true`: takes no resource and gives up those it has, `maxMoves` at a time. The session goes on. `false`: takes resources again. */
  | { readonly type: "draining"; readonly draining: boolean }
  /** The work of this draining term has ended, or its time limit has passed. Ignored if no such term drains. */
  | { readonly type: "drained"; readonly resource: string; readonly epoch: number }
  /**
   * Its hook or its work has failed: gives the resource up, and does not take it again for so long. More than 16 at a time make the
   * member drain.
   */
  | { readonly type: "refuse"; readonly resource: string; readonly forMs: number }
  /** A wish: the coordinator plans the resource for that member. Answered by `move-refused` if this member is not the coordinator. */
  | { readonly type: "move"; readonly resource: string; readonly to: string }
  /** Drains all at once and ends the session. `restarting`: the end marker says that the member will be back. */
  | { readonly type: "stop"; readonly restarting: boolean }
  /** A time the state asked for has come. */
  | { readonly type: "tick" };

// ---------------------------------------------------------------------------------------------- effects

/** Why the own session has ended. With it end all terms. */
export type SessionLossReason =
  /** Its deadline passed without a confirmed renewal. */
  | "expired"
  /** Another member or another incarnation of this one has ended it. */
  | "fenced"
  /** The key of the session or the bucket was deleted by another party, or the servers have lost history. */
  | "deleted"
  /** `stop`, after all work has ended. */
  | "stopped";

/** Why one term has ended without a drain, or while it drained. */
/** `superseded`: the key of the resource does not show the claim of the term any more, or may not: a message that contradicts it was not refuted in time. */
export type TermLossReason = SessionLossReason | "superseded";

export type DrainReason =
  /** The plan gives the resource to another member. */
  | "moved"
  /** The member drains. */
  | "draining"
  /** The resource is on the member's list no more. */
  | "unlisted"
  /** `refuse`. */
  | "refused"
  /** `stop`. */
  | "stopped";

export type GroupWarningCode =
  | "BUCKET_MISSING"
  | "BUCKET_RECREATED"
  | "BUCKET_UNUSABLE"
  | "DUPLICATE_MEMBER_ID"
  | "FENCED_EARLY"
  | "GARBAGE_RECORD"
  | "HISTORY_LOST"
  | "LIST_DIFFERS"
  | "PLAN_TOO_LARGE"
  | "REFUSES_TOO_MANY"
  | "SLOW_CONNECTION"
  | "STORE_FAILING";

/** A member with a live session, as the others see it. */
export interface MemberView extends PlanMember {
  readonly incarnation: string;
  /** The number of its session. */
  readonly session: number;
  readonly draining: boolean;
  readonly listHash: string;
}

export type GroupEffect =
  // Requests to the driver.
  | { readonly type: "write"; readonly nonce: number; readonly write: GroupWrite; readonly timeoutMs: number }
  | { readonly type: "read"; readonly request: number; readonly key: GroupKey; readonly timeoutMs: number }
  | {
      readonly type: "read-after";
      readonly request: number;
      readonly after: number;
      readonly timeoutMs: number;
    }
  /** As in the election. */
  | { readonly type: "open-bucket"; readonly above: number }
  | {
      readonly type: "ask";
      readonly question: number;
      readonly binding: SessionBinding;
      readonly timeoutMs: number;
      readonly closedIsEnough: boolean;
    }
  // Reports to the application.
  /** A session has begun: from now on terms can begin. */
  | { readonly type: "session-begun"; readonly number: number }
  /** No term is held from now on. A `lose` for every term follows in the same step. */
  | { readonly type: "session-ended"; readonly number: number; readonly reason: SessionLossReason }
  /** No term is held until `resumed`; the terms go on. */
  | { readonly type: "suspended" }
  | { readonly type: "resumed" }
  /**
   * A term begins. Exactly one `lose` or `released` with the same resource and epoch follows, and a `drain` may come before that. Epochs of one
   * resource increase.
   */
  | { readonly type: "own"; readonly resource: string; readonly epoch: number }
  /** The term is not held any more: stop its work, then send `drained`. */
  | {
      readonly type: "drain";
      readonly resource: string;
      readonly epoch: number;
      readonly reason: DrainReason;
    }
  /** The term is over, whether its work has ended or not. */
  | {
      readonly type: "lose";
      readonly resource: string;
      readonly epoch: number;
      readonly reason: TermLossReason;
    }
  /**
   * The release of a drained term is settled: its marker is in the bucket, or the key was another's already. On `stop`, all terms may be
   * released by the end marker of the session at once.
   */
  | {
      readonly type: "released";
      readonly resource: string;
      readonly epoch: number;
      readonly successor?: string;
    }
  /** Members whose sessions are not over, this one included, in order of their ids. */
  | { readonly type: "members"; readonly members: readonly MemberView[] }
  /** Another plan is in force. `coordinator`: the member that wrote it. */
  | { readonly type: "plan"; readonly revision: number; readonly coordinator: string }
  /** This member has become the coordinator, or is it no more. */
  | { readonly type: "coordinating"; readonly epoch: number | null }
  | {
      readonly type: "move-refused";
      readonly resource: string;
      readonly to: string;
      readonly reason: "not-coordinator" | "unknown-resource" | "unknown-member";
      /** Where the wish should go instead, if known. */
      readonly coordinator?: string;
    }
  | {
      readonly type: "warning";
      readonly code: GroupWarningCode;
      readonly message: string;
      readonly error?: Error;
    }
  /** Final. Nothing of this incarnation is in flight any more, unless the connection is down. */
  | { readonly type: "stopped" };
