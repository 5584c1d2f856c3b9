/**
 * A play with several members on the core alone: one bucket, one virtual clock, 1 ms in each direction. The script injects faults; the
 * transcript shows the events and effects of every member.
 */
import { after, type Instant } from "../../../../src/election/time.ts";
import type { HolderAnswer, OwnConnection, WriteOutcome } from "../../../../src/election/types.ts";
import { wakeDelayMs } from "../../../../src/group/core/act.ts";
import type { GroupConfig, GroupEffect, GroupEvent, Profile } from "../../../../src/group/core/events.ts";
import { step } from "../../../../src/group/core/group.ts";
import { initialState } from "../../../../src/group/core/initial-state.ts";
import { beatsEveryMs, isHeld } from "../../../../src/group/core/outlook.ts";
import { watchedSessions } from "../../../../src/group/core/sessions.ts";
import type { GroupState } from "../../../../src/group/core/state.ts";
import type {
  GroupEntry,
  GroupKey,
  GroupRecord,
  GroupWrite,
  KeyReadOutcome,
} from "../../../../src/group/core/types.ts";
import { traceLine } from "../../../../src/testing/simulation/trace-line.ts";
import { ownedBy } from "../../../support/group/owned-by.ts";
import { balance } from "./balance.ts";
import { effectText, eventText, keyText } from "./text.ts";

export const config: GroupConfig = {
  memberId: "a",
  incarnation: "a1",
  crashDetection: "lease",
  silenceMs: 0,
  leaseTtlMs: 10_000,
  heartbeatIntervalMs: 3_000,
  renewIntervalMs: 3_000,
  requestTimeoutMs: 1_000,
  bulkTimeoutMs: 5_000,
  retryDelayMs: 250,
  window: 16,
  maxMoves: 2,
  settleMs: 2_000,
  rejoinGraceMs: 0,
  unownedGraceMs: 1_000,
  balance,
};

const LATENCY_MS = 1;

/** What becomes of a request. `late`: it is given up, and applied after so long all the same. */
export type Fate = "normal" | "lost" | "answer-lost" | { readonly lateMs: number };

export interface MemberOptions {
  readonly config?: Partial<GroupConfig>;
  readonly profile?: Profile;
  readonly resources?: readonly string[];
  /** Time that work takes to end; `null`: until the script sends `drained`. */
  readonly drainMs?: number | null;
}

export class Member {
  readonly world: World;
  readonly name: string;
  readonly state: GroupState;
  readonly effects: GroupEffect[] = [];
  alive = true;
  connected = false;
  connection = 0;
  /** Each way between it and its server. */
  latencyMs: number = LATENCY_MS;
  /** Decides the fate of each write; the default is normal. */
  fate: (write: GroupWrite) => Fate = () => "normal";
  /** Decides whether a message of the watch arrives. */
  hears: (entry: GroupEntry) => boolean = () => true;
  readonly drainMs: number | null;
  readonly owned: Map<string, number> = new Map();
  /** Its beats do not reach the server. */
  muted = false;
  /** The process stands still: it handles nothing, and what arrives waits. */
  frozen = false;
  readonly #waiting: GroupEvent[] = [];
  readonly #silent: Set<number> = new Set();

  constructor(world: World, name: string, options: MemberOptions) {
    this.world = world;
    this.name = name;
    this.drainMs = options.drainMs === undefined ? 5 : options.drainMs;
    const own: GroupConfig = { ...config, memberId: name, incarnation: `${name}1`, ...options.config };
    this.state = initialState(own, options.profile ?? { weight: 1 }, world.now);
    const names = options.resources ?? world.resources;
    this.quietly({ type: "resources", resources: names.map((resource) => ({ name: resource })) });
  }

  start(): this {
    this.send({ type: "bucket-opened", generation: this.world.generation });
    return this.connect();
  }

  connect(): this {
    this.world.connections += 1;
    this.connection = this.world.connections;
    this.world.open.add(this.connection);
    this.connected = true;
    this.send({ type: "connected", binding: this.binding() });
    if (this.state.config.silenceMs > 0) this.#beat(this.connection, this.world.now);
    return this;
  }

