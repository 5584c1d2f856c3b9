/**
 * The state of one member. It is changed in place, by `step` and by nothing else: it belongs to the core, and others read it through
 * `outlook.ts`. Values that came from outside (records, entries) are never changed.
 */

import type { Instant } from "../../election/time.ts";
import type { LateProofs, OwnConnection, SessionBinding, Stretch } from "../../election/types.ts";
import type { Inquiry } from "../../inquiry/types.ts";
import type { Assignment, Resource, StoredPlan } from "./balance.ts";
import type { DrainReason, GroupConfig, GroupEffect, GroupWarningCode, Profile } from "./events.ts";
import type { DueQueue, Fifo } from "./queues.ts";
import type { GroupEntry, GroupKey, SessionEndReason, SessionRecord } from "./types.ts";

export const NEVER: number = Number.POSITIVE_INFINITY;

/** A record of the own session that was sent and is not settled. */
export interface SentSession {
  readonly nonce: number;
  /** `null`: it begins a session. */
  readonly number: number | null;
  /** The largest number that was known: the session's number is above it. */
  readonly above: number;
  /** Read before the write was handed to the client. A deadline counts from here and from nothing else. */
  readonly sentAt: Instant;
  readonly binding: OwnConnection | null;
  readonly promises: boolean;
  readonly stretch: number;
  /** `OwnSession.version` when it was sent. */
  readonly version: number;
}

/** The lease of this member. */
export interface OwnSession {
  /**
   * `suspended`: it goes on but is not held, since its connection or stretch has ended. `leaving`: the end marker is being written; no
   * term is held.
   */
  phase: "none" | "live" | "suspended" | "leaving";
  /** Meaningful unless the phase is `none`. */
  number: number;
  /** Last revision known to be ours. */
  revision: number;
  /** Counts from the send of the newest renewal that counts (`noteKnown`). */
  deadline: Instant;
  /** Later renewals that are known to be applied, oldest first. */
  ahead: { readonly revision: number; readonly sentAt: Instant }[];
  promises: boolean;
  stretch: number;
  /** Monotonic milliseconds from which the next renewal, begin or end marker is due. */
  writeAtMono: number;
  /** The largest number of a session of this incarnation that has ended: it never comes back. */
  ended: number;
  /** The largest revision that a begin of this incarnation expected: what stands at it may be replaced by that begin. */
  expectedByBegin: number;
  inFlight: { readonly nonce: number; readonly kind: "begin" | "renew" | "end" } | null;
  /** Oldest first. */
  unsettled: SentSession[];
  failures: number;
  /** Counts the changes of what the record says of this member. */
  version: number;
}

/** The questions about one session, and the suspicion that causes the next one. */
export interface SessionInquiry extends Inquiry {
  /** A suspicion: monotonic milliseconds from which to ask; infinite: none. */
  dueAtMono: number;
}

/** Reads of one key: at most one in flight. */
export interface KeyReads {
  due: boolean;
  inFlight: boolean;
  /** Monotonic milliseconds before which a failed read is not repeated. */
  atMono: number;
  failures: number;
}

/** What an answer has shown on the key of a session. */
export interface SessionAnswer {
  readonly number: number;
  /** The stream had reached this revision. */
  readonly upTo: number;
  /** Since when answers show this number. */
  readonly sinceMono: number;
}

/** What is known of `session.<memberId>`. */
export interface SessionView {
  readonly memberId: string;
  /** `unknown`: never read. `vacant`: no record of ours stands there, because there never was one, or something else replaced it. */
  kind: "unknown" | "vacant" | "live" | "ended";
  revision: number;
  /** The live record. */
  record: SessionRecord | null;
  /** The number of the record or end marker, or of the last one that was known. */
  number: number;
  /** Every session of the member up to this number is over: by the ack of our own fence or by an answer, never by a message. */
  overUpTo: number;
  /** When the newest revision was received, by a message or an answer. */
  receivedAt: Instant;
  /** Since when the newest revision is known to be in the stream: the takeover wait counts from here. `null`: not known yet. */
  since: Instant | null;
  waitMs: number;
  /** The content at the newest revision was in an answer, or is our own. */
  proven: boolean;
  /** The largest revision that an answer, or an ack of our own, has shown on this key. */
  provenRevision: number;
  /** A connection that is confirmed closed. */
  closed: SessionBinding | null;
  /** The revision whose silence is confirmed; 0: none. */
  silentRevision: number;
  readonly inquiry: SessionInquiry;
  readonly reads: KeyReads;
  /** The largest session number that an answer has shown, in a record or in a claim. */
  shownUpTo: number;
  /** The last answer about the key; `null`: none, or it showed no record of ours. */
  answered: SessionAnswer | null;
  fenceNonce: number | null;
  fenceAtMono: number;
  fenceFailures: number;
  /** Why and when the last session ended, for `rejoinGraceMs`. */
  endReason: SessionEndReason | null;
  endedAtMono: number;
  /** The writer of the end marker that was seen last. */
  endedBy: string | null;
  /** The revision that was found to be late. */
  latenessSeen: number;
  /** Warned about: another incarnation with our id; a list with this hash. */
  warnedOf: string | null;
}

