/**
 * The coordinator: the owner of a reserved key, by the rules of any resource. It writes the plan, which is a hint for balance and nothing
 * else. By compare-and-set on the plan's revision, only when the result differs, and never over the plan of a later coordinator: two
 * members that both believe to coordinate exchange at most one plan.
 *
 * `place()` answers joins, deaths and new resources at once and moves nothing. `plan()` balances, once no member has joined, left or
 * changed its weight for `settleMs`. Both start from the *planned* owner if it is there: moves under way are not planned again. Where a
 * member has claimed a resource after the plan, because it was left without an owner, that member counts.
 */

import { maxEpochAt } from "../../election/epochs.ts";
import type { WriteOutcome } from "../../election/types.ts";
import type { Assignment, PlanMember, StoredPlan } from "./balance.ts";
import { isReady, sendRead, sendWrite } from "./requests.ts";
import { ownerView } from "./resources.ts";
import { isInGrace } from "./sessions.ts";
import { backOffMs, emit, type GroupState, NEVER, noteNumber, type ResourceView, warn } from "./state.ts";
import { actualOwner, isFit, planMembers } from "./targets.ts";
import { readOwner } from "./terms.ts";
import type { GroupEntry } from "./types.ts";
import { isPlanOfOther } from "./wanted.ts";

/** A plan waits for the claims of this member for at most so long after a member has joined, left or changed. */
const CLAIMS_FIRST_MS = 500;

// ---------------------------------------------------------------------------------------------- the plan that is stored

/** The message on the key `plan`; `null`: it has none. */
export function notePlan(group: GroupState, entry: GroupEntry | null, answered: boolean): void {
  const { bucket } = group;
  const record = entry?.kind === "record" && entry.record.kind === "plan" ? entry.record : null;
  const isOurs =
    record !== null &&
    record.generation === bucket.generation &&
    record.coordinator <= maxEpochAt(entry?.revision ?? 0);
  const stored = isOurs ? group.config.balance.decode(record.plan) : null;
  if (entry !== null && stored === null) {
    warn(
      group,
      "GARBAGE_RECORD",
      `revision ${entry.revision} of the plan is not a plan of this group; the coordinator replaces it`,
    );
  }
  group.plan.proven = answered;
  if (answered && stored !== null && record !== null) noteNumber(group, record.coordinator);
  setPlan(group, entry?.revision ?? 0, stored, record?.coordinator ?? 0, record?.memberId ?? "");
}

function setPlan(
  group: GroupState,
  revision: number,
  stored: StoredPlan | null,
  coordinator: number,
  writtenBy: string,
): void {
  const { plan } = group;
  if (revision !== plan.revision) plan.reads.failures = 0;
  plan.revision = revision;
  plan.coordinator = stored === null ? 0 : coordinator;
  plan.writtenBy = writtenBy;
  plan.members = stored?.members ?? [];
  plan.assignment = stored === null || stored.members.length === 0 ? null : stored.assignment;
  group.targetsDue = true;
  group.planDue = true;
  if (stored !== null) emit(group, { type: "plan", revision, coordinator: writtenBy });
}

// ---------------------------------------------------------------------------------------------- planning

/** Milliseconds until the coordinator has to look at the plan. */
export function planDelayMs(group: GroupState): number {
  const { plan, now, coordinator } = group;
  if (coordinator.term === null || !isReady(group) || plan.write !== null) return NEVER;
  if (plan.reads.due || plan.reads.inFlight) return NEVER;
  const atMono = group.planDue ? plan.reads.atMono : group.planAtMono;
  return Math.max(atMono, claimedByMono(group)) - now.mono;
}

/**
 * Until when the plan waits for claims. After a death every member has computed its targets itself: the plan that says the same comes after
 * the claims, because it takes milliseconds to compute and encode, in which resources have no owner.
 */
function claimedByMono({ claims, claiming, changedAtMono }: GroupState): number {
  return claiming > 0 || claims.members.size > 0 ? changedAtMono + CLAIMS_FIRST_MS : 0;
}