  /** Beats every eighth of F while the connection is open and the process runs: each proves the one before. */
  #beat(connection: number, sentAt: Instant): void {
    const { world } = this;
    const everyMs = this.state.config.silenceMs / 8;
    world.in(everyMs, () => {
      if (!this.alive || !this.connected || this.connection !== connection) return;
      if (!this.frozen) {
        if (!this.muted && beatsEveryMs(this.state) !== null) {
          world.count(connection);
          world.heard(connection);
          // The beat that proves it is sent once its echo has arrived.
          const lateMs = 4 * (this.latencyMs - LATENCY_MS);
          if (lateMs > 0) world.in(lateMs, () => this.#proven(connection, sentAt));
          else this.#proven(connection, sentAt);
        }
        this.#listen(everyMs);
      }
      this.#beat(connection, world.now);
    });
  }

  #proven(connection: number, sentAt: Instant): void {
    if (this.connected && this.connection === connection) this.send({ type: "beat-proven", sentAt });
  }

  /** Reports connections whose beats are missing, and those that are heard again. */
  #listen(everyMs: number): void {
    const { world } = this;
    for (const { serverId, clientId } of watchedSessions(this.state)) {
      const quietMs = world.now.mono - (world.beats.get(clientId) ?? 0);
      const connection = { serverId, clientId };
      if (quietMs > 1.25 * everyMs && !this.#silent.has(clientId)) {
        this.#silent.add(clientId);
        this.send({ type: "holder-silent", connection });
      } else if (quietMs <= 1.25 * everyMs && this.#silent.delete(clientId))
        this.send({ type: "holder-heard", connection });
    }
  }

  binding(): OwnConnection {
    const isLease = this.state.config.crashDetection === "lease";
    return {
      serverId: "s",
      clientId: this.connection,
      ...(isLease ? {} : { presence: `presence.${this.connection}`, account: "acc" }),
    };
  }

  /** The connection ends, and this member notices. */
  disconnect(): this {
    this.cut();
    return this.send({ type: "disconnected" });
  }

  /** The server closes the connection; this member does not notice yet. */
  cut(): void {
    this.connected = false;
    this.world.open.delete(this.connection);
    this.world.announceClosed(this.connection);
  }

  kill(): void {
    this.alive = false;
    if (this.connected) this.cut();
  }

  /** Its host vanishes: no connection is closed. */
  vanish(): void {
    this.alive = false;
    this.connected = false;
  }

  quietly(event: GroupEvent): this {
    step(this.state, event, this.world.now);
    return this;
  }

  send(event: GroupEvent): this {
    if (!this.alive) return this;
    if (this.frozen) {
      if (event.type !== "tick") this.#waiting.push(event);
      return this;
    }
    const effects = step(this.state, event, this.world.now);
    this.effects.push(...effects);
    if ((event.type !== "tick" && event.type !== "beat-proven") || effects.length > 0)
      this.world.append(this.name, `<- ${eventText(event)}`, event);
    for (const effect of effects) {
      this.world.appendLine(this.name, `-> ${effectText(effect)}`, effect);
      this.#note(effect);
      this.#carryOut(effect);
    }
    return this;
  }

  freeze(): void {
    this.frozen = true;
  }

  thaw(): void {
    this.frozen = false;
    for (const event of this.#waiting.splice(0)) this.send(event);
  }

  #note(effect: GroupEffect): void {
    if (effect.type === "own") {
      const before = this.owned.get(effect.resource);
      if (before !== undefined) throw new Error(`two terms of ${effect.resource}`);
      if (effect.epoch <= (this.world.epochs.get(effect.resource) ?? 0))
        throw new Error("the epoch is not larger");
      this.world.epochs.set(effect.resource, effect.epoch);
      this.owned.set(effect.resource, effect.epoch);
    }
    if (effect.type === "lose" || effect.type === "released") {
      if (this.owned.get(effect.resource) !== effect.epoch) throw new Error(`no term of ${effect.resource}`);
      this.owned.delete(effect.resource);
    }
    if (effect.type === "stopped" && this.owned.size > 0) throw new Error("stopped with terms");
  }

  #carryOut(effect: GroupEffect): void {
    const { world } = this;
    switch (effect.type) {
      case "write":
        return this.#write(effect.nonce, effect.write, effect.timeoutMs);
      case "read": {
        const { request, key, timeoutMs } = effect;
        if (!this.connected) {
          const outcome = { kind: "failed", error: new Error("no answer") } as const;
          return world.in(timeoutMs, () => this.send({ type: "read", request, outcome }));
        }
        return world.in(this.latencyMs, () => {
          const outcome = world.read(key);
          world.in(this.latencyMs, () => this.send({ type: "read", request, outcome }));
        });
      }
      case "read-after": {
        const { request, after: sequence } = effect;
        return world.in(2 * this.latencyMs, () => {
          const entries = [...world.keys.values()].filter((entry) => entry.revision > sequence);
          const { generation, sequence: upTo } = world;
          this.send({ type: "changes", request, outcome: { kind: "entries", generation, upTo, entries } });
        });
      }
      case "open-bucket":
        return world.in(LATENCY_MS, () => {
          world.recreate(effect.above);
          this.send({ type: "bucket-opened", generation: world.generation });
        });
      case "ask": {
        const { question, binding } = effect;
        return world.in(2 * LATENCY_MS, () => {
          const answer: HolderAnswer = world.open.has(binding.clientId)
            ? { kind: "open", inMsgs: world.counted.get(binding.clientId) ?? 0 }
            : { kind: "closed" };
          this.send({ type: "answered", question, answer });
        });
      }
      case "drain": {
        const { resource, epoch } = effect;
        if (this.drainMs !== null)
          world.in(this.drainMs, () => this.send({ type: "drained", resource, epoch }));
        return;
      }
      default:
    }
  }

  #write(nonce: number, write: GroupWrite, timeoutMs: number): void {
    const { world } = this;
    const fate = this.connected ? this.fate(write) : "lost";
    const unknown: WriteOutcome = { kind: "unknown", error: new Error("no answer") };
    const { connection } = this;
    if (this.connected && fate !== "lost") world.in(this.latencyMs, () => world.count(connection));
    const giveUp = (): void =>
      world.in(timeoutMs, () => this.send({ type: "written", nonce, outcome: unknown }));
    if (typeof fate === "object") {
      world.in(fate.lateMs, () => world.apply(write));
      return giveUp();
    }
    if (fate === "lost") return giveUp();
    world.in(this.latencyMs, () => {
      const outcome = world.apply(write);
      if (fate === "answer-lost") return;
      world.in(this.latencyMs, () => this.send({ type: "written", nonce, outcome }));
    });
    if (fate === "answer-lost") giveUp();
  }

  held(resource: string): boolean {
    // With a presence the driver has checked the connection within the last 250 ms (freshness): that is not the core's part.
    if (this.state.config.crashDetection === "presence" && !this.connected) return false;
    return this.alive && isHeld(this.state, resource, this.world.now);
  }

  get ownedNames(): string[] {
    return ownedBy(this.state)
      .filter(({ phase }) => phase === "held")
      .map(({ resource }) => resource)
      .sort();
  }

  count(type: GroupEffect["type"]): number {
    return this.effects.filter((effect) => effect.type === type).length;
  }
}

