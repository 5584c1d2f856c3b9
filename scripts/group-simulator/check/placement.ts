/**
 * Where resources are to go, by what the bucket has committed: who claims one that has no owner, and what a plan may move. It costs balance
 * and time only; `balanceProblem` sees the result in the end.
 */
import { balance } from "../../../src/group/balance.ts";
import type { PlanMember } from "../../../src/group/core/balance.ts";
import type { GroupWrite, PlanRecord, Release } from "../../../src/group/core/types.ts";
import {
  type Commit,
  type FakeGroupBucket,
  keyName,
} from "../../../src/testing/simulation/fakes/fake-group-bucket.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import { RATE_SLACK, UNOWNED_GRACE_MS } from "../timing.ts";
import type { Member } from "../world/member.ts";
import type { ObservedMember } from "./observed-member.ts";
import type { Truth } from "./truth.ts";

/** In groups of so few resources only: claims and releases of many are paced. */
const MAX_PLACED = 16;
/** Much longer than a member needs to know of a resource without an owner, and shorter than it waits for a member that is sick. */
const CLAIMED_MS = 300;

export interface PlacementOptions {
  readonly time: VirtualTime;
  readonly bucket: FakeGroupBucket;
  readonly truth: Truth;
  readonly fail: (message: string) => void;
  readonly members: () => Iterable<ObservedMember>;
  /** Nothing keeps this member from knowing and doing at once what it should, and nothing has for some time. */
  readonly isCalm: (observed: ObservedMember) => boolean;
  /** The key does not say what its owners believe. */
  readonly isExcused: (key: string) => boolean;
}

export class Placement {
  readonly #options: PlacementOptions;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  // ---------------------------------------------------------------------------------------------- claims

  /** A resource may have no owner from now on: it is claimed soon by the member whose turn it is, if that one can. */
  committed({ entry }: Commit): void {
    if (entry.kind !== "record") return;
    const { key, record } = entry;
    if (record.kind === "release" && key.kind === "owner") return this.#expect(key.resource);
    if (record.kind !== "session-end" && (record.kind !== "session" || record.number !== null)) return;
    const { bucket } = this.#options;
    for (const owned of bucket.state().keys.values())
      if (owned.key.kind === "owner" && owned.kind === "record" && owned.record.kind === "claim")
        this.#expect(owned.key.resource);
  }

  #expect(resource: string): void {
    const { time, truth, fail } = this.#options;
    const since = truth.freeSince(resource);
    if (since !== time.now) return;
    const named = this.#claimant(resource);
    if (named === null) return;
    time.after(CLAIMED_MS, () => {
      if (truth.freeSince(resource) !== since || this.#claimant(resource) !== named) return;
      fail(
        `${named.member.incarnation} does not claim ${resource}, which has had no owner for ${CLAIMED_MS} ms`,
      );
    });
  }

  /** The member that a release names, or that gets the resource by the plan or by `place()`; `null`: none that must know it. */
  #claimant(resource: string): ObservedMember | null {
    const { bucket, members, isCalm, isExcused } = this.#options;
    if (isExcused(`owner.${resource}`) || isExcused("plan")) return null;
    const entry = bucket.get({ kind: "owner", resource });
    const record = entry?.kind === "record" ? entry.record : null;
    const successor = record?.kind === "release" ? (record.successor ?? null) : null;
    const found: ObservedMember[] = [];
    for (const observed of members()) {
      const { member } = observed;
      if (member.host.resources.length > MAX_PLACED || !isCalm(observed) || !mayTake(observed, resource))
        continue;
      if (member.memberId === successor || this.#target(observed, resource) === member.memberId)
        found.push(observed);
    }
    return found.length === 1 ? (found[0] ?? null) : null;
  }

  /**
   * As members compute it for themselves: the planned member if it is there, else `place()` over the members of the plan. What leaves the
   * list of its owner waits for the others until its grace has passed.
   */
  #target(observed: ObservedMember, resource: string): string | null {
    const { member } = observed;
    const { truth, members } = this.#options;
    const list = namesOf(member);
    if (member.config.rejoinGraceMs > 0) return null;
    if (member.host.resources.some(({ name }) => this.#isLeftByGone(name))) return null;
    for (const { member: other } of members()) if (namesOf(other) !== list) return null;
    // What it refuses may be in no record of it yet.
    const all = truth.members().map((one) => {
      const isRefused = one.memberId === member.memberId && !observed.takes(resource);
      return isRefused ? { ...one, refused: [...one.refused, resource] } : one;
    });
    // Which resource finds no room depends on everything else that is given up in this moment.
    if (all.some(({ maxOwned }) => maxOwned !== undefined)) return null;
    const plan = truth.plan();
    const there = plan === null ? all : all.filter(({ memberId }) => plan.members.includes(memberId));
    const byId = new Map(there.map((one) => [one.memberId, one]));
    const owners = new Map<string, string>();
    for (const { name } of member.host.resources) {
      const planned = plan?.assignment.get(name);
      const candidates = [planned, truth.ownerOf(name), this.#keeper(name)];
      const owner = candidates.find((one) => typeof one === "string" && isFit(byId.get(one), name));
      if (typeof owner === "string") owners.set(name, owner);
    }
    const placed = balance.place({ members: there, resources: member.host.resources, owners });
    return owners.get(resource) ?? placed.get(resource) ?? null;
  }

  /**
   * The member that has released the resource, names no other, and may take it again: to the others it stays the target of a resource that
   * is not planned.
   */
  #keeper(resource: string): string | null {
    const release = this.#releaseWithoutSuccessor(resource);
    const observed = release === null ? null : this.#processOf(release);
    return observed !== null && mayTake(observed, resource) ? observed.member.memberId : null;
  }

  /** Is its process gone, while its session goes on? Only the members that have seen it as the owner take it for the target then. */
  #isLeftByGone(resource: string): boolean {
    const release = this.#releaseWithoutSuccessor(resource);
    if (release === null || this.#processOf(release) !== null) return false;
    return this.#options.truth.members().some(({ memberId }) => memberId === release.memberId);
  }

  #releaseWithoutSuccessor(resource: string): Release | null {
    const entry = this.#options.bucket.get({ kind: "owner", resource });
    const record = entry?.kind === "record" ? entry.record : null;
    return record?.kind === "release" && record.successor === undefined ? record : null;
  }

