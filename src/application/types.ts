/** What the application side of a node consists of: its state, and what goes into and comes out of a step. */
import type { Effect, Leader, LossReason, ResignReason } from "../election/types.ts";

/** The hooks of an application, by name. */
export const HOOK_NAMES = [
  "onBecomeLeader",
  "onLoseLeadership",
  "onLeaderChange",
  "onNatsDisconnect",
  "onNatsReconnect",
] as const;
export type HookName = (typeof HOOK_NAMES)[number];

/** The NATS server of a connection. */
export interface ConnectedServer {
  /** Its `server_name`; a server without one has its id as name. */
  readonly name: string;
  /** `nats://host:port` or `tls://host:port`, without a login. */
  readonly url: string;
}

export interface ApplicationConfig {
  /** Longest wait for hooks and work of a term that is given up, and for everything once the node stops. */
  readonly drainTimeoutMs: number;
  /** A call or a run that keeps others waiting for this long is reported. */
  readonly slowAfterMs: number;
  /** Code that all of a drain waits for, and that may itself wait for the drain, gets its answer after this time. */
  readonly selfWaitMs: number;
  /** The hooks that the application has; a call of any other returns at once. */
  readonly hooks: ReadonlySet<HookName>;
  /** Least pause before the node may lead again after its application failed; doubles with every failure in a row. */
  readonly failureBackOffMs: number;
  readonly maxFailureBackOffMs: number;
}

// ---------------------------------------------------------------------------------------------- state

/**
 * - `running`: takes part in the election.
 * - `stopping`: `stop()` was called, or the connection was closed for good; the election ends.
 * - `finishing`: the election has ended; calls and runs that have not returned have until the stop's deadline.
 * - `closing`: what the node opened is being closed.
 * - `stopped`: the end.
 */
export type Stage = "running" | "stopping" | "finishing" | "closing" | "stopped";

/** How the work of a term ended: within the time limit or not. */
export type DrainOutcome = "complete" | "timed-out";

export interface Drain {
  readonly deadlineMono: number;
  /** `null` while it goes on. */
  readonly outcome: DrainOutcome | null;
}

export interface TermState {
  readonly epoch: number;
  readonly beganMono: number;
  readonly suspended: boolean;
  /** `null` while the term runs. */
  readonly ended: LossReason | null;
  /** `skipped`: the term ended before its turn came, or the call was dropped. */
  readonly become: "queued" | "running" | "returned" | "failed" | "skipped";
  /** `none` while the term runs. */
  readonly lose: "none" | "queued" | "running" | "returned" | "skipped";
  /** Present once the term is given up. A term that is lost is not drained. */
  readonly drain: Drain | null;
  /** Whether the election has finished with the term's lease. */
  readonly released: boolean;
  /** It was reported that `onBecomeLeader` could not be called for a long time. */
  readonly starvedReported: boolean;
  /** It is given up because the application failed. */
  readonly failed: boolean;
}

/** A hook call that waits for its turn. */
export type HookCall = { readonly call: number } & (
  | { readonly hook: "onBecomeLeader"; readonly epoch: number }
  | { readonly hook: "onLoseLeadership"; readonly epoch: number; readonly reason: LossReason }
  | { readonly hook: "onLeaderChange"; readonly leader: Leader | null }
  | {
      readonly hook: "onNatsDisconnect";
      readonly error: Error | null;
      readonly server: ConnectedServer | null;
    }
  | { readonly hook: "onNatsReconnect"; readonly server: ConnectedServer | null }
);

/** The hook call that the application is executing. */
export interface ActiveCall {
  readonly call: number;
  readonly hook: HookName;
  /** Of calls that belong to a term. */
  readonly epoch: number | null;
  readonly sinceMono: number;
  readonly reported: boolean;
}

/** One execution of a worker's function. */
export interface Run {
  readonly run: number;
  readonly epoch: number;
  readonly sinceMono: number;
}

/** One call of `runWhileLeader()`. */
export interface Worker {
  readonly worker: number;
  /** Runs in this term only: it was registered by application code of that term. `null`: in every term. */
  readonly scope: number | null;
  /** The last term it has run in, or was due in; it runs once per term. */
  readonly lastEpoch: number;
  readonly run: Run | null;
  /** Its signal was aborted, or it failed, or its term is over: it does not start again. */
  readonly ended: boolean;
  /** Its caller has an answer; only its run has not ended. */
  readonly settled: boolean;
  /** The beginning of the present term, if work of an earlier term keeps the worker from running in it. */
  readonly blockedSinceMono: number | null;
  readonly reported: boolean;
}

