/**
 * What must hold in every history of a group. The checker judges from outside and on true time: by what the bucket has committed, by
 * `isHeld` asked of every member after everything that happens, and by the effects that the application receives.
 * docs/simulator.md lists the invariants.
 */
import { roundTripMs } from "../../../src/election/silence.ts";
import type { GroupEffect, GroupEvent } from "../../../src/group/core/events.ts";
import type { GroupEntry, GroupKey, GroupWrite } from "../../../src/group/core/types.ts";
import type { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import {
  type Commit,
  type FakeGroupBucket,
  keyName,
} from "../../../src/testing/simulation/fakes/fake-group-bucket.ts";
import { EXACT_AFTER_PAUSE_MS } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import { Violation } from "../../simulator/check/violation.ts";
import { HEARTBEAT_MS, LEASE_TTL_MS, RATE_SLACK, RETRY_DELAY_MS, SPAN_MS } from "../timing.ts";
import type { Member, Witness } from "../world/member.ts";
import { ObservedMember } from "./observed-member.ts";
import { Placement } from "./placement.ts";
import { numberOf, Truth } from "./truth.ts";

/** A stopped process may be stale for 250 ms, checks every 50 ms, and needs a few for the turn of its event loop. */
const STALE_MS = 320;
/** For so long after an operator's intervention a member may not know of it: it finds out, or its session expires. */
const UNAWARE_MS = LEASE_TTL_MS * RATE_SLACK + 500;
/** Longer than a message takes to a member whose network has no fault. */
const EARLY_MS = 20;
/** After a pause a process may be held again without an event, as soon as it has checked its connection. */
const RECHECK_MS = EXACT_AFTER_PAUSE_MS - 100;
/** A heartbeat, the pause after its ack, a bulk read, and as much again. */
const KNOWN_MS = 2 * (HEARTBEAT_MS + RETRY_DELAY_MS);
/** A renewal that is later than this was not answered. */
const RENEWED_MS = 1.3 * HEARTBEAT_MS;

export interface CheckerOptions {
  readonly time: VirtualTime;
  readonly bucket: FakeGroupBucket;
  readonly connections: FakeConnections;
}

export class Checker implements Witness {
  readonly #options: CheckerOptions;
  readonly truth: Truth;
  readonly #placement: Placement;
  readonly #members = new Map<Member, ObservedMember>();
  /** By name of the key, the true time until which its owners may differ from what it says. */
  readonly #excusedUntil = new Map<string, number>();
  #allExcusedUntil = Number.NEGATIVE_INFINITY;
  /** Keys that an operator has removed without a message: their owners find out when another member writes them. */
  readonly #removed = new Set<string>();
  /** Keys whose newest message the servers have lost: its writer finds out when another member writes them. */
  readonly #lost = new Set<string>();
  /** Largest epoch of a term that has begun, by resource. */
  readonly #epochs = new Map<string, number>();
  /** Revisions may repeat from now on: only what a member has seen itself bounds its epochs. */
  #lostHistory = false;
  #failure: string | null = null;
  #dirty = true;
  #recheckUntil = 0;
  /** Of the last seconds, oldest first. */
  readonly #commits: { readonly at: number; readonly sequence: number }[] = [];
  /** When the watchers last received forged messages that are taken in: they delay claims, and what is planned. */
  #forgedAt = Number.NEGATIVE_INFINITY;
  /** Their keys and revisions. Until the real message with the same two has come, a claim may rely on the forged one: documented. */
  readonly #forged = new Set<string>();
  /** When a fault struck last. */
  #disturbedAt = Number.NEGATIVE_INFINITY;
  /** Called after every step; writes the trace. */
  onStep: ((member: Member, event: GroupEvent, effects: readonly GroupEffect[]) => void) | null = null;
  /** Called for every term that begins. */
  onOwn: ((member: Member, resource: string) => void) | null = null;
  terms = 0;
  steps = 0;
  /** How often a session was ended by a wrong clock; how often its member was to know at once. */
  earlyFences = 0;
  promptFences = 0;
  readonly effects: Record<string, number> = {};

  constructor(options: CheckerOptions) {
    this.#options = options;
    const { time, bucket, connections } = options;
    this.truth = new Truth({
      time,
      bucket,
      connections,
      fail: (message) => this.#fail(message),
      excuse: (key) => this.excuse(key),
      isExcused: (key) => this.#isExcused(keyName(key)),
      wrongRateOf: (incarnation) => wrongRateOf(this.#memberOf(incarnation)),
      fencedEarly: (incarnation) => this.#fencedEarly(incarnation),
    });
    this.#placement = new Placement({
      time,
      bucket,
      truth: this.truth,
      fail: (message) => this.#fail(message),
      members: () => this.#members.values(),
      isCalm: (observed) => this.#isCalm(observed),
      isExcused: (name) => this.#isExcused(name),
    });
    bucket.watch({ commit: (commit) => this.#onCommit(commit), gone: () => this.excuseAll() });
  }

  started(member: Member): void {
    this.#members.set(member, new ObservedMember(member));
  }

  threw(member: Member, thrown: unknown): void {
    this.#fail(`${member.incarnation} threw ${(thrown as Error).stack ?? thrown}`);
  }

  invalidate(): void {
    this.#disturbedAt = this.#options.time.now;
    this.#recheckUntil = this.#disturbedAt + RECHECK_MS;
  }

  forged({ key, revision }: GroupEntry): void {
    this.#forgedAt = this.#options.time.now;
    this.#forged.add(`${keyName(key)} ${revision}`);
  }

  /** An operator changes this key: its owners find out in time, and not at once. */
  excuse(key: GroupKey): void {
    const until = this.#options.time.now + UNAWARE_MS;
    this.#excusedUntil.set(keyName(key), until);
    // All that this member owns hangs by its session.
    if (key.kind === "session") this.#excusedUntil.set(`member ${key.memberId}`, until);
  }

  /** An operator removes this key without a message. */
  removed(key: GroupKey): void {
    this.#removed.add(keyName(key));
    this.excuse(key);
  }

  /** The servers have lost the newest messages of these keys. */
  lost(keys: Iterable<GroupKey>): void {
    this.excuseAll();
    for (const key of keys) this.#lost.add(keyName(key));
  }

  excuseAll(): void {
    this.#removed.clear();
    this.#lost.clear();
    this.#allExcusedUntil = this.#options.time.now + UNAWARE_MS;
    this.#lostHistory = true;
    this.#commits.length = 0;
    this.truth.reset();
  }

  step(member: Member, event: GroupEvent, effects: readonly GroupEffect[]): void {
    const { now } = this.#options.time;
    const observed = this.#observed(member);
    this.#dirty = true;
    this.steps += 1;
    const problem = observed.step(event, effects, now) ?? this.#stays(observed, event);
    if (problem !== null) this.#fail(`${member.incarnation} ${problem}`);
    for (const effect of effects) {
      this.effects[effect.type] = (this.effects[effect.type] ?? 0) + 1;
      if (effect.type === "write") this.#sends(observed, effect.write);
      else if (effect.type === "own") {
        this.#begins(observed, effect.resource, effect.epoch);
        const isGivenUp = effects.some((one) => one.type === "drain" && one.resource === effect.resource);
        if (!isGivenUp && !member.isHeldByLease(effect.resource))
          this.#fail(`${member.incarnation} begins a term of ${effect.resource} that it does not hold`);
      }
    }
    this.onStep?.(member, event, effects);
  }

  /** The alive members that hold this resource. */
  holdersOf(resource: string): Member[] {
    return [...this.#members.keys()].filter((member) => member.alive && member.isHeld(resource));
  }

  /** Called after everything that happened. */
  check(): void {
    if (this.#failure !== null) throw new Violation(this.#failure);
    const { now } = this.#options.time;
    if (!this.#dirty && now > this.#recheckUntil) return;
    this.#dirty = false;
    const busy = new Map<string, Member>();
    for (const [member, observed] of this.#members) {
      if (!member.alive) this.#members.delete(member);
      else {
        this.#checkMember(observed, busy);
        this.#checkKnowledge(observed);
      }
    }
    if (this.#failure !== null) throw new Violation(this.#failure);
  }

  #checkMember(observed: ObservedMember, busy: Map<string, Member>): void {
    const { member } = observed;
    for (const [resource, term] of observed.terms) {
      const isHeld = member.isHeld(resource);
      if (isHeld && term.draining) this.#fail(`${member.incarnation} holds ${resource} while it drains`);
      const drains = member.application.works.get(resource)?.draining === true && member.isSessionHeld();
      if (!isHeld && !drains) continue;
      const other = busy.get(resource);
      if (
        other !== undefined &&
        !this.#isExcusedOwner(other, resource) &&
        !this.#isExcusedOwner(member, resource)
      ) {
        const how = isHeld ? "holds" : "still works on";
        this.#fail(
          `${member.incarnation} ${how} ${resource} while ${other.incarnation} holds it or works on it`,
        );
      }
      busy.set(resource, member);
      if (isHeld) this.#checkHeld(observed, resource, term.epoch);
    }
  }

  /** Held implies: its key stands, its session is not over, and its newest applied renewal is young enough. */
  #checkHeld(observed: ObservedMember, resource: string, epoch: number): void {
    const { member } = observed;
    const { bucket, time } = this.#options;
    const sinceMs = time.now - observed.confirmedSend;
    if (sinceMs > SPAN_MS * RATE_SLACK + 1)
      this.#fail(
        `${member.incarnation} holds ${resource} ${Math.round(sinceMs)} ms after the send of its newest renewal`,
      );
    this.#checkConnection(member, resource);
    if (this.#isExcusedOwner(member, resource)) return;
    const entry = bucket.get({ kind: "owner", resource });
    const record = entry?.kind === "record" && entry.record.kind === "claim" ? entry.record : null;
    if (entry === null || record === null || record.incarnation !== member.incarnation) {
      this.#fail(`${member.incarnation} holds ${resource} with epoch ${epoch}, and its key does not name it`);
    } else if (numberOf(entry.revision, record.above) !== epoch) {
      this.#fail(`${member.incarnation} holds ${resource} with epoch ${epoch}, and its key has another`);
    } else if (this.truth.isOver(member.memberId, record.session)) {
      this.#fail(`${member.incarnation} holds ${resource}, and its session ${record.session} is over`);
    }
  }

  /** The silence that its record promises; 0: none, as where the account of its connection is not known. */
  #promisedMs({ memberId }: Member): number {
    const entry = this.#options.bucket.get({ kind: "session", memberId });
    if (entry?.kind !== "record" || entry.record.kind !== "session") return 0;
    return entry.record.session?.silence?.ms ?? 0;
  }

  /** With a presence, its server's word about the connection entitles others to take over. */
  #checkConnection(member: Member, resource: string): void {
    const { lostAt, lostUnread } = member.session;
    if (lostAt === null || member.config.crashDetection !== "presence") return;
    const lostMs = this.#options.time.now - lostAt;
    if (lostMs > (lostUnread ? this.#provenMs(member) : STALE_MS))
      this.#fail(
        `${member.incarnation} holds ${resource} ${Math.round(lostMs)} ms after its connection was lost`,
      );
  }

  /** For how long an answer entitles it to be held, whatever has become of its connection since. */
  #provenMs(member: Member): number {
    return roundTripMs(this.#promisedMs(member)) * RATE_SLACK;
  }

  /** It has yet to read what arrived before the end of its connection, or no packet says so: documented, for so long. */
  #isUnread(member: Member): boolean {
    const { lostAt, lostUnread } = member.session;
    if (member.config.crashDetection !== "presence" || lostAt === null || !lostUnread) return false;
    return this.#options.time.now - lostAt <= this.#provenMs(member);
  }

  /** While its requests are answered, a member knows what was committed, whatever becomes of the messages. */
  #checkKnowledge(observed: ObservedMember): void {
    const { member } = observed;
    const { time, bucket } = this.#options;
    const { state } = member.driver;
    const isServed =
      state.own.phase === "live" &&
      isAnswered(member) &&
      bucket.exists &&
      bucket.outage === null &&
      time.now - observed.confirmedSend < RENEWED_MS;
    if (!isServed) observed.servedSince = time.now;
    if (time.now - observed.servedSince < KNOWN_MS) return;
    const committed = this.#sequenceAt(time.now - KNOWN_MS);
    if (state.knowing.sequence < committed)
      this.#fail(
        `${member.incarnation} knows everything up to ${state.knowing.sequence}, and ${committed} was committed ${KNOWN_MS} ms ago`,
      );
  }

  /** It knows everything, and nothing has kept it from knowing and acting at once for some time. */
  #isCalm({ member, servedSince }: ObservedMember): boolean {
    if (!member.alive || this.#options.time.now - this.#forgedAt < KNOWN_MS) return false;
    const { state } = member.driver;
    // After it has found that writes are lost it claims nothing until the sessions are over that it knew of.
    const isQuiet = state.quietUntilMono > member.clock.now().mono;
    if (!isReachable(member) || !isAnswered(member) || isQuiet || state.own.phase !== "live") return false;
    return this.#options.time.now - servedSince >= KNOWN_MS;
  }

  /** The last sequence at this time, or earlier. */
  #sequenceAt(at: number): number {
    const commits = this.#commits;
    while (commits.length > 1 && (commits[1]?.at ?? at + 1) <= at) commits.shift();
    const [first] = commits;
    return first === undefined || first.at > at ? 0 : first.sequence;
  }

  #begins(observed: ObservedMember, resource: string, epoch: number): void {
    const { member } = observed;
    this.terms += 1;
    const largest = this.#epochs.get(resource) ?? 0;
    const own = observed.largestEpoch.get(resource) ?? 0;
    const isExcused =
      this.#lostHistory || this.#isUnread(member) || this.#isExcused(`forged owner.${resource}`);
    const before = isExcused ? own : largest;
    if (epoch <= before)
      this.#fail(`${member.incarnation} begins epoch ${epoch} of ${resource} after ${before} has begun`);
    this.#epochs.set(resource, Math.max(largest, epoch));
    observed.largestEpoch.set(resource, Math.max(own, epoch));
    this.onOwn?.(member, resource);
  }

  #sends(observed: ObservedMember, write: GroupWrite): void {
    const { record } = write;
    const { member } = observed;
    if (record.kind === "release") {
      const { resource } = write.key as { readonly resource?: string };
      const work = resource === undefined ? undefined : member.application.works.get(resource);
      if (work !== undefined && this.#isOwnClaim(member, write, work.epoch))
        this.#fail(`${member.incarnation} releases ${resource} while it works on it`);
    }
    if (
      record.kind === "session-end" &&
      record.incarnation === member.incarnation &&
      record.of === member.memberId
    ) {
      const [one] = member.application.works.keys();
      if (one !== undefined) this.#fail(`${member.incarnation} ends its session while it works on ${one}`);
    }
    if (record.kind === "claim") this.#placement.claims(observed, write);
    else if (record.kind === "release") this.#placement.releases(observed, write);
    else if (record.kind === "plan") this.#placement.plans(observed, write);
    observed.sent(write, this.#options.time.now);
  }

  /** Whether this release is of the claim with that epoch: an orphan's is not. */
  #isOwnClaim({ memberId }: Member, { key, record }: GroupWrite, epoch: number): boolean {
    return (
      key.kind === "owner" &&
      record.memberId === memberId &&
      record.kind === "release" &&
      record.epoch === epoch
    );
  }

  #onCommit(commit: Commit): void {
    this.#dirty = true;
    const { entry } = commit;
    this.#commits.push({ at: this.#options.time.now, sequence: entry.revision });
    if (this.#removed.delete(keyName(entry.key))) this.excuse(entry.key);
    const name = keyName(entry.key);
    if (this.#forged.has(`${name} ${entry.revision}`)) {
      this.excuse(entry.key);
      this.#excusedUntil.set(`forged ${name}`, this.#options.time.now + UNAWARE_MS);
    }
    if (this.#lost.delete(name)) this.#excusedUntil.set(`lost ${name}`, this.#options.time.now + UNAWARE_MS);
    this.truth.commit(commit);
    this.#placement.committed(commit);
    if (entry.kind !== "record" || entry.record.kind !== "session") return;
    for (const [member, observed] of this.#members)
      if (member.incarnation === entry.record.incarnation) observed.applied(entry.record);
  }

  /** An answer has shown that its session is over: it ends in that step. */
  #stays({ member, session }: ObservedMember, event: GroupEvent): string | null {
    if (session === null || event.type !== "read" || event.outcome.kind !== "snapshot") return null;
    const { entry, generation } = event.outcome;
    if (entry?.kind !== "record" || generation !== entry.record.generation) return null;
    const { key, record, revision } = entry;
    if (key.kind !== "session" || key.memberId !== member.memberId) return null;
    if (
      record.kind === "session-end" &&
      record.number === session &&
      record.incarnation !== member.incarnation
    )
      return `goes on with session ${session}, whose end an answer has shown`;
    const number = record.kind === "session" ? (record.number ?? numberOf(revision, record.above)) : 0;
    return number > session
      ? `goes on with session ${session}, although an answer has shown ${number}`
      : null;
  }

  /**
   * The clock of another member is wrong: both may be held until this one knows. Where nothing delays the message of the end, that takes a
   * moment, and the member warns.
   */
  #fencedEarly(incarnation: string): void {
    const { time } = this.#options;
    const member = this.#memberOf(incarnation);
    if (member === undefined) return;
    const observed = this.#observed(member);
    const { session, earlyWarnings } = observed;
    const isHeld = member.driver.provenRemainingMs() > 2 * EARLY_MS;
    const since = time.now;
    this.excuse({ kind: "session", memberId: member.memberId });
    this.earlyFences += 1;
    // It may have ended its session itself: its renewals were not answered.
    if (session === null || !isReachable(member)) return;
    time.after(EARLY_MS, () => {
      if (this.#disturbedAt >= since || !isReachable(member)) return;
      this.promptFences += 1;
      if (observed.session === session)
        this.#fail(`${incarnation} goes on ${EARLY_MS} ms after another has ended its session early`);
      else if (isHeld && observed.earlyWarnings === earlyWarnings)
        this.#fail(`${incarnation} was fenced before its deadline, and does not warn`);
    });
  }

  #memberOf(incarnation: string): Member | undefined {
    for (const member of this.#members.keys()) if (member.incarnation === incarnation) return member;
    return undefined;
  }

  #isExcusedOwner(member: Member, resource: string): boolean {
    const { lostAt } = member.session;
    if (lostAt !== null && member.config.crashDetection === "presence") return true;
    if (this.#lost.has(`owner.${resource}`) || this.#isExcused(`lost owner.${resource}`)) return true;
    return this.#isExcused(`owner.${resource}`) || this.#isExcused(`member ${member.memberId}`);
  }

  #isExcused(name: string): boolean {
    const { now } = this.#options.time;
    if (this.#removed.has(name)) return true;
    return now <= this.#allExcusedUntil || now <= (this.#excusedUntil.get(name) ?? Number.NEGATIVE_INFINITY);
  }

  #observed(member: Member): ObservedMember {
    const observed = this.#members.get(member);
    if (observed === undefined) throw new Error(`bug: ${member.incarnation} was not started`);
    return observed;
  }

  #fail(message: string): void {
    this.#failure ??= message;
  }
}

/** Its messages arrive at once: nothing has happened to its connection, its network and its process. */
function isReachable({ alive, clock, session, host }: Member): boolean {
  const { dropWatch, dropResponses, dropRequests, watchLoss, watchJitterMs, latencyMs } = host.network;
  const isLossy = dropWatch || dropResponses || dropRequests || watchLoss > 0 || watchJitterMs > 0;
  return alive && clock.caughtUp && session.connected && !session.isStalled && !isLossy && latencyMs === 1;
}

/** Its requests are answered at once, whatever becomes of the messages. */
function isAnswered({ clock, session, host }: Member): boolean {
  const { dropRequests, dropResponses, lostRequests, lostAnswers, lateWrites, stale, latencyMs } =
    host.network;
  if (!clock.caughtUp || !session.connected || session.link === null || session.isStalled) return false;
  if (dropRequests || dropResponses || latencyMs > 1 || stale !== null) return false;
  return lostRequests.size === 0 && lostAnswers.size === 0 && lateWrites.length === 0;
}

/** 1: its clock is right, as far as the margin allows for. */
function wrongRateOf(member: Member | undefined): number {
  const rate = member?.host.plan.rate ?? 1;
  return rate > RATE_SLACK ? rate : 1;
}