  /** `null`: it is gone. */
  #processOf({ memberId, incarnation }: Release): ObservedMember | null {
    for (const observed of this.#options.members())
      if (observed.member.memberId === memberId && observed.member.incarnation === incarnation)
        return observed;
    return null;
  }

  /** A member that gives up what it must not keep names the one that gets it, which then claims it at once. */
  releases(observed: ObservedMember, { key, record, expect }: GroupWrite): void {
    if (key.kind !== "owner" || record.kind !== "release" || record.successor !== undefined) return;
    const { member } = observed;
    const { bucket, truth, fail, isCalm, isExcused } = this.#options;
    if (isExcused(keyName(key)) || isExcused("plan") || !isCalm(observed) || observed.takes(key.resource))
      return;
    if (bucket.get(key)?.revision !== expect || truth.ownerOf(key.resource) !== member.memberId) return;
    const target = this.#target(observed, key.resource);
    if (target !== null && target !== member.memberId)
      fail(`${member.incarnation} releases ${key.resource}, and does not name ${target}`);
  }

  /**
   * A member for which the plan was not made claims what a release leaves to it, or what no other has claimed for a while: it may be gone
   * again soon, and the plan that gives it resources comes.
   */
  claims({ member }: ObservedMember, { key, expect }: GroupWrite): void {
    if (key.kind !== "owner" || member.host.plan.rate > RATE_SLACK) return;
    const { time, bucket, truth, fail, isExcused } = this.#options;
    const { members, assignment } = member.driver.state.plan;
    if (assignment === null || members.includes(member.memberId) || isExcused(keyName(key))) return;
    const entry = bucket.get(key);
    if (entry?.kind !== "record" || entry.revision !== expect) return;
    const { record } = entry;
    if (record.kind === "claim" && record.memberId === member.memberId) return;
    if (record.kind === "release" && record.successor === member.memberId) return;
    const since = truth.freeSince(key.resource);
    if (since === null || time.now - since >= UNOWNED_GRACE_MS / RATE_SLACK) return;
    fail(
      `${member.incarnation}, which its plan does not know, claims ${key.resource} ${Math.round(time.now - since)} ms after its last owner`,
    );
  }

  // ---------------------------------------------------------------------------------------------- plans

  /** A plan that answers a join or a departure moves nothing, also not what the plan before has moved and is still on its way. */
  plans(observed: ObservedMember, { record, expect }: GroupWrite): void {
    const { member } = observed;
    const { time, truth, fail, isCalm, isExcused } = this.#options;
    const before = truth.plan();
    const next = balance.decode((record as PlanRecord).plan);
    if (before === null || next === null || before.revision !== expect || !isCalm(observed)) return;
    const settlesMs = member.config.settleMs / RATE_SLACK;
    if (
      time.now - observed.wishedAt < 2 * UNOWNED_GRACE_MS ||
      !this.#differs(before.members, next.members, settlesMs)
    )
      return;
    const there = new Map(truth.members().map((one) => [one.memberId, one]));
    for (const [resource, was] of before.assignment) {
      const is = next.assignment.get(resource);
      if (is === undefined || is === was || !next.members.includes(was)) continue;
      if (!isFit(there.get(was), resource) || this.#isNewer(resource, before.revision)) continue;
      // Its owner may be another one than the bucket shows.
      if (isExcused(keyName({ kind: "owner", resource }))) continue;
      fail(
        `${member.incarnation}'s plan for members that have just joined or left moves ${resource} from ${was} to ${is}`,
      );
    }
  }

  /** Whether a member has joined or left within this time, by which the plans differ. */
  #differs(before: readonly string[], next: readonly string[], withinMs: number): boolean {
    const { time, truth } = this.#options;
    return [...before, ...next].some(
      (memberId) =>
        before.includes(memberId) !== next.includes(memberId) &&
        time.now - truth.changedAt(memberId) < withinMs,
    );
  }

  #isNewer(resource: string, revision: number): boolean {
    return (this.#options.bucket.get({ kind: "owner", resource })?.revision ?? 0) > revision;
  }
}

/** May the member keep or get the resource? */
function isFit(member: PlanMember | undefined, resource: string): boolean {
  return member !== undefined && member.weight > 0 && !member.refused.includes(resource);
}

function namesOf({ host }: Member): string {
  return JSON.stringify(host.resources.map(({ name }) => name));
}

/** May the member own it, as far as the member knows? */
function mayTake(observed: ObservedMember, resource: string): boolean {
  const { host } = observed.member;
  const isListed = host.resources.some(({ name }) => name === resource);
  return isListed && host.weight > 0 && host.plan.maxOwned === undefined && observed.takes(resource);
}