export type WaitFor =
  /** The node leads. */
  | { readonly kind: "leadership" }
  /** The term may be acted on. */
  | { readonly kind: "held"; readonly epoch: number }
  /** The election has finished with the lease of a term that was given up. */
  | { readonly kind: "release"; readonly epoch: number }
  | { readonly kind: "stop" };

/** Where a call of the application comes from. */
export interface Caller {
  /** Hook calls and runs in whose asynchronous context the call is made, and that have not ended; innermost first. */
  readonly inside: readonly number[];
  /** It is certain that one of them awaits the answer. */
  readonly awaited: boolean;
}

export interface Wait {
  readonly wait: number;
  readonly for: WaitFor;
  /** Code that may await it, of a wait for a drain. */
  readonly inside: readonly number[];
  readonly beganMono: number;
  /** When it times out, on the monotonic clock; infinite without a limit. */
  readonly limitMono: number;
}

/** The last term that was given up, for the result of `stop()`. */
export interface GivenUp {
  readonly epoch: number;
  readonly leaseDeleted: boolean;
  readonly drain: DrainOutcome;
}

/** Application code of an earlier incarnation of the node that has not returned. Its end is an event of this one, too. */
export interface EarlierCode {
  readonly active: ActiveCall | null;
  readonly runs: readonly Run[];
  /** No number of a call or run is larger. */
  readonly lastNumber: number;
}

export interface ApplicationState {
  readonly config: ApplicationConfig;
  readonly stage: Stage;
  readonly stopReason: StopReason | null;
  /** The end of all waiting for the application once the node stops; infinite before. */
  readonly stopDeadlineMono: number;
  /** Oldest first. At most the last one runs; the others have calls or runs that have not returned. */
  readonly terms: readonly TermState[];
  readonly waiting: readonly HookCall[];
  readonly active: ActiveCall | null;
  readonly workers: readonly Worker[];
  readonly waits: readonly Wait[];
  /** Since when a drain or the stop waits only for code that may wait for it; `null` if it does not. */
  readonly selfWaitSinceMono: number | null;
  /** Numbers calls and runs. */
  readonly lastNumber: number;
  /** Terms in a row that failed soon after they began. */
  readonly failures: number;
  readonly givenUp: GivenUp | null;
}

// ---------------------------------------------------------------------------------------------- events

/** Effects of the election that concern the application. */
export type ElectionOutput = Exclude<Effect, { type: "write" | "read" | "open-bucket" | "ask" }>;

export type StopReason = "requested" | "connection-closed";

/** How application code ended. */
export type Outcome =
  | { readonly kind: "returned" }
  /** `abort`: the error only says that the signal the code was given has aborted. */
  | { readonly kind: "threw"; readonly error: unknown; readonly abort: boolean };

export type ApplicationEvent =
  | { readonly type: "election"; readonly output: ElectionOutput }
  | {
      readonly type: "nats-disconnect";
      readonly error: Error | null;
      readonly server: ConnectedServer | null;
    }
  | { readonly type: "nats-reconnect"; readonly server: ConnectedServer | null }
  /** The connection will not come back. */
  | { readonly type: "connection-closed"; readonly error: Error | null }
  | { readonly type: "call-ended"; readonly call: number; readonly outcome: Outcome }
  | { readonly type: "run-ended"; readonly run: number; readonly outcome: Outcome }
  /** `inside`: number of the call or run that registers it and has not ended, if any. */
  | { readonly type: "add-worker"; readonly worker: number; readonly inside: number | null }
  | { readonly type: "abort-worker"; readonly worker: number }
  | { readonly type: "wait"; readonly wait: number; readonly for: WaitFor; readonly timeoutMs: number }
  | { readonly type: "abort-wait"; readonly wait: number }
  | {
      readonly type: "step-down";
      readonly wait: number;
      readonly successor: string | undefined;
      readonly caller: Caller;
      readonly timeoutMs: number;
    }
  | {
      readonly type: "compete";
      readonly wait: number;
      readonly competes: boolean;
      readonly caller: Caller;
      readonly timeoutMs: number;
    }
  | { readonly type: "stop"; readonly wait: number; readonly caller: Caller; readonly timeoutMs: number }
  /** Everything that the node had opened is closed. */
  | { readonly type: "closed" }
  | { readonly type: "tick" };

