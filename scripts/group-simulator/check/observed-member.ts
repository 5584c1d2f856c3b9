/** What one process has done, as its effects show it, and how much of it. */
import type { GroupEffect, GroupEvent } from "../../../src/group/core/events.ts";
import type { GroupWrite, SessionRecord } from "../../../src/group/core/types.ts";
import { RETRY_DELAY_MS } from "../timing.ts";
import type { Member } from "../world/member.ts";

/** Requests that a member may send within one second, apart from claims and releases; reads may be as many more as there are resources. */
const MAX_READS = 60;
/** More of them where many messages are forged: 16 keys in each retry delay. */
const MAX_READS_OF_FORGED = (16 * 1_000) / RETRY_DELAY_MS;
const MAX_BULK_READS = 12;
const MAX_QUESTIONS = 20;
const MAX_WRITES = 30;
/** Ticks at one moment of its clock. */
const MAX_TICKS = 5;
/** Claims and releases in flight at once: four windows. */
const MAX_IN_FLIGHT = 64;

/** A session is suspended until a renewal on its connection is acknowledged. So many more of them are too many, in a row. */
const ACKS_WHILE_SUSPENDED = 5;
/** So many suspensions in so many times F are too many while the connection lasts. */
const SUSPENSIONS = 8;
const SUSPENSIONS_WITHIN = 12;

/** As in the core. */
const MAX_REFUSED = 16;
const MAX_COMPARED = 6;

export interface ObservedTerm {
  readonly epoch: number;
  draining: boolean;
}

export class ObservedMember {
  readonly member: Member;
  /** Terms that have begun and not ended, by resource. */
  readonly terms: Map<string, ObservedTerm> = new Map();
  /** Largest epoch that this process has begun, by resource. */
  readonly largestEpoch: Map<string, number> = new Map();
  /** True time of the newest send of a session record that is known to be applied. */
  confirmedSend: number = Number.NEGATIVE_INFINITY;
  /** Connections that an applied session record of this process names. */
  readonly namedConnections: Set<number> = new Set();
  readonly #sentAt = new Map<number, number>();
  /** Until when it refuses resources, by its monotonic clock. */
  readonly #refusedUntil = new Map<string, number>();
  #takesNothing = false;
  /** Revisions of the owner keys as it knew them after the last step. */
  #known = new Map<string, number>();
  readonly #owning = new Set<number>();
  /** Number of the session that runs. */
  session: number | null = null;
  /** True time since which its requests are answered. */
  servedSince: number = Number.NEGATIVE_INFINITY;
  /** True time at which it was asked last to move a resource. */
  wishedAt: number = Number.NEGATIVE_INFINITY;
  /** How often it has warned of a fence before its deadline. */
  earlyWarnings = 0;
  #acksInVain = 0;
  /** When its session was suspended on the present connection. */
  #suspendedAt: number[] = [];
  readonly #counts = new Map<string, number>();
  #countsFrom = 0;
  #tickAt = Number.NEGATIVE_INFINITY;
  #ticks = 0;

  constructor(member: Member) {
    this.member = member;
  }

  /** Returns what is wrong, or `null`. */
  step(event: GroupEvent, effects: readonly GroupEffect[], now: number): string | null {
    if (event.type === "written") this.#owning.delete(event.nonce);
    this.#noteWish(event, now);
    const stale = this.#wentBack(event);
    if (stale !== null) return stale;
    let problem: string | null = event.type === "tick" && this.#spins() ? "spins" : null;
    problem ??= this.#staysSuspended(event, effects, now);
    for (const effect of effects) problem ??= this.#term(effect) ?? this.#count(effect, now);
    return problem;
  }

  sent({ key, record }: GroupWrite, now: number): void {
    if (record.kind === "session" && key.kind === "session") this.#sentAt.set(record.nonce, now);
  }

