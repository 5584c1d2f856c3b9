/** Events of a group's member. docs/groups.md is generated from the comments. */
import type { ConnectedServer, DrainOutcome, StopReason } from "../application/types.ts";
import type { DisownReason, GroupHookName } from "./application/types.ts";
import type { MemberView, SessionLossReason } from "./core/events.ts";
import type { ResourceTerm } from "./term.ts";
import type { GroupWarning } from "./warning-code.ts";

/** An event without its time. */
export type GroupEventBody =
  /** The member takes part in the group. The first event of an incarnation, except for warnings of its start. */
  | { readonly type: "started"; readonly server: ConnectedServer | null }
  /** The session has begun: from now on the member can own resources. */
  | { readonly type: "session-begun"; readonly number: number }
  /** The session is over, and with it all terms: `disown` follows for each of them. */
  | { readonly type: "session-ended"; readonly number: number; readonly reason: SessionLossReason }
  /**
   * The connection to NATS is lost, or the server is silent: no term is held, all of them go on. Followed by `resumed` or
   * `session-ended`. Does not fire with `crashDetection: "lease"`.
   */
  | { readonly type: "suspended" }
  /** A renewal that was sent after the suspension was confirmed: the terms are held again. */
  | { readonly type: "resumed" }
  /** This member owns the resource. Fires before `onOwn` is called, also when that call is skipped because the term has ended by then. */
  | { readonly type: "own"; readonly term: ResourceTerm }
  /**
   * The term has ended or is being given up: `term.signal` is aborted. Fires exactly once per `own`; before `onDisown` is called.
   */
  | { readonly type: "disown"; readonly term: ResourceTerm; readonly reason: DisownReason }
  /**
   * The resource was given up after its hooks and work had ended; with `drain: "timed-out"`, on `stop()`, they may still run. `successor`: the
   * member that is to own it, if it is known. Does not fire for a term that was lost.
   */
  | {
      readonly type: "released";
      readonly term: ResourceTerm;
      readonly drain: DrainOutcome;
      readonly successor: string | null;
    }
  /** A member has joined or left, or has changed. `members` are those whose sessions are not over. */
  | { readonly type: "members"; readonly members: readonly MemberView[] }
  /** Another plan is in force, which the member `coordinator` has made. */
  | { readonly type: "plan"; readonly revision: number; readonly coordinator: string }
  /** This member has become the coordinator, which plans; `null`: it is no longer. */
  | { readonly type: "coordinating"; readonly epoch: number | null }
  /** The connection to NATS is lost; it was on `server`. Does not fire for the first attempts to connect, nor on `stop()`. */
  | {
      readonly type: "nats-disconnect";
      readonly error: Error | null;
      readonly server: ConnectedServer | null;
    }
  /** The connection to NATS is back, on `server`. Does not fire for the first connection. */
  | { readonly type: "nats-reconnect"; readonly server: ConnectedServer | null }
  /** A condition that needs attention, described by `message`. */
  | {
      readonly type: "warning";
      readonly code: GroupWarning;
      readonly message: string;
      readonly error: Error | null;
    }
  /**
   * A hook or work (`"work"`) threw; `resource` and `epoch` are those of its term. Fires once for every error, also after the term has
   * ended. Does not fire for an error that only repeats the abort of the signal that the code was given. A thrown value that is no
   * `Error` is the `cause` of one.
   */
  | {
      readonly type: "hook-error";
      readonly hook: GroupHookName | "work";
      readonly resource: string | null;
      readonly epoch: number | null;
      readonly error: Error;
    }
  /** The member has released what it owned and closed its connection. The last event: the iterator ends. */
  | { readonly type: "stopped"; readonly reason: StopReason }
  /** This iterator was read too slowly: `dropped` older events were discarded. Yielded in their place; other iterators are not affected. */
  | { readonly type: "overflow"; readonly dropped: number };

/** What `group.events()` yields. `at`: Unix milliseconds on this member's wall clock. */
export type GroupMemberEvent = { readonly at: number } & GroupEventBody;