interface Job {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class World {
  readonly resources: readonly string[];
  readonly members: Member[] = [];
  readonly keys: Map<string, GroupEntry> = new Map();
  #log: GroupEntry[] = [];
  readonly open: Set<number> = new Set();
  readonly counted: Map<number, number> = new Map();
  /** When the newest beat of a connection was heard. */
  readonly beats: Map<number, number> = new Map();
  readonly epochs: Map<string, number> = new Map();
  generation = "g1";
  sequence = 0;
  connections = 0;
  now: Instant = { mono: 0, boot: 0, wall: 1_700_000_000_000 };
  readonly #lines: string[];
  #jobs: Job[] = [];
  #order = 0;
  #quiet = false;
  /** Which lines the transcript leaves out. */
  hides: (what: GroupEvent | GroupEffect) => boolean = () => false;

  constructor(title: string, resources: readonly string[] = ["r"]) {
    this.#lines = [title];
    this.resources = resources;
  }

  member(name: string, options: MemberOptions = {}): Member {
    const member = new Member(this, name, options);
    this.members.push(member);
    return member;
  }

  in(ms: number, run: () => void): void {
    this.#order += 1;
    this.#jobs.push({ at: this.now.mono + ms, order: this.#order, run });
  }

  /** Advances to that time. */
  until(ms: number): this {
    for (let turns = 0; turns < 500_000; turns += 1) {
      let next: Job | null = null;
      for (const job of this.#jobs)
        if (next === null || job.at < next.at || (job.at === next.at && job.order < next.order)) next = job;
      let waker: Member | null = null;
      let wakeAt = Number.POSITIVE_INFINITY;
      for (const member of this.members) {
        if (!member.alive || member.frozen) continue;
        const delay = wakeDelayMs(member.state, this.now);
        if (delay !== null && this.now.mono + delay < wakeAt) {
          waker = member;
          wakeAt = this.now.mono + delay;
        }
      }
      const at = Math.min(next?.at ?? Number.POSITIVE_INFINITY, wakeAt);
      if (at > ms) {
        this.#pass(ms - this.now.mono);
        return this;
      }
      this.#pass(at - this.now.mono);
      if (next !== null && next.at <= wakeAt) {
        this.#jobs = this.#jobs.filter((job) => job !== next);
        next.run();
      } else waker?.send({ type: "tick" });
      this.check();
    }
    throw new Error(`the play spins at ${this.now.mono} ms`);
  }

  #pass(ms: number): void {
    if (ms > 0) this.now = after(this.now, ms);
  }