  applied({ nonce, session }: SessionRecord): void {
    if (session !== undefined) this.namedConnections.add(session.clientId);
    this.confirmedSend = Math.max(this.confirmedSend, this.#sentAt.get(nonce) ?? Number.NEGATIVE_INFINITY);
  }

  /** A session whose renewals are acknowledged is held again and stays so. */
  #staysSuspended(event: GroupEvent, effects: readonly GroupEffect[], now: number): string | null {
    const { driver, config } = this.member;
    if (event.type === "disconnected") this.#suspendedAt = [];
    else if (effects.some(({ type }) => type === "suspended")) this.#suspendedAt.push(now);
    if (driver.state.own.phase !== "suspended") this.#acksInVain = 0;
    else if (event.type === "written" && event.outcome.kind === "applied" && this.#sentAt.has(event.nonce))
      this.#acksInVain += 1;
    if (this.#acksInVain > ACKS_WHILE_SUSPENDED)
      return `is suspended although ${this.#acksInVain} renewals were acknowledged`;
    if (this.#suspendedAt.length < SUSPENSIONS) return null;
    const since = this.#suspendedAt.shift() ?? now;
    return now - since > SUSPENSIONS_WITHIN * config.silenceMs ? null : "is suspended again and again";
  }

  /** Every `own` is followed by exactly one `lose` or `released`, perhaps with a `drain` before. */
  #term(effect: GroupEffect): string | null {
    switch (effect.type) {
      case "session-begun":
        if (this.session !== null) return `begins session ${effect.number} in session ${this.session}`;
        this.session = effect.number;
        return null;
      case "session-ended":
        if (this.session !== effect.number) return `ends session ${effect.number}, which it has not begun`;
        this.session = null;
        return null;
      case "own":
        if (this.session === null) return `begins a term of ${effect.resource} without a session`;
        if (this.terms.has(effect.resource)) return `begins a second term of ${effect.resource}`;
        if (!this.takes(effect.resource))
          return `begins a term of ${effect.resource}, which it was called not to take`;
        this.terms.set(effect.resource, { epoch: effect.epoch, draining: false });
        return null;
      case "drain": {
        const term = this.terms.get(effect.resource);
        if (term?.epoch !== effect.epoch) return `drains a term of ${effect.resource} that it does not have`;
        if (term.draining) return `drains a term of ${effect.resource} twice`;
        term.draining = true;
        return effect.reason === "moved" || effect.reason === "draining" ? this.#moves() : null;
      }
      case "lose":
      case "released": {
        const term = this.terms.get(effect.resource);
        if (term?.epoch !== effect.epoch) return `ends a term of ${effect.resource} that it does not have`;
        this.terms.delete(effect.resource);
        return null;
      }
      case "resumed":
        return this.#isNamed() ? null : "resumes its session on a connection that no renewal has named yet";
      case "warning":
        if (effect.code === "FENCED_EARLY") this.earlyWarnings += 1;
        return null;
      case "stopped":
        return this.terms.size > 0 ? `stops with ${this.terms.size} terms` : null;
      default:
        return null;
    }
  }

  /** Was it called to take no resource, or not this one? */
  takes(resource: string): boolean {
    return !this.#takesNothing && !this.#refuses(resource);
  }

  #noteWish(event: GroupEvent, now: number): void {
    if (event.type === "move") this.wishedAt = now;
    else if (event.type === "draining") this.#takesNothing = event.draining;
    else if (event.type === "stop") this.#takesNothing = true;
    else if (event.type === "refuse" && this.#refusedUntil.size < MAX_REFUSED)
      this.#refusedUntil.set(event.resource, this.member.clock.now().mono + event.forMs);
  }

  #refuses(resource: string): boolean {
    const { mono } = this.member.clock.now();
    for (const [name, untilMono] of this.#refusedUntil)
      if (untilMono <= mono) this.#refusedUntil.delete(name);
    return this.#refusedUntil.has(resource);
  }

  /** What a record promises of a connection binds once it is applied: another member may rely on an earlier one until then. */
  #isNamed(): boolean {
    const { config, session } = this.member;
    const { binding } = session;
    return (
      config.crashDetection === "lease" || binding === null || this.namedConnections.has(binding.clientId)
    );
  }

  /** An answer that shows less than it knew changes nothing. In groups of few resources only: it costs a look at each of them. */
  #wentBack(event: GroupEvent): string | null {
    const { resources } = this.member.driver.state;
    if (resources.size > MAX_COMPARED) return null;
    const before = this.#known;
    this.#known = new Map([...resources.values()].map(({ name, revision }) => [name, revision]));
    if (event.type !== "read" || event.outcome.kind !== "snapshot") return null;
    const { entry, lastSequence } = event.outcome;
    if (entry?.key.kind !== "owner") return null;
    const { resource } = entry.key;
    const was = before.get(resource) ?? 0;
    if (lastSequence >= was || (this.#known.get(resource) ?? 0) >= was || this.#known.get(resource) === 0)
      return null;
    return `knew revision ${was} of ${resource}, and believes an answer that is older`;
  }

  /** Voluntary moves: the next one begins when one has ended. */
  #moves(): string | null {
    const leaving = [...this.terms.values()].filter(({ draining }) => draining).length;
    const { maxMoves } = this.member.config;
    return leaving > maxMoves ? `moves ${leaving} resources at once, not ${maxMoves}` : null;
  }

  #count(effect: GroupEffect, now: number): string | null {
    if (now >= this.#countsFrom + 1_000) {
      this.#countsFrom = now;
      this.#counts.clear();
    }
    switch (effect.type) {
      case "read":
        return this.#exceeds("reads", this.#mostReads());
      case "read-after":
        return this.#exceeds("bulk reads", MAX_BULK_READS);
      case "ask":
        return this.#exceeds("questions", MAX_QUESTIONS);
      case "write": {
        const { kind } = effect.write.record;
        if (kind !== "claim" && kind !== "release") return this.#exceeds("writes", MAX_WRITES);
        this.#owning.add(effect.nonce);
        if (this.#owning.size > MAX_IN_FLIGHT)
          return `has ${this.#owning.size} claims and releases in flight`;
        return this.#exceeds(`claims and releases of ${JSON.stringify(effect.write.key)}`, 12);
      }
      default:
        return null;
    }
  }

  #mostReads(): number {
    const { resources, world } = this.member.host;
    const ofForged = world.plan.scenario === "forged" ? MAX_READS_OF_FORGED : 0;
    return MAX_READS + ofForged + 2 * resources.length;
  }

  #exceeds(what: string, limit: number): string | null {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    return count > limit ? `sends ${count} ${what} within a second` : null;
  }

  #spins(): boolean {
    const { mono } = this.member.clock.now();
    this.#ticks = mono === this.#tickAt ? this.#ticks + 1 : 1;
    this.#tickAt = mono;
    return this.#ticks > MAX_TICKS;
  }
}
