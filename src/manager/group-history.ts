/**
 * What has changed in a group, from the content of its bucket. The bucket keeps one value for each key, so that these are the last changes: the
 * claim or release of each resource, the end of each session, the plan. Pure functions.
 */
import type { GroupEntry, GroupRecord } from "../group/core/types.ts";
import type { GroupContent, StoredEntry } from "./group-client.ts";
import { endOf, groupSessions, type LossCause, numberOf, type SessionView } from "./group-sessions.ts";

/**
 * - `claimed`: a member owns it since then.
 * - `released`: its owner has given it up.
 * - `lost`: the session of its owner is over, and no member has claimed it since.
 * - `deleted`: an operator has deleted the key.
 * - `garbage`: another program has written to the key.
 * - `began`, `ended`: of a session.
 * - `planned`: another plan is in force.
 */
export type GroupChangeKind =
  | "claimed"
  | "released"
  | "lost"
  | "deleted"
  | "garbage"
  | "began"
  | "ended"
  | "planned";

export interface GroupChange {
  /** When the server stored it: Unix milliseconds. */
  readonly at: number;
  /** The revision that shows it. */
  readonly revision: number;
  /** What has changed: a resource, the role of the coordinator, the session of a member, or the plan. */
  readonly what: "resource" | "coordinator" | "session" | "plan";
  readonly change: GroupChangeKind;
  /** Its name, if `what` is a resource. */
  readonly resource: string | null;
  /** Whose claim, release or session it is, or who made the plan; `null`: not known. */
  readonly member: string | null;
  /** The owner before, which only a look at the bucket before the change can show; `null`: none, or not known. */
  readonly from: string | null;
  /** The epoch of the term, or the number of the session; of a plan that of its coordinator. `null`: not known. */
  readonly epoch: number | null;
  /** The member that is to own it next, which a release names. */
  readonly successor: string | null;
  /** Why a session is over; of a lost resource that of its owner. */
  readonly reason: LossCause | null;
  /** The member that has ended the session of another one. */
  readonly by: string | null;
}

/**
 * The last change of each key, newest first.
 *
 * @param before - What was read before: only what has changed since is returned, with the owners before.
 */
export function groupChanges(content: GroupContent, before: GroupContent | null = null): GroupChange[] {
  const sessions = groupSessions(content);
  const earlier = before === null ? null : { owners: ownersIn(before), sessions: groupSessions(before) };
  const changes = [...content.entries].flatMap(([key, stored]) => {
    const { key: at } = stored.entry;
    if (at.kind === "session") return sessionChange(stored, at.memberId, earlier?.sessions);
    if (at.kind === "plan") return planChange(stored);
    const resource = at.kind === "owner" ? at.resource : null;
    return [ownerChange(stored, resource, sessions, earlier?.owners.get(key) ?? null)];
  });
  const since = before?.created === content.created ? before.upTo : 0;
  return changes.filter(({ revision }) => revision > since).sort(byTime);
}

/** What changed at the same time is shown with its cause first. */
const ORDER: Readonly<Record<GroupChange["what"], number>> = {
  session: 0,
  coordinator: 1,
  plan: 2,
  resource: 3,
};

export function byTime(a: GroupChange, b: GroupChange): number {
  return b.at - a.at || b.revision - a.revision || ORDER[a.what] - ORDER[b.what];
}

const NOTHING = {
  resource: null,
  member: null,
  from: null,
  epoch: null,
  successor: null,
  reason: null,
  by: null,
};

function sessionChange(
  { entry, at }: StoredEntry,
  memberId: string,
  earlier: ReadonlyMap<string, SessionView> | undefined,
): GroupChange[] {
  const base = { ...NOTHING, at, revision: entry.revision, what: "session", member: memberId } as const;
  if (entry.kind !== "record") return [{ ...base, change: entry.kind }];
  const { record } = entry;
  if (record.kind === "session-end") {
    const { number, reason } = record;
    return [{ ...base, change: "ended", epoch: number, reason, by: by(record, memberId) }];
  }
  if (record.kind !== "session") return [];
  const number = record.number ?? numberOf(entry.revision, record);
  // A renewal is no change. The record of the begin is replaced by the first one.
  const isNew = record.number === null || (earlier !== undefined && earlier.get(memberId)?.number !== number);
  return isNew ? [{ ...base, change: "began", epoch: number }] : [];
}

/** The writer, if it is not the member itself. */
function by({ memberId }: GroupRecord, ofMember: string): string | null {
  return memberId === ofMember ? null : memberId;
}

function planChange({ entry, at }: StoredEntry): GroupChange[] {
  const base = { ...NOTHING, at, revision: entry.revision, what: "plan" } as const;
  if (entry.kind !== "record") return [{ ...base, change: entry.kind }];
  const { record } = entry;
  if (record.kind !== "plan") return [];
  return [{ ...base, change: "planned", member: record.memberId, epoch: record.coordinator }];
}

function ownerChange(
  { entry, at }: StoredEntry,
  resource: string | null,
  sessions: ReadonlyMap<string, SessionView>,
  from: string | null,
): GroupChange {
  const what = resource === null ? "coordinator" : "resource";
  const base = { ...NOTHING, at, revision: entry.revision, what, resource, from } as const;
  if (entry.kind !== "record") return { ...base, change: entry.kind };
  const { record, revision } = entry;
  if (record.kind === "release") {
    const { memberId: member, epoch, successor = null } = record;
    return { ...base, change: "released", member, epoch, successor };
  }
  if (record.kind !== "claim") return { ...base, change: "garbage" };
  const { memberId: member } = record;
  const claimed = { ...base, member, epoch: numberOf(revision, record) };
  const end = endOf(record, sessions);
  if (end === null) return { ...claimed, change: "claimed" };
  // When the session ended is known from its end marker only.
  const { why: reason, by: writer, at: endedAt, revision: ending } = end;
  return {
    ...claimed,
    change: "lost",
    reason,
    by: writer,
    at: endedAt ?? at,
    revision: Math.max(revision, ending),
  };
}

/** Who owned what, by key. */
function ownersIn(content: GroupContent): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  for (const [key, { entry }] of content.entries) {
    const claim = claimIn(entry);
    if (claim !== null) owners.set(key, claim);
  }
  return owners;
}

/** The member of a claim, or of a release: it owned the resource until then. */
function claimIn(entry: GroupEntry): string | null {
  if (entry.kind !== "record") return null;
  const { kind, memberId } = entry.record;
  return kind === "claim" || kind === "release" ? memberId : null;
}
