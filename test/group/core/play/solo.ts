/**
 * One member on the core alone: the script sends each event and answers each request, so that every order is possible. There is no
 * bucket, and time passes only by the script.
 */
import { after, type Instant } from "../../../../src/election/time.ts";
import type { OwnConnection, WriteOutcome } from "../../../../src/election/types.ts";
import { wakeDelayMs } from "../../../../src/group/core/act.ts";
import type { GroupConfig, GroupEffect, GroupEvent, Profile } from "../../../../src/group/core/events.ts";
import { step } from "../../../../src/group/core/group.ts";
import { initialState } from "../../../../src/group/core/initial-state.ts";
import { isHeld } from "../../../../src/group/core/outlook.ts";
import type { GroupState } from "../../../../src/group/core/state.ts";
import type {
  Claim,
  GroupEntry,
  GroupKey,
  GroupRecord,
  Release,
  SessionEnd,
  SessionRecord,
} from "../../../../src/group/core/types.ts";
import { effectText, keyText } from "./text.ts";
import { config } from "./world.ts";

const written = { nonce: 1, generation: "g1", above: 0 };

export function sessionKey(memberId: string): GroupKey {
  return { kind: "session", memberId };
}

export function ownerKey(resource: string): GroupKey {
  return { kind: "owner", resource };
}

/** `sessionEntry(7, "b", 3)`: at revision 7 member b renews its session 3; `null`: it begins one. */
export function sessionEntry(
  revision: number,
  memberId: string,
  number: number | null,
  more: Partial<SessionRecord> = {},
): GroupEntry {
  const record: SessionRecord = {
    ...written,
    kind: "session",
    memberId,
    incarnation: `${memberId}1`,
    nonce: revision,
    number,
    ttlMs: 10_000,
    weight: 1,
    draining: false,
    refused: [],
    listHash: "",
    ...more,
  };
  return { kind: "record", key: sessionKey(memberId), revision, record };
}

export function endEntry(
  revision: number,
  of: string,
  number: number,
  more: Partial<SessionEnd> = {},
): GroupEntry {
  const record: SessionEnd = {
    ...written,
    kind: "session-end",
    memberId: of,
    incarnation: `${of}1`,
    of,
    number,
    reason: "left",
    ...more,
  };
  return { kind: "record", key: sessionKey(of), revision, record };
}

export function claimEntry(
  revision: number,
  resource: string,
  memberId: string,
  session: number,
  more: Partial<Claim> = {},
): GroupEntry {
  const record: Claim = {
    ...written,
    kind: "claim",
    memberId,
    incarnation: `${memberId}1`,
    session,
    nonce: revision,
    ...more,
  };
  return { kind: "record", key: ownerKey(resource), revision, record };
}

export function releaseEntry(
  revision: number,
  resource: string,
  epoch: number,
  more: Partial<Release> = {},
): GroupEntry {
  const record: Release = {
    ...written,
    kind: "release",
    memberId: "b",
    incarnation: "b1",
    epoch,
    ...more,
  };
  return { kind: "record", key: ownerKey(resource), revision, record };
}

export class Solo {
  readonly state: GroupState;
  now: Instant = { mono: 0, boot: 0, wall: 1_700_000_000_000 };
  /** Of the last event. */
  effects: readonly GroupEffect[] = [];
  readonly all: GroupEffect[] = [];
  /** Writes that are not answered yet, by key. */
  readonly #writes: Map<string, { nonce: number; record: GroupRecord; expect: number }> = new Map();
  readonly #reads: Map<string, number> = new Map();
  #bulk = 0;

  constructor(
    resources: readonly string[] = ["r"],
    options: Partial<GroupConfig> & { profile?: Profile } = {},
  ) {
    const { profile, ...more } = options;
    this.state = initialState({ ...config, ...more }, profile ?? { weight: 1 }, this.now);
    this.send({ type: "resources", resources: resources.map((name) => ({ name })) });
  }

  get texts(): string[] {
    return this.effects.map(effectText);
  }

  send(event: GroupEvent): this {
    this.effects = step(this.state, event, this.now);
    this.all.push(...this.effects);
    for (const effect of this.effects) {
      if (effect.type === "write") {
        const { nonce, write } = effect;
        this.#writes.set(keyText(write.key), { nonce, record: write.record, expect: write.expect });
      }
      if (effect.type === "read") this.#reads.set(keyText(effect.key), effect.request);
      if (effect.type === "read-after") this.#bulk = effect.request;
    }
    return this;
  }

