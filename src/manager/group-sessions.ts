/** The sessions in the content of a group's bucket, and which claims still stand. Pure functions. */
import type { Authorship, Claim, SessionEndReason, SessionRecord } from "../group/core/types.ts";
import type { GroupContent } from "./group-client.ts";

/** Why a session is over. `deleted`: an operator has deleted its key. `replaced`: its member has begun another one since. */
export type LossCause = SessionEndReason | "deleted" | "replaced";

export interface SessionView {
  readonly memberId: string;
  readonly number: number;
  /** `null`: it is over. */
  readonly record: SessionRecord | null;
  /** Why it is over, if it is. */
  readonly why: LossCause;
  /** The member that has ended it, if that was another one. */
  readonly by: string | null;
  /** When the server stored it. */
  readonly at: number;
  readonly revision: number;
}

/** Numbers of sessions and epochs are revisions, above the largest one that the writer knew. */
export function numberOf(revision: number, { above }: Authorship): number {
  return Math.max(revision, above + 1);
}

/** The last session of each member. */
export function groupSessions({ entries }: GroupContent): ReadonlyMap<string, SessionView> {
  const sessions = new Map<string, SessionView>();
  for (const { entry, at } of entries.values()) {
    if (entry.key.kind !== "session") continue;
    const { key, revision } = entry;
    const { memberId } = key;
    const over = { memberId, record: null, by: null, at, revision };
    if (entry.kind === "deleted") sessions.set(memberId, { ...over, number: revision, why: "deleted" });
    if (entry.kind !== "record") continue;
    const { record } = entry;
    if (record.kind === "session-end") {
      const by = record.memberId === memberId ? null : record.memberId;
      sessions.set(memberId, { ...over, by, number: record.number, why: record.reason });
    }
    if (record.kind === "session") {
      const number = record.number ?? numberOf(revision, record);
      sessions.set(memberId, { ...over, number, record, why: "expired" });
    }
  }
  return sessions;
}

/** The end of the session of a claim. */
export interface ClaimEnd {
  readonly why: LossCause;
  readonly by: string | null;
  /** When it ended; `null`: not known, because a later session of the member has replaced the end marker. */
  readonly at: number | null;
  /** Of the message that shows it; 0: there is none. */
  readonly revision: number;
}

/** Why the claim does not stand any more; `null`: its session is not over. */
export function endOf(
  { memberId, session }: Claim,
  sessions: ReadonlyMap<string, SessionView>,
): ClaimEnd | null {
  const held = sessions.get(memberId);
  if (held === undefined) return { why: "deleted", by: null, at: null, revision: 0 };
  if (held.number !== session) {
    // The number is the revision of its begin, unless the bucket has lost history.
    const revision = held.number <= held.revision ? held.number : 0;
    return { why: "replaced", by: null, at: null, revision };
  }
  return held.record === null ? { why: held.why, by: held.by, at: held.at, revision: held.revision } : null;
}
