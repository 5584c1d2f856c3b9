/** Events of a node. docs/reference.md is generated from the comments. */

import type { ConnectedServer, DrainOutcome, HookName, StopReason } from "../application/types.ts";
import type { Leader, LossReason } from "../election/types.ts";
import type { Term } from "./term.ts";
import type { WarningCode } from "./warning-code.ts";

/** An event without its time. */
export type EventBody =
  /** The node takes part in the cluster, as leader or follower. The first event of an incarnation, except for warnings of its start. */
  | { readonly type: "started"; readonly server: ConnectedServer | null }
  /**
   * This node leads. Fires before `onBecomeLeader` is called, also when that call is skipped because the term has ended by then.
   * Does not fire again when a suspended term resumes.
   */
  | { readonly type: "become-leader"; readonly term: Term }
  /**
   * The connection to NATS is lost, or the leader has promised silence and no beat of the last `silenceMs` has come back through it: the
   * term goes on, but `term.held` is false. Followed by `resumed` or `lose-leadership`. Does not fire with `crashDetection: "lease"`,
   * nor with `"presence"` while `term.held` is false only because the event loop or the server has not answered for less than that.
   */
  | { readonly type: "suspended"; readonly term: Term }
  /** A renewal that was sent after the suspension was confirmed: the term is held again. Does not fire with `crashDetection: "lease"`. */
  | { readonly type: "resumed"; readonly term: Term }
  /**
   * The term has ended or is draining: `term.signal` is aborted. `by` is the new leader, if it is known. Fires exactly once per
   * `become-leader`; before `onLoseLeadership` is called.
   */
  | {
      readonly type: "lose-leadership";
      readonly term: Term;
      readonly reason: LossReason;
      readonly by: Leader | null;
    }
  /**
   * The lease of a drained term is deleted or, with `deleted: false`, left to expire. `drain` is `timed-out` if hooks or work had
   * not ended after `drainTimeoutMs`: they may still run. Fires once per drain. Does not fire for a term that ended without one
   * (`expired`, `superseded`, `deleted`).
   */
  | {
      readonly type: "released";
      readonly term: Term;
      readonly deleted: boolean;
      readonly drain: DrainOutcome;
    }
  /** The leader changed; `null`: there is none. Does not fire for renewals. */
  | { readonly type: "leader-change"; readonly leader: Leader | null }
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
      readonly code: WarningCode;
      readonly message: string;
      readonly error: Error | null;
    }
  /**
   * A hook or leader work (`"work"`) threw; `epoch` is that of its term. Fires once for every error, also after the term has
   * ended. Does not fire for an error that only repeats the abort of the signal that the code was given. A thrown value that is no
   * `Error` is the `cause` of one.
   */
  | {
      readonly type: "hook-error";
      readonly hook: HookName | "work";
      readonly epoch: number | null;
      readonly error: Error;
    }
  /**
   * The node has released what it held and closed its connection. `reason` is `connection-closed` if the connection was closed
   * for good by something else. The last event: the iterator ends.
   */
  | { readonly type: "stopped"; readonly reason: StopReason }
  /**
   * This iterator was read too slowly: `dropped` older events were discarded. Yielded in their place; other iterators are not
   * affected.
   */
  | { readonly type: "overflow"; readonly dropped: number };

/** What `node.events()` yields. `at`: Unix milliseconds on this node's wall clock. */
export type NodeEvent = { readonly at: number } & EventBody;