/** One period in which this member owns one resource. */
export interface Term {
  readonly epoch: number;
  /** Revision of the claim. */
  readonly revision: number;
  /** Nonce of the claim. */
  readonly nonce: number;
  /** `releasing`: the marker was sent, the term is over. */
  phase: "held" | "draining" | "drained" | "releasing";
  reason: DrainReason;
  /** A message has shown something else on the key. It may be forged; but unless an answer shows the claim, the term ends then. */
  doubtedUntil: Instant | null;
  /** The first and the last revision of these messages; no own write with a larger nonce was sent before the last of them came. */
  contradicted: { readonly first: number; readonly last: number; readonly nonce: number } | null;
}

/** What is known of one owner key, and what this member does with it. */
export interface ResourceView {
  readonly key: GroupKey;
  readonly name: string;
  /** Its entry in the own list; `null`: it is not on it. */
  spec: Resource | null;
  /** `blocked`: something that no member writes stands there. */
  kind: "absent" | "claimed" | "released" | "blocked";
  revision: number;
  /** As for a session. */
  provenRevision: number;
  /** Of the last claim that was believed, also after its key has vanished. */
  owner: string | null;
  session: number;
  epoch: number;
  incarnation: string;
  nonce: number;
  successor: string | null;
  /** Monotonic milliseconds before which what stands there is not replaced. */
  blockedUntilMono: number;
  unownedSinceMono: number;
  /** The member that is to own it. */
  target: string | null;
  term: Term | null;
  /** Nonce of the write in flight. */
  write: number | null;
  /** Nonce of the newest claim whose outcome is not known, sent under session `adoptSession`; 0: none. */
  adopt: number;
  adoptSession: number;
  readonly reads: KeyReads;
  /** Refused claims in a row, and the monotonic milliseconds before which no other is sent. */
  conflicts: number;
  retryAtMono: number;
}

/** A write in flight. */
export type PendingWrite =
  | { readonly kind: "session"; readonly expect: number }
  | { readonly kind: "fence"; readonly view: SessionView; readonly expect: number; readonly number: number }
  | {
      readonly kind: "claim" | "release";
      readonly view: ResourceView;
      readonly session: number;
      readonly expect: number;
      readonly above: number;
      readonly epoch: number;
      readonly successor: string | null;
      readonly sentAt: Instant;
    }
  | { readonly kind: "plan"; readonly stored: StoredPlan; readonly epoch: number };

/** A write in flight. */
export interface SentWrite {
  readonly key: GroupKey;
  readonly pending: PendingWrite;
  /** `GroupState.reached` when it was sent. */
  readonly reached: number;
  /** `Knowing.sequence` when it was sent; 0: unknown. */
  known: number;
}

/** A read of a session's or an owner's key in flight. `known`: the revision that was known when it was sent. */
export type KeyRead =
  | { readonly kind: "session"; readonly view: SessionView; readonly known: number }
  | {
      readonly kind: "owner";
      readonly view: ResourceView;
      readonly known: number;
      readonly sentAt: Instant;
    };

export type PendingRead = KeyRead | { readonly kind: "plan" };

export interface Knowing {
  /** Everything in the bucket was read once. */
  complete: boolean;
  /** Everything up to this sequence is known. */
  sequence: number;
  /** What arrived ahead of a gap. `entry: null`: our own write. */
  readonly ahead: Map<number, { readonly entry: GroupEntry | null; misses: number }>;
  /** The bulk read in flight. */
  request: number | null;
  requestAfter: number;
  /** `GroupState.reached` when it was sent. */
  requestReached: number;
  /** Monotonic milliseconds from which a bulk read is due, unless everything up to `mustKnow` is known by then. */
  readAtMono: number;
  mustKnow: number;
  /** What `readAtMono` was set for. */
  dueFor: number;
  /** Monotonic milliseconds before which a gap causes no bulk read: the last one was in vain, or messages were forged. */
  gapsFromMono: number;
  /** The next bulk read is one of everything: the servers may have lost what is known. */
  doubted: boolean;
  failures: number;
  /**
   * Revisions of messages of others that were taken in while a write of this member was in flight: one that an ack names as well was that
   * of a forged message.
   */
  readonly foreign: Set<number>;
  /** Messages that contradict what is known, by key: each key has to be read (`hints.ts`). */
  readonly hints: Map<string, GroupEntry>;
  /** Monotonic milliseconds before which hints cause no read. */
  hintsFromMono: number;
}

