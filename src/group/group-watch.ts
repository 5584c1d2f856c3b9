/** What the steps of a member show: published on the channels, and kept as facts. */
import type { DrainOutcome } from "../application/types.ts";
import type { Emitter } from "../channels/emitter.ts";
import type { TermTrace } from "../channels/events.ts";
import type { GroupFacts, GroupSource } from "../channels/source.ts";
import type { ResolvedGroupOptions } from "../config/group-options.ts";
import { hasReached, type Instant } from "../election/time.ts";
import { type LeaseConfig, LeaseWatch, type LeaseWatchOptions } from "../runtime/lease-watch.ts";
import type { DisownReason, GroupHookName } from "./application/types.ts";
import type { DrainReason, GroupEffect, GroupEvent } from "./core/events.ts";
import { unownedCount } from "./core/outlook.ts";
import type { GroupState } from "./core/state.ts";
import { Suspicions } from "./suspicions.ts";

interface Owned {
  readonly epoch: number;
  readonly beganMono: number;
  readonly trace: TermTrace | null;
  drain: { readonly reason: DrainReason; readonly sinceMono: number } | null;
}

export function leaseConfig({ core }: ResolvedGroupOptions): LeaseConfig {
  return { usesPresence: core.crashDetection === "presence", leaseTtlMs: core.leaseTtlMs };
}

export class GroupWatch {
  readonly lease: LeaseWatch;
  readonly #emitter: Emitter<GroupSource>;
  readonly #suspicions = new Suspicions();
  /** Terms that have begun and are neither lost nor released. */
  readonly #owned = new Map<string, Owned>();

  constructor(options: LeaseWatchOptions & { readonly emitter: Emitter<GroupSource> }) {
    this.#emitter = options.emitter;
    this.lease = new LeaseWatch(options);
  }

  /** After each step, whose effects have been carried out. */
  step(event: GroupEvent, now: Instant, effects: readonly GroupEffect[], state: GroupState): void {
    const { own } = state;
    this.lease.step(
      {
        renewal: own.inFlight?.kind === "renew" ? own.inFlight.nonce : null,
        deadline: own.phase === "none" ? null : own.deadline,
        written: event.type === "written" ? { nonce: event.nonce, result: event.outcome.kind } : null,
      },
      now,
    );
    for (const ended of this.#suspicions.step(event, state)) this.lease.suspicion(ended);
    for (const effect of effects) this.#effect(effect, now);
  }

  #effect(effect: GroupEffect, now: Instant): void {
    switch (effect.type) {
      case "suspended":
        return this.lease.suspended(now);
      case "resumed":
        return this.lease.resumed(true, now);
      case "session-ended":
        return this.lease.resumed(false, now);
      case "own":
        return this.#begin(effect.resource, effect.epoch, now);
      case "drain": {
        const owned = this.#end(effect.resource, effect.epoch, effect.reason, now);
        if (owned !== null) owned.drain = { reason: effect.reason, sinceMono: now.mono };
        return;
      }
      case "lose": {
        const owned = this.#end(effect.resource, effect.epoch, effect.reason, now);
        // Without a drain nothing else follows.
        if (owned !== null) this.#owned.delete(effect.resource);
        return;
      }
      default:
    }
  }

  #begin(resource: string, epoch: number, now: Instant): void {
    const trace = this.#emitter.termBegins({ epoch, acquiredAt: now.wall, resource });
    this.#owned.set(resource, { epoch, beganMono: now.mono, trace, drain: null });
    this.#move("claim", resource, epoch, "claimed");
  }

  /** The term is over or is being given up; the first of the two counts. */
  #end(resource: string, epoch: number, reason: DisownReason, now: Instant): Owned | null {
    const owned = this.#owned.get(resource);
    if (owned?.epoch !== epoch) return null;
    if (owned.drain !== null) return owned;
    this.#emitter.termEnds(owned.trace, { reason, durationMs: now.mono - owned.beganMono });
    this.#move("release", resource, epoch, reason);
    return owned;
  }

  #move(kind: "claim" | "release", resource: string, epoch: number, reason: DisownReason | "claimed"): void {
    this.#emitter.publish("nats-leader:move", () => ({ kind, resource, epoch, reason }));
  }

  /** A resource that was given up is released. */
  released(resource: string, epoch: number, outcome: DrainOutcome, now: Instant): void {
    const owned = this.#owned.get(resource);
    if (owned?.epoch !== epoch || owned.drain === null) return;
    this.#owned.delete(resource);
    const { reason, sinceMono } = owned.drain;
    this.#emitter.publish("nats-leader:drain", () => ({
      epoch,
      resource,
      reason,
      outcome,
      durationMs: now.mono - sinceMono,
    }));
  }

  hook(call: EndedCall): void {
    this.#emitter.publish("nats-leader:hook", () => call);
  }

  read(now: Instant, state: GroupState): GroupFacts {
    const { own } = state;
    let owned = 0;
    // In a process that stood still, no step has ended the terms yet.
    if (own.phase !== "none" && !hasReached(own.deadline, now))
      for (const { drain } of this.#owned.values()) if (drain === null) owned += 1;
    return { ...this.lease.read(now), owned, unowned: unownedCount(state, now) };
  }
}

/** A hook that was called, and has ended. */
export interface EndedCall {
  readonly hook: GroupHookName;
  readonly epoch: number | null;
  readonly resource: string | null;
  readonly durationMs: number;
  readonly failed: boolean;
}
