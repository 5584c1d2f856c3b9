/** What the application side of a group's member consists of: its state, and what goes into and comes out of a step. */
import type { Caller, ConnectedServer, DrainOutcome, Outcome, StopReason } from "../../application/types.ts";
import type { DrainReason, GroupEffect, TermLossReason } from "../core/events.ts";

/** The hooks of a group's application, by name. The first two belong to one resource and are serialized per resource, the others to the member. */
export const GROUP_HOOK_NAMES = [
  "onOwn",
  "onDisown",
  "onMembersChange",
  "onNatsDisconnect",
  "onNatsReconnect",
] as const;
export type GroupHookName = (typeof GROUP_HOOK_NAMES)[number];

/** Why a term of a resource has ended. */
export type DisownReason = DrainReason | TermLossReason;

export interface GroupApplicationConfig {
  /** A drain that lasts longer is reported. Longest wait for the application once the member stops. */
  readonly drainTimeoutMs: number;
  /** Code that keeps other code of its resource waiting for this long is reported. */
  readonly slowAfterMs: number;
  /** Code that all of a drain waits for, and that may itself wait for the drain, gets its answer after this time. */
  readonly selfWaitMs: number;
  /** The hooks that the application has; a call of any other returns at once. */
  readonly hooks: ReadonlySet<GroupHookName>;
  /** Least pause before the member may own a resource again for which its application failed; doubles with every failure in a row. */
  readonly failureBackOffMs: number;
  readonly maxFailureBackOffMs: number;
}

// ---------------------------------------------------------------------------------------------- state

/**
 * - `running`: takes part in the group.
 * - `stopping`: `stop()` was called, or the connection was closed for good; the session ends when the work has.
 * - `finishing`: the session has ended; calls and runs that have not returned have until the stop's deadline.
 * - `closing`: what the member opened is being closed.
 * - `stopped`: the end.
 */
export type Stage = "running" | "stopping" | "finishing" | "closing" | "stopped";

export interface TermState {
  readonly epoch: number;
  readonly beganMono: number;
  /** `null` while the term runs. */
  ended: DisownReason | null;
  /** `skipped`: the term ended before its turn came. */
  own: "queued" | "running" | "returned" | "failed" | "skipped";
  /** `none` while the term runs. */
  disown: "none" | "queued" | "running" | "returned" | "skipped";
  /** Present once the term is given up. A term that is lost is not drained. */
  drain: { readonly sinceMono: number; outcome: DrainOutcome | null; reported: boolean } | null;
  /** Whether the core has finished with the term. */
  released: boolean;
  /** It is given up because the application failed. */
  failed: boolean;
}

/** A hook call of a resource that waits for its turn. */
export interface ResourceCall {
  readonly call: number;
  readonly hook: "onOwn" | "onDisown";
  readonly epoch: number;
  /** Of `onDisown`. */
  readonly reason: DisownReason | null;
}

/** A hook call that the application is executing. */
export interface ActiveCall {
  readonly call: number;
  readonly hook: GroupHookName;
  /** Of hooks that belong to a resource. */
  readonly epoch: number | null;
  readonly sinceMono: number;
  reported: boolean;
}

/** One execution of a worker's function. */
export interface Run {
  readonly run: number;
  readonly worker: number;
  readonly epoch: number;
}

/** A resource that has a term, or whose code has not returned. A resource without either has no slot. */
export interface Slot {
  readonly resource: string;
  /** Oldest first. At most the last one runs; the others have calls or runs that have not returned, or are not released. */
  terms: TermState[];
  waiting: ResourceCall[];
  active: ActiveCall | null;
  runs: Run[];
  /** Workers of the running term only; `null`: none, as in most slots. */
  scoped: Worker[] | null;
  /** Workers of all terms up to this number have started in the running term; their numbers rise. */
  ranUpTo: number;
  /** The work of an earlier term keeps that of the running one from starting, and whether that was reported; `null` if none does. */
  blocked: { readonly sinceMono: number; reported: boolean } | null;
}

/** One call of `runOwned()`. */
export interface Worker {
  readonly worker: number;
  /** Runs in this term only: it was registered by application code of that term. `null`: in every term of every resource. */
  readonly scope: { readonly resource: string; readonly epoch: number } | null;
  /** Its signal was aborted, or it has a scope and has started, or that is over: it does not start again. */
  ended: boolean;
  /** Its signal was aborted. */
  aborted: boolean;
  /** Runs that have not ended. */
  running: number;
}

export type WaitFor =
  /** The member owns the resource. */
  | { readonly kind: "owned"; readonly resource: string }
  /** The term may be acted on. */
  | { readonly kind: "held"; readonly resource: string; readonly epoch: number }
  /** The member owns nothing, and the work of everything that it owned has ended. */
  | { readonly kind: "drained" }
  | { readonly kind: "stop" };

