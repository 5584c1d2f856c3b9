/** What the content of a group's bucket says about its members and resources. Pure functions. */
import { balance } from "../group/balance.ts";
import type { PlanMember, StoredPlan } from "../group/core/balance.ts";
import { MAX_PLAN_BYTES } from "../group/plan/plan-codec.ts";
import type { GroupContent, StoredEntry } from "./group-client.ts";
import { endOf, groupSessions, type LossCause, numberOf, type SessionView } from "./group-sessions.ts";
import { unlistedSteps } from "./listed-resources.ts";
import { inBatches, sorted } from "./slices.ts";

/** Resources of one step: less than a millisecond. */
const BATCH = 200;

export interface GroupMemberRow {
  readonly memberId: string;
  /**
   * `live`: its session is not known to be over. `draining`: so is it, and it gives up everything. `late`: it has not renewed its
   * session in time, and nothing has ended it.
   */
  readonly state: "live" | "draining" | "late";
  /** The number of its session. */
  readonly session: number;
  readonly incarnation: string;
  readonly coordinates: boolean;
  readonly weight: number;
  readonly zone: string | null;
  readonly maxOwned: number | null;
  /** Number of resources that it owns. */
  readonly owns: number;
  /** Number of resources that the plan gives it; `null`: there is no plan. */
  readonly planned: number | null;
  /** Resources that it does not take for now. */
  readonly refuses: readonly string[];
  /** Hash of its list of resources. */
  readonly listHash: string;
  /** Whether its record names a presence: its crash is then noticed in milliseconds. */
  readonly presence: boolean;
  /** Time since its last renewal. */
  readonly renewedMs: number;
  readonly ttlMs: number;
}

export interface GroupResourceRow {
  readonly resource: string;
  /** `moving`: owned, and planned for another member. `unknown`: its key holds no record. */
  readonly state: "owned" | "moving" | "unowned" | "unknown";
  /** `null`: no member owns it. */
  readonly owner: string | null;
  /** Of the owner's term, or of the last one; 0: it never had one. */
  readonly epoch: number;
  /** The member that the plan gives it to; `null`: none, or there is no plan. */
  readonly target: string | null;
  /** For how long it has had this owner, or none; `null`: it never had one, or that is not known. */
  readonly forMs: number | null;
  /** Why it has no owner: the session's end, or `released`; `null`: it has one, or never had one. */
  readonly why: LossCause | "released" | null;
}

export interface GroupPlanView {
  readonly revision: number;
  /** The member that has made it. */
  readonly madeBy: string;
  readonly ageMs: number;
  /** Those for which it plans; empty: it is too large for one message, and there is none. */
  readonly members: readonly string[];
  /** Its size, and the largest that is possible. */
  readonly bytes: number;
  readonly limitBytes: number;
}

export interface GroupView {
  readonly groupId: string;
  readonly created: string;
  /** The member that plans; `null`: none. */
  readonly coordinator: string | null;
  /** Revision and age of the plan; `null`: there is none. */
  readonly plan: GroupPlanView | null;
  /** In order of their ids. */
  readonly members: readonly GroupMemberRow[];
  /** In the order of `byName()`. Without those that no member lists any more. */
  readonly resources: readonly GroupResourceRow[];
  readonly owned: number;
  readonly moving: number;
  readonly unowned: number;
}

/** A group without its list of resources, of which there may be thousands. */
export interface GroupSummary extends Omit<GroupView, "resources"> {
  /** Number of resources. */
  readonly resources: number;
}