export interface PlanKnowledge {
  revision: number;
  /** Epoch of the coordinator that wrote it. */
  coordinator: number;
  writtenBy: string;
  members: readonly string[];
  assignment: Assignment | null;
  /** An answer, or the ack of our own write, has shown it. */
  proven: boolean;
  readonly reads: KeyReads;
  write: number | null;
  /** Keys of claims that contradict the plan, as only messages show: they are read before the next plan for balance. */
  readonly contradicting: Set<ResourceView>;
}

export interface Pace {
  window: number;
  inFlight: number;
  /** The fastest answer so far, slowly forgotten. */
  bestMs: number;
  /** Members that may be claiming. */
  members: number;
}

export interface GroupState {
  readonly config: GroupConfig;
  now: Instant;
  effects: GroupEffect[];
  profile: Profile;
  /** Resources that this member does not take, until these monotonic milliseconds. */
  readonly refused: Map<string, number>;
  refusesTooMany: boolean;
  draining: boolean;
  stopping: { readonly restarting: boolean } | null;
  stopped: boolean;
  readonly link: {
    connected: boolean;
    binding: OwnConnection | null;
    stretch: Stretch | null;
    stretches: number;
    lateProofs: LateProofs | null;
    /** A predecessor's connection may have ended before this one: ask after the next read of the own key. */
    inquiryDue: boolean;
  };
  readonly bucket: {
    status: "missing" | "opening" | "open";
    generation: string | null;
    retryAtMono: number;
    failures: number;
  };
  readonly own: OwnSession;
  readonly sessions: Map<string, SessionView>;
  /** No session needs anything before; a lower bound. */
  sessionsDueAtMono: number;
  /** Sessions whose newest revision is not known to be in the stream. */
  readonly unproven: Set<SessionView>;
  /** Sessions that were found to be over: what they owned is free. */
  readonly freed: Set<SessionView>;
  /** Counts the changes of which connections have to be watched. */
  watchVersion: number;
  readonly resources: Map<string, ResourceView>;
  readonly coordinator: ResourceView;
  /** Which keys name a member as the owner of a claim. */
  readonly byOwner: Map<string, Set<ResourceView>>;
  /** Own terms. */
  readonly terms: Set<ResourceView>;
  /** Those with a term that is doubted. */
  readonly doubted: Set<ResourceView>;
  /** Its list of resources, in order of their names. */
  listed: readonly Resource[];
  listHash: string;
  readonly knowing: Knowing;
  readonly plan: PlanKnowledge;
  /** Targets must be computed again. */
  targetsDue: boolean;
  targetsKey: string;
  membersKey: string;
  listVersion: number;
  /** The coordinator must look at the plan. */
  planDue: boolean;
  planAtMono: number;
  /** When a member last joined, left or changed its weight. */
  changedAtMono: number;
  /** Claims contradict the plan: it is written again at the earliest then. The pauses grow while that has no effect. */
  rewriteAtMono: number;
  rewrites: number;
  wishes: Map<string, string>;
  planTooLarge: boolean;
  membersDue: boolean;
  /** Garbage in the place of an owner is not reported before. */
  garbageFromMono: number;
  /** The largest session number or epoch that is known. Survives the bucket. */
  above: number;
  /** An answer or an ack has shown that the stream has this sequence. */
  reached: number;
  /** Nothing is claimed before: a bucket that is gone had live sessions. */
  quietUntilMono: number;
  lastNonce: number;
  lastRequest: number;
  lastQuestion: number;
  readonly writes: Map<number, SentWrite>;
  readonly readsInFlight: Map<number, { readonly pending: PendingRead; readonly reached: number }>;
  readonly questions: Map<number, SessionView>;
  readonly pace: Pace;
  readonly claims: Fifo<ResourceView>;
  readonly releases: Fifo<ResourceView>;
  readonly moves: Fifo<ResourceView>;
  readonly reads: Fifo<ResourceView>;
  /** Own terms that are held or draining: their work may run. */
  working: number;
  /** Claims of resources whose outcome is not known. */
  claiming: number;
  /** Own terms that are given up: draining, drained or being released. */
  leavingTerms: number;
  readonly due: DueQueue<ResourceView>;
  storeFailing: boolean;
}

export function emit(group: GroupState, effect: GroupEffect): void {
  group.effects.push(effect);
}

export function warn(group: GroupState, code: GroupWarningCode, message: string, error?: Error): void {
  emit(group, { type: "warning", code, message, ...(error === undefined ? {} : { error }) });
}

/** The delay after so many failures in a row before this one. */
export function backOffMs({ config }: GroupState, failures: number): number {
  return Math.min(config.retryDelayMs * 2 ** Math.min(failures, 10), config.heartbeatIntervalMs);
}

/** Has only a message shown what is known? If an answer that has come so far shows something else, the message was forged. */
export function isUnproven({ revision, provenRevision }: ResourceView | SessionView): boolean {
  return revision > provenRevision;
}

/** This number is taken: later ones are larger. */
export function noteNumber(group: GroupState, number: number): void {
  if (number > group.above) group.above = number;
}
