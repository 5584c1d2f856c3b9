/**
 * What the channels of `node:diagnostics_channel` carry. docs/telemetry.md has the table of them.
 *
 * Durations are milliseconds of the monotonic clock. A payload is made once for all subscribers: it must not be changed.
 */
import type { DrainOutcome, HookName } from "../application/types.ts";
import type { Leader, LossReason, ResignReason } from "../election/types.ts";
import type { DisownReason, GroupHookName } from "../group/application/types.ts";
import type { DrainReason } from "../group/core/events.ts";
import type { FencedWriteResult, RenewalResult, SuspicionCause, SuspicionOutcome } from "./sets.ts";
import type { GroupSource, NodeSource, Source } from "./source.ts";

/** What every payload names. */
export interface Emitted {
  /** The node, or the member of a group. The same object in all payloads of one `Node` or `Group`. */
  readonly source: Source;
  /** Of the run of the source from `start()` to `stop()`. */
  readonly incarnation: string;
}

/**
 * A term, from its begin to its end: of a node, or of one resource of a member. Both events of a term have the same object; `reason` and
 * `durationMs` are set at the end.
 */
export interface TermTrace extends Emitted {
  readonly epoch: number;
  /** Unix milliseconds of the term's begin. */
  readonly acquiredAt: number;
  /** Of a term of a group. */
  readonly resource?: string;
  /** Why the term has ended or is being given up. */
  reason?: LossReason | DisownReason;
  /** From the begin until it ended, or was given up: without the drain. */
  durationMs?: number;
}

export interface LeaderEvent extends Emitted {
  readonly source: NodeSource;
  /** The leader as this node sees it; `null`: there is none. */
  readonly leader: Leader | null;
  /**
   * For how long there was none, as this node saw it: since the last one was announced to be gone, or was suspected if that was confirmed.
   * `null`: it saw no gap, or this is the first leader that it sees, or there is no leader.
   */
  readonly vacancyMs: number | null;
}

export interface RenewalEvent extends Emitted {
  /** `unknown`: no answer in time; it may have been applied. `conflict`: refused, since the record is not the one expected. */
  readonly result: RenewalResult;
  /** From the send to the answer or the timeout. */
  readonly durationMs: number;
  /** What was left until the deadline when the outcome came, before it moved the deadline. 0: the deadline had passed. */
  readonly marginMs: number;
}

export interface SuspendedEvent extends Emitted {
  /** `connection`: it was lost. `silence`: it is up, and no beat has come back in time. */
  readonly cause: "connection" | "silence";
}

export interface ResumedEvent extends Emitted {
  readonly durationMs: number;
  /** False: the suspension ended because the term, or the session, did. */
  readonly held: boolean;
}

export interface SuspicionEvent extends Emitted {
  /** Node or member id of the holder that was suspected. */
  readonly of: string;
  /** What caused it: the end of the holder's presence, missing beats, or what a read has shown after a gap. */
  readonly cause: SuspicionCause;
  readonly outcome: SuspicionOutcome;
  readonly durationMs: number;
}

export interface HandoverEvent extends Emitted {
  readonly source: NodeSource;
  /** Node id of the successor. */
  readonly to: string;
  /**
   * `completed`: the lease is deleted and names the successor. `refused`: nothing was changed. `failed`: given up, but the lease could not be
   * deleted, or the wait was ended.
   */
  readonly outcome: "completed" | "refused" | "failed";
  readonly durationMs: number;
}

export interface HookEvent extends Emitted {
  readonly hook: HookName | GroupHookName;
  /** Of a hook that belongs to a term. */
  readonly epoch: number | null;
  /** Of a hook that belongs to a term of a group. */
  readonly resource: string | null;
  readonly durationMs: number;
  /** It threw. Not for an error that only repeats the abort of its signal. */
  readonly failed: boolean;
}

export interface DrainEvent extends Emitted {
  readonly epoch: number;
  readonly resource: string | null;
  readonly reason: ResignReason | DrainReason;
  /** `timed-out`: hooks or work had not ended in time. */
  readonly outcome: DrainOutcome;
  /** From giving up until the lease is deleted, or the resource released. */
  readonly durationMs: number;
}

export interface MoveEvent extends Emitted {
  readonly source: GroupSource;
  readonly kind: "claim" | "release";
  readonly resource: string;
  readonly epoch: number;
  /** `claimed` for a claim. */
  readonly reason: MoveReason;
}

export interface BeatEvent extends Emitted {
  readonly roundTripMs: number;
}

/** A write behind a fence. It belongs to a term, not to a source: a fence works on terms alone. */
export interface FencedWriteEvent {
  /** `clusterId`: absent if the writer was not given it. */
  readonly term: {
    readonly clusterId?: string;
    readonly nodeId: string;
    readonly incarnation: string;
    readonly epoch: number;
  };
  readonly store: "stream" | "postgres";
  /**
   * `admitted`: written. `refused`: the fence is at another term. `unknown`: it may have been written. `failed`: nothing was written, for
   * another reason.
   */
  readonly result: FencedWriteResult;
}

export type MoveReason = "claimed" | DisownReason;

/** Every channel by its name, with what it carries. */
export interface ChannelEvents {
  "tracing:nats-leader:term:start": TermTrace;
  "tracing:nats-leader:term:end": TermTrace;
  "nats-leader:leader": LeaderEvent;
  "nats-leader:renewal": RenewalEvent;
  "nats-leader:suspended": SuspendedEvent;
  "nats-leader:resumed": ResumedEvent;
  "nats-leader:suspicion": SuspicionEvent;
  "nats-leader:handover": HandoverEvent;
  "nats-leader:hook": HookEvent;
  "nats-leader:drain": DrainEvent;
  "nats-leader:move": MoveEvent;
  "nats-leader:beat": BeatEvent;
  "nats-leader:fenced-write": FencedWriteEvent;
}

export type ChannelName = keyof ChannelEvents;