  /** Never two that are held. */
  check(): void {
    for (const resource of this.resources) {
      const held = this.members.filter((member) => member.held(resource));
      if (held.length > 1) throw new Error(`two owners of ${resource} at ${this.now.mono}`);
    }
  }

  quietlyUntil(ms: number, why: string): this {
    this.#lines.push(traceLine(null, "..", why));
    this.#quiet = true;
    this.until(ms);
    this.#quiet = false;
    return this;
  }

  scene(text: string): this {
    this.#lines.push("", text);
    return this;
  }

  happens(text: string, run: () => void): this {
    this.append("**", text);
    run();
    return this;
  }

  ask(...members: Member[]): this {
    for (const member of members)
      for (const resource of this.resources)
        this.append(member.name, `?  isHeld ${resource}: ${member.held(resource) ? "yes" : "no"}`);
    return this;
  }

  apply({ key, record, expect }: GroupWrite): WriteOutcome {
    const name = keyText(key);
    if ((this.keys.get(name)?.revision ?? 0) !== expect) return { kind: "conflict" };
    return { kind: "applied", revision: this.put(key, record) };
  }

  put(key: GroupKey, record: GroupRecord): number {
    this.sequence += 1;
    return this.store({ kind: "record", key, revision: this.sequence, record });
  }

  store(entry: GroupEntry): number {
    this.keys.set(keyText(entry.key), entry);
    this.#log.push(entry);
    for (const member of this.members) {
      if (!member.connected || !member.hears(entry)) continue;
      this.in(member.latencyMs, () => {
        if (member.connected) member.send({ type: "watched", entry });
      });
    }
    return entry.revision;
  }

  /** The servers lose the newest messages: their revisions come again. */
  lose(count: number): void {
    this.sequence -= count;
    this.#log = this.#log.filter(({ revision }) => revision <= this.sequence);
    this.keys.clear();
    for (const entry of this.#log) this.keys.set(keyText(entry.key), entry);
  }

  /** Something that no member writes. */
  garbage(key: GroupKey): void {
    this.sequence += 1;
    this.store({ kind: "garbage", key, revision: this.sequence, reason: "not JSON" });
  }

  /** An operator purges the key. */
  purge(key: GroupKey): void {
    this.keys.delete(keyText(key));
  }

  read(key: GroupKey): KeyReadOutcome {
    const { generation, sequence: lastSequence } = this;
    return { kind: "snapshot", generation, lastSequence, entry: this.keys.get(keyText(key)) ?? null };
  }

  recreate(above: number): void {
    this.keys.clear();
    this.generation = `g${Number(this.generation.slice(1)) + 1}`;
    this.sequence = above;
  }

  /** The server has counted a message of this connection. */
  count(connection: number): void {
    this.counted.set(connection, (this.counted.get(connection) ?? 0) + 1);
  }

  heard(connection: number): void {
    this.beats.set(connection, this.now.mono);
  }

  announceClosed(connection: number): void {
    for (const member of this.members)
      if (member.connected && member.state.config.crashDetection === "presence")
        this.in(LATENCY_MS, () => member.send({ type: "presence-lost", presence: `presence.${connection}` }));
  }

  append(who: string, text: string, what?: GroupEvent | GroupEffect): void {
    if (this.#quiet || (what !== undefined && this.hides(what))) return;
    this.#lines.push(traceLine(this.now.mono, who, text));
  }

  appendLine(who: string, text: string, what: GroupEffect): void {
    if (!this.#quiet && !this.hides(what)) this.#lines.push(traceLine(null, who, text));
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
