/**
 * The vocabulary of a group: what its bucket stores, which outcomes its requests have. Types only. The core turns
 * (state, event, now) into effects, and changes the state in place; the driver carries the effects out.
 *
 * The bucket has one key per member (`session`), one per resource (`owner`), one for the coordinator and one for its plan. Every
 * write is a compare-and-set on one key. Numbers come from the server: the number of a session is the revision of its begin,
 * the epoch of a term the revision of its claim, both at least `above + 1`.
 */
import type { SessionBinding } from "../../election/types.ts";

// ---------------------------------------------------------------------------------------------- keys

export type GroupKey =
  | { readonly kind: "session"; readonly memberId: string }
  | { readonly kind: "owner"; readonly resource: string }
  /** Owned like a resource; its owner writes the plan. */
  | { readonly kind: "coordinator" }
  | { readonly kind: "plan" };

// ---------------------------------------------------------------------------------------------- what is stored

/** Who wrote a record, when in its own order, and in which bucket. */
export interface Authorship {
  readonly memberId: string;
  /** Random per `start()`. */
  readonly incarnation: string;
  /** Counts the writes of this incarnation; identifies which of them a read found. */
  readonly nonce: number;
  /** The stream's creation time. A record of another generation is not believed. */
  readonly generation: string;
  /** The largest session number or epoch that the writer knew. Matters only where revisions come again: after lost history, or in another bucket. */
  readonly above: number;
}

/** A member's lease: the only thing it renews, however many resources it owns. */
export interface SessionRecord extends Authorship {
  readonly kind: "session";
  /** The session's number; `null` in the record that begins it, whose revision is the number if that is above `above`. */
  readonly number: number | null;
  readonly ttlMs: number;
  /** Its connection, and what the holder promises about it. */
  readonly session?: SessionBinding;
  readonly weight: number;
  readonly zone?: string;
  readonly maxOwned?: number;
  /** Takes no resource, and gives up those it owns. */
  readonly draining: boolean;
  /** Resources it does not take for now: their hook has failed. At most 16. */
  readonly refused: readonly string[];
  /** Hash of its list of resources. */
  readonly listHash: string;
}

/** Why a session is over. `restarting`: its member said it will be back. The last three: a fence, with its evidence. */
export type SessionEndReason = "left" | "restarting" | "expired" | "closed" | "silent";

/** The end marker of a session: written by its own member after all work has ended, or by another member as a fence. */
export interface SessionEnd extends Authorship {
  readonly kind: "session-end";
  /** The member whose session it is; `memberId` is the writer. */
  readonly of: string;
  /** The number of the session that is over. */
  readonly number: number;
  readonly reason: SessionEndReason;
}

/** The owner of a resource. Never renewed: it holds while the session does. */
export interface Claim extends Authorship {
  readonly kind: "claim";
  /** The number of the session under which it was sent. */
  readonly session: number;
}

/** A term that has ended in good order. */
export interface Release extends Authorship {
  readonly kind: "release";
  readonly epoch: number;
  /** The member that is to claim it at once. */
  readonly successor?: string;
}

export interface PlanRecord extends Authorship {
  readonly kind: "plan";
  /** Epoch of the coordinator's term. */
  readonly coordinator: number;
  /** Which member is to own which resource, as `src/group/plan` encodes it. */
  readonly plan: Uint8Array;
}

export type GroupRecord = SessionRecord | SessionEnd | Claim | Release | PlanRecord;

/** The last message on a key. `revision` is its stream sequence. */
export type GroupEntry =
  | {
      readonly kind: "record";
      readonly key: GroupKey;
      readonly revision: number;
      readonly record: GroupRecord;
    }
  /** A delete or purge marker: an operator. */
  | { readonly kind: "deleted"; readonly key: GroupKey; readonly revision: number }
  /** Not a record of ours for this key. */
  | { readonly kind: "garbage"; readonly key: GroupKey; readonly revision: number; readonly reason: string };

export interface GroupWrite {
  readonly key: GroupKey;
  readonly record: GroupRecord;
  /** The revision of the key's last message; 0: it has none. */
  readonly expect: number;
}

// ---------------------------------------------------------------------------------------------- outcomes

/** One consistent answer of the stream leader about one key: `entry` was the newest message on it when the stream ended at `lastSequence`. */
export type KeyReadOutcome =
  | {
      readonly kind: "snapshot";
      readonly generation: string;
      readonly lastSequence: number;
      /** `null`: the key has no message. */
      readonly entry: GroupEntry | null;
    }
  | { readonly kind: "no-bucket" }
  | { readonly kind: "failed"; readonly error: Error };

/** The result of a bulk read: everything that is in the bucket, or what has changed after a sequence. */
export type BulkOutcome =
  | {
      readonly kind: "entries";
      readonly generation: string;
      /** Everything up to this sequence is in `entries`, or was before the sequence that was asked for. */
      readonly upTo: number;
      readonly entries: readonly GroupEntry[];
    }
  | { readonly kind: "no-bucket" }
  | { readonly kind: "failed"; readonly error: Error };
