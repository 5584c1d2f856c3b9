/** The core of a group's member without a store: does what a test says, within the contract of its outputs. */

import { balance } from "../../../src/group/balance.ts";
import type { DrainReason, GroupEvent, SessionLossReason } from "../../../src/group/core/events.ts";
import { initialState } from "../../../src/group/core/initial-state.ts";
import type { GroupState } from "../../../src/group/core/state.ts";
import type { MakeDriver, MemberDriver } from "../../../src/group/membership.ts";
import type { GroupRunner } from "../../../src/group/runner.ts";

interface Owned {
  readonly epoch: number;
  draining: boolean;
}

export class ScriptedCore implements MemberDriver {
  /** What the application has sent, as `type` or `type resource`. */
  readonly sent: string[] = [];
  readonly owned: Map<string, Owned> = new Map();
  /** The names of the list. */
  list: readonly string[] = [];
  readonly state: GroupState;
  /** Whether a release is confirmed as soon as it is asked for. */
  releases: boolean;
  leaseMs: number;
  held: boolean;
  readonly #output: GroupRunner["output"];
  readonly #unreleased: string[] = [];
  #epoch = 0;
  #stopping = false;
  #stopped = false;

  constructor({ id, options, clock }: Parameters<MakeDriver>[0], output: GroupRunner["output"]) {
    const config = { ...options.core, incarnation: id, renewIntervalMs: 3_000, bulkTimeoutMs: 10_000 };
    this.state = initialState({ ...config, window: 16, balance }, options.profile, clock.now());
    this.#output = output;
    this.releases = true;
    this.held = true;
    this.leaseMs = 10_000;
  }

  start(): void {
    this.#output({ type: "session-begun", number: 1 });
    this.#output({ type: "members", members: [] });
  }

  isSessionHeld(): boolean {
    return this.held && this.leaseMs > 0;
  }

  isHeld(resource: string): boolean {
    return this.held && this.owned.get(resource)?.draining === false && this.leaseMs > 0;
  }

  remainingMs(): number {
    return this.held ? this.leaseMs : 0;
  }

  provenRemainingMs(): number {
    return this.remainingMs();
  }

  leaseRemainingMs(): number {
    return this.leaseMs;
  }

  expire(): void {
    if (this.leaseMs <= 0 && this.owned.size > 0) this.endSession("expired");
  }

  async freshened(): Promise<void> {}

  // ------------------------------------------------------------------------------------------ what happens

  owns(resource: string): number {
    const epoch = ++this.#epoch;
    this.owned.set(resource, { epoch, draining: false });
    this.#output({ type: "own", resource, epoch });
    return epoch;
  }

  drains(resource: string, reason: DrainReason = "moved"): void {
    const term = this.owned.get(resource);
    if (term === undefined || term.draining) return;
    term.draining = true;
    this.#output({ type: "drain", resource, epoch: term.epoch, reason });
  }

  suspends(held = false): void {
    this.held = held;
    this.#output({ type: held ? "resumed" : "suspended" });
  }

  endSession(reason: SessionLossReason): void {
    this.#output({ type: "session-ended", number: 1, reason });
    for (const [resource, { epoch }] of [...this.owned]) {
      this.owned.delete(resource);
      this.#output({ type: "lose", resource, epoch, reason });
    }
  }

  /** Confirms the releases that were asked for. */
  confirm(): void {
    for (const resource of this.#unreleased.splice(0)) {
      const term = this.owned.get(resource);
      if (term === undefined) continue;
      this.owned.delete(resource);
      this.#output({ type: "released", resource, epoch: term.epoch, successor: "b" });
    }
    this.#finish();
  }

  // ------------------------------------------------------------------------------------------ what is asked for

  dispatch(event: GroupEvent): void {
    switch (event.type) {
      case "resources":
        this.list = event.resources.map(({ name }) => name);
        this.sent.push(`resources ${this.list.length}`);
        return;
      case "refuse":
        this.sent.push(`refuse ${event.resource} ${event.forMs}`);
        return this.drains(event.resource, "refused");
      case "drained":
        this.sent.push(`drained ${event.resource}`);
        if (this.owned.get(event.resource)?.epoch !== event.epoch) return;
        this.#unreleased.push(event.resource);
        if (this.releases) this.confirm();
        return;
      case "draining":
        this.sent.push(event.draining ? "draining" : "rejoin");
        if (event.draining) for (const resource of [...this.owned.keys()]) this.drains(resource, "draining");
        return;
      case "stop":
        this.sent.push(event.restarting ? "stop restarting" : "stop");
        this.#stopping = true;
        for (const resource of [...this.owned.keys()]) this.drains(resource, "stopped");
        return this.#finish();
      default:
    }
  }

  #finish(): void {
    if (!this.#stopping || this.#stopped || this.owned.size > 0) return;
    this.#stopped = true;
    this.#output({ type: "session-ended", number: 1, reason: "stopped" });
    this.#output({ type: "stopped" });
  }
}