/** Writes another plan, if the members, the resources or the balance require one. */
export function coordinate(group: GroupState): void {
  const { coordinator, plan, config, now } = group;
  const epoch = coordinator.term?.epoch ?? 0;
  if (!plan.proven) {
    // Only a message shows this plan: it may be forged.
    plan.reads.due = true;
    return readPlan(group);
  }
  group.planDue = false;
  group.planAtMono = NEVER;
  if (isPlanOfOther(group, epoch)) return readOwner(group, coordinator);
  const settledAtMono = group.changedAtMono + config.settleMs;
  const isSettled = settledAtMono <= now.mono;
  if (!isSettled) group.planAtMono = settledAtMono;
  else if (readContradicting(group)) return;
  const kept = [...group.sessions.keys()].filter((memberId) => isInGrace(group, memberId));
  const members = [...planMembers(group), ...kept.map(absentMember)].sort((one, other) =>
    one.memberId < other.memberId ? -1 : 1,
  );
  const resources = group.listed;
  const byId = new Map(members.map((one) => [one.memberId, one]));
  const owners = new Map<string, string>();
  for (const { name } of resources) {
    const owner = baseline(group, ownerView(group, { kind: "owner", resource: name }), byId, kept);
    if (owner !== null) owners.set(name, owner);
  }
  const input = { members: members.map((one) => withWishes(group, one)), resources, owners };
  group.wishes.clear();
  const { balance } = config;
  const assignment = isSettled && kept.length === 0 ? balance.plan(input) : balance.place(input);
  const stored: StoredPlan = { members: members.map(({ memberId }) => memberId), assignment };
  if (!isSamePlan(group, stored) || (isSettled && repeats(group, assignment))) write(group, epoch, stored);
}

/**
 * Reads the keys of claims that contradict the plan, where only messages have shown them: they may be forged. Returns whether there are any.
 * A plan for balance waits for the answers; one for members that have just joined or left does not.
 */
function readContradicting(group: GroupState): boolean {
  const { plan } = group;
  plan.contradicting.clear();
  for (const [name, memberId] of plan.assignment ?? []) {
    const view = ownerView(group, { kind: "owner", resource: name });
    const { owner, revision } = standing(group, view);
    if (owner === null || owner === memberId) continue;
    if (revision <= Math.max(plan.revision, view.provenRevision)) continue;
    plan.contradicting.add(view);
    if (!view.reads.due && !view.reads.inFlight) readOwner(group, view);
  }
  return plan.contradicting.size > 0;
}

/** An answer has shown this key. */
export function onOwnerShown(group: GroupState, view: ResourceView): void {
  const { contradicting } = group.plan;
  if (contradicting.delete(view) && contradicting.size === 0) group.planDue = true;
}

/**
 * Does a claim that is newer than the plan contradict it? Its owner keeps the resource until there is a newer plan, also one that says the same.
 * That member claimed because the planned one did not: if it still does not, the next repetition waits longer.
 */
function repeats(group: GroupState, assignment: Assignment): boolean {
  const { config, now } = group;
  let isContradicted = false;
  for (const [name, memberId] of assignment) {
    const { owner, revision } = standing(group, ownerView(group, { kind: "owner", resource: name }));
    if (owner !== null && owner !== memberId && revision > group.plan.revision) isContradicted = true;
  }
  if (!isContradicted) return false;
  if (group.rewriteAtMono > now.mono) {
    group.planAtMono = Math.min(group.planAtMono, group.rewriteAtMono);
    return false;
  }
  group.rewriteAtMono =
    now.mono + Math.max(config.settleMs, config.unownedGraceMs) * 2 ** Math.min(group.rewrites, 10);
  group.rewrites += 1;
  return true;
}

/** The claim that stands, as far as is known. Of a term of this member no message decides: it may be forged. */
function standing(
  group: GroupState,
  view: ResourceView,
): { readonly owner: string | null; readonly revision: number } {
  const { term, revision } = view;
  if (term !== null) return { owner: group.config.memberId, revision: term.revision };
  return { owner: actualOwner(group, view), revision };
}

/** A member that has gone and may come back: it keeps what it has, and takes nothing. */
function absentMember(memberId: string): PlanMember {
  return { memberId, weight: 0, refused: [] };
}

/** What is wished for one member is forbidden to the others: so another resource moves for balance. */
function withWishes({ wishes }: GroupState, member: PlanMember): PlanMember {
  const refused = [...member.refused];
  for (const [name, to] of wishes) if (to !== member.memberId) refused.push(name);
  return wishes.size === 0 ? member : { ...member, refused };
}

