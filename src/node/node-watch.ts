/** What the steps of a node's election show: published on the channels, and kept as facts. */

import type { DrainOutcome, HookCall } from "../application/types.ts";
import type { Emitter } from "../channels/emitter.ts";
import type { HandoverEvent, TermTrace } from "../channels/events.ts";
import type { NodeFacts, NodeSource } from "../channels/source.ts";
import type { ResolvedOptions } from "../config/resolve.ts";
import type { Instant } from "../election/time.ts";
import type {
  Effect,
  ElectionEvent,
  ElectionState,
  Leader,
  LossReason,
  ResignReason,
} from "../election/types.ts";
import { type LeaseConfig, LeaseWatch, type LeaseWatchOptions } from "../runtime/lease-watch.ts";
import { type EndedSuspicion, Suspicions } from "./suspicions.ts";

interface Release {
  readonly epoch: number;
  readonly deleted: boolean;
  readonly outcome: DrainOutcome;
}

type Facts = Omit<NodeFacts, "isLeader">;

export function leaseConfig({ crashDetection, observer, leaseTtlMs }: ResolvedOptions): LeaseConfig {
  return { usesPresence: crashDetection === "presence" && !observer, leaseTtlMs };
}

export class NodeWatch {
  readonly lease: LeaseWatch;
  readonly #emitter: Emitter<NodeSource>;
  readonly #suspicions = new Suspicions();
  #term: { readonly trace: TermTrace | null; readonly beganMono: number } | null = null;
  #drain: { readonly reason: ResignReason; readonly sinceMono: number } | null = null;
  #handover: { readonly to: string; readonly sinceMono: number } | null = null;
  #epoch = 0;
  /** Since when this node knows of no leader; `null`: it knows one, or has never known one. */
  #vacantSinceMono: number | null = null;
  #role: ElectionState["role"]["name"] = "follower";
  #hasLeader = false;

  constructor(options: LeaseWatchOptions & { readonly emitter: Emitter<NodeSource> }) {
    this.#emitter = options.emitter;
    this.lease = new LeaseWatch(options);
  }

  /** After each step, whose effects have been carried out. */
  step(
    event: ElectionEvent,
    now: Instant,
    effects: readonly Effect[],
    before: ElectionState,
    after: ElectionState,
  ): void {
    const { inFlight } = after.writes;
    this.lease.step(
      {
        renewal: inFlight?.kind === "renew" ? inFlight.nonce : null,
        deadline: "term" in after.role ? after.role.term.deadline : null,
        written: event.type === "written" ? { nonce: event.nonce, result: event.outcome.kind } : null,
      },
      now,
    );
    const ended = this.#suspicions.step(event, now, before, after);
    if (ended !== null) this.#suspicionEnded(ended, after);
    for (const effect of effects) this.#effect(effect, now);
    this.#role = after.role.name;
    this.#hasLeader = after.announced !== null;
  }

  #suspicionEnded({ sinceMono, ...suspicion }: EndedSuspicion, { announced }: ElectionState): void {
    const isConfirmed = suspicion.outcome === "closed" || suspicion.outcome === "silent";
    if (isConfirmed && announced === null) this.#vacantSinceMono ??= sinceMono;
    this.lease.suspicion(suspicion);
  }

  #effect(effect: Effect, now: Instant): void {
    switch (effect.type) {
      case "become-leader":
        return this.#begin(effect.epoch, effect.acquiredAt, now);
      case "suspended":
        return this.lease.suspended(now);
      case "resumed":
        return this.lease.resumed(true, now);
      case "drain":
        this.#drain = { reason: effect.reason, sinceMono: now.mono };
        return this.#end(effect.reason, now);
      case "lose-leadership":
        return this.#end(effect.reason, now);
      case "leader-change":
        return this.#leaderChange(effect.leader, now);
      default:
    }
  }

  #begin(epoch: number, acquiredAt: number, now: Instant): void {
    this.#term = { trace: this.#emitter.termBegins({ epoch, acquiredAt }), beganMono: now.mono };
  }

  #end(reason: LossReason, now: Instant): void {
    this.lease.resumed(false, now);
    const term = this.#term;
    this.#term = null;
    if (term === null) return;
    this.#emitter.termEnds(term.trace, { reason, durationMs: now.mono - term.beganMono });
  }

  /** The lease of a term that was given up is deleted, or left to expire. */
  released({ epoch, deleted, outcome }: Release, now: Instant): void {
    const drain = this.#drain;
    this.#drain = null;
    if (drain === null) return;
    this.#emitter.publish("nats-leader:drain", () => ({
      epoch,
      resource: null,
      reason: drain.reason,
      outcome,
      durationMs: now.mono - drain.sinceMono,
    }));
    this.#handedOver(deleted ? "completed" : "failed", now);
  }

  /**
   * A step-down with a successor is asked for. It ends with the drain that follows. Returns what reports that it was not carried out, and does
   * nothing once the drain has begun.
   */
  handover(to: string, began: Instant): (now: Instant) => void {
    // A term that is being given up already has its successor.
    if (this.#drain !== null || this.#handover !== null) return () => {};
    const handover = { to, sinceMono: began.mono };
    this.#handover = handover;
    return (now) => {
      if (this.#handover === handover && this.#drain === null) this.#handedOver("refused", now);
    };
  }

  #handedOver(outcome: HandoverEvent["outcome"], now: Instant): void {
    const handover = this.#handover;
    this.#handover = null;
    if (handover === null) return;
    const { to, sinceMono } = handover;
    this.#emitter.publish("nats-leader:handover", () => ({
      to,
      outcome,
      durationMs: now.mono - sinceMono,
    }));
  }

  #leaderChange(leader: Leader | null, now: Instant): void {
    const sinceMono = this.#vacantSinceMono;
    if (leader === null) {
      if (this.#epoch !== 0) this.#vacantSinceMono ??= now.mono;
    } else {
      this.#epoch = leader.epoch;
      this.#vacantSinceMono = null;
    }
    const vacancyMs = leader === null || sinceMono === null ? null : now.mono - sinceMono;
    this.#emitter.publish("nats-leader:leader", () => ({ leader, vacancyMs }));
  }

  hook(call: HookCall, failed: boolean, durationMs: number): void {
    this.#emitter.publish("nats-leader:hook", () => ({
      hook: call.hook,
      epoch: "epoch" in call ? call.epoch : null,
      resource: null,
      durationMs,
      failed,
    }));
  }

  read(now: Instant): Facts {
    const { lease } = this;
    return { ...lease.read(now), role: this.#role, hasLeader: this.#hasLeader, epoch: this.#epoch };
  }
}