export interface Wait {
  readonly wait: number;
  readonly for: WaitFor;
  /** Code that may await it, of a wait for a drain. */
  readonly inside: readonly number[];
  readonly beganMono: number;
  /** When it times out, on the monotonic clock; infinite without a limit. */
  readonly limitMono: number;
  /** Since when what it waits for waits only for code that may wait itself; `null` if that is not so. */
  selfSinceMono: number | null;
}

/** A hook call of the member that waits for its turn. */
export type MemberCall = { readonly call: number } & (
  | { readonly hook: "onMembersChange" }
  | {
      readonly hook: "onNatsDisconnect";
      readonly error: Error | null;
      readonly server: ConnectedServer | null;
    }
  | { readonly hook: "onNatsReconnect"; readonly server: ConnectedServer | null }
);

/** Thousands may wait at a time, one or more for each resource: a step looks only at those that it may have settled. */
export interface Waits {
  readonly all: Map<number, Wait>;
  readonly ofResource: Map<string, Set<Wait>>;
  /** Those for a drain or the stop. */
  readonly ofMember: Set<Wait>;
  /** No wait has an earlier limit. */
  limitMono: number;
}

/** Changed in place by `stepGroupApplication` only: a copy of thousands of slots for each step would cost more than the step. */
export interface GroupApplicationState {
  readonly config: GroupApplicationConfig;
  stage: Stage;
  stopReason: StopReason | null;
  /** The end of all waiting for the application once the member stops; infinite before. */
  stopDeadlineMono: number;
  readonly slots: Map<string, Slot>;
  /** Slots that may have to be reported: a call is active, a drain goes on, or work is blocked. */
  readonly watched: Set<Slot>;
  /** When `watched` is looked through next; infinite while it is empty. */
  sweepMono: number;
  /** Workers of all terms. */
  readonly workers: Map<number, Worker>;
  /** Workers of one term each. */
  readonly scoped: Map<number, Worker>;
  readonly waits: Waits;
  waiting: readonly MemberCall[];
  active: ActiveCall | null;
  /** A session has begun, and is neither suspended nor over. */
  held: boolean;
  /** Numbers calls and runs. */
  lastNumber: number;
  /** Failures in a row, of resources whose last term failed. */
  readonly failures: Map<string, number>;
  /** The stop's deadline has passed: drains that went on were cut short. */
  isPastDeadline: boolean;
  /** At least one was. */
  timedOut: boolean;
}

// ---------------------------------------------------------------------------------------------- events

/** Effects of the core that concern the application. */
export type GroupOutput = Exclude<
  GroupEffect,
  { type: "write" | "read" | "read-after" | "open-bucket" | "ask" }
>;

export type GroupApplicationEvent =
  | { readonly type: "core"; readonly output: GroupOutput }
  | {
      readonly type: "nats-disconnect";
      readonly error: Error | null;
      readonly server: ConnectedServer | null;
    }
  | { readonly type: "nats-reconnect"; readonly server: ConnectedServer | null }
  /** The connection will not come back. */
  | { readonly type: "connection-closed"; readonly error: Error | null }
  /** `resource`: of a hook that belongs to one. */
  | {
      readonly type: "call-ended";
      readonly resource: string | null;
      readonly call: number;
      readonly outcome: Outcome;
    }
  | {
      readonly type: "run-ended";
      readonly resource: string;
      readonly run: number;
      readonly outcome: Outcome;
    }
  /** `scope`: the term of the code that registers it, of code that has not ended. */
  | {
      readonly type: "add-worker";
      readonly worker: number;
      readonly scope: { readonly resource: string; readonly epoch: number } | null;
    }
  | { readonly type: "abort-worker"; readonly worker: number }
  | { readonly type: "wait"; readonly wait: number; readonly for: WaitFor; readonly timeoutMs: number }
  | { readonly type: "abort-wait"; readonly wait: number }
  /** `drains`: own nothing from now on and give up everything. False: take part again. */
  | {
      readonly type: "drain";
      readonly wait: number;
      readonly drains: boolean;
      readonly caller: Caller;
      readonly timeoutMs: number;
    }
  /** `restarting`: the member will be back, so its resources may be kept for it. */
  | {
      readonly type: "stop";
      readonly wait: number;
      readonly restarting: boolean;
      readonly caller: Caller;
      readonly timeoutMs: number;
    }
  /** Everything that the member had opened is closed. */
  | { readonly type: "closed" }
  | { readonly type: "tick" };

// ---------------------------------------------------------------------------------------------- effects