// ---------------------------------------------------------------------------------------------- effects

export type Settlement =
  /** The node leads with this epoch, or the term is held. */
  | { readonly kind: "leading"; readonly epoch: number }
  | ({ readonly kind: "released" } & GivenUp)
  /**
   * The step-down or stop has begun; its outcome is not known yet, because the caller has to end first. `epoch`: the term that is
   * being given up.
   */
  | { readonly kind: "begun"; readonly epoch: number | null; readonly givenUp: GivenUp | null }
  /** There is nothing to wait for: the node does not lead, or competes again. */
  | { readonly kind: "nothing" }
  | {
      readonly kind: "stopped";
      readonly reason: StopReason;
      readonly givenUp: GivenUp | null;
      readonly unfinished: readonly string[];
    }
  | { readonly kind: "term-over"; readonly epoch: number }
  | { readonly kind: "timeout" }
  | { readonly kind: "aborted" };

export type WorkerSettlement =
  /** It will not run again, and does not run. */
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: unknown }
  /** The node has stopped and its run has not ended. */
  | { readonly kind: "unfinished" }
  /** Registered by a hook without a term while there is no term for it: no term could begin before that hook returns. */
  | { readonly kind: "refused"; readonly hook: HookName };

/** What the application is notified of as an event and a log line. Terms are named by their epochs. */
export type Notice =
  | Extract<ElectionOutput, { type: "become-leader" | "suspended" | "resumed" | "leader-change" | "warning" }>
  | {
      readonly type: "lose-leadership";
      readonly epoch: number;
      readonly reason: LossReason;
      readonly by: Leader | null;
    }
  | { readonly type: "drain"; readonly epoch: number; readonly reason: ResignReason }
  | { readonly type: "drain-timeout"; readonly epoch: number }
  | {
      readonly type: "released";
      readonly epoch: number;
      readonly deleted: boolean;
      readonly drain: DrainOutcome;
    }
  | {
      readonly type: "nats-disconnect";
      readonly error: Error | null;
      readonly server: ConnectedServer | null;
    }
  | { readonly type: "nats-reconnect"; readonly server: ConnectedServer | null }
  | {
      readonly type: "hook-error";
      readonly hook: HookName | "work";
      readonly epoch: number | null;
      readonly error: unknown;
    }
  | { readonly type: "blocked"; readonly blocked: Blocked }
  | { readonly type: "connection-closed"; readonly error: Error | null }
  | { readonly type: "stopped"; readonly reason: StopReason };

/** Explained in `src/node/warning-code.ts`. */
export type ApplicationWarningCode = "HOOK_SLOW" | "WORK_BLOCKED" | "CONNECTION_CLOSED";

/** Application code that has not returned and keeps other application code from running. */
export interface Blocked {
  readonly code: Exclude<ApplicationWarningCode, "CONNECTION_CLOSED">;
  /** The hook, or `work`, that has not returned. */
  readonly by: HookName | "work";
  /** The term it was called for. */
  readonly epoch: number | null;
  readonly forMs: number;
  /** Hook calls and workers that wait for it. */
  readonly waiting: number;
}

export type ApplicationEffect =
  | ({ readonly type: "call-hook" } & HookCall)
  | { readonly type: "start-run"; readonly run: number; readonly worker: number; readonly epoch: number }
  /** Aborts the signal of one run: its worker was aborted. */
  | { readonly type: "abort-run"; readonly run: number }
  /** Aborts the term's signal and those of its runs. */
  | { readonly type: "end-term"; readonly epoch: number; readonly reason: LossReason }
  | { readonly type: "notify"; readonly notice: Notice }
  | { readonly type: "settle"; readonly wait: number; readonly settlement: Settlement }
  | { readonly type: "settle-worker"; readonly worker: number; readonly settlement: WorkerSettlement }
  | {
      readonly type: "resign";
      readonly reason: ResignReason;
      readonly successor: string | undefined;
      readonly pauseMs: number;
    }
  | { readonly type: "set-competing"; readonly competes: boolean }
  | { readonly type: "drained" }
  | { readonly type: "stop-election" }
  /** Close what the node opened; answered by `closed`. */
  | { readonly type: "close" };

export interface ApplicationStep {
  readonly state: ApplicationState;
  readonly effects: readonly ApplicationEffect[];
}
