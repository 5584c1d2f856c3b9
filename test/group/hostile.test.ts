/**
 * The application side of a member under random outputs of the core and random behaviour of the application, decided by a seed. What
 * `src/group/application/application.ts` guarantees is checked after every step.
 */
import { expect, test } from "vitest";
import type { Outcome } from "../../src/application/types.ts";
import {
  groupApplicationWakeMs,
  initialGroupApplication,
  stepGroupApplication,
} from "../../src/group/application/application.ts";
import {
  GROUP_HOOK_NAMES,
  type GroupApplicationEffect,
  type GroupApplicationEvent,
  type GroupOutput,
  type Wait,
} from "../../src/group/application/types.ts";
import { Random } from "../../src/testing/simulation/random.ts";

const RESOURCES = ["x", "y", "z"];
const REASONS = ["moved", "draining", "unlisted"] as const;

interface Code {
  readonly resource: string | null;
  readonly number: number;
  readonly epoch: number;
  readonly kind: "onOwn" | "onDisown" | "work" | "member";
  readonly worker: number;
}

interface Owned {
  readonly epoch: number;
  draining: boolean;
  drained: boolean;
}

class Play {
  readonly #random: Random;
  readonly #state;
  readonly #owned = new Map<string, Owned>();
  readonly #code: Code[] = [];
  readonly #owns: string[] = [];
  readonly #disowns: string[] = [];
  readonly #ran = new Set<string>();
  readonly #workers = new Set<number>();
  readonly #waits = new Set<number>();
  #now = 0;
  #epoch = 0;
  #ids = 0;
  #stopping = false;
  #stopped = false;
  isClosed = false;
  steps = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#state = initialGroupApplication({
      drainTimeoutMs: 1_000,
      slowAfterMs: 1_000,
      selfWaitMs: 500,
      hooks: new Set(GROUP_HOOK_NAMES.filter(() => this.#random.chance(0.7))),
      failureBackOffMs: 250,
      maxFailureBackOffMs: 30_000,
    });
    this.#send({ type: "core", output: { type: "session-begun", number: 1 } });
  }

  #send(event: GroupApplicationEvent): void {
    this.steps += 1;
    const now = { mono: this.#now, boot: this.#now, wall: this.#now };
    for (const effect of stepGroupApplication(this.#state, event, now)) this.#carryOut(effect);
    this.#check();
  }

  #core(output: GroupOutput): void {
    this.#send({ type: "core", output });
  }

  #carryOut(effect: GroupApplicationEffect): void {
    switch (effect.type) {
      case "call-resource-hook": {
        const { resource, call } = effect;
        const name = `${resource}/${call.epoch}`;
        const list = call.hook === "onOwn" ? this.#owns : this.#disowns;
        expect(list).not.toContain(name);
        if (call.hook === "onDisown" && this.#state.config.hooks.has("onOwn"))
          expect(this.#owns).toContain(name);
        expect(this.#code.some((one) => one.resource === resource && one.kind.startsWith("on"))).toBe(false);
        list.push(name);
        this.#code.push({ resource, number: call.call, epoch: call.epoch, kind: call.hook, worker: 0 });
        return;
      }
      case "call-member-hook":
        expect(this.#code.some(({ kind }) => kind === "member")).toBe(false);
        this.#code.push({ resource: null, number: effect.call.call, epoch: 0, kind: "member", worker: 0 });
        return;
      case "start-run": {
        const { resource, epoch, worker, run } = effect;
        const name = `${resource}/${epoch}/${worker}`;
        expect(this.#ran).not.toContain(name);
        this.#ran.add(name);
        const other = this.#code.find(
          (one) => one.kind === "work" && one.resource === resource && one.epoch !== epoch,
        );
        expect(other).toBeUndefined();
        expect(this.#owned.get(resource)).toMatchObject({ epoch, draining: false });
        this.#code.push({ resource, number: run, epoch, kind: "work", worker });
        return;
      }
      case "drained": {
        const owned = this.#owned.get(effect.resource);
        expect(owned).toMatchObject({ epoch: effect.epoch, draining: true, drained: false });
        const busy = this.#code.some(
          ({ resource, epoch }) => resource === effect.resource && epoch === effect.epoch,
        );
        // Only the limit of a stop passes a resource on while its code runs.
        if (busy) expect(this.#now).toBeGreaterThanOrEqual(this.#state.stopDeadlineMono);
        if (owned !== undefined) owned.drained = true;
        return;
      }
      case "settle":
        expect(this.#waits.delete(effect.wait)).toBe(true);
        return;
      case "settle-worker":
        expect(this.#workers.delete(effect.worker)).toBe(true);
        return;
      case "close":
        expect(this.isClosed).toBe(false);
        this.isClosed = true;
        return;
      default:
    }
  }

  /** The state holds what is owned and what has not returned, and nothing else. */
  #check(): void {
    for (const resource of RESOURCES) {
      const isBusy = this.#owned.has(resource) || this.#code.some((one) => one.resource === resource);
      const slot = this.#state.slots.get(resource);
      if (!isBusy && slot !== undefined) expect(slot.waiting.length).toBeGreaterThan(0);
      if (isBusy) expect(slot).toBeDefined();
    }
    expect(this.#state.waits.all.size).toBe(this.#waits.size);
    for (const wait of this.#state.waits.all.values()) expect(this.#mayStillWait(wait)).toBe(true);
  }

  /** A wait is settled in the step that makes its condition hold, or hopeless. */
  #mayStillWait({ for: what, limitMono }: Wait): boolean {
    const { slots, held, stage } = this.#state;
    if (limitMono <= this.#now) return false;
    if (what.kind === "drained") return slots.size > 0;
    if (what.kind === "stop") return stage !== "stopped";
    const terms = slots.get(what.resource)?.terms ?? [];
    if (what.kind === "owned") return stage === "running" && !(held && terms.at(-1)?.ended === null);
    return !held && terms.find(({ epoch }) => epoch === what.epoch)?.ended === null;
  }

  /** Something happens. */
  stir(): void {
    const random = this.#random;
    if (random.chance(0.3)) this.#advance(random.between(0, 699));
    const resource = RESOURCES[random.between(0, RESOURCES.length - 1)] ?? "x";
    const owned = this.#owned.get(resource);
    switch (random.between(0, 8)) {
      case 0:
        if (owned !== undefined || this.#stopping) return;
        this.#owned.set(resource, { epoch: ++this.#epoch, draining: false, drained: false });
        return this.#core({ type: "own", resource, epoch: this.#epoch });
      case 1:
        if (owned === undefined || owned.draining) return;
        owned.draining = true;
        return this.#core({
          type: "drain",
          resource,
          epoch: owned.epoch,
          reason: this.#stopping ? "stopped" : (REASONS[random.between(0, REASONS.length - 1)] ?? "moved"),
        });
      case 2:
        if (owned === undefined || !random.chance(0.3)) return;
        this.#owned.delete(resource);
        return this.#core({ type: "lose", resource, epoch: owned.epoch, reason: "expired" });
      case 3:
        return this.#release(resource);
      case 4:
      case 5:
        return this.#endCode();
      case 6: {
        if (this.#stopped || this.#workers.size > 3) return;
        const worker = ++this.#ids;
        this.#workers.add(worker);
        const scope = owned !== undefined && random.chance(0.5) ? { resource, epoch: owned.epoch } : null;
        return this.#send({ type: "add-worker", worker, scope });
      }
      case 7: {
        const [worker] = this.#workers;
        if (worker !== undefined && random.chance(0.3)) this.#send({ type: "abort-worker", worker });
        return;
      }
      default:
        return this.#wait(resource);
    }
  }

  #advance(ms: number): void {
    const until = this.#now + ms;
    for (let turns = 0; turns < 100; turns++) {
      const delay = groupApplicationWakeMs(this.#state, {
        mono: this.#now,
        boot: this.#now,
        wall: this.#now,
      });
      if (delay === null || this.#now + delay > until) break;
      this.#now += delay;
      this.#send({ type: "tick" });
    }
    this.#now = until;
  }

  #release(resource: string): void {
    const owned = this.#owned.get(resource);
    if (owned?.drained !== true) return;
    this.#owned.delete(resource);
    this.#core({ type: "released", resource, epoch: owned.epoch });
  }

  #endCode(): void {
    const [code] = this.#code.splice(this.#random.between(0, Math.max(0, this.#code.length - 1)), 1);
    if (code === undefined) return;
    const threw = { kind: "threw", error: new Error("broken"), abort: this.#random.chance(0.3) } as const;
    const outcome: Outcome = this.#random.chance(0.7) ? { kind: "returned" } : threw;
    const { resource, number } = code;
    if (code.kind === "work")
      this.#send({ type: "run-ended", resource: resource ?? "", run: number, outcome });
    else this.#send({ type: "call-ended", resource, call: number, outcome });
  }

  #wait(resource: string): void {
    const wait = ++this.#ids;
    this.#waits.add(wait);
    const timeoutMs = this.#random.chance(0.5) ? 300 : Number.POSITIVE_INFINITY;
    const inside = this.#code.filter(() => this.#random.chance(0.2)).map(({ number }) => number);
    const caller = { inside, awaited: inside.length > 0 && this.#random.chance(0.5) };
    switch (this.#random.between(0, 3)) {
      case 0:
        return this.#send({ type: "wait", wait, for: { kind: "owned", resource }, timeoutMs });
      case 1:
        return this.#send({
          type: "wait",
          wait,
          for: { kind: "held", resource, epoch: this.#epoch },
          timeoutMs,
        });
      case 2:
        return this.#send({ type: "drain", wait, drains: this.#random.chance(0.7), caller, timeoutMs });
      default:
        this.#waits.delete(wait);
        return this.#core({ type: this.#random.chance(0.5) ? "suspended" : "resumed" });
    }
  }

  /** Stops, and lets nothing more end than it has to. */
  stop(): void {
    const wait = ++this.#ids;
    this.#waits.add(wait);
    this.#stopping = true;
    this.#send({
      type: "stop",
      wait,
      restarting: false,
      caller: { inside: [], awaited: false },
      timeoutMs: 5_000,
    });
    for (const [resource, owned] of this.#owned) {
      if (owned.draining) continue;
      owned.draining = true;
      this.#core({ type: "drain", resource, epoch: owned.epoch, reason: "stopped" });
    }
    this.#advance(2_000);
    for (const resource of RESOURCES) this.#release(resource);
    expect(this.#owned.size).toBe(0);
    this.#stopped = true;
    this.#core({ type: "stopped" });
    this.#advance(1);
    expect(this.isClosed).toBe(true);
    this.#send({ type: "closed" });
    expect([...this.#waits, ...this.#workers]).toEqual([]);
    while (this.#code.length > 0) this.#endCode();
    // A term has both hooks or neither, unless the stop has cut its hooks short.
    const both = this.#state.config.hooks.has("onOwn") && this.#state.config.hooks.has("onDisown");
    if (both) expect(this.#owns).toEqual(expect.arrayContaining(this.#disowns));
  }
}

test("whatever the core and the application do, hooks and work keep their order, and every wait settles", () => {
  for (let seed = 1; seed <= 150; seed++) {
    const play = new Play(seed);
    for (let turn = 0; turn < 150; turn++) play.stir();
    play.stop();
    expect(play.steps).toBeGreaterThan(20);
  }
});