export function groupView(groupId: string, content: GroupContent): GroupView {
  const steps = groupViewSteps(groupId, content);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** As `groupView()`, in steps of a few hundred resources. */
export function* groupViewSteps(groupId: string, content: GroupContent): Generator<void, GroupView> {
  const stored = [...content.entries.values()];
  const sessions = groupSessions(content);
  const found = planOf(stored);
  const assignment = found?.plan.assignment ?? new Map<string, string>();
  const rows = yield* resourceRows(stored, sessions, assignment, content.now);
  const alive = [...sessions.values()].flatMap(({ record }) => record?.listHash ?? []);
  const unlisted = yield* unlistedSteps(rows, new Set(alive));
  const resources = unlisted.size === 0 ? rows : rows.filter(({ resource }) => !unlisted.has(resource));
  const coordinator = coordinatorOf(stored, sessions);
  const owns = countBy(resources.flatMap(({ owner }) => owner ?? []));
  const planned = found === null ? null : countBy(assignment.values());
  const count = (state: GroupResourceRow["state"]): number =>
    resources.filter((row) => row.state === state).length;
  return {
    groupId,
    created: content.created,
    coordinator,
    plan: found === null ? null : planView(found, content.now),
    members: memberRows(sessions, { owns, planned, coordinator, now: content.now }),
    resources,
    owned: count("owned") + count("moving"),
    moving: count("moving"),
    unowned: count("unowned"),
  };
}

/** Whether a member has renewed its session in time. The sessions of members that all ended at once are ended by none. */
export function isAlive({ members }: Pick<GroupView, "members">): boolean {
  return members.some(({ state }) => state !== "late");
}

/** The members as the planner sees them. */
export function planMembersOf({ members }: GroupView): PlanMember[] {
  return members.map(({ memberId, state, weight, zone, maxOwned, refuses }) => ({
    memberId,
    weight: state === "draining" ? 0 : weight,
    refused: refuses,
    ...(zone === null ? {} : { zone }),
    ...(maxOwned === null ? {} : { maxOwned }),
  }));
}

export interface FoundPlan {
  readonly plan: StoredPlan;
  readonly revision: number;
  readonly madeBy: string;
  readonly at: number;
  readonly bytes: number;
}

export function planOf(stored: Iterable<StoredEntry>): FoundPlan | null {
  for (const { entry, at } of stored) {
    if (entry.kind !== "record" || entry.record.kind !== "plan") continue;
    const plan = balance.decode(entry.record.plan);
    const { memberId: madeBy, plan: data } = entry.record;
    if (plan !== null) return { plan, revision: entry.revision, madeBy, at, bytes: data.length };
  }
  return null;
}

export function planView({ plan, revision, madeBy, at, bytes }: FoundPlan, now: number): GroupPlanView {
  const { members } = plan;
  return { revision, madeBy, ageMs: Math.max(0, now - at), members, bytes, limitBytes: MAX_PLAN_BYTES };
}

export function coordinatorOf(
  stored: Iterable<StoredEntry>,
  sessions: ReadonlyMap<string, SessionView>,
): string | null {
  for (const { entry } of stored) {
    if (entry.key.kind !== "coordinator" || entry.kind !== "record" || entry.record.kind !== "claim")
      continue;
    return endOf(entry.record, sessions) === null ? entry.record.memberId : null;
  }
  return null;
}

function* resourceRows(
  stored: readonly StoredEntry[],
  sessions: ReadonlyMap<string, SessionView>,
  assignment: ReadonlyMap<string, string>,
  now: number,
): Generator<void, readonly GroupResourceRow[]> {
  const rows = new Map<string, GroupResourceRow>();
  for (const resource of assignment.keys()) {
    rows.set(resource, resourceRow(resource, null, sessions, assignment, now));
  }
  yield;
  for (const batch of inBatches(stored, BATCH)) {
    for (const one of batch) {
      if (one.entry.key.kind !== "owner") continue;
      const { resource } = one.entry.key;
      rows.set(resource, resourceRow(resource, one, sessions, assignment, now));
    }
    yield;
  }
  return yield* sorted([...rows.values()], (a, b) => byName(a.resource, b.resource));
}

function neverOwned(resource: string, assignment: ReadonlyMap<string, string>): GroupResourceRow {
  const target = assignment.get(resource) ?? null;
  return { resource, state: "unowned", owner: null, epoch: 0, target, forMs: null, why: null };
}

/** @param stored - What is in its key; `null`: there is no key, and the plan has it. */
export function resourceRow(
  resource: string,
  stored: StoredEntry | null,
  sessions: ReadonlyMap<string, SessionView>,
  assignment: ReadonlyMap<string, string>,
  now: number,
): GroupResourceRow {
  const none = neverOwned(resource, assignment);
  if (stored === null) return none;
  const { entry, at } = stored;
  const since = (time: number): number => Math.max(0, now - time);
  if (entry.kind === "garbage") return { ...none, state: "unknown", forMs: since(at) };
  if (entry.kind === "deleted") return { ...none, forMs: since(at), why: "deleted" };
  const { record, revision } = entry;
  if (record.kind === "release") return { ...none, epoch: record.epoch, forMs: since(at), why: "released" };
  if (record.kind !== "claim") return { ...none, state: "unknown", forMs: since(at) };
  const epoch = numberOf(revision, record);
  const end = endOf(record, sessions);
  if (end !== null) return { ...none, epoch, forMs: end.at === null ? null : since(end.at), why: end.why };
  const moves = none.target !== null && none.target !== record.memberId;
  return { ...none, state: moves ? "moving" : "owned", owner: record.memberId, epoch, forMs: since(at) };
}

export function memberRows(
  sessions: ReadonlyMap<string, SessionView>,
  {
    owns,
    planned,
    coordinator,
    now,
  }: {
    /** Number of resources that each member owns. */
    readonly owns: ReadonlyMap<string, number>;
    /** Number that the plan gives to each; `null`: there is no plan. */
    readonly planned: ReadonlyMap<string, number> | null;
    readonly coordinator: string | null;
    readonly now: number;
  },
): GroupMemberRow[] {
  const rows: GroupMemberRow[] = [];
  for (const { memberId, number, record, at } of sessions.values()) {
    if (record === null) continue;
    const renewedMs = Math.max(0, now - at);
    const alive = record.draining ? "draining" : "live";
    rows.push({
      memberId,
      state: renewedMs > record.ttlMs ? "late" : alive,
      session: number,
      incarnation: record.incarnation,
      coordinates: coordinator === memberId,
      weight: record.weight,
      zone: record.zone ?? null,
      maxOwned: record.maxOwned ?? null,
      owns: owns.get(memberId) ?? 0,
      planned: planned === null ? null : (planned.get(memberId) ?? 0),
      refuses: record.refused,
      listHash: record.listHash,
      presence: record.session?.presence !== undefined,
      renewedMs,
      ttlMs: record.ttlMs,
    });
  }
  return rows.sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
}

export function countBy(names: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

const NUMBER = /^\d{1,15}$/;

/** Partitions have numbers as names; they come first, in the order of their values. Equal only for equal names. */
export function byName(a: string, b: string): number {
  const isNumber = NUMBER.test(a);
  if (isNumber !== NUMBER.test(b)) return isNumber ? -1 : 1;
  const difference = isNumber ? Number(a) - Number(b) : 0;
  if (difference !== 0) return difference;
  return a < b ? -1 : a > b ? 1 : 0;
}

export interface PlannedMove {
  readonly resource: string;
  /** `null`: it has no owner. */
  readonly from: string | null;
  /** `null`: no member can take it. */
  readonly to: string | null;
}

export interface DryRun {
  /** What happens at once: resources without an owner, and those of members that are gone. */
  readonly taken: readonly PlannedMove[];
  /** What moves for balance once the members have settled. */
  readonly balanced: readonly PlannedMove[];
  /** Resources of each member in the end, in order of their ids. */
  readonly shares: ReadonlyArray<{
    readonly memberId: string;
    readonly before: number;
    readonly after: number;
  }>;
}

/** What would happen if some members left. The zones of resources are not in the bucket, so the members' lists may lead to other moves. */
export function dryRun(view: GroupView, without: readonly string[]): DryRun {
  const members = planMembersOf(view).filter(({ memberId }) => !without.includes(memberId));
  const resources = view.resources.map(({ resource }) => ({ name: resource }));
  const live = new Set(members.map(({ memberId }) => memberId));
  const owners = new Map<string, string>();
  for (const { resource, owner, target } of view.resources) {
    // As the coordinator does: the planned owner if it is alive, otherwise the actual one.
    const own = [target, owner].find((one) => one !== null && live.has(one));
    if (own != null) owners.set(resource, own);
  }
  const placed = balance.place({ members, resources, owners });
  const planned = balance.plan({ members, resources, owners: placed });
  const before = new Map(view.resources.map(({ resource, owner }) => [resource, owner]));
  const taken: PlannedMove[] = [];
  const balanced: PlannedMove[] = [];
  for (const { name } of resources) {
    const [from, at, to] = [before.get(name) ?? null, placed.get(name) ?? null, planned.get(name) ?? null];
    if (from !== at) taken.push({ resource: name, from, to: at });
    if (at !== to) balanced.push({ resource: name, from: at, to });
  }
  const after = countBy(planned.values());
  const shares = view.members.map(({ memberId, owns }) => ({
    memberId,
    before: owns,
    after: after.get(memberId) ?? 0,
  }));
  return { taken, balanced, shares };
}