/** From which owner the plan starts for this resource. */
function baseline(
  group: GroupState,
  view: ResourceView,
  byId: ReadonlyMap<string, PlanMember>,
  kept: readonly string[],
): string | null {
  const isKept = (memberId: string | null | undefined): memberId is string =>
    typeof memberId === "string" && (kept.includes(memberId) || isFit(byId.get(memberId), view.name));
  const { owner: actual, revision } = standing(group, view);
  const planned = group.plan.assignment?.get(view.name);
  const wish = group.wishes.get(view.name);
  if (isKept(wish)) return wish;
  if (isKept(actual) && revision > group.plan.revision) return actual;
  if (isKept(planned)) return planned;
  return isKept(actual) ? actual : null;
}

function write(group: GroupState, epoch: number, stored: StoredPlan): void {
  const { plan } = group;
  const bytes = group.config.balance.encode(stored);
  if (bytes === null) {
    // An old plan must not stay in force: one without members leaves everything to `place()`.
    if (plan.assignment !== null) write(group, epoch, { members: [], assignment: new Map() });
    if (!group.planTooLarge)
      warn(
        group,
        "PLAN_TOO_LARGE",
        "the plan is too large for one message: every member places resources on its own, and nothing is moved for balance",
      );
    group.planTooLarge = true;
    return;
  }
  if (stored.members.length > 0) group.planTooLarge = false;
  plan.write = sendWrite(group, {
    key: { kind: "plan" },
    record: (authorship) => ({ ...authorship, kind: "plan", coordinator: epoch, plan: bytes }),
    expect: plan.revision,
    pending: { kind: "plan", stored, epoch },
  });
}

function isSamePlan({ plan }: GroupState, { members, assignment }: StoredPlan): boolean {
  if (plan.assignment === null || plan.members.length !== members.length) return false;
  if (!members.every((memberId, at) => memberId === plan.members[at])) return false;
  return isSameAssignment(plan.assignment, assignment);
}

function isSameAssignment(one: Assignment, other: Assignment): boolean {
  if (one.size !== other.size) return false;
  for (const [name, memberId] of one) if (other.get(name) !== memberId) return false;
  return true;
}

export function onPlanWritten(
  group: GroupState,
  pending: { readonly stored: StoredPlan; readonly epoch: number },
  outcome: WriteOutcome,
): void {
  const { plan, config, now } = group;
  plan.write = null;
  if (outcome.kind === "applied") {
    plan.proven = true;
    if (outcome.revision > plan.revision)
      setPlan(group, outcome.revision, pending.stored, pending.epoch, config.memberId);
    return;
  }
  if (outcome.kind === "unknown" && plan.reads.failures === 0)
    warn(
      group,
      "STORE_FAILING",
      "a write of the plan got no answer; reading the plan, then retrying",
      outcome.error,
    );
  // A message may have shown already what is there now.
  plan.reads.due = true;
  const { failures } = plan.reads;
  plan.reads.atMono = now.mono + (failures === 0 ? 0 : backOffMs(group, failures - 1));
  plan.reads.failures += 1;
  group.planDue = true;
}

/** Reads the plan, if that is due. */
export function readPlan(group: GroupState): void {
  const { plan, now } = group;
  if (planReadDelayMs(group) > 0) return;
  plan.reads.atMono = now.mono;
  sendRead(group, { kind: "plan" }, plan.reads, { kind: "plan" });
}

export function planReadDelayMs(group: GroupState): number {
  const { reads } = group.plan;
  return isReady(group) && reads.due && !reads.inFlight ? reads.atMono - group.now.mono : NEVER;
}

// ---------------------------------------------------------------------------------------------- wishes

/** A wish: this resource for that member. */
export function onMove(group: GroupState, resource: string, to: string): void {
  const refuse = (reason: "not-coordinator" | "unknown-resource" | "unknown-member"): void => {
    const { owner } = group.coordinator;
    emit(group, {
      type: "move-refused",
      resource,
      to,
      reason,
      ...(owner === null ? {} : { coordinator: owner }),
    });
  };
  if (group.coordinator.term === null) return refuse("not-coordinator");
  if ((group.resources.get(resource)?.spec ?? null) === null) return refuse("unknown-resource");
  const member = planMembers(group).find(({ memberId }) => memberId === to);
  if (!isFit(member, resource)) return refuse("unknown-member");
  group.wishes.set(resource, to);
  group.planDue = true;
}
