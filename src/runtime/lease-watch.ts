/**
 * What the steps of an election, or of a member of a group, show about its lease: renewals, margin, suspensions, suspicions and beats. Keeps the
 * facts, and publishes on the channels. It reads and changes nothing of the core, so that what it is given decides nothing.
 */
import type { Emitter } from "../channels/emitter.ts";
import type { SuspendedEvent, SuspicionEvent } from "../channels/events.ts";
import { type RenewalResult, SUSPICION_OUTCOMES, type SuspicionOutcome } from "../channels/sets.ts";
import type { LeaseFacts } from "../channels/source.ts";
import { type Instant, remainingMs } from "../election/time.ts";
import { LeastMargin } from "./least-margin.ts";
import type { Session } from "./ports.ts";

/** What a step has left of the own lease. */
export interface LeaseStep {
  /** The renewal in flight; `null`: none is. */
  readonly renewal: number | null;
  /** Of the own lease; `null`: there is none. */
  readonly deadline: Instant | null;
  /** The write that was settled by this step; `null`: none was. */
  readonly written: { readonly nonce: number; readonly result: RenewalResult } | null;
}

export interface LeaseConfig {
  /** The others are to notice when its connection ends. */
  readonly usesPresence: boolean;
  readonly leaseTtlMs: number;
}

export interface LeaseWatchOptions extends LeaseConfig {
  readonly incarnation: string;
  readonly emitter: Emitter;
  readonly session: Pick<Session, "connected" | "linkFacts" | "binding">;
}

export class LeaseWatch {
  readonly #o: LeaseWatchOptions;
  readonly #margin = new LeastMargin();
  readonly #suspicions: Record<SuspicionOutcome, number>;
  #renewal: { readonly nonce: number; readonly sentAt: Instant } | null = null;
  #deadline: Instant | null = null;
  #suspensions = 0;
  #suspendedMs = 0;
  #suspendedSinceMono: number | null = null;

  constructor(options: LeaseWatchOptions) {
    this.#o = options;
    this.#suspicions = Object.fromEntries(SUSPICION_OUTCOMES.map((outcome) => [outcome, 0])) as Record<
      SuspicionOutcome,
      number
    >;
  }

  /** After each step. `now`: of that step. */
  step({ renewal, deadline, written }: LeaseStep, now: Instant): void {
    const sent = this.#renewal;
    if (sent !== null && written?.nonce === sent.nonce) this.#renewed(written.result, sent.sentAt, now);
    if (renewal !== sent?.nonce) this.#renewal = renewal === null ? null : { nonce: renewal, sentAt: now };
    if (deadline === this.#deadline) return;
    // A deadline comes closer until it is moved, so this was the least margin since it was set.
    if (this.#deadline !== null) this.#margin.note(remainingMs(this.#deadline, now), now.mono);
    this.#deadline = deadline;
  }

  #renewed(result: RenewalResult, sentAt: Instant, now: Instant): void {
    this.#o.emitter.publish("nats-leader:renewal", () => ({
      result,
      durationMs: now.mono - sentAt.mono,
      marginMs: this.#deadline === null ? 0 : remainingMs(this.#deadline, now),
    }));
  }

  suspended(now: Instant): void {
    if (this.#suspendedSinceMono !== null) return;
    this.#suspensions += 1;
    this.#suspendedSinceMono = now.mono;
    const cause: SuspendedEvent["cause"] = this.#o.session.connected ? "silence" : "connection";
    this.#o.emitter.publish("nats-leader:suspended", () => ({ cause }));
  }

  /** The suspension is over, if there was one. @param held - False: because the term, or the session, is over. */
  resumed(held: boolean, now: Instant): void {
    if (this.#suspendedSinceMono === null) return;
    const durationMs = now.mono - this.#suspendedSinceMono;
    this.#suspendedSinceMono = null;
    this.#suspendedMs += durationMs;
    this.#o.emitter.publish("nats-leader:resumed", () => ({ durationMs, held }));
  }

  suspicion(about: Omit<SuspicionEvent, "source" | "incarnation">): void {
    this.#suspicions[about.outcome] += 1;
    this.#o.emitter.publish("nats-leader:suspicion", () => ({ ...about }));
  }

  beat(): void {
    this.#o.emitter.publish("nats-leader:beat", () => ({
      roundTripMs: this.#o.session.linkFacts?.beatRoundTripMs ?? 0,
    }));
  }

  read(now: Instant): LeaseFacts {
    const { session, incarnation, usesPresence, leaseTtlMs } = this.#o;
    if (this.#deadline !== null) this.#margin.note(remainingMs(this.#deadline, now), now.mono);
    const openMs = this.#suspendedSinceMono === null ? 0 : now.mono - this.#suspendedSinceMono;
    return {
      running: true,
      incarnation,
      connected: session.connected,
      presence: usesPresence ? session.binding?.presence !== undefined : null,
      server: session.linkFacts?.server.name ?? null,
      beatRoundTripMs: session.linkFacts?.beatRoundTripMs ?? null,
      leastMarginMs: this.#margin.read(now.mono),
      leaseTtlMs,
      suspensions: this.#suspensions,
      suspendedMs: this.#suspendedMs + openMs,
      suspendedForMs: openMs,
      suspicions: { ...this.#suspicions },
    };
  }
}

/** The facts of what does not run. */
export function noLeaseFacts({ usesPresence, leaseTtlMs }: LeaseConfig): LeaseFacts {
  return {
    running: false,
    incarnation: null,
    connected: false,
    presence: usesPresence ? false : null,
    server: null,
    beatRoundTripMs: null,
    leastMarginMs: null,
    leaseTtlMs,
    suspensions: 0,
    suspendedMs: 0,
    suspendedForMs: 0,
    suspicions: { closed: 0, silent: 0, alive: 0, unanswered: 0, overtaken: 0 },
  };
}
