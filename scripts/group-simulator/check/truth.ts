/**
 * What is true of the group by what the bucket has committed: which sessions are over, which claims and releases, fences and plans
 * were lawful. Knows the records, and nothing of the core.
 */

import { balance } from "../../../src/group/balance.ts";
import type { PlanMember, StoredPlan } from "../../../src/group/core/balance.ts";
import type {
  Claim,
  GroupEntry,
  GroupRecord,
  PlanRecord,
  Release,
  SessionEnd,
  SessionRecord,
} from "../../../src/group/core/types.ts";
import { silenceWaitMs } from "../../../src/inquiry/durations.ts";
import type { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import {
  type Commit,
  type FakeGroupBucket,
  keyName,
} from "../../../src/testing/simulation/fakes/fake-group-bucket.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import { LEASE_TTL_MS, RATE_SLACK } from "../timing.ts";

/** A session as its key shows it. */
interface LiveSession {
  readonly number: number;
  readonly incarnation: string;
  readonly entry: GroupEntry;
  readonly at: number;
  readonly begunAt: number;
}

export interface TruthOptions {
  readonly time: VirtualTime;
  readonly bucket: FakeGroupBucket;
  readonly connections: FakeConnections;
  readonly fail: (message: string) => void;
  /** A key does not say what its members believe it says: an operator, or a message that strayed from another bucket. */
  readonly excuse: (key: GroupEntry["key"]) => void;
  /** Milliseconds on the clock of this process per true millisecond, if it is wrong by more than the margin allows for; otherwise 1. */
  readonly wrongRateOf: (incarnation: string) => number;
  /** A clock that is wrong has entitled a process to end this session, which may be held. */
  readonly fencedEarly: (incarnation: string) => void;
  /** Whether that is so now. */
  readonly isExcused: (key: GroupEntry["key"]) => boolean;
}

/** The number that a record's revision gives, as the protocol defines it. */
export function numberOf(revision: number, above: number): number {
  return Math.max(revision, above + 1);
}

export class Truth {
  readonly #options: TruthOptions;
  /** By member id: every session up to this number is over. */
  readonly #overUpTo = new Map<string, number>();
  /** By member id: when sessions turned out to be over, oldest first. */
  readonly #ends = new Map<string, { readonly upTo: number; readonly at: number }[]>();
  readonly #live = new Map<string, LiveSession>();
  /** By member id and number: the incarnation that began it. */
  readonly #begun = new Map<string, string>();
  /** By epoch: the incarnation whose claim of the coordinator's key it is. */
  readonly #coordinators = new Map<number, string>();
  /** By name of an owner key: its newest claim, unless it was released since. */
  readonly #owners = new Map<string, Claim>();
  /** By name of a key: what is no record of this bucket, and when it was committed. */
  readonly #strays = new Map<string, { readonly revision: number; readonly at: number }>();
  /** When each revision of the present bucket was committed. */
  readonly #committedAt = new Map<number, number>();
  /** Counts what was committed, by kind of record and of what was on the key before. */
  readonly kinds: Record<string, number> = {};

  constructor(options: TruthOptions) {
    this.#options = options;
  }

  isOver(memberId: string, session: number): boolean {
    return session <= (this.#overUpTo.get(memberId) ?? 0);
  }

  /** The members that are there, by their newest records, in order of their ids. One that gives everything up has weight 0. */
  members(): PlanMember[] {
    const members: PlanMember[] = [];
    for (const [memberId, { entry }] of this.#live) {
      if (entry.kind !== "record" || entry.record.kind !== "session") continue;
      const { weight, draining, zone, maxOwned, refused } = entry.record;
      members.push({
        memberId,
        weight: draining ? 0 : weight,
        refused,
        ...(zone === undefined ? {} : { zone }),
        ...(maxOwned === undefined ? {} : { maxOwned }),
      });
    }
    return members.sort((one, other) => (one.memberId < other.memberId ? -1 : 1));
  }

  /** When this session was begun, if it is the present one of its member; when the last one was over otherwise. */
  changedAt(memberId: string): number {
    const begun = this.#live.get(memberId)?.begunAt;
    return begun ?? this.#ends.get(memberId)?.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  }

  /** The plan in the bucket, if it is one of this group. */
  plan(): (StoredPlan & { readonly revision: number }) | null {
    const { bucket } = this.#options;
    const entry = bucket.get({ kind: "plan" });
    if (entry?.kind !== "record" || entry.record.kind !== "plan") return null;
    if (entry.record.generation !== bucket.generation) return null;
    const stored = balance.decode(entry.record.plan);
    return stored === null || stored.members.length === 0 ? null : { ...stored, revision: entry.revision };
  }

  /** The member whose claim stands; `null`: the resource has no owner. */
  ownerOf(resource: string): string | null {
    const entry = this.#options.bucket.get({ kind: "owner", resource });
    if (entry?.kind !== "record" || entry.record.kind !== "claim") return null;
    const { memberId, session } = entry.record;
    return this.isOver(memberId, session) ? null : memberId;
  }

  /** Since when the resource has no owner; `null`: it has one, or its key shows none. */
  freeSince(resource: string): number | null {
    const entry = this.#options.bucket.get({ kind: "owner", resource });
    if (entry?.kind !== "record") return null;
    const { record } = entry;
    const writtenAt = this.#committedAt.get(entry.revision) ?? 0;
    if (record.kind === "release") return writtenAt;
    if (record.kind !== "claim") return null;
    const end = this.#ends.get(record.memberId)?.find(({ upTo }) => upTo >= record.session);
    return end === undefined ? null : Math.max(writtenAt, end.at);
  }

  /** The bucket was deleted, or has lost its newest messages: what counts is what is in it. */
  reset(): void {
    const { bucket, time } = this.#options;
    this.#overUpTo.clear();
    this.#ends.clear();
    this.#live.clear();
    this.#owners.clear();
    this.#strays.clear();
    this.#committedAt.clear();
    for (const entry of bucket.state().keys.values()) {
      this.#committedAt.set(entry.revision, time.now);
      if (entry.kind === "record" && entry.record.generation === bucket.generation)
        this.#takeIn(entry.key, entry, entry.record);
    }
  }

  commit({ entry, before }: Commit): void {
    const { bucket, time, excuse } = this.#options;
    this.#committedAt.set(entry.revision, time.now);
    const { key } = entry;
    if (entry.kind !== "record") {
      if (key.kind === "session") this.#live.delete(key.memberId);
      this.#strays.set(keyName(key), { revision: entry.revision, at: time.now });
      return excuse(key);
    }
    const { record } = entry;
    this.#count(record, before);
    // It was meant for a bucket that is deleted. To the members it is garbage.
    if (record.generation !== bucket.generation) {
      this.#strays.set(keyName(key), { revision: entry.revision, at: time.now });
      return excuse(key);
    }
    this.#checkStray(key, record, before);
    switch (record.kind) {
      case "session":
        this.#session(entry, record, before);
        break;
      case "session-end":
        this.#sessionEnd(entry, record);
        break;
      case "claim":
        this.#claim(entry, record, before);
        break;
      case "release":
        this.#release(record, before, keyName(key));
        break;
      case "plan":
        this.#plan(record, before);
        break;
      default:
        record satisfies never;
    }
    this.#takeIn(key, entry, record);
  }

  /**
   * Invariant: what is no record of this bucket, W must pass before a claim, a begin or an end replaces it: it may have replaced what its
   * holder counts on.
   */
  #checkStray(key: GroupEntry["key"], record: GroupRecord, before: GroupEntry | null): void {
    const name = keyName(key);
    const stray = this.#strays.get(name);
    if (stray === undefined || before === null || stray.revision !== before.revision) return;
    const isBegin = record.kind === "session" && record.number === null;
    if (record.kind !== "claim" && record.kind !== "session-end" && !isBegin) return;
    const owner = this.#owners.get(name);
    if (owner !== undefined && this.isOver(owner.memberId, owner.session)) return;
    const waitedMs = this.#options.time.now - stray.at;
    if (waitedMs >= LEASE_TTL_MS / RATE_SLACK || this.#options.wrongRateOf(record.incarnation) > 1) return;
    this.#fail(
      `${record.incarnation} replaces what is no record of this bucket, on ${name}, after ${Math.round(waitedMs)} ms`,
    );
  }

  #takeIn(key: GroupEntry["key"], entry: GroupEntry, record: GroupRecord): void {
    if (record.kind === "session" && key.kind === "session") {
      const number = record.number ?? numberOf(entry.revision, record.above);
      this.#endUpTo(key.memberId, number - 1);
      this.#begun.set(`${key.memberId} ${number}`, record.incarnation);
      const { incarnation } = record;
      const [at, before] = [this.#options.time.now, this.#live.get(key.memberId)];
      const begunAt = before?.number === number ? before.begunAt : at;
      this.#live.set(key.memberId, { number, incarnation, entry, at, begunAt });
    } else if (record.kind === "session-end" && key.kind === "session") {
      this.#endUpTo(key.memberId, record.number);
      this.#live.delete(key.memberId);
    } else if (record.kind === "claim") {
      this.#owners.set(keyName(key), record);
    } else if (record.kind === "release") {
      this.#owners.delete(keyName(key));
    }
    if (record.kind === "claim" && key.kind === "coordinator") {
      this.#coordinators.set(numberOf(entry.revision, record.above), record.incarnation);
    }
  }

  #endUpTo(memberId: string, number: number): void {
    const before = this.#overUpTo.get(memberId) ?? 0;
    if (number <= before) return;
    this.#overUpTo.set(memberId, number);
    const ends = this.#ends.get(memberId) ?? [];
    ends.push({ upTo: number, at: this.#options.time.now });
    this.#ends.set(memberId, ends);
  }

  #session(entry: GroupEntry, record: SessionRecord, before: GroupEntry | null): void {
    const live = this.#live.get(record.memberId);
    const who = `${record.incarnation} (revision ${entry.revision})`;
    if (record.number !== null) {
      if (live?.number === record.number && live.incarnation === record.incarnation) return;
      if (!this.#isExcused(entry))
        return this.#fail(`${who} renews session ${record.number}, which is not live`);
      // After lost history it may expect the revision that its end marker has got. Then it goes on.
      if (this.#begun.get(`${record.memberId} ${record.number}`) === record.incarnation)
        this.#goesOn(entry.key, record.memberId, record.number);
      return;
    }
    // A begin over the live session of another incarnation is a fence.
    if (live !== undefined && live.incarnation !== record.incarnation && before !== null)
      this.#checkEvidence(live, record.incarnation, `${who} begins a session`);
  }

  /** The end of this session was replaced: the members that know of it have to find out. */
  #goesOn(key: GroupEntry["key"], memberId: string, number: number): void {
    if (!this.isOver(memberId, number)) return;
    this.#overUpTo.set(memberId, number - 1);
    this.#ends.set(memberId, this.#ends.get(memberId)?.filter(({ upTo }) => upTo < number) ?? []);
    this.#options.excuse(key);
  }

  #sessionEnd(entry: GroupEntry, record: SessionEnd): void {
    const live = this.#live.get(record.of);
    const who = `${record.incarnation} (revision ${entry.revision})`;
    if (live?.number !== record.number) {
      // Where the record of a session has vanished, its claims name it.
      const wasBegun = this.#begun.has(`${record.of} ${record.number}`);
      if (live !== undefined || !wasBegun)
        this.#failUnlessExcused(
          entry,
          `${who} ends session ${record.number} of ${record.of}, which is not live`,
        );
      return;
    }
    if (record.incarnation !== live.incarnation)
      this.#checkEvidence(live, record.incarnation, `${who} fences session ${record.number}`);
  }

  /** Invariant: a session is ended by another member only when it cannot be held any more, by the clocks or the server. */
  #checkEvidence(live: LiveSession, fencer: string, what: string): void {
    if (this.#isExcused(live.entry) || this.#isOverBy(live, 1)) return;
    const rate = this.#options.wrongRateOf(fencer);
    if (rate > 1 && this.#isOverBy(live, rate)) return this.#options.fencedEarly(live.incarnation);
    const waitedMs = Math.round(this.#options.time.now - this.#sinceOf(live));
    this.#fail(`${what} ${waitedMs} ms after its newest renewal, and its connection is open`);
  }

  /** Is the session over by the server, or by a clock of this rate? */
  #isOverBy(live: LiveSession, rate: number): boolean {
    const { time, connections } = this.#options;
    const { entry, at } = live;
    if (entry.kind !== "record" || entry.record.kind !== "session") return true;
    const { ttlMs, session } = entry.record;
    const slack = RATE_SLACK * rate;
    if (time.now - this.#sinceOf(live) >= Math.max(LEASE_TTL_MS, ttlMs) / slack) return true;
    if (session?.presence !== undefined && !connections.open.has(session.clientId)) return true;
    if (session?.silence === undefined) return false;
    if (!connections.open.has(session.clientId)) return true;
    return connections.longestSilence(session, at) >= silenceWaitMs(session.silence.ms) / slack - 2;
  }

  #sinceOf({ entry, at }: LiveSession): number {
    return this.#committedAt.get(entry.revision) ?? at;
  }

  #claim(entry: GroupEntry, record: Claim, before: GroupEntry | null): void {
    const name = keyName(entry.key);
    const who = `${record.incarnation}'s claim of ${name} (revision ${entry.revision})`;
    const beginner = this.#begun.get(`${record.memberId} ${record.session}`);
    if (beginner !== record.incarnation && !this.#isExcused(entry))
      this.#fail(`${who} names session ${record.session}, which is not its own`);
    if (before?.kind !== "record" || before.record.kind !== "claim") return;
    const other = before.record;
    if (other.generation !== this.#options.bucket.generation) return;
    const isOwn = other.memberId === record.memberId && other.session === record.session;
    if (isOwn || this.isOver(other.memberId, other.session) || this.#isExcused(entry)) return;
    if (this.#isWaitedOut(other, before.revision)) return;
    this.#fail(
      `${who} replaces the claim of ${other.incarnation} in session ${other.session}, which is not over`,
    );
  }

  /**
   * Its session has not begun, as far as the bucket shows: the claim was applied after the servers had lost the begin. As what is no
   * record of this bucket, it is replaced W later.
   */
  #isWaitedOut({ memberId, session }: Claim, revision: number): boolean {
    const { bucket, time } = this.#options;
    const isShown = bucket.get({ kind: "session", memberId })?.kind === "record";
    const number = this.#live.get(memberId)?.number ?? this.#overUpTo.get(memberId) ?? 0;
    const waitedMs = time.now - (this.#committedAt.get(revision) ?? time.now);
    return isShown && number < session && waitedMs >= LEASE_TTL_MS / RATE_SLACK;
  }

  #release(record: Release, before: GroupEntry | null, name: string): void {
    if (before?.kind !== "record" || before.record.kind !== "claim") {
      if (before !== null && !this.#isExcused(before))
        this.#fail(`${record.incarnation} releases ${name}, which has no owner`);
      return;
    }
    const claim = before.record;
    const isOwn = claim.incarnation === record.incarnation && claim.memberId === record.memberId;
    if (!isOwn && !this.#isExcused(before))
      this.#fail(`${record.incarnation} releases ${name} of ${claim.incarnation}`);
  }

  #plan(record: PlanRecord, before: GroupEntry | null): void {
    const { bucket } = this.#options;
    const writer = this.#coordinators.get(record.coordinator);
    if (this.#options.isExcused({ kind: "plan" })) return;
    if (writer !== record.incarnation && !this.#options.isExcused({ kind: "coordinator" }))
      this.#fail(
        `${record.incarnation} writes a plan with epoch ${record.coordinator}, which is not its own`,
      );
    if (before?.kind !== "record" || before.record.kind !== "plan") return;
    if (before.record.generation !== bucket.generation) return;
    if (record.coordinator < before.record.coordinator)
      this.#fail(
        `the plan of coordinator epoch ${record.coordinator} replaces that of ${before.record.coordinator}`,
      );
    if (sameBytes(record.plan, before.record.plan) && !this.#isContradicted(before.revision, record))
      this.#fail(`${record.incarnation} writes the same plan again`);
  }

  /** Whether a claim that is newer than the plan is not by the planned member: the plan is repeated to move the resource. */
  #isContradicted(revision: number, { plan, generation }: PlanRecord): boolean {
    const planned = balance.decode(plan)?.assignment;
    const { committed } = this.#options.bucket;
    for (let index = committed.length - 1; index >= 0; index -= 1) {
      const entry = committed[index];
      if (entry?.kind !== "record") continue;
      const { key, record } = entry;
      if (record.generation !== generation || entry.revision <= revision) return false;
      if (record.kind === "claim" && key.kind === "owner" && planned?.get(key.resource) !== record.memberId)
        return true;
    }
    return false;
  }

  #failUnlessExcused(entry: GroupEntry, message: string): void {
    if (!this.#isExcused(entry)) this.#fail(message);
  }

  #isExcused({ key }: GroupEntry): boolean {
    return this.#options.isExcused(key);
  }

  #fail(message: string): void {
    this.#options.fail(message);
  }

  #count(record: GroupRecord, before: GroupEntry | null): void {
    const was = before === null ? "nothing" : before.kind === "record" ? before.record.kind : before.kind;
    const kind = `${record.kind} over ${was}`;
    this.kinds[kind] = (this.kinds[kind] ?? 0) + 1;
  }
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
