/** Calls of a group's application that take time: each is a wait of the application side, and settles with its settlement. */
import { ClusterError, messageOf } from "../errors.ts";
import { callerOf } from "../runtime/application/application-code.ts";
import { untilHeld, waitEnded } from "../runtime/application/held-wait.ts";
import type { Clock } from "../runtime/ports.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import type { Settlement, Unfinished } from "./application/types.ts";
import type { GroupRunner, ResourceWork } from "./runner.ts";
import type { OwnTerm, ResourceTerm, SessionClock } from "./term.ts";

export interface GroupStopResult {
  readonly reason: "requested" | "connection-closed";
  /** `timed-out`: hooks or work had not ended after `drainTimeoutMs` and may still run. */
  readonly drain: "complete" | "timed-out" | "pending";
  /** Hooks, and `work`, that had not returned when the member stopped. `resource: null`: a hook that belongs to none. */
  readonly unfinished: readonly Unfinished[];
  /**
   * `true`: the member has not stopped yet, because the call was made by a hook or work that the stop waits for. The stop goes on when that
   * has returned. Do not end the process before.
   */
  readonly pending: boolean;
}

export interface DrainResult {
  /** `pending`: the call was made by a hook or work, which has to end first. */
  readonly drain: "complete" | "pending";
}

export interface FreshClock extends SessionClock {
  /** Resolves when the connection is known to be open, or nothing depends on it any more; at the limit; or when the signal aborts. */
  freshened(limitMs: number, signal: AbortSignal | undefined): Promise<void>;
}

/** `what` of a call completes "waiting for ...". */
export class GroupCalls {
  readonly #runner: GroupRunner;
  readonly #session: FreshClock;
  readonly #clock: Clock;

  constructor(runner: GroupRunner, session: FreshClock, clock: Clock) {
    this.#runner = runner;
    this.#session = session;
    this.#clock = clock;
  }

  /** Resolves with the term when this member owns the resource. */
  async untilOwned(resource: string, options: WaitOptions): Promise<ResourceTerm> {
    // A deadline that has passed ends the term before the wait can be answered with it.
    this.#session.expire();
    const settlement = await this.#runner.ask(options, (wait, timeoutMs) => ({
      type: "wait",
      wait,
      for: { kind: "owned", resource },
      timeoutMs,
    }));
    if (settlement.kind === "owned" && settlement.term !== undefined) return settlement.term;
    throw refusal(`resource "${resource}" to be owned`, settlement, options);
  }

  /** Resolves when the term may be acted on. */
  async untilHeld(term: OwnTerm, options: WaitOptions): Promise<void> {
    const { resource, epoch } = term;
    const what = `the term of resource "${resource}" with epoch ${epoch} to be held`;
    await untilHeld(
      {
        what,
        clock: this.#clock,
        isHeld: () => term.held,
        untilReported: async (limits) => {
          if (term.held) return;
          // The signal's own reason: work that lets it pass has not failed.
          const over = term.over();
          if (over !== null) throw over.reason;
          const settlement = await this.#runner.ask(limits, (wait, timeoutMs) => ({
            type: "wait",
            wait,
            for: { kind: "held", resource, epoch },
            timeoutMs,
          }));
          if (settlement.kind === "term-over")
            throw term.over()?.reason ?? refusal(what, settlement, options);
          if (settlement.kind !== "held") throw refusal(what, settlement, options);
        },
        freshened: (limitMs, signal) => this.#session.freshened(limitMs, signal),
      },
      options,
    );
  }

  async drain(what: string, options: WaitOptions): Promise<DrainResult> {
    const settlement = await this.#setDraining(true, options);
    if (settlement.kind === "nothing") return { drain: "complete" };
    if (settlement.kind === "begun") return { drain: "pending" };
    throw refusal(what, settlement, options);
  }

  async rejoin(): Promise<void> {
    await this.#setDraining(false, {});
  }

  #setDraining(drains: boolean, options: WaitOptions): Promise<Settlement> {
    const caller = callerOf(this.#runner.codeOwner);
    return this.#runner.ask(options, (wait, timeoutMs) => ({
      type: "drain",
      wait,
      drains,
      caller,
      timeoutMs,
    }));
  }

  /** Joins a stop that has begun. Never rejects. */
  async stop(restarting: boolean, options: WaitOptions): Promise<GroupStopResult> {
    const caller = callerOf(this.#runner.codeOwner);
    const settlement = await this.#runner.ask(options, (wait, timeoutMs) => ({
      type: "stop",
      wait,
      restarting,
      caller,
      timeoutMs,
    }));
    switch (settlement.kind) {
      case "stopped": {
        const { reason, drain, unfinished } = settlement;
        return { reason, drain, unfinished, pending: false };
      }
      case "begun":
        return { reason: "requested", drain: "pending", unfinished: [], pending: true };
      default:
        throw new Error(`bug: a stop is settled with "${settlement.kind}"`);
    }
  }

  async runOwned(work: ResourceWork, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return;
    const settlement = await this.#runner.addWorker(work, signal);
    switch (settlement.kind) {
      case "done":
        return;
      case "failed":
        throw new ClusterError("HOOK_FAILED", `work failed: ${messageOf(settlement.error)}`, {
          cause: settlement.error,
        });
      case "unfinished":
        throw new ClusterError(
          "STOPPED",
          "the member has stopped and work has not ended; make it end when its signal aborts",
        );
      case "refused":
        throw new ClusterError(
          "NOT_LEADER",
          `runOwned() was called by ${settlement.hook}, which belongs to no term; the hook would wait for the member to stop: call runOwned() in onOwn or outside of hooks`,
        );
      default:
        settlement satisfies never;
    }
  }
}

/** Why a call of the application rejects. */
function refusal(what: string, settlement: Settlement, options: WaitOptions): ClusterError {
  switch (settlement.kind) {
    case "timeout":
    case "aborted":
    case "stopped":
      return waitEnded(what, "member", settlement, options);
    case "rejoined":
      return new ClusterError("ABORTED", `waiting for ${what}: rejoin() was called`, { recoverable: true });
    case "term-over":
      return new ClusterError("NOT_LEADER", `waiting for ${what}: the term has ended`);
    case "owned":
    case "held":
    case "begun":
    case "nothing":
      throw new Error(`bug: the wait for ${what} is settled with "${settlement.kind}"`);
    default:
      return settlement satisfies never;
  }
}