  pass(ms: number): this {
    this.now = after(this.now, ms);
    return this;
  }

  tick(): this {
    return this.send({ type: "tick" });
  }

  /** Advances so far, with a tick whenever the member wants one. */
  wait(ms: number): this {
    const until = this.now.mono + ms;
    for (let wakes = 0; wakes < 1_000; wakes += 1) {
      const delay = wakeDelayMs(this.state, this.now);
      if (delay === null || this.now.mono + delay > until) return this.pass(until - this.now.mono);
      this.pass(delay).tick();
    }
    throw new Error("the member spins");
  }

  /** What the member has sent to this key and not heard of. */
  sent(key: string): { record: GroupRecord; expect: number } | undefined {
    return this.#writes.get(key);
  }

  written(key: string, outcome: WriteOutcome): this {
    const write = this.#writes.get(key);
    if (write === undefined) throw new Error(`the script answers a write of ${key} that was not sent`);
    this.#writes.delete(key);
    return this.send({ type: "written", nonce: write.nonce, outcome });
  }

  applied(key: string, revision: number): this {
    return this.written(key, { kind: "applied", revision });
  }

  conflict(key: string): this {
    return this.written(key, { kind: "conflict" });
  }

  unanswered(key: string): this {
    return this.written(key, { kind: "unknown", error: new Error("no answer") });
  }

  /** The message that a write of this member has become. Take it before the write is answered. */
  own(key: string, revision: number): GroupEntry {
    const write = this.#writes.get(key);
    if (write === undefined) throw new Error(`no write of ${key}`);
    const [kind, ...rest] = key.split(".");
    const name = rest.join(".");
    const groupKey: GroupKey =
      kind === "session" ? sessionKey(name) : kind === "owner" ? ownerKey(name) : { kind: "coordinator" };
    return { kind: "record", key: groupKey, revision, record: write.record };
  }

  isReading(key: string): boolean {
    return this.#reads.has(key);
  }

  reads(
    key: string,
    entry: GroupEntry | null,
    lastSequence: number = entry?.revision ?? 0,
    generation: string = "g1",
  ): this {
    return this.#answer(key, { kind: "snapshot", generation, lastSequence, entry });
  }

  readFails(key: string): this {
    return this.#answer(key, { kind: "failed", error: new Error("no answer") });
  }

  readsNoBucket(key: string): this {
    return this.#answer(key, { kind: "no-bucket" });
  }

  #answer(key: string, outcome: Extract<GroupEvent, { type: "read" }>["outcome"]): this {
    const request = this.#reads.get(key);
    if (request === undefined) throw new Error(`the script answers a read of ${key} that was not sent`);
    this.#reads.delete(key);
    return this.send({ type: "read", request, outcome });
  }

  changes(entries: readonly GroupEntry[], upTo: number, generation: string = "g1"): this {
    return this.send({
      type: "changes",
      request: this.#bulk,
      outcome: { kind: "entries", generation, upTo, entries },
    });
  }

  changesFail(): this {
    return this.send({
      type: "changes",
      request: this.#bulk,
      outcome: { kind: "failed", error: new Error("no answer") },
    });
  }

  watched(entry: GroupEntry): this {
    return this.send({ type: "watched", entry });
  }

  connected(binding: OwnConnection | null = { serverId: "s", clientId: 1 }): this {
    return this.send({ type: "connected", binding });
  }

  /** Connects to an open bucket with this content. */
  open(entries: readonly GroupEntry[] = [], binding?: OwnConnection): this {
    const upTo = Math.max(0, ...entries.map(({ revision }) => revision));
    this.send({ type: "bucket-opened", generation: "g1" });
    if (binding === undefined) this.connected();
    else this.connected(binding);
    const own = `session.${this.state.config.memberId}`;
    this.changes(entries, upTo);
    return this.reads(own, entries.find(({ key }) => keyText(key) === own) ?? null, upTo);
  }

  /** As `open`, and begins a session at the next revision. */
  live(entries: readonly GroupEntry[] = [], binding?: OwnConnection): this {
    this.open(entries, binding);
    return this.applied(`session.${this.state.config.memberId}`, this.state.knowing.sequence + 1);
  }

  held(resource: string): boolean {
    return isHeld(this.state, resource, this.now);
  }

  count(type: GroupEffect["type"]): number {
    return this.all.filter((effect) => effect.type === type).length;
  }

  warnings(): string[] {
    return this.all.flatMap((effect) => (effect.type === "warning" ? [effect.code] : []));
  }
}