export type Settlement =
  | { readonly kind: "owned"; readonly resource: string; readonly epoch: number }
  | { readonly kind: "held" }
  /** The drain or stop has begun; its outcome is not known yet, because the caller has to end first. */
  | { readonly kind: "begun" }
  /** There is nothing to wait for. */
  | { readonly kind: "nothing" }
  | {
      readonly kind: "stopped";
      readonly reason: StopReason;
      readonly drain: DrainOutcome;
      readonly unfinished: readonly Unfinished[];
    }
  | { readonly kind: "term-over"; readonly resource: string; readonly epoch: number }
  /** `rejoin()` has ended the drain that was waited for. */
  | { readonly kind: "rejoined" }
  | { readonly kind: "timeout" }
  | { readonly kind: "aborted" };

/** Application code that had not returned when the member stopped. */
export interface Unfinished {
  readonly code: GroupHookName | "work";
  /** `null`: a hook that belongs to no resource. */
  readonly resource: string | null;
}

export type WorkerSettlement =
  /** It will not run again, and does not run. */
  | { readonly kind: "done" }
  /** It was registered in a term, and threw. */
  | { readonly kind: "failed"; readonly error: unknown }
  /** The member has stopped and runs of it have not ended. */
  | { readonly kind: "unfinished" };

/** What the application is notified of as an event and a log line. Terms are named by resource and epoch. */
export type GroupNotice =
  | Exclude<GroupOutput, { type: "own" | "drain" | "lose" | "released" | "stopped" }>
  | { readonly type: "own"; readonly resource: string; readonly epoch: number }
  | {
      readonly type: "disown";
      readonly resource: string;
      readonly epoch: number;
      readonly reason: DisownReason;
    }
  | {
      readonly type: "released";
      readonly resource: string;
      readonly epoch: number;
      readonly drain: DrainOutcome;
      /** The member that is to own the resource. */
      readonly successor: string | null;
    }
  | {
      readonly type: "nats-disconnect";
      readonly error: Error | null;
      readonly server: ConnectedServer | null;
    }
  | { readonly type: "nats-reconnect"; readonly server: ConnectedServer | null }
  | {
      readonly type: "hook-error";
      readonly hook: GroupHookName | "work";
      readonly resource: string | null;
      readonly epoch: number | null;
      readonly error: unknown;
    }
  | { readonly type: "blocked"; readonly blocked: Blocked }
  | { readonly type: "connection-closed"; readonly error: Error | null }
  | { readonly type: "stopped"; readonly reason: StopReason };

/** Application code that has not returned and keeps something waiting. */
export interface Blocked {
  /**
   * `HOOK_SLOW`: other hooks or work of its resource wait for it. `WORK_BLOCKED`: work of an earlier term keeps that of the present
   * one from starting. `DRAIN_SLOW`: a resource that is given up is kept until it ends.
   */
  readonly code: "HOOK_SLOW" | "WORK_BLOCKED" | "DRAIN_SLOW";
  /** The hook, or `work`, that has not returned. */
  readonly by: GroupHookName | "work";
  readonly resource: string | null;
  /** The term it was called for. */
  readonly epoch: number | null;
  readonly forMs: number;
}

export type GroupApplicationEffect =
  | { readonly type: "call-resource-hook"; readonly resource: string; readonly call: ResourceCall }
  | { readonly type: "call-member-hook"; readonly call: MemberCall }
  | {
      readonly type: "start-run";
      readonly resource: string;
      readonly epoch: number;
      readonly worker: number;
      readonly run: number;
    }
  /** Aborts the signal of one run: its worker was aborted. */
  | { readonly type: "abort-run"; readonly run: number }
  /** Aborts the term's signal and those of its runs. */
  | {
      readonly type: "end-term";
      readonly resource: string;
      readonly epoch: number;
      readonly reason: DisownReason;
    }
  /** The term is over for the core and for the application. */
  | { readonly type: "forget-term"; readonly resource: string; readonly epoch: number }
  | { readonly type: "notify"; readonly notice: GroupNotice }
  | { readonly type: "settle"; readonly wait: number; readonly settlement: Settlement }
  | { readonly type: "settle-worker"; readonly worker: number; readonly settlement: WorkerSettlement }
  /** To the core: give this resource up, and do not take it again for so long. */
  | { readonly type: "refuse"; readonly resource: string; readonly forMs: number }
  /** To the core: the work of a term that is given up has ended, or its time is up. */
  | { readonly type: "drained"; readonly resource: string; readonly epoch: number }
  | { readonly type: "set-draining"; readonly drains: boolean }
  | { readonly type: "stop-core"; readonly restarting: boolean }
  /** Close what the member opened; answered by `closed`. */
  | { readonly type: "close" };
